import type { MetadataMatcherConfig, RuntimeFraction, StringMatcherConfig } from "@heddle/traffic";
import type { MutationRulesConfig } from "@heddle/traffic/ext-authz";

/** `envoy.extensions.filters.http.ext_authz.v3.ExtAuthz`, read. */
export interface ExtAuthzConfig {
  readonly service: AuthorizationService;
  readonly failureModeAllow: boolean;
  /** Requests that pass though nobody could be asked say so: `x-envoy-auth-failure-mode-allowed`. */
  readonly failureModeAllowHeaderAdd: boolean;
  /** Left out: the body is not looked at. */
  readonly body: BodySettings | undefined;
  readonly clearRouteCache: boolean;
  /** Where one of these is changed; none: where anything is. Lower case. */
  readonly clearRouteCacheHeaders: readonly string[];
  readonly statusOnError: number;
  readonly validateMutations: boolean;
  readonly metadataContextNamespaces: readonly string[];
  readonly routeMetadataContextNamespaces: readonly string[];
  readonly enabled: RuntimeFraction | undefined;
  readonly enabledMetadata: MetadataMatcherConfig | undefined;
  readonly denyAtDisable: { readonly value: boolean; readonly runtimeKey: string } | undefined;
  readonly includePeerCertificate: boolean;
  readonly includeTlsSession: boolean;
  readonly statPrefix: string;
  /** Undefined: every header goes to a gRPC service, and to an HTTP service those that always do. */
  readonly allowedHeaders: readonly StringMatcherConfig[] | undefined;
  readonly disallowedHeaders: readonly StringMatcherConfig[] | undefined;
  readonly chargeClusterResponseStats: boolean;
  readonly encodeRawHeaders: boolean;
  readonly mutationRules: MutationRulesConfig | undefined;
  readonly dynamicMetadata: boolean;
  /** Of a denial; 0: as it is. */
  readonly maxDeniedBodyBytes: number;
  /** Nobody is denied, and nothing changed; what would have been is counted and left in the metadata. */
  readonly shadowMode: boolean;
}

export type AuthorizationService = GrpcAuthorization | HttpAuthorization;

export interface GrpcAuthorization {
  readonly type: "grpc";
  readonly cluster: string;
  readonly authority: string;
  readonly timeoutMs: number;
  /** Values may hold commands of access logs. */
  readonly initialMetadata: readonly (readonly [name: string, value: string])[];
}

export interface HttpAuthorization {
  readonly type: "http";
  readonly cluster: string;
  readonly timeoutMs: number;
  readonly pathPrefix: string;
  /** In place of the request's path; "": that with the prefix. */
  readonly pathOverride: string;
  readonly headersToAdd: readonly (readonly [name: string, value: string])[];
  readonly allowedUpstreamHeaders: readonly StringMatcherConfig[];
  readonly allowedUpstreamHeadersToAppend: readonly StringMatcherConfig[];
  readonly allowedClientHeaders: readonly StringMatcherConfig[];
  readonly allowedClientHeadersOnSuccess: readonly StringMatcherConfig[];
  readonly dynamicMetadataFromHeaders: readonly StringMatcherConfig[];
}

export interface BodySettings {
  readonly maxBytes: number;
  readonly allowPartial: boolean;
  readonly packAsBytes: boolean;
}

/** `ExtAuthzPerRoute` */
export interface ExtAuthzRouteConfig {
  readonly disabled: boolean;
  readonly contextExtensions: Readonly<Record<string, string>>;
  readonly disableBuffering: boolean;
  readonly body: BodySettings | undefined;
  /** Left out: that of the filter. */
  readonly service: AuthorizationService | undefined;
}
