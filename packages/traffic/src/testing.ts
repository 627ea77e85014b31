/* For tests of this package and of others: decoded configuration with every default filled in. */
export { forward, get, route, routeConfiguration, virtualHost } from "./route/route-fixtures.ts";
