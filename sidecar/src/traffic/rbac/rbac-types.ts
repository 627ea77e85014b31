import type { HttpFilterType } from "@heddle/filter";
import type { NetworkGateType } from "../network/network-gate-type.ts";
import { rbacCode } from "./rbac-code.ts";
import type { RbacConfig } from "./rbac-filter.ts";
import type { NetworkRbacConfig } from "./rbac-gate.ts";

/** `envoy.filters.http.rbac`: requests pass by rules. */
export const rbacType: HttpFilterType<RbacConfig, RbacConfig> = {
  name: "envoy.filters.http.rbac",
  configType: "envoy.extensions.filters.http.rbac.v3.RBAC",
  routeConfigType: "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
  parse: (config) => rbacCode().parseRbac(config),
  parseRoute: (config) => rbacCode().parseRbacPerRoute(config),
  create: (config, context) => rbacCode().createRbac(config, context),
};

/** `envoy.filters.network.rbac`: connections pass by rules. */
export const networkRbacType: NetworkGateType<NetworkRbacConfig> = {
  name: "envoy.filters.network.rbac",
  configType: "envoy.extensions.filters.network.rbac.v3.RBAC",
  parse: (config) => rbacCode().parseNetworkRbac(config),
  create: (config, context) => rbacCode().createNetworkRbac(config, context),
};
