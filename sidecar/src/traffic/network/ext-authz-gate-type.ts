import { err, type Json, ok, type Result } from "@heddle/base";
import type { ConfigIssue } from "@heddle/filter";
import type { MetadataMatcherConfig } from "@heddle/traffic";
import { ConfigReader } from "../filter/config-reader.ts";
import type { GrpcAuthorization } from "../filter/ext-authz/ext-authz-config.ts";
import { checkApiVersion, readGrpcService, readMetadata } from "../filter/ext-authz/read-ext-authz.ts";
import type * as Gate from "./ext-authz-gate.ts";
import type { NetworkGateType } from "./network-gate-type.ts";

/** `envoy.extensions.filters.network.ext_authz.v3.ExtAuthz`, read. */
export interface NetworkExtAuthzConfig {
  readonly statPrefix: string;
  readonly service: GrpcAuthorization;
  readonly failureModeAllow: boolean;
  readonly includePeerCertificate: boolean;
  readonly includeTlsSession: boolean;
  readonly enabledMetadata: MetadataMatcherConfig | undefined;
  readonly metadataContextNamespaces: readonly string[];
  /** Nobody is denied; what would have been is counted and left in the metadata. */
  readonly shadowMode: boolean;
}

let code: typeof Gate | undefined;

/** `envoy.filters.network.ext_authz`: asks a service, over gRPC, whether a connection may pass. */
export const networkExtAuthzType: NetworkGateType<NetworkExtAuthzConfig> = {
  name: "envoy.filters.network.ext_authz",
  configType: "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
  parse: readNetworkExtAuthz,
  load: async () => {
    code ??= await import("./ext-authz-gate.ts");
  },
  create: (config, context) => {
    if (code === undefined) throw new Error("envoy.filters.network.ext_authz has not been loaded");
    return code.createExtAuthzGate(config, context);
  },
};

function readNetworkExtAuthz(json: Json): Result<NetworkExtAuthzConfig, readonly ConfigIssue[]> {
  const reader = new ConfigReader(json);
  const asked = reader.object("grpcService");
  if (asked === undefined) reader.fail("grpcService", "must be set");
  const service = asked && readGrpcService(asked);
  checkApiVersion(reader);
  const config = {
    statPrefix: reader.text("statPrefix"),
    failureModeAllow: reader.flag("failureModeAllow", false),
    includePeerCertificate: reader.flag("includePeerCertificate", false),
    includeTlsSession: reader.flag("includeTlsSession", false),
    enabledMetadata: readMetadata(reader),
    metadataContextNamespaces: reader.texts("metadataContextNamespaces"),
    shadowMode: reader.flag("shadowMode", false),
  };
  return service === undefined || reader.issues.length > 0 ? err(reader.issues) : ok({ service, ...config });
}
