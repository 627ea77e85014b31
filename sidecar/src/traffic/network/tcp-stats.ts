import type { Counter, Gauge, MetricScope } from "@heddle/telemetry";

/** Handles of one TCP proxy's metrics, under Envoy's names (`tcp.<stat_prefix>.…`, config/listeners/network_filters/tcp_proxy_filter). */
export class TcpStats {
  readonly cxTotal: Counter;
  /** No such cluster. */
  readonly cxNoRoute: Counter;
  readonly rxBytes: Counter;
  readonly txBytes: Counter;
  readonly pausedReading: Counter;
  readonly resumedReading: Counter;
  readonly idleTimeout: Counter;
  readonly maxDuration: Counter;
  /** The client is gone, and what it sent still goes out to the upstream. */
  readonly upstreamFlushTotal: Counter;
  readonly upstreamFlushActive: Gauge;

  constructor(metrics: MetricScope, statPrefix: string) {
    const scope = metrics.scope("tcp", { envoy_tcp_prefix: statPrefix });
    this.cxTotal = scope.counter("downstream_cx_total");
    this.cxNoRoute = scope.counter("downstream_cx_no_route");
    this.rxBytes = scope.counter("downstream_cx_rx_bytes_total");
    this.txBytes = scope.counter("downstream_cx_tx_bytes_total");
    this.pausedReading = scope.counter("downstream_flow_control_paused_reading_total");
    this.resumedReading = scope.counter("downstream_flow_control_resumed_reading_total");
    this.idleTimeout = scope.counter("idle_timeout");
    this.maxDuration = scope.counter("max_downstream_connection_duration");
    this.upstreamFlushTotal = scope.counter("upstream_flush_total");
    this.upstreamFlushActive = scope.gauge("upstream_flush_active");
  }
}
