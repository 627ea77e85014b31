import type { DecoratorConfig, RouteTracingConfig } from "../listener/tracing-config.ts";
import type { StringMatcherConfig } from "../match/string-matcher.ts";
import type { RuntimeFraction } from "../runtime/runtime-values.ts";
import type { ConfigSource } from "../source/config-source.ts";
import type { TypedConfig } from "../typed-config.ts";

/* `envoy.config.route.v3.RouteConfiguration`, decoded. Plain JSON data: it crosses to the workers. */

export interface RouteConfiguration extends HeaderMutations {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHost[];
  readonly ignorePortInHostMatching: boolean;
  readonly mostSpecificHeaderMutationsWins: boolean;
  /** Whether every cluster that a route names must exist when the configuration is built (`validate_clusters`; false under RDS). */
  readonly validateClusters: boolean;
  /** Taken from requests that do not come from inside, before they are routed; lower case. Left out: none. */
  readonly internalOnlyHeaders?: readonly string[];
  readonly typedPerFilterConfig: PerFilterConfig;
  /** More virtual hosts come by VHDS. Left out: these are all. */
  readonly vhds?: { /** Left out: the aggregated stream. */ readonly source?: ConfigSource };
}

export interface VirtualHost extends HeaderMutations {
  readonly name: string;
  /** Exact, "*.suffix", "prefix.*" or "*"; lower case. */
  readonly domains: readonly string[];
  readonly routes: readonly RouteEntry[];
  readonly retryPolicy: RetryPolicy | undefined;
  readonly includeRequestAttemptCount: boolean;
  readonly includeAttemptCountInResponse: boolean;
  readonly typedPerFilterConfig: PerFilterConfig;
  /** Whose requests that did not come by TLS are sent there (`require_tls`). Left out: nobody's. */
  readonly requireTls?: "EXTERNAL_ONLY" | "ALL";
  /** Parts of the host's requests that have statistics of their own. Left out where there are none. */
  readonly virtualClusters?: readonly VirtualClusterConfig[];
}

export interface VirtualClusterConfig {
  readonly name: string;
  /** All of them have to match. */
  readonly headers: readonly HeaderMatcherConfig[];
}

export interface RouteEntry extends HeaderMutations {
  readonly name: string;
  readonly match: RouteMatch;
  readonly action: RouteAction;
  readonly typedPerFilterConfig: PerFilterConfig;
  readonly statPrefix: string;
  /** By namespace and key. Left out: none. */
  readonly metadata?: { readonly [namespace: string]: { readonly [key: string]: unknown } };
  readonly decorator?: DecoratorConfig;
  readonly tracing?: RouteTracingConfig;
}

export interface RouteMatch {
  readonly path:
    | { readonly type: "prefix"; readonly value: string }
    | { readonly type: "path"; readonly value: string }
    | { readonly type: "path-separated-prefix"; readonly value: string }
    | { readonly type: "safe-regex"; readonly regex: string }
    | { readonly type: "connect" };
  readonly caseSensitive: boolean;
  readonly headers: readonly HeaderMatcherConfig[];
  readonly queryParameters: readonly QueryParameterMatcherConfig[];
  readonly grpc: boolean;
  /** Of requests that match otherwise, this fraction; undefined is all. */
  readonly runtimeFraction: RuntimeFraction | undefined;
  /** What has to be true of the certificate that the client has shown (`tls_context`). Left out: nothing. */
  readonly clientCertificate?: ClientCertificateMatch;
}

/** `RouteMatch.TlsContextMatchOptions`. Left out: either will do. A client that came in plaintext has shown none. */
export interface ClientCertificateMatch {
  readonly presented?: boolean;
  /** It leads to an authority that the listener trusts, and passes all its rules. */
  readonly validated?: boolean;
}

export interface HeaderMatcherConfig {
  /** Lower case; ":method", ":path", ":authority", ":scheme" stand for the head's fields. */
  readonly name: string;
  readonly match:
    | { readonly type: "present"; readonly present: boolean }
    | { readonly type: "string"; readonly matcher: StringMatcherConfig }
    | { readonly type: "range"; readonly start: number; readonly end: number }; // start <= value < end
  readonly invert: boolean;
  readonly treatMissingHeaderAsEmpty: boolean;
}

export interface QueryParameterMatcherConfig {
  readonly name: string;
  readonly match: { readonly type: "present" } | { readonly type: "string"; readonly matcher: StringMatcherConfig };
}

export type RouteAction =
  | { readonly type: "forward"; readonly forward: ForwardAction }
  | { readonly type: "redirect"; readonly redirect: RedirectAction }
  | { readonly type: "direct-response"; readonly status: number; readonly body: string }
  /** Heard on a client (`non_forwarding_action`); a sidecar answers 404. */
  | { readonly type: "non-forwarding" };

export interface ForwardAction {
  readonly cluster:
    | { readonly type: "cluster"; readonly name: string }
    | {
        readonly type: "weighted";
        readonly clusters: readonly WeightedCluster[]; // weights sum above 0
        /** The runtime's `<prefix>.<cluster>` is a cluster's weight in place of its own. Left out: it says nothing. */
        readonly runtimeKeyPrefix?: string;
      }
    | { readonly type: "cluster-header"; readonly header: string };
  readonly clusterNotFoundResponseCode: number; // 503
  readonly prefixRewrite: string | undefined;
  readonly regexRewrite: { readonly regex: string; readonly substitution: string } | undefined;
  readonly hostRewrite:
    | { readonly type: "none" }
    | { readonly type: "literal"; readonly value: string }
    | { readonly type: "auto" } // the endpoint's hostname
    | { readonly type: "header"; readonly header: string };
  readonly appendXForwardedHost: boolean;
  /** Whole upstream exchange, retries included. 15 s; 0 is off. */
  readonly timeoutMs: number;
  /** Overrides the listener's stream idle timeout; undefined leaves it. */
  readonly idleTimeoutMs: number | undefined;
  /** Where a route has it, `timeoutMs` does not count, nor do the two that follow (Envoy's "new timeouts"). */
  readonly maxStreamDuration: MaxStreamDuration | undefined;
  /** `grpc-timeout` takes the place of `timeoutMs` for gRPC calls, this at most; 0: whatever it says. Left out: it does not. */
  readonly maxGrpcTimeoutMs?: number;
  /** Taken off `grpc-timeout` before that. Left out: 0. */
  readonly grpcTimeoutOffsetMs?: number;
  readonly retryPolicy: RetryPolicy | undefined;
  readonly upgradeConfigs: readonly RouteUpgrade[];
}

export interface MaxStreamDuration {
  /** From the request's first byte; 0: no limit, of the listener's neither. Left out: the listener's. */
  readonly durationMs?: number;
  /** A call's `grpc-timeout` is the limit, this at most; 0: whatever it says. Left out: it does not count. */
  readonly grpcTimeoutHeaderMaxMs?: number;
  /** Taken off that. Left out: 0. */
  readonly grpcTimeoutHeaderOffsetMs?: number;
}

export interface RouteUpgrade {
  /** Lower case: "websocket", "connect". */
  readonly upgradeType: string;
  readonly enabled: boolean;
  /** CONNECT alone: what comes in the tunnel goes to the cluster as it is (`connect_config`). Left out: CONNECT goes on. */
  readonly terminates?: true;
}

export interface WeightedCluster extends HeaderMutations {
  readonly name: string;
  readonly weight: number;
  readonly hostRewriteLiteral: string | undefined;
  readonly typedPerFilterConfig: PerFilterConfig;
}

export interface RetryPolicy {
  /** Lower case, in Envoy's names: "5xx", "gateway-error", "reset", "connect-failure", "retriable-status-codes" … */
  readonly retryOn: readonly string[];
  readonly numRetries: number; // 1
  readonly perTryTimeoutMs: number; // 0: the route's timeout
  readonly retriableStatusCodes: readonly number[];
  readonly baseIntervalMs: number; // 25
  readonly maxIntervalMs: number; // 10 times the base
}

export interface RedirectAction {
  readonly scheme: "http" | "https" | undefined;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly path:
    | { readonly type: "keep" }
    | { readonly type: "path"; readonly value: string }
    | { readonly type: "prefix"; readonly value: string }
    | { readonly type: "regex"; readonly regex: string; readonly substitution: string };
  readonly responseCode: 301 | 302 | 303 | 307 | 308;
  readonly stripQuery: boolean;
}

export interface HeaderMutations {
  readonly requestHeadersToAdd: readonly HeaderValueOption[];
  readonly requestHeadersToRemove: readonly string[];
  readonly responseHeadersToAdd: readonly HeaderValueOption[];
  readonly responseHeadersToRemove: readonly string[];
}

export interface HeaderValueOption {
  readonly name: string;
  /** May hold Envoy's `%COMMAND%` substitutions. */
  readonly value: string;
  readonly appendAction:
    | "APPEND_IF_EXISTS_OR_ADD"
    | "ADD_IF_ABSENT"
    | "OVERWRITE_IF_EXISTS_OR_ADD"
    | "OVERWRITE_IF_EXISTS";
  readonly keepEmptyValue: boolean;
}

/** Filter name to its configuration on this route, host or cluster. `disabled` takes the filter out of the chain here. */
export interface PerFilterConfig {
  readonly [filterName: string]: { readonly disabled: boolean; readonly config: TypedConfig | undefined };
}
