import type { AccessLogConfig } from "../access-log/access-log-config.ts";
import type { DnsFilterConfig } from "./dns-filter-config.ts";

/** `envoy.config.listener.v3.UdpListenerConfig` and what serves the datagrams. Plain JSON data. */
export type UdpListenerConfig = {
  /** Larger datagrams are dropped: 1500. */
  readonly maxDatagramBytes: number;
} & (
  | { readonly proxy: UdpProxyConfig; readonly dns?: undefined }
  | { readonly dns: DnsFilterConfig; readonly proxy?: undefined }
);

/** `envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig`. */
export interface UdpProxyConfig {
  readonly statPrefix: string;
  readonly cluster: string;
  /** A session without a datagram in either direction ends: 1 min; 0 is off. */
  readonly idleTimeoutMs: number;
  /** Of datagrams from the upstream; larger ones are dropped: 1500. */
  readonly maxUpstreamDatagramBytes: number;
  /** Each datagram has its endpoint chosen, instead of each session. */
  readonly perPacketLoadBalancing: boolean;
  /** A line for each session that has ended. */
  readonly accessLog: readonly AccessLogConfig[];
}
