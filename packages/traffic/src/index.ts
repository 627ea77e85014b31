export type { CircuitBreakerThresholds, ClusterConfig, DnsConfig, LbPolicy } from "./cluster/cluster-config.ts";
export type { EndpointConfig, EndpointsConfig, LocalityEndpoints } from "./endpoint/endpoints-config.ts";
export type {
  AccessLogConfig,
  Address,
  CodecType,
  FilterChainConfig,
  FilterChainMatch,
  HttpConnectionManagerConfig,
  HttpFilterConfig,
  ListenerConfig,
  NetworkFilterConfig,
  UpgradeConfig,
} from "./listener/listener-config.ts";
export type { StringMatcherConfig } from "./match/string-matcher.ts";
export type {
  ForwardAction,
  HeaderMatcherConfig,
  HeaderMutations,
  HeaderValueOption,
  PerFilterConfig,
  QueryParameterMatcherConfig,
  RedirectAction,
  RetryPolicy,
  RouteAction,
  RouteConfiguration,
  RouteEntry,
  RouteMatch,
  VirtualHost,
  WeightedCluster,
} from "./route/route-config.ts";
export type { TypedConfig } from "./typed-config.ts";
