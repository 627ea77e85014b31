/* What RBAC filters are made of, loaded when a configuration first names one: `#rbac` (rbac-code.ts). */
export { createRbac, parseRbac, parseRbacPerRoute } from "./rbac-filter.ts";
export { createNetworkRbac, parseNetworkRbac } from "./rbac-gate.ts";
