import type { Counter, Gauge, Histogram, MetricScope } from "@heddle/telemetry";
import { SslStats } from "../tls/ssl-stats.ts";

/** Handles of one listener's metrics, under Envoy's names (`listener.<address>.…`, config/listeners/stats). */
export class ListenerStats {
  readonly cxTotal: Counter;
  /** Over the listener's own limit, and over that of the process. */
  readonly cxOverflow: Counter;
  readonly globalCxOverflow: Counter;
  readonly cxOverloadReject: Counter;
  readonly noFilterChainMatch: Counter;
  readonly cxActive: Gauge;
  /** Connections whose first bytes are awaited. */
  readonly preCxActive: Gauge;
  readonly preCxTimeout: Counter;
  readonly filterError: Counter;
  readonly filterRemoteClose: Counter;
  /** A TLS handshake took too long. */
  readonly transportSocketConnectTimeout: Counter;
  /** Closed, since a listener filter has no configuration. */
  readonly extensionMissing: Counter;
  readonly #cxDestroy: Counter;
  readonly #cxLengthMs: Histogram;
  readonly #scope: MetricScope;
  #ssl: SslStats | undefined = undefined;

  constructor(metrics: MetricScope, statPrefix: string) {
    const scope = metrics.scope("listener", { envoy_listener_address: statPrefix });
    this.cxTotal = scope.counter("downstream_cx_total");
    this.cxOverflow = scope.counter("downstream_cx_overflow");
    this.globalCxOverflow = scope.counter("downstream_global_cx_overflow");
    this.cxOverloadReject = scope.counter("downstream_cx_overload_reject");
    this.noFilterChainMatch = scope.counter("no_filter_chain_match");
    this.cxActive = scope.gauge("downstream_cx_active");
    this.preCxActive = scope.gauge("downstream_pre_cx_active");
    this.preCxTimeout = scope.counter("downstream_pre_cx_timeout");
    this.filterError = scope.counter("downstream_listener_filter_error");
    this.filterRemoteClose = scope.counter("downstream_listener_filter_remote_close");
    this.transportSocketConnectTimeout = scope.counter("downstream_cx_transport_socket_connect_timeout");
    this.#scope = scope;
    this.extensionMissing = scope.counter("extension_config_missing");
    this.#cxDestroy = scope.counter("downstream_cx_destroy");
    this.#cxLengthMs = scope.histogram("downstream_cx_length_ms");
  }

  /** Of its chains that have TLS. */
  get ssl(): SslStats {
    this.#ssl ??= new SslStats(this.#scope, "downstream");
    return this.#ssl;
  }

  closed(lengthMs: number): void {
    this.cxActive.add(-1);
    this.#cxDestroy.add();
    this.#cxLengthMs.record(lengthMs);
  }
}
