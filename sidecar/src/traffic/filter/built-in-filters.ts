import { HttpFilterRegistry } from "@heddle/filter";
import { rbacType } from "../rbac/rbac-types.ts";
import { apiKeyAuthType } from "./api-key-auth-type.ts";
import { basicAuthType } from "./basic-auth-type.ts";
import { extAuthzType } from "./ext-authz-type.ts";
import type { FilterData } from "./filter-data.ts";
import type { FilterModules } from "./filter-modules.ts";
import { grpcHttp1BridgeType } from "./grpc-http1-bridge-type.ts";
import { grpcStatsType } from "./grpc-stats-type.ts";
import { grpcWebType } from "./grpc-web-type.ts";
import { healthCheckType } from "./health-check-type.ts";
import type { RemoteKeys } from "./jwt/remote-jwks.ts";
import { jwtAuthnType } from "./jwt-authn-type.ts";
import { onDemandType } from "./on-demand-type.ts";
import { routerType } from "./router-type.ts";
import { serveTunnelType } from "./serve-tunnel-type.ts";

/**
 * Every HTTP filter that the sidecar knows. A new one is a file beside this one and a line here. `data` reads what configurations
 * only name; left out, they are for another machine. `remoteKeys` has keys that are fetched; left out, nothing is served.
 */
export function builtInFilters(modules: FilterModules, data?: FilterData, remoteKeys?: RemoteKeys): HttpFilterRegistry {
  return new HttpFilterRegistry([
    routerType,
    healthCheckType,
    grpcWebType,
    grpcStatsType,
    grpcHttp1BridgeType,
    serveTunnelType,
    onDemandType,
    basicAuthType(data),
    apiKeyAuthType,
    rbacType,
    extAuthzType,
    jwtAuthnType(data, remoteKeys),
    modules.type,
  ]);
}
