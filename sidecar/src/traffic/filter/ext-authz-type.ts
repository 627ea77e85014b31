import type { HttpFilterType } from "@heddle/filter";
import type { ExtAuthzConfig, ExtAuthzRouteConfig } from "./ext-authz/ext-authz-config.ts";
import { readExtAuthz, readExtAuthzRoute } from "./ext-authz/read-ext-authz.ts";
import { lazyFilter } from "./lazy-filter.ts";

/**
 * `envoy.filters.http.ext_authz`: asks a service, over gRPC or HTTP, whether a request may pass. Until it has answered nothing of
 * the request goes on.
 */
export const extAuthzType: HttpFilterType<ExtAuthzConfig, ExtAuthzRouteConfig> = lazyFilter(
  {
    name: "envoy.filters.http.ext_authz",
    configType: "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
    routeConfigType: "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
    parse: readExtAuthz,
    parseRoute: readExtAuthzRoute,
  },
  () => import("./ext-authz/ext-authz-filter.ts"),
);
