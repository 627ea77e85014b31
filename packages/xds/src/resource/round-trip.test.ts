import assert from "node:assert/strict";
import { test } from "node:test";
import type { SubstitutionFormat } from "@heddle/telemetry";
import type {
  AccessLogConfig,
  AccessLogFilterConfig,
  Address,
  ApiOrigin,
  CircuitBreakerThresholds,
  ClusterConfig,
  CommonTlsConfig,
  ConfigSource,
  DataConfig,
  DiscoveryServer,
  DnsFilterConfig,
  DownstreamTlsConfig,
  EndpointConfig,
  EndpointsConfig,
  FilterChainConfig,
  FilterChainMatch,
  ForwardAction,
  HeaderMatcherConfig,
  HeaderMutations,
  Http2Keepalive,
  Http2Options,
  HttpConnectionManagerConfig,
  HttpManners,
  ListenerConfig,
  ListenerFilterMatch,
  LocalReplyConfig,
  NetworkFilterConfig,
  ProxyProtocolConfig,
  RdsRoutes,
  ResponseMapperConfig,
  RetryPolicy,
  RouteAction,
  RouteConfiguration,
  RouteEntry,
  RouteMatch,
  SanMatcherConfig,
  SecretConfig,
  SecretReference,
  SpiffeValidatorConfig,
  StringMatcherConfig,
  TcpProxyConfig,
  TlsCertificateConfig,
  TlsValidationConfig,
  TlvChoice,
  UdpListenerConfig,
  UdpProxyConfig,
  UpstreamProxyProtocol,
  UpstreamTlsConfig,
  VirtualHost,
} from "@heddle/traffic";
import fc from "fast-check";
import type { ResourceType } from "./resource-type.ts";
import { makeResourceTypes } from "./resource-types.ts";
import { httpFilters } from "./testing.ts";

/*
 * What is encoded is read again as it was: for any configuration that a decoder of ours could have made. Encoding is
 * canonical: a configuration with its objects built in another order gives the same bytes.
 */

const types = makeResourceTypes({ httpFilters });
const RUNS = { numRuns: 60, seed: 20261121 };

type Generators<T> = { readonly [K in keyof T]: fc.Arbitrary<T[K]> };

/** Every field drawn by its generator. Typed, so that a new field of a configuration does not compile until it is here. */
function record<T>(generators: Generators<T>): fc.Arbitrary<T> {
  return fc.record(generators);
}

const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,7}$/);
const header = fc.constantFrom("x-a", "x-b", "accept", "cookie");
const regex = fc.constantFrom("a.*", "^/v[12]/", "(?i)x|y", "[[:alpha:]]+");
const durationMs = fc.nat({ max: 10_000_000 });
const count = fc.nat({ max: 4_000_000_000 });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const few = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 3 });
const ip = fc.constantFrom("10.0.0.1", "0.0.0.0", "::1", "2001:db8::7");
const struct = fc
  .dictionary(name, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 2, noNullPrototype: true })
  .map(withoutNegativeZero);
const metadata = fc.dictionary(name, struct, { maxKeys: 2, noNullPrototype: true });

// JSON has no -0.
function withoutNegativeZero<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

const address: fc.Arbitrary<Address> = fc.oneof(
  record<Address & { type: "socket" }>({ type: fc.constant("socket"), address: ip, port: fc.nat({ max: 65535 }) }),
  record<Address & { type: "pipe" }>({
    type: fc.constant("pipe"),
    path: fc.constant("/run/x.sock"),
    mode: optional(fc.integer({ min: 1, max: 511 })),
  }),
);

const endpoint = record<EndpointConfig>({
  address,
  hostname: fc.constantFrom("", "stock-1"),
  healthStatus: fc.constantFrom("UNKNOWN", "HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT", "DEGRADED"),
  loadBalancingWeight: fc.integer({ min: 1, max: 1000 }),
  metadata,
});

const endpoints = record<EndpointsConfig>({
  clusterName: name,
  localities: few(
    record<EndpointsConfig["localities"][number]>({
      locality: record({
        region: fc.constantFrom("", "eu"),
        zone: fc.constantFrom("", "a"),
        subZone: fc.constantFrom("", "r"),
      }),
      loadBalancingWeight: optional(fc.integer({ min: 1, max: 100 })),
      priority: fc.nat({ max: 128 }),
      endpoints: few(endpoint),
    }),
  ),
  overprovisioningFactorPercent: fc.integer({ min: 100, max: 200 }),
  dropOverloads: few(
    record<EndpointsConfig["dropOverloads"][number]>({
      category: name,
      numerator: fc.nat({ max: 100 }),
      denominator: fc.constantFrom(100, 10_000, 1_000_000),
    }),
  ),
});

const thresholds = record<CircuitBreakerThresholds>({
  maxConnections: count,
  maxPendingRequests: count,
  maxRequests: count,
  maxRetries: count,
});

const file = fc.oneof(
  record<DataConfig>({ source: fc.constant("filename"), name, content: fc.constant(undefined) }),
  record<DataConfig>({ source: fc.constant("environment_variable"), name, content: fc.constant(undefined) }),
);

const atCluster = record<{ type: "cluster"; name: string }>({ type: fc.constant("cluster"), name });
const grpcServer: fc.Arbitrary<DiscoveryServer> = fc.oneof(
  record<DiscoveryServer>({ target: atCluster }),
  record<DiscoveryServer>({
    target: atCluster,
    authority: name,
    metadata: fc.constant([
      ["authorization", "a"],
      ["x", ""],
    ]),
  }),
  record<DiscoveryServer>({
    target: record<{ type: "address"; address: string }>({ type: fc.constant("address"), address: name }),
    ssl: fc.oneof(
      fc.constant({}),
      record<Required<NonNullable<DiscoveryServer["ssl"]>>>({ rootCerts: file, privateKey: file, certChain: file }),
    ),
  }),
);
const apiOrigin: fc.Arbitrary<ApiOrigin> = fc.oneof(
  record<Required<ApiOrigin>>({
    type: fc.constant("api"),
    apiType: fc.constantFrom("GRPC", "DELTA_GRPC"),
    servers: fc.array(grpcServer, { minLength: 1, maxLength: 2 }),
    refreshDelayMs: durationMs,
    requestTimeoutMs: durationMs.map((ms) => ms + 1),
    rateLimit: fc.constant({ maxTokens: 7, fillRatePerSecond: 0.5 }),
  }),
  record<ApiOrigin>({
    type: fc.constant("api"),
    apiType: fc.constant("REST"),
    servers: fc.array(record<DiscoveryServer>({ target: atCluster }), { minLength: 1, maxLength: 1 }),
    refreshDelayMs: durationMs.map((ms) => ms + 1),
    requestTimeoutMs: durationMs.map((ms) => ms + 1),
  }),
);
/** Never the one that is left out. */
const configSource = record<ConfigSource>({
  from: fc.oneof(
    fc.constantFrom({ type: "ads" as const }, { type: "self" as const }),
    fc.constantFrom({ type: "file" as const, path: "/a" }, { type: "file" as const, path: "/a", watchedFolder: "/b" }),
    apiOrigin,
  ),
  initialFetchTimeoutMs: durationMs.filter((ms) => ms !== 15_000),
});

type Discovery<Type> = Extract<ClusterConfig["discovery"], { readonly type: Type }>;

const dns = record<Discovery<"STRICT_DNS">["dns"]>({
  refreshRateMs: fc.integer({ min: 2, max: 600_000 }),
  respectTtl: fc.boolean(),
  lookupFamily: fc.constantFrom("AUTO", "V4_ONLY", "V6_ONLY", "V4_PREFERRED", "ALL"),
});

const plainCluster = record<Omit<ClusterConfig, "proxyProtocol">>({
  name,
  statName: name,
  discovery: fc.oneof(
    record<Discovery<"STATIC">>({ type: fc.constant("STATIC"), loadAssignment: endpoints }),
    record<Discovery<"STRICT_DNS">>({ type: fc.constant("STRICT_DNS"), loadAssignment: endpoints, dns }),
    record<Discovery<"EDS">>({ type: fc.constant("EDS"), serviceName: name }),
    record<Required<Discovery<"EDS">>>({ type: fc.constant("EDS"), serviceName: name, source: configSource }),
  ),
  lbPolicy: fc.oneof(
    fc.constant({ type: "round-robin" } as const),
    fc.constant({ type: "random" } as const),
    record<Extract<ClusterConfig["lbPolicy"], { type: "least-request" }>>({
      type: fc.constant("least-request"),
      choiceCount: fc.integer({ min: 2, max: 9 }),
      activeRequestBias: fc.constantFrom(0, 0.5, 1, 2),
    }),
  ),
  connectTimeoutMs: fc.integer({ min: 1, max: 60_000 }),
  perConnectionBufferLimitBytes: count,
  circuitBreakers: record<ClusterConfig["circuitBreakers"]>({ default: thresholds, high: thresholds }),
  healthyPanicThresholdPercent: fc.nat({ max: 100 }),
  upstreamProtocol: fc.constantFrom("unset", "http1"),
  idleTimeoutMs: optional(durationMs),
  maxConnectionDurationMs: durationMs,
  maxConnectionDurationJitterPercent: fc.integer({ min: 0, max: 100 }),
  maxResponseHeadersKb: fc.integer({ min: 1, max: 8192 }),
  maxHeadersCount: fc.integer({ min: 1, max: 1000 }),
  maxStreamDurationMs: durationMs,
  maxRequestsPerConnection: count,
  tcpKeepalive: optional(
    record<NonNullable<ClusterConfig["tcpKeepalive"]>>({ idleSeconds: count, intervalSeconds: count, probes: count }),
  ),
  metadata,
});

const http2 = record<Http2Options>({
  hpackTableSize: count,
  maxConcurrentStreams: fc.integer({ min: 1, max: 1000 }),
  initialStreamWindowSize: fc.integer({ min: 65_535, max: 100_000 }),
  initialConnectionWindowSize: fc.integer({ min: 65_535, max: 100_000 }),
  allowConnect: fc.boolean(),
  maxOutboundFrames: fc.integer({ min: 1, max: 20_000 }),
  maxOutboundControlFrames: fc.integer({ min: 1, max: 20_000 }),
  maxConsecutiveInboundFramesWithEmptyPayload: count,
  maxInboundPriorityFramesPerStream: count,
  maxInboundWindowUpdateFramesPerDataFrameSent: fc.integer({ min: 1, max: 100 }),
  streamErrorOnInvalidHttpMessage: fc.boolean(),
  keepalive: optional(
    record<Http2Keepalive>({
      intervalMs: fc.constantFrom(0, 1, 30_000),
      timeoutMs: fc.constantFrom(1, 5000),
      intervalJitterPercent: fc.constantFrom(0, 15, 100),
      connectionIdleIntervalMs: fc.constantFrom(0, 1500),
    }),
  ),
});

const tlvChoice = fc.constantFrom<TlvChoice>("all", [], [5], [5, 234]);

const stringMatcher: fc.Arbitrary<StringMatcherConfig> = fc.oneof(
  fc.record({
    type: fc.constantFrom("exact" as const, "prefix" as const, "suffix" as const, "contains" as const),
    value: name,
    ignoreCase: fc.boolean(),
  }),
  fc.record({ type: fc.constant("safe-regex" as const), regex }),
);

const headerMatcher = record<HeaderMatcherConfig>({
  name: header,
  match: fc.oneof(
    fc.record({ type: fc.constant("present" as const), present: fc.boolean() }),
    fc.record({ type: fc.constant("string" as const), matcher: stringMatcher }),
    fc.record({ type: fc.constant("range" as const), start: fc.maxSafeInteger(), end: fc.maxSafeInteger() }),
  ),
  invert: fc.boolean(),
  treatMissingHeaderAsEmpty: fc.boolean(),
});

const routeMatch = record<RouteMatch>({
  path: fc.oneof(
    fc.record({ type: fc.constantFrom("prefix" as const, "path" as const), value: fc.constantFrom("/", "/a/b") }),
    fc.record({ type: fc.constant("path-separated-prefix" as const), value: fc.constant("/a") }),
    fc.record({ type: fc.constant("safe-regex" as const), regex }),
    fc.constant({ type: "connect" as const }),
  ),
  caseSensitive: fc.boolean(),
  headers: few(headerMatcher),
  queryParameters: few(
    record<RouteMatch["queryParameters"][number]>({
      name,
      match: fc.oneof(
        fc.constant({ type: "present" as const }),
        fc.record({ type: fc.constant("string" as const), matcher: stringMatcher }),
      ),
    }),
  ),
  grpc: fc.boolean(),
  runtimeFraction: optional(
    fc.record({ numerator: fc.nat({ max: 100 }), denominator: fc.constantFrom(100, 1_000_000) }),
  ),
  clientCertificate: fc.constantFrom({}, { presented: true }, { presented: false, validated: true }),
});

const mutations: Generators<HeaderMutations> = {
  requestHeadersToAdd: few(headerOption()),
  requestHeadersToRemove: few(header),
  responseHeadersToAdd: few(headerOption()),
  responseHeadersToRemove: few(header),
};

function headerOption() {
  return record<HeaderMutations["requestHeadersToAdd"][number]>({
    name: header,
    value: fc.constantFrom("", "v", "100%% %PROTOCOL%", "é"),
    appendAction: fc.constantFrom(
      "APPEND_IF_EXISTS_OR_ADD",
      "ADD_IF_ABSENT",
      "OVERWRITE_IF_EXISTS_OR_ADD",
      "OVERWRITE_IF_EXISTS",
    ),
    keepEmptyValue: fc.boolean(),
  });
}

const perFilter = fc
  .dictionary(
    name,
    fc.oneof(fc.constant({ disabled: true, config: undefined }), fc.record({ disabled: fc.boolean(), config: struct })),
    { maxKeys: 2, noNullPrototype: true },
  )
  .map((entries) =>
    Object.fromEntries(
      Object.entries(entries).map(([filter, { disabled, config }]) => [
        filter,
        {
          disabled,
          config: config && {
            name: filter,
            type: "heddle.filters.http.v1.Module",
            config: { modulePath: "a.ts", config: config as never },
          },
        },
      ]),
    ),
  );

const retryPolicy = record<RetryPolicy>({
  retryOn: few(fc.constantFrom("5xx", "reset")),
  numRetries: count,
  perTryTimeoutMs: durationMs,
  retriableStatusCodes: few(fc.integer({ min: 100, max: 599 })),
  baseIntervalMs: fc.integer({ min: 2, max: 1000 }),
  maxIntervalMs: fc.integer({ min: 1000, max: 10_000 }),
});

const upgrades = fc.constantFrom(
  [],
  [{ upgradeType: "websocket", enabled: true }],
  [
    { upgradeType: "websocket", enabled: false },
    { upgradeType: "connect", enabled: true },
  ],
);

const routeUpgrades = fc.oneof(
  upgrades,
  fc.constant([{ upgradeType: "connect", enabled: true, terminates: true as const }]),
);

const forward = record<ForwardAction>({
  cluster: fc.oneof(
    fc.record({ type: fc.constant("cluster" as const), name }),
    fc.record({ type: fc.constant("cluster-header" as const), header }),
    fc.record({
      type: fc.constant("weighted" as const),
      clusters: fc.array(
        record<Extract<ForwardAction["cluster"], { type: "weighted" }>["clusters"][number]>({
          name,
          weight: fc.integer({ min: 1, max: 100 }),
          hostRewriteLiteral: optional(name),
          typedPerFilterConfig: perFilter,
          ...mutations,
        }),
        { minLength: 1, maxLength: 3 },
      ),
    }),
  ),
  clusterNotFoundResponseCode: fc.constantFrom(503, 404, 500),
  prefixRewrite: optional(fc.constant("/x")),
  regexRewrite: fc.constant(undefined),
  hostRewrite: fc.oneof(
    fc.constant({ type: "none" as const }),
    fc.constant({ type: "auto" as const }),
    fc.record({ type: fc.constant("literal" as const), value: name }),
    fc.record({ type: fc.constant("header" as const), header }),
  ),
  appendXForwardedHost: fc.boolean(),
  timeoutMs: durationMs,
  idleTimeoutMs: optional(durationMs),
  maxStreamDuration: optional(
    fc.record(
      { durationMs, grpcTimeoutHeaderMaxMs: durationMs, grpcTimeoutHeaderOffsetMs: durationMs },
      { requiredKeys: [] },
    ),
  ),
  retryPolicy: optional(retryPolicy),
  upgradeConfigs: routeUpgrades,
});

const action: fc.Arbitrary<RouteAction> = fc.oneof(
  fc.record({ type: fc.constant("forward" as const), forward }),
  fc.record({
    type: fc.constant("redirect" as const),
    redirect: record<Extract<RouteAction, { type: "redirect" }>["redirect"]>({
      scheme: optional(fc.constantFrom("http", "https")),
      host: optional(name),
      port: optional(fc.integer({ min: 1, max: 65535 })),
      path: fc.oneof(
        fc.constant({ type: "keep" as const }),
        fc.record({ type: fc.constantFrom("path" as const, "prefix" as const), value: fc.constant("/x") }),
        fc.record({ type: fc.constant("regex" as const), regex, substitution: fc.constant("\\0-\\\\") }),
      ),
      responseCode: fc.constantFrom(301, 302, 303, 307, 308),
      stripQuery: fc.boolean(),
    }),
  }),
  fc.record({
    type: fc.constant("direct-response" as const),
    status: fc.integer({ min: 200, max: 599 }),
    body: fc.constantFrom("", "hello", "x".repeat(5000)),
  }),
  fc.constant({ type: "non-forwarding" as const }),
);

const virtualHosts = fc.nat({ max: 2 }).chain((hosts) =>
  fc.tuple(
    ...Array.from({ length: hosts }, (_, index) =>
      record<VirtualHost>({
        name: fc.constant(`host-${index}`),
        domains: fc.constantFrom([`a${index}.example`], [`*.b${index}.example`, `c${index}.*`]),
        routes: few(
          record<RouteEntry>({
            name: fc.constantFrom("", "n"),
            match: routeMatch,
            action,
            typedPerFilterConfig: perFilter,
            statPrefix: fc.constantFrom("", "s"),
            ...mutations,
          }),
        ),
        retryPolicy: optional(retryPolicy),
        requireTls: fc.constantFrom("ALL" as const, "EXTERNAL_ONLY" as const),
        includeRequestAttemptCount: fc.boolean(),
        includeAttemptCountInResponse: fc.boolean(),
        typedPerFilterConfig: perFilter,
        ...mutations,
      }),
    ),
  ),
);

const routeConfiguration = record<RouteConfiguration>({
  name,
  virtualHosts,
  ignorePortInHostMatching: fc.boolean(),
  mostSpecificHeaderMutationsWins: fc.boolean(),
  validateClusters: fc.boolean(),
  typedPerFilterConfig: perFilter,
  ...mutations,
});

const comparison = { op: fc.constantFrom("EQ" as const, "GE" as const, "LE" as const), value: count };
const valueMatcher = fc.oneof(
  fc.constant({ type: "null" as const }),
  fc.record({ type: fc.constant("exact-number" as const), value: fc.constantFrom(0, 1.5, -2) }),
  fc.record({ type: fc.constant("number-range" as const), start: fc.constant(-1.5), end: fc.constant(3) }),
  fc.record({ type: fc.constant("string" as const), matcher: stringMatcher }),
  fc.record({ type: fc.constant("boolean" as const), value: fc.boolean() }),
  fc.record({ type: fc.constant("present" as const), present: fc.boolean() }),
  fc.constant({ type: "one-of" as const, matcher: { type: "exact-number" as const, value: 1 } }),
  fc.constant({
    type: "or" as const,
    matchers: [{ type: "null" as const }, { type: "boolean" as const, value: true }],
  }),
);
const simpleFilter: fc.Arbitrary<AccessLogFilterConfig> = fc.oneof(
  fc.record({ type: fc.constant("status-code" as const), ...comparison }),
  fc.record({ type: fc.constant("duration" as const), ...comparison }),
  fc.constant({ type: "not-health-check" as const }),
  fc.constant({ type: "traceable" as const }),
  fc.record({
    type: fc.constant("runtime" as const),
    key: fc.constant("a.key"),
    fraction: fc.constantFrom({ numerator: 0, denominator: 100 }, { numerator: 5, denominator: 1_000_000 }),
    independent: fc.boolean(),
  }),
  fc.record({ type: fc.constant("header" as const), header: headerMatcher }),
  fc.record({ type: fc.constant("response-flag" as const), flags: fc.constantFrom([], ["UF", "NR"]) }),
  fc.record({
    type: fc.constant("grpc-status" as const),
    statuses: fc.constantFrom([0], [2, 14]),
    exclude: fc.boolean(),
  }),
  fc.record({
    type: fc.constant("metadata" as const),
    namespace: fc.constant("ns"),
    path: fc.constantFrom(["a"], ["a", "b"]),
    value: valueMatcher,
    invert: fc.boolean(),
    matchIfNotFound: fc.boolean(),
  }),
  fc.record({
    type: fc.constant("log-type" as const),
    types: fc.constantFrom(["NotSet" as const], ["DownstreamEnd" as const, "UdpSessionEnd" as const]),
    exclude: fc.boolean(),
  }),
);
const accessLogFilter: fc.Arbitrary<AccessLogFilterConfig> = fc.oneof(
  simpleFilter,
  fc.record({
    type: fc.constantFrom("and" as const, "or" as const),
    filters: fc.array(simpleFilter, { minLength: 2, maxLength: 3 }),
  }),
);

const substitutionFormat: fc.Arbitrary<SubstitutionFormat> = fc.oneof(
  fc.record({ type: fc.constant("text" as const), text: fc.constant("%PROTOCOL%\n"), omitEmptyValues: fc.boolean() }),
  fc.record({
    type: fc.constant("json" as const),
    json: fc.constantFrom({ a: "%PROTOCOL%", b: "" }, { c: [1, { d: true }], e: null, f: 1.5 }),
    omitEmptyValues: fc.boolean(),
  }),
);
const localReplyFormat = fc.record({ format: substitutionFormat, contentType: fc.constantFrom("", "text/html") });

const accessLog = record<AccessLogConfig>({
  name,
  filter: optional(accessLogFilter),
  sink: fc.oneof(
    fc.constant({ type: "stdout" as const }),
    fc.constant({ type: "stderr" as const }),
    fc.constant({ type: "file" as const, path: "/var/log/x" }),
  ),
  format: fc.oneof(fc.constant({ type: "default" as const }), substitutionFormat),
});

const mapper = record<ResponseMapperConfig>({
  filter: accessLogFilter,
  statusCode: optional(fc.constantFrom(200, 599)),
  body: optional(fc.constantFrom("", "sorry")),
  bodyFormatOverride: optional(localReplyFormat),
  headersToAdd: mutations.requestHeadersToAdd,
});

const localReply = record<LocalReplyConfig>({ mappers: few(mapper), bodyFormat: optional(localReplyFormat) });

const manners = record<HttpManners>({
  appendXForwardedPort: fc.boolean(),
  originalIpDetection: fc.constant([]), // which excludes other fields; see the test of http-manners
  internalAddresses: record<HttpManners["internalAddresses"]>({
    unixSockets: fc.boolean(),
    cidrRanges: few(fc.constantFrom("10.0.0.0/8", "::1/128")),
  }),
  forwardClientCertDetails: fc.constantFrom(
    "SANITIZE",
    "FORWARD_ONLY",
    "APPEND_FORWARD",
    "SANITIZE_SET",
    "ALWAYS_FORWARD_ONLY",
  ),
  schemeToOverwrite: optional(fc.constantFrom("http", "https")),
  earlyHeaderMutations: few(
    fc.oneof(
      fc.record({ type: fc.constant("remove" as const), header }),
      fc.record({ type: fc.constant("append" as const), option: headerOption() }),
    ),
  ),
  stripTrailingHostDot: fc.boolean(),
  allowAbsoluteUrl: fc.boolean(),
  allowCustomMethods: fc.boolean(),
  headerNames: optional(fc.constantFrom("proper-case", "preserve-case", "preserve-or-proper-case")),
  requestId: record<HttpManners["requestId"]>({ packsTraceReason: fc.boolean(), decidesTrace: fc.boolean() }),
  proxyStatus: optional(
    record<NonNullable<HttpManners["proxyStatus"]>>({
      proxyName: name,
      removeDetails: fc.boolean(),
      removeResponseFlags: fc.boolean(),
      setRecommendedResponseCode: fc.boolean(),
    }),
  ),
});

const manager = record<HttpConnectionManagerConfig>({
  statPrefix: name,
  codecType: fc.constantFrom("AUTO", "HTTP1", "HTTP2"),
  routes: fc.oneof(
    fc.record({ type: fc.constant("rds" as const), routeConfigName: name }),
    record<Required<RdsRoutes>>({ type: fc.constant("rds"), routeConfigName: name, source: configSource }),
    fc.record({ type: fc.constant("inline" as const), routeConfig: routeConfiguration }),
  ),
  httpFilters: fc.boolean().map((disabled) => [
    {
      name: "m",
      config: { name: "m", type: "heddle.filters.http.v1.Module", config: { modulePath: "a.ts" } },
      disabled,
    },
    {
      name: "r",
      config: { name: "r", type: "envoy.extensions.filters.http.router.v3.Router", config: {} },
      disabled: false,
    },
  ]),
  upgradeConfigs: upgrades,
  accessLog: few(accessLog),
  accessLogOptions: optional(
    fc.constantFrom(
      { onNewRequest: true, onTunnel: false, everyMs: 0 },
      { onNewRequest: false, onTunnel: true, everyMs: 1500 },
    ),
  ),
  localReply: optional(localReply),
  serverName: name,
  serverHeaderTransformation: fc.constantFrom("OVERWRITE", "APPEND_IF_ABSENT", "PASS_THROUGH"),
  maxRequestHeadersKb: fc.integer({ min: 1, max: 8192 }),
  maxHeadersCount: fc.integer({ min: 1, max: 1000 }),
  maxRequestsPerConnection: count,
  idleTimeoutMs: durationMs,
  maxConnectionDurationMs: durationMs,
  maxConnectionDurationJitterPercent: fc.integer({ min: 0, max: 100 }),
  http1SafeMaxConnectionDuration: fc.boolean(),
  streamIdleTimeoutMs: durationMs,
  requestTimeoutMs: durationMs,
  requestHeadersTimeoutMs: durationMs,
  maxStreamDurationMs: durationMs,
  drainTimeoutMs: durationMs,
  delayedCloseTimeoutMs: durationMs,
  useRemoteAddress: fc.boolean(),
  xffNumTrustedHops: count,
  skipXffAppend: fc.boolean(),
  generateRequestId: fc.boolean(),
  preserveExternalRequestId: fc.boolean(),
  alwaysSetRequestIdInResponse: fc.boolean(),
  via: fc.constantFrom("", "v"),
  normalizePath: fc.boolean(),
  mergeSlashes: fc.boolean(),
  pathWithEscapedSlashesAction: fc.constantFrom(
    "KEEP_UNCHANGED",
    "REJECT_REQUEST",
    "UNESCAPE_AND_REDIRECT",
    "UNESCAPE_AND_FORWARD",
  ),
  stripPort: fc.constantFrom("none", "matching", "any"),
  acceptHttp10: fc.boolean(),
  defaultHostForHttp10: fc.constantFrom("", "h"),
  proxy100Continue: fc.boolean(),
  headersWithUnderscoresAction: fc.constantFrom("ALLOW", "REJECT_REQUEST", "DROP_HEADER"),
  manners,
  http2,
});

const chainMatch = record<FilterChainMatch>({
  destinationPort: optional(fc.integer({ min: 1, max: 65535 })),
  prefixRanges: few(fc.constantFrom("10.0.0.0/8", "::/0")),
  directSourcePrefixRanges: few(fc.constantFrom("10.0.0.0/8")),
  sourceType: fc.constantFrom("ANY", "SAME_IP_OR_LOOPBACK", "EXTERNAL"),
  sourcePrefixRanges: few(fc.constantFrom("192.168.1.1/32")),
  sourcePorts: few(fc.integer({ min: 1, max: 65535 })),
  serverNames: few(fc.constantFrom("a.example", "*.example")),
  transportProtocol: fc.constantFrom("", "raw_buffer", "tls"),
  applicationProtocols: few(fc.constantFrom("h2", "http/1.1")),
});

const tcpProxy = record<TcpProxyConfig>({
  statPrefix: name,
  clusters: fc.array(
    record<TcpProxyConfig["clusters"][number]>({ name, weight: fc.integer({ min: 1, max: 1_000_000 }) }),
    { minLength: 1, maxLength: 3 },
  ),
  idleTimeoutMs: durationMs,
  maxConnectAttempts: fc.integer({ min: 1, max: 4_000_000_000 }),
  maxDownstreamConnectionDurationMs: durationMs,
  accessLog: few(accessLog),
  accessLogFlushIntervalMs: durationMs,
  flushAccessLogOnConnected: fc.boolean(),
});

const terminal: fc.Arbitrary<NetworkFilterConfig> = fc.oneof(
  fc.record({ type: fc.constant("http-connection-manager" as const), name, config: manager }),
  fc.record({ type: fc.constant("tcp-proxy" as const), name, config: tcpProxy }),
  fc.record({ type: fc.constant("echo" as const), name }),
  fc.record({
    type: fc.constant("dns" as const),
    name,
    config: fc.record({ udpListener: name, idleTimeoutMs: fc.integer({ min: 1000, max: 60_000 }) }),
  }),
  fc.record({
    type: fc.constant("direct-response" as const),
    name,
    responseBase64: fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes).toString("base64")),
  }),
);

const spiffe = fc.record({
  trustDomains: fc.array(
    record<SpiffeValidatorConfig["trustDomains"][number]>({ name: fc.constant("a.example"), bundle: file }),
    {
      minLength: 1,
      maxLength: 1,
    },
  ),
});

const tlsValidation = record<
  Omit<TlsValidationConfig, "watchedDirectory" | "spiffe" | "maxVerifyDepth" | "onlyLeafCrl">
>({
  trustedCa: file,
  systemRoots: fc.boolean(),
  crl: optional(file),
  sanMatchers: few(
    fc.oneof(
      record<SanMatcherConfig>({
        type: fc.constantFrom("DNS", "URI", "EMAIL", "IP_ADDRESS"),
        oid: fc.constant(""),
        matcher: stringMatcher,
      }),
      record<SanMatcherConfig>({ type: fc.constant("OTHER_NAME"), oid: fc.constant("1.2.3"), matcher: stringMatcher }),
    ),
  ),
  spkiHashes: few(fc.constant(Buffer.alloc(32, 7).toString("base64"))),
  certificateHashes: few(fc.constant("ab".repeat(32))),
  trustChainVerification: fc.constantFrom("VERIFY_TRUST_CHAIN", "ACCEPT_UNTRUSTED"),
});

const tlsCertificate = record<Omit<TlsCertificateConfig, "watchedDirectory" | "ocspStaple">>({
  certificateChain: file,
  privateKey: file,
  password: optional(file),
});
const staple = fc.oneof(fc.constant({}), fc.record({ ocspStaple: file }));
const watched = fc.oneof(fc.constant({}), fc.record({ watchedDirectory: name }));
const validator = fc.oneof(
  fc.constant({}),
  fc.record({ spiffe }),
  fc.constant({ onlyLeafCrl: true }),
  fc.record({ maxVerifyDepth: fc.integer({ min: 0, max: 100 }) }),
);

const secret: fc.Arbitrary<SecretConfig> = fc.oneof(
  fc.record({
    type: fc.constant("certificate" as const),
    name,
    certificate: fc
      .tuple(tlsCertificate, watched, staple)
      .map(([one, two, three]): TlsCertificateConfig => ({ ...one, ...two, ...three })),
  }),
  fc.record({
    type: fc.constant("validation" as const),
    name,
    validation: fc
      .tuple(tlsValidation, watched, validator)
      .map(([one, two, three]): TlsValidationConfig => ({ ...one, ...two, ...three })),
  }),
  fc.record({
    type: fc.constant("ticket-keys" as const),
    name,
    keys: fc.array(file, { minLength: 1, maxLength: 2 }),
  }),
  fc.record({ type: fc.constant("generic" as const), name, secret: optional(file) }),
);

const secretReference = record<SecretReference>({ from: fc.constantFrom("static", "sds"), name });

/** Of a context, in one of the shapes that Envoy has for it. */
const who = fc.oneof(
  fc.record({ validation: optional(tlsValidation) }),
  fc.record({ validation: optional(tlsValidation), validationSecret: secretReference }),
);
const shown = fc.oneof(
  fc.record({ certificates: fc.array(tlsCertificate, { minLength: 1, maxLength: 1 }) }),
  fc.record({
    certificates: fc.constant([]),
    certificateSecrets: fc.array(secretReference, { minLength: 1, maxLength: 1 }),
  }),
);

const tlsBare = record<Pick<CommonTlsConfig, "params" | "alpnProtocols">>({
  params: record<CommonTlsConfig["params"]>({
    minimumVersion: fc.constantFrom("TLS_AUTO", "TLSv1_2"),
    maximumVersion: fc.constantFrom("TLS_AUTO", "TLSv1_3"),
    cipherSuites: few(fc.constant("ECDHE-RSA-AES128-GCM-SHA256")),
    ecdhCurves: few(fc.constantFrom("X25519", "P-256")),
    signatureAlgorithms: few(fc.constant("ecdsa_secp256r1_sha256")),
  }),
  alpnProtocols: few(fc.constantFrom("h2", "http/1.1")),
});
const tlsCommon = fc
  .tuple(tlsBare, shown, who)
  .map(([bare, one, two]): CommonTlsConfig => ({ ...bare, ...one, ...two }));

/** `session_ticket_keys_type`: one of them at most. */
const tickets = fc.oneof(
  fc.record({ disableStatelessSessionResumption: fc.boolean() }),
  fc.record({
    disableStatelessSessionResumption: fc.constant(false),
    ticketKeys: fc.oneof(fc.array(file, { minLength: 1, maxLength: 2 }), secretReference),
  }),
);

const plainDownstreamTls = record<Omit<DownstreamTlsConfig, "disableStatelessSessionResumption" | "ticketKeys">>({
  common: tlsCommon,
  requireClientCertificate: fc.boolean(),
  requireSni: fc.boolean(),
  sessionTimeoutSeconds: optional(fc.nat({ max: 1_000_000 })),
  fullScanCertsOnSniMismatch: fc.boolean(),
  preferClientCiphers: fc.boolean(),
});
const downstreamTls = fc
  .tuple(plainDownstreamTls, tickets)
  .map(([one, two]): DownstreamTlsConfig => ({ ...one, ...two }));

const upstreamTls = record<UpstreamTlsConfig>({
  common: tlsCommon,
  sni: fc.constantFrom("", "a.example"),
  autoHostSni: fc.boolean(),
  autoSniSanValidation: fc.constant(false),
  maxSessionKeys: fc.nat({ max: 9 }),
});

const transport = fc.oneof(
  fc.record({
    proxyProtocol: record<UpstreamProxyProtocol>({ version: fc.constantFrom(1, 2), passThroughTlvs: tlvChoice }),
  }),
  fc.record({ tls: upstreamTls }),
  fc.constant({}),
);

const sniFromRequest = fc.oneof(
  fc.record({
    sniFromRequest: fc.record({
      autoSni: fc.constant(true),
      autoSanValidation: fc.boolean(),
      overrideHeader: fc.constantFrom("", "x-a"),
    }),
  }),
  fc.constant({}),
);

const transportMatches = few(
  fc
    .tuple(fc.record({ name, match: fc.constantFrom({}, { tlsMode: "istio" }) }), transport)
    .map(([match, through]) => ({ ...match, ...through })),
).map((transportSocketMatches) => (transportSocketMatches.length === 0 ? {} : { transportSocketMatches }));

const freebind = fc.constantFrom({}, { freebind: true }, { freebind: false });
const bindConfig = fc.oneof(
  fc.constant({}),
  fc
    .tuple(fc.constantFrom("127.0.0.6", "::6"), fc.nat({ max: 65535 }), fc.boolean(), freebind)
    .map(([address, port, both, free]) => ({
      upstreamBindConfig: {
        sourceAddresses: [
          { address, port },
          ...(both ? [{ address: address === "::6" ? "10.0.0.1" : "fd00::1", port: 0 }] : []),
        ],
        ...free,
      },
    })),
);

const originalDst = fc
  .tuple(
    durationMs,
    fc.constantFrom({}, { httpHeaderName: "x-envoy-original-dst-host" }, { httpHeaderName: "x-where" }),
    fc.constantFrom({}, { metadataKey: { namespace: "n", path: ["a", "b"] } }),
    fc.constantFrom({}, { upstreamPortOverride: 80 }),
  )
  .map(
    ([cleanupIntervalMs, ...more]): Discovery<"ORIGINAL_DST"> =>
      Object.assign({ type: "ORIGINAL_DST" as const, cleanupIntervalMs }, ...more),
  );

const cluster = fc
  .tuple(
    fc.oneof(
      plainCluster,
      fc
        .tuple(plainCluster, fc.constantFrom("http2" as const, "use-downstream" as const), http2)
        .map(([config, upstreamProtocol, options]) => ({ ...config, upstreamProtocol, http2: options })),
    ),
    transport,
    sniFromRequest,
    transportMatches,
    fc.boolean(),
    bindConfig,
    optional(originalDst),
  )
  .map(([plain, through, ...more]): ClusterConfig => {
    const [sni, matches, agrees, bind, discovery] = more;
    const lbPolicy = { type: "cluster-provided" } as const;
    const redirected = discovery === undefined ? {} : { discovery, lbPolicy };
    const config: ClusterConfig = { ...plain, ...through, ...sni, ...matches, ...bind, ...redirected };
    const byTls = agrees && config.tls !== undefined && config.http2 !== undefined; // what TLS is needed for
    return byTls ? { ...config, upstreamProtocol: "auto" } : config;
  });

const plainChain = record<Omit<FilterChainConfig, "tls">>({
  name: fc.constantFrom("", "c"),
  match: optional(chainMatch),
  filters: terminal.map((filter) => [filter]),
  transportSocketConnectTimeoutMs: durationMs,
});

const chain = fc
  .tuple(plainChain, optional(downstreamTls))
  .map(([config, tls]): FilterChainConfig => (tls === undefined ? config : { ...config, tls }));

const proxyProtocol = record<ProxyProtocolConfig>({
  rules: few(
    record<ProxyProtocolConfig["rules"][number]>({ tlvType: fc.nat({ max: 255 }), namespace: name, key: name }),
  ),
  allowWithout: fc.boolean(),
  disallowedVersions: fc.constantFrom([], [1], [2], [1, 2]),
  passThroughTlvs: tlvChoice,
  statPrefix: fc.constantFrom("", "p"),
});

const { match: listenerFilterMatch } = fc.letrec<{ match: ListenerFilterMatch }>((tie) => ({
  match: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constant({ type: "any" as const }),
    fc.record({
      type: fc.constant("destination-port" as const),
      start: fc.nat({ max: 9 }),
      end: fc.nat({ max: 65536 }),
    }),
    fc.record({ type: fc.constant("not" as const), rule: tie("match") }),
    fc.record({
      type: fc.constantFrom("and" as const, "or" as const),
      rules: fc.array(tie("match"), { minLength: 2, maxLength: 2 }),
    }),
  ),
}));
const exception = fc.oneof(fc.constant({}), fc.record({ disabled: listenerFilterMatch }));
/** How the socket of one is made, and whether there is one. */
const socketChoices = fc
  .tuple(
    fc.constantFrom({}, { useOriginalDst: true } as const),
    fc.constantFrom({}, { bindToPort: false } as const),
    fc.constantFrom({}, { transparent: true } as const),
    fc.constantFrom({}, { freebind: true } as const),
  )
  .map((all): Partial<ListenerConfig> => Object.assign({}, ...all));

const tcpListener = record<Omit<ListenerConfig, "udp">>({
  name,
  address,
  additionalAddresses: few(address),
  statPrefix: name,
  filterChains: fc.array(chain, { minLength: 1, maxLength: 1 }),
  defaultFilterChain: optional(chain.map((config) => ({ ...config, match: undefined }))),
  perConnectionBufferLimitBytes: count,
  listenerFiltersTimeoutMs: durationMs,
  continueOnListenerFiltersTimeout: fc.boolean(),
  listenerFilters: few(
    fc
      .tuple(
        fc.oneof(
          fc.record({ type: fc.constantFrom("http-inspector" as const, "original-dst" as const), name }),
          fc.record({ type: fc.constant("original-src" as const), name, mark: fc.nat({ max: 9 }) }),
          fc.record({ type: fc.constant("server-first" as const), name, afterMs: durationMs }),
          fc.record({ type: fc.constant("proxy-protocol" as const), name, config: proxyProtocol }),
        ),
        exception,
      )
      .map(([filter, more]) => ({ ...filter, ...more })),
    // The inspector is added where a chain asks for it.
  ).map((filters) => [{ type: "tls-inspector" as const, name: "t", maxClientHelloBytes: 16_384 }, ...filters]),
  trafficDirection: fc.constantFrom("UNSPECIFIED", "INBOUND", "OUTBOUND"),
  tcpBacklogSize: optional(count),
  reusePort: fc.boolean(),
  drainType: fc.constantFrom("DEFAULT" as const, "MODIFY_ONLY" as const),
  accessLog: few(accessLog),
});

const datagramBytes = fc.integer({ min: 1, max: 65_535 });
const dnsName = fc.constantFrom("a.example", "*.b.example", "c");
const target = { priority: fc.nat(65_535), weight: fc.nat(65_535), port: fc.nat(65_535) };
const dnsFilter = record<DnsFilterConfig>({
  statPrefix: name,
  domains: few(
    fc.oneof(
      fc.record({
        name: dnsName,
        answerTtlS: fc.integer({ min: 30, max: 1e6 }),
        addresses: fc.array(ip, { minLength: 1, maxLength: 3 }),
      }),
      fc.record({ name: dnsName, answerTtlS: fc.integer({ min: 30, max: 1e6 }), cluster: fc.constantFrom("c", "d") }),
      fc.record({
        name: dnsName,
        answerTtlS: fc.constant(300),
        services: fc.array(
          fc.record({
            name: fc.constantFrom("web", "db"),
            protocol: fc.constantFrom("tcp", "udp"),
            ttlS: fc.integer({ min: 1, max: 1e6 }),
            targets: fc.array(
              fc.oneof(
                fc.record({ hostName: fc.constantFrom("x.example", "y"), ...target }),
                fc.record({ cluster: fc.constantFrom("c", "d"), ...target }),
              ),
              { minLength: 1, maxLength: 2 },
            ),
          }),
          { minLength: 1, maxLength: 2 },
        ),
      }),
    ),
  ),
  client: optional(
    fc.record({
      resolverTimeoutMs: fc.integer({ min: 1000, max: 10_000 }),
      retries: fc.nat(3),
      maxPendingLookups: fc.integer({ min: 1, max: 5000 }),
      servers: fc.array(fc.record({ address: ip, port: fc.integer({ min: 1, max: 65_535 }) }), {
        minLength: 1,
        maxLength: 2,
      }),
      serversAsFallback: fc.boolean(),
      useTcp: fc.boolean(),
    }),
  ),
});

const udpListener = fc.oneof(
  record<Extract<UdpListenerConfig, { proxy: object }>>({
    maxDatagramBytes: datagramBytes,
    proxy: record<UdpProxyConfig>({
      statPrefix: name,
      cluster: name,
      idleTimeoutMs: durationMs,
      maxUpstreamDatagramBytes: fc.integer({ min: 1, max: 65_535 }),
      perPacketLoadBalancing: fc.boolean(),
      accessLog: few(accessLog),
    }),
  }),
  record<Extract<UdpListenerConfig, { dns: object }>>({ maxDatagramBytes: datagramBytes, dns: dnsFilter }),
);

const socketOnly = record<Address & { type: "socket" }>({
  type: fc.constant("socket"),
  address: ip,
  port: fc.nat({ max: 65535 }),
});

const listener = fc
  .tuple(tcpListener, optional(udpListener), socketOnly, socketChoices)
  .map(([config, udp, where, choices]): ListenerConfig => {
    if (udp === undefined) return { ...config, ...choices };
    const none = { additionalAddresses: [], filterChains: [], defaultFilterChain: undefined, listenerFilters: [] };
    return { ...config, ...none, address: where, udp };
  });

for (const [kind, type, generator] of [
  ["listener", types.listener, listener],
  ["route configuration", types["route-configuration"], routeConfiguration],
  ["cluster", types.cluster, cluster],
  ["endpoints", types.endpoints, endpoints],
  ["secret", types.secret, secret],
] as const) {
  test(`any ${kind} that is encoded is read as it was, and written in one way`, () => {
    fc.assert(
      fc.property(generator as fc.Arbitrary<unknown>, (drawn) => {
        const config = reversed(reversed(drawn)); // fast-check's records have no prototype
        const { encode, decode } = type as unknown as ResourceType<unknown>;
        const bytes = encode(config);
        const decoded = decode(bytes);
        assert.ok(decoded.ok, decoded.ok ? "" : decoded.error.join("\n"));
        assert.deepEqual(decoded.value.config, config);
        assert.deepEqual(Buffer.from(encode(reversed(config))), Buffer.from(bytes));
      }),
      RUNS,
    );
  });
}

/** The same value, every object built in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}
