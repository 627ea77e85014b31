import type { Counter, Gauge, MetricScope } from "@heddle/telemetry";

/** Handles of one UDP proxy's metrics, under Envoy's names (`udp.<stat_prefix>.…`, config/udp_listener_filters/udp_proxy). */
export class UdpStats {
  readonly total: Counter;
  readonly active: Gauge;
  readonly noRoute: Counter;
  readonly rxBytes: Counter;
  readonly rxDatagrams: Counter;
  readonly rxErrors: Counter;
  readonly txBytes: Counter;
  readonly txDatagrams: Counter;
  readonly txErrors: Counter;
  readonly idleTimeout: Counter;

  constructor(metrics: MetricScope, statPrefix: string) {
    const scope = metrics.scope("udp", { envoy_udp_prefix: statPrefix });
    this.total = scope.counter("downstream_sess_total");
    this.active = scope.gauge("downstream_sess_active");
    this.noRoute = scope.counter("downstream_sess_no_route");
    this.rxBytes = scope.counter("downstream_sess_rx_bytes");
    this.rxDatagrams = scope.counter("downstream_sess_rx_datagrams");
    this.rxErrors = scope.counter("downstream_sess_rx_errors");
    this.txBytes = scope.counter("downstream_sess_tx_bytes");
    this.txDatagrams = scope.counter("downstream_sess_tx_datagrams");
    this.txErrors = scope.counter("downstream_sess_tx_errors");
    this.idleTimeout = scope.counter("idle_timeout");
  }
}

/** Of the sessions with one cluster (`cluster.<name>.udp.…`). */
export class UdpClusterStats {
  readonly rxDatagrams: Counter;
  readonly rxDatagramsDropped: Counter;
  readonly rxErrors: Counter;
  readonly txDatagrams: Counter;
  readonly txErrors: Counter;

  constructor(metrics: MetricScope, clusterStatName: string) {
    const scope = metrics.scope("cluster", { envoy_cluster_name: clusterStatName }).scope("udp");
    this.rxDatagrams = scope.counter("sess_rx_datagrams");
    this.rxDatagramsDropped = scope.counter("sess_rx_datagrams_dropped");
    this.rxErrors = scope.counter("sess_rx_errors");
    this.txDatagrams = scope.counter("sess_tx_datagrams");
    this.txErrors = scope.counter("sess_tx_errors");
  }
}
