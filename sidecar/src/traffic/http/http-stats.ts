import type { Counter, Gauge, Histogram, MetricScope } from "@heddle/telemetry";

/**
 * Handles of one connection manager's metrics, under Envoy's names (`http.<stat_prefix>.…`,
 * config/http_conn_man/stats). Made when the manager is built.
 */
export class HttpStats {
  readonly cxTotal: Counter;
  readonly cxActive: Gauge;
  readonly cxProtocolError: Counter;
  readonly cxIdleTimeout: Counter;
  readonly cxMaxDuration: Counter;
  readonly cxMaxRequests: Counter;
  /** Closed since the listener or the process drains. */
  readonly cxDrainClose: Counter;
  /** The client did not close after its last answer, or did not read it. */
  readonly cxDelayedCloseTimeout: Counter;
  readonly cxHttp1Total: Counter;
  readonly cxHttp1Active: Gauge;
  readonly cxHttp2Total: Counter;
  readonly cxHttp2Active: Gauge;
  readonly cxDestroy: Counter;
  readonly cxDestroyLocal: Counter;
  readonly cxDestroyRemote: Counter;
  readonly cxDestroyActiveRq: Counter;
  readonly cxDestroyLocalActiveRq: Counter;
  readonly cxDestroyRemoteActiveRq: Counter;
  readonly cxLengthMs: Histogram;
  /** Bytes of connections, counted when an exchange or the connection has ended. */
  readonly cxRxBytes: Counter;
  readonly cxTxBytes: Counter;
  readonly rqTotal: Counter;
  readonly rqActive: Gauge;
  readonly rqCompleted: Counter;
  readonly rqTime: Histogram;
  readonly rqRxReset: Counter;
  readonly rqTxReset: Counter;
  readonly rqTimeout: Counter;
  readonly rqIdleTimeout: Counter;
  readonly rqHeaderTimeout: Counter;
  readonly rqMaxDuration: Counter;
  readonly rqTooLarge: Counter;
  readonly rqOverloadClose: Counter;
  readonly cxOverloadDisableKeepalive: Counter;
  readonly rqHttp1Total: Counter;
  readonly rqHttp2Total: Counter;
  /** Connections that were ended for it; see `PrematureResets`. */
  readonly rqTooManyPrematureResets: Counter;
  readonly rqNonRelativePath: Counter;
  readonly rqFailedNormalization: Counter;
  readonly rqRedirectedNormalized: Counter;
  readonly rqRejectedViaIpDetection: Counter;
  readonly rqResponseBeforeRqComplete: Counter;
  /** Requests for a tunnel that were let through, whatever the upstream made of them. */
  readonly upgradesTotal: Counter;
  readonly upgradesActive: Gauge;
  readonly noRoute: Counter;
  readonly noCluster: Counter;
  readonly rqDirectResponse: Counter;
  readonly rqRedirect: Counter;
  /** Of heddle's own: exchanges that ended since something threw. */
  readonly internalError: Counter;
  /** By hundreds: place 2 counts 2xx. */
  readonly #rqByClass: readonly Counter[];

  constructor(metrics: MetricScope, statPrefix: string) {
    const scope = metrics.scope("http", { envoy_http_conn_manager_prefix: statPrefix });
    this.cxTotal = scope.counter("downstream_cx_total");
    this.cxActive = scope.gauge("downstream_cx_active");
    this.cxProtocolError = scope.counter("downstream_cx_protocol_error");
    this.cxIdleTimeout = scope.counter("downstream_cx_idle_timeout");
    this.cxMaxDuration = scope.counter("downstream_cx_max_duration_reached");
    this.cxMaxRequests = scope.counter("downstream_cx_max_requests_reached");
    this.cxDrainClose = scope.counter("downstream_cx_drain_close");
    this.cxDelayedCloseTimeout = scope.counter("downstream_cx_delayed_close_timeout");
    this.cxHttp1Total = scope.counter("downstream_cx_http1_total");
    this.cxHttp1Active = scope.gauge("downstream_cx_http1_active");
    this.cxHttp2Total = scope.counter("downstream_cx_http2_total");
    this.cxHttp2Active = scope.gauge("downstream_cx_http2_active");
    this.cxDestroy = scope.counter("downstream_cx_destroy");
    this.cxDestroyLocal = scope.counter("downstream_cx_destroy_local");
    this.cxDestroyRemote = scope.counter("downstream_cx_destroy_remote");
    this.cxDestroyActiveRq = scope.counter("downstream_cx_destroy_active_rq");
    this.cxDestroyLocalActiveRq = scope.counter("downstream_cx_destroy_local_active_rq");
    this.cxDestroyRemoteActiveRq = scope.counter("downstream_cx_destroy_remote_active_rq");
    this.cxRxBytes = scope.counter("downstream_cx_rx_bytes_total");
    this.cxTxBytes = scope.counter("downstream_cx_tx_bytes_total");
    this.cxLengthMs = scope.histogram("downstream_cx_length_ms");
    this.rqTotal = scope.counter("downstream_rq_total");
    this.rqActive = scope.gauge("downstream_rq_active");
    this.rqCompleted = scope.counter("downstream_rq_completed");
    this.rqTime = scope.histogram("downstream_rq_time");
    this.rqRxReset = scope.counter("downstream_rq_rx_reset");
    this.rqTxReset = scope.counter("downstream_rq_tx_reset");
    this.rqTimeout = scope.counter("downstream_rq_timeout");
    this.rqIdleTimeout = scope.counter("downstream_rq_idle_timeout");
    this.rqHeaderTimeout = scope.counter("downstream_rq_header_timeout");
    this.rqMaxDuration = scope.counter("downstream_rq_max_duration_reached");
    this.rqOverloadClose = scope.counter("downstream_rq_overload_close");
    this.cxOverloadDisableKeepalive = scope.counter("downstream_cx_overload_disable_keepalive");
    this.rqTooLarge = scope.counter("downstream_rq_too_large");
    this.rqHttp1Total = scope.counter("downstream_rq_http1_total");
    this.rqHttp2Total = scope.counter("downstream_rq_http2_total");
    this.rqTooManyPrematureResets = scope.counter("downstream_rq_too_many_premature_resets");
    this.rqNonRelativePath = scope.counter("downstream_rq_non_relative_path");
    this.rqFailedNormalization = scope.counter("downstream_rq_failed_path_normalization");
    this.rqRedirectedNormalized = scope.counter("downstream_rq_redirected_with_normalized_path");
    this.rqRejectedViaIpDetection = scope.counter("downstream_rq_rejected_via_ip_detection");
    this.rqResponseBeforeRqComplete = scope.counter("downstream_rq_response_before_rq_complete");
    this.upgradesTotal = scope.counter("downstream_cx_upgrades_total");
    this.upgradesActive = scope.gauge("downstream_cx_upgrades_active");
    this.noRoute = scope.counter("no_route");
    this.noCluster = scope.counter("no_cluster");
    this.rqDirectResponse = scope.counter("rq_direct_response");
    this.rqRedirect = scope.counter("rq_redirect");
    this.internalError = scope.counter("internal_error");
    this.#rqByClass = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"].map((name) => scope.counter(`downstream_rq_${name}`));
  }

  countResponse(status: number): void {
    this.rqCompleted.add();
    this.#rqByClass[Math.trunc(status / 100)]?.add();
  }
}
