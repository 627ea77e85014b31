/* For tests of this package and of others: decoded configuration with every default filled in, and the pickers' contract. */
export { makeEndpoints, pickedEndpoint, pickerContract, seededRandom } from "./balance/picker-contract.ts";
export { endpointConfig, endpointsConfig, locality } from "./endpoint/endpoint-fixtures.ts";
export { forward, get, route, routeConfiguration, virtualHost } from "./route/route-fixtures.ts";
export { logSourceOf } from "./testing-log-source.ts";
