export type {
  AccessLogConfig,
  AccessLogFilterConfig,
  AccessLogOptions,
  LocalReplyConfig,
  LocalReplyFormat,
  ResponseMapperConfig,
  ValueMatcherConfig,
} from "./access-log/access-log-config.ts";
export { type AccessLogFilter, compileAccessLogFilter } from "./access-log/access-log-filter.ts";
export { balancerPolicy } from "./balance/balancer-registry.ts";
export { type ClusterPickerOptions, failingPicker, makePicker, waitingPicker } from "./balance/cluster-picker.ts";
export { type LeastRequestOptions, leastRequest } from "./balance/least-request.ts";
export {
  type BalancerPolicy,
  isNonEmpty,
  type NonEmpty,
  type Outcome,
  type Pick,
  type Picker,
  type Random,
  systemRandom,
} from "./balance/picker.ts";
export { type PriorityLoad, type PriorityOptions, priorityLoads } from "./balance/priority-load.ts";
export { randomChoice } from "./balance/random.ts";
export { roundRobin } from "./balance/round-robin.ts";
export { WeightedDraw } from "./balance/weighted-draw.ts";
export { CIRCUIT_BREAKER_CELLS, CircuitBreaker, type CircuitBreakerCounts } from "./cluster/circuit-breaker.ts";
export type {
  CircuitBreakerThresholds,
  ClientSideWeightedRoundRobin,
  ClusterConfig,
  DnsConfig,
  EdsDiscovery,
  LbPolicy,
  OriginalDstDiscovery,
  SniFromRequest,
  SourceAddress,
  TransportSocketMatch,
  UpstreamBindConfig,
} from "./cluster/cluster-config.ts";
export { RuntimeThresholds, thresholdsBy } from "./cluster/runtime-thresholds.ts";
export { type Demand, demandKey } from "./demand.ts";
export { addressKey, Endpoint } from "./endpoint/endpoint.ts";
export {
  buildEndpointSet,
  type EndpointSet,
  EndpointSetBuilder,
  type LocalityMembers,
  type PriorityEndpoints,
} from "./endpoint/endpoint-set.ts";
export {
  type EndpointConfig,
  type EndpointsConfig,
  type LocalityEndpoints,
  noEndpoints,
} from "./endpoint/endpoints-config.ts";
export {
  addMetric,
  type MetricLoad,
  type MetricSum,
  metricLoads,
  type ReportedLoad,
} from "./endpoint/reported-load.ts";
export {
  type ExtensionConfig,
  type ExtensionDiscovery,
  extensionKey,
  MISSING_CONFIG_TYPE,
  missingConfig,
} from "./extension/extension-config.ts";
export { defaultHttp2Options, type Http2Keepalive, type Http2Options } from "./http2-options.ts";
export type {
  DnsClientConfig,
  DnsDomain,
  DnsFilterConfig,
  DnsServer,
  DnsService,
  DnsServiceTarget,
  DnsTcpConfig,
} from "./listener/dns-filter-config.ts";
export {
  type ConnectionToMatch,
  compileFilterChainMatch,
  type FilterChainCandidate,
  FilterChainTable,
} from "./listener/filter-chain-match.ts";
export { filterChainsOf } from "./listener/filter-chains-of.ts";
export {
  type CurrentClientCert,
  defaultManners,
  type EarlyHeaderMutation,
  type HttpManners,
  type InternalAddresses,
  type OriginalIpDetection,
  type ProxyStatusOptions,
  type RequestIdOptions,
} from "./listener/http-manners-config.ts";
export type {
  Address,
  CodecType,
  FilterChainConfig,
  FilterChainMatch,
  HttpConnectionManagerConfig,
  HttpFilterConfig,
  ListenerConfig,
  ListenerFilterConfig,
  ListenerFilterMatch,
  NetworkFilterConfig,
  RdsRoutes,
  UpgradeConfig,
} from "./listener/listener-config.ts";
export type {
  ProxyProtocolConfig,
  ProxyTlvRule,
  TlvChoice,
  UpstreamProxyProtocol,
} from "./listener/proxy-protocol-config.ts";
export type { TcpProxyConfig, WeightedClusterName } from "./listener/tcp-proxy-config.ts";
export type {
  CustomTagConfig,
  DecoratorConfig,
  Fraction,
  OtlpDestination,
  Propagator,
  RouteTracingConfig,
  SamplingConfig,
  TracingConfig,
  TracingProvider,
} from "./listener/tracing-config.ts";
export type { UdpListenerConfig, UdpProxyConfig } from "./listener/udp-proxy-config.ts";
export { asBytes } from "./match/bytes.ts";
export { compileHeaderMatcher, type HeaderMatcher, headerValue, headerValues } from "./match/header-matcher.ts";
export {
  compileMetadataMatcher,
  type DynamicMetadata,
  type MetadataMatcherConfig,
  readMetadataMatcher,
  readValueMatcher,
} from "./match/metadata-matcher.ts";
export { parseQuery, QueryMatcher, type QueryParameters } from "./match/query-matcher.ts";
export { readHeaderMatcher } from "./match/read-header-matcher.ts";
export { readStringMatcher } from "./match/read-string-matcher.ts";
export { compileSafeRegex, compileSubstitution, type RegexSubstitution, type SafeRegex } from "./match/safe-regex.ts";
export { compileStringMatcher, type StringMatcher, type StringMatcherConfig } from "./match/string-matcher.ts";
export { wrongToldHeader } from "./match/told-header.ts";
export {
  defaultOverload,
  defaultWatchdog,
  type OverloadActionConfig,
  type OverloadActionName,
  type OverloadConfig,
  type OverloadTrigger,
  type ResourceMonitorConfig,
  triggerStrength,
  type WatchdogConfig,
} from "./overload/overload-config.ts";
export { RetryDecision } from "./retry/retry-decision.ts";
export { checkRouteConfiguration } from "./route/check-route-configuration.ts";
export {
  compileHeaderFormat,
  type HeaderFormat,
  type HeaderFormatContext,
} from "./route/header-format.ts";
export { compileHeaderMutations, type HeaderMutation, type HeaderMutationLevel } from "./route/mutate-headers.ts";
export { pathOnly, portStart } from "./route/path.ts";
export {
  canonicalPath,
  mergeSlashes,
  type NormalizedPath,
  normalizeTarget,
  type PathNormalizationOptions,
  unescapeSlashes,
} from "./route/path-normalization.ts";
export { readRouteMatch } from "./route/read-route-match.ts";
export type { Redirect } from "./route/redirect.ts";
export { replaceAuthority } from "./route/rewrite.ts";
export type {
  ClientCertificateMatch,
  ForwardAction,
  HeaderMatcherConfig,
  HeaderMutations,
  HeaderValueOption,
  MaxStreamDuration,
  PerFilterConfig,
  QueryParameterMatcherConfig,
  RedirectAction,
  RetryPolicy,
  RouteAction,
  RouteConfiguration,
  RouteEntry,
  RouteMatch,
  RouteUpgrade,
  VirtualClusterConfig,
  VirtualHost,
  WeightedCluster,
} from "./route/route-config.ts";
export { RequestToMatch, RouteMatcher } from "./route/route-matcher.ts";
export { compileRouteConfiguration, RouteTable } from "./route/route-table.ts";
export type { FilterOverride, SelectedRoute } from "./route/selected-route.ts";
export {
  type FlagSource,
  flagSource,
  fractionOf,
  fractionSource,
  LiveRuntime,
  NO_RUNTIME,
  type NumberSource,
  numberSource,
  unsignedOf,
} from "./runtime/live-runtime.ts";
export { mergedRuntime, type RuntimeLayer, type RuntimeLayerContent } from "./runtime/runtime-layers.ts";
export {
  DENOMINATORS,
  type RuntimeFraction,
  type RuntimeLayerConfig,
  type RuntimeValues,
} from "./runtime/runtime-values.ts";
export {
  ADS,
  type ApiOrigin,
  adsSource,
  type ConfigSource,
  type Discovery,
  type DiscoveryServer,
  describeOrigin,
  type FileOrigin,
  INITIAL_FETCH_TIMEOUT_MS,
  nameFrom,
  originKey,
  type ResourceOrigin,
  resolveSelf,
} from "./source/config-source.ts";
export {
  defaultTelemetry,
  type OtlpStatsSink,
  type StatsConfig,
  type StatsMatcher,
  type StatsTag,
  type TelemetryConfig,
} from "./telemetry-config.ts";
export { type SpiffeTrustFault, spiffeTrust } from "./tls/spiffe-trust.ts";
export type {
  CommonTlsConfig,
  DataConfig,
  DownstreamTlsConfig,
  SanMatcherConfig,
  SecretConfig,
  SecretReference,
  SpiffeValidatorConfig,
  TlsCertificateConfig,
  TlsParamsConfig,
  TlsValidationConfig,
  TlsVersionName,
  UpstreamTlsConfig,
} from "./tls/tls-config.ts";
export {
  asksNoUri,
  hasAuthorities,
  type SecretLookup,
  secretKey,
  secretsOf,
  validationDataOf,
  withSecrets,
} from "./tls/tls-secrets.ts";
export { clientTlsSettings, serverTlsSettings } from "./tls/tls-settings.ts";
export type { TypedConfig } from "./typed-config.ts";
