import { type Counter, type Gauge, type Histogram, type MetricScope, seriesGroup } from "@heddle/telemetry";
import { Http2Stats } from "../http2/http2-stats.ts";
import { GrpcClusterStats } from "./grpc-cluster-stats.ts";

/**
 * Handles of one cluster's metrics, under Envoy's names (`cluster.<name>.…`, config/cluster_manager/cluster_stats). Made
 * when the cluster is first called; traffic only adds.
 */
export class ClusterStats {
  readonly cxTotal: Counter;
  /** Of heddle's own: connections that came from another worker, where one would have been made. `cxTotal` has only made ones. */
  readonly cxHandedOver: Counter;
  readonly cxActive: Gauge;
  readonly cxConnectFail: Counter;
  readonly cxConnectTimeout: Counter;
  readonly cxOverflow: Counter;
  readonly cxIdleTimeout: Counter;
  readonly cxMaxRequests: Counter;
  readonly cxMaxDuration: Counter;
  readonly cxHttp1Total: Counter;
  readonly cxHttp2Total: Counter;
  /** HTTP/2 connections whose upstream has said that it ends them (GOAWAY). */
  readonly cxCloseNotify: Counter;
  readonly cxProtocolError: Counter;
  readonly cxLengthMs: Histogram;
  readonly cxDestroy: Counter;
  readonly cxDestroyLocal: Counter;
  readonly cxDestroyRemote: Counter;
  readonly cxDestroyWithActiveRq: Counter;
  readonly cxDestroyLocalWithActiveRq: Counter;
  readonly cxDestroyRemoteWithActiveRq: Counter;
  readonly cxConnectMs: Histogram;
  /** Bytes of connections, counted when the next exchange begins or the connection has ended. */
  readonly cxRxBytes: Counter;
  readonly cxTxBytes: Counter;
  /** A TCP proxy has tried as often as it may (`max_connect_attempts`). */
  readonly cxConnectAttemptsExceeded: Counter;
  readonly rqTotal: Counter;
  readonly rqActive: Gauge;
  readonly rqPendingTotal: Counter;
  readonly rqPendingActive: Gauge;
  readonly rqPendingOverflow: Counter;
  readonly rqPendingFailureEject: Counter;
  readonly rqCancelled: Counter;
  readonly rqTimeout: Counter;
  readonly rqPerTryTimeout: Counter;
  readonly rqMaxDuration: Counter;
  readonly rqRxReset: Counter;
  readonly rqTxReset: Counter;
  readonly rqRetry: Counter;
  readonly rqRetrySuccess: Counter;
  readonly rqRetryOverflow: Counter;
  readonly rqRetryLimitExceeded: Counter;
  /** Of heddle's own: requests sent again since their pooled connection had been closed while it was idle. */
  readonly rqReplay: Counter;
  readonly rqCompleted: Counter;
  readonly rqTime: Histogram;
  readonly noneHealthy: Counter;
  readonly rqDropOverload: Counter;
  /** Made when a gRPC filter first asks. */
  #grpc: GrpcClusterStats | undefined = undefined;
  /** By hundreds: place 2 counts 2xx. */
  readonly #rqByClass: readonly Counter[];
  /** Made when a code first comes. */
  readonly #rqByCode = new Map<number, Counter>();
  /** Made when a filter first asks, since most clusters have none. */
  #named: Map<string, Counter> | undefined = undefined;
  readonly #scope: MetricScope;
  readonly #makeHttp2: () => Http2Stats;
  #http2: Http2Stats | undefined = undefined;

  /**
   * The series are there from this moment on, and their handles when what it answers is called: most of many clusters are never called,
   * and the handles of a thousand are 2.9 MB, which collections copy, and 6 ms.
   */
  static of(metrics: MetricScope, clusterName: string): () => ClusterStats {
    const labels = { envoy_cluster_name: clusterName };
    const scope = metrics.group(GROUP, labels);
    return () => new ClusterStats(scope, () => new Http2Stats(metrics.group(HTTP2_GROUP, labels)));
  }

  constructor(scope: MetricScope, makeHttp2: () => Http2Stats) {
    this.#scope = scope;
    this.#makeHttp2 = makeHttp2;
    this.cxTotal = scope.counter("upstream_cx_total");
    this.cxHandedOver = scope.counter("upstream_cx_handed_over");
    this.cxActive = scope.gauge("upstream_cx_active");
    this.cxConnectFail = scope.counter("upstream_cx_connect_fail");
    this.cxConnectTimeout = scope.counter("upstream_cx_connect_timeout");
    this.cxOverflow = scope.counter("upstream_cx_overflow");
    this.cxIdleTimeout = scope.counter("upstream_cx_idle_timeout");
    this.cxMaxRequests = scope.counter("upstream_cx_max_requests");
    this.cxMaxDuration = scope.counter("upstream_cx_max_duration_reached");
    this.cxHttp1Total = scope.counter("upstream_cx_http1_total");
    this.cxHttp2Total = scope.counter("upstream_cx_http2_total");
    this.cxCloseNotify = scope.counter("upstream_cx_close_notify");
    this.cxProtocolError = scope.counter("upstream_cx_protocol_error");
    this.cxLengthMs = scope.histogram("upstream_cx_length_ms");
    this.cxDestroy = scope.counter("upstream_cx_destroy");
    this.cxDestroyLocal = scope.counter("upstream_cx_destroy_local");
    this.cxDestroyWithActiveRq = scope.counter("upstream_cx_destroy_with_active_rq");
    this.cxDestroyLocalWithActiveRq = scope.counter("upstream_cx_destroy_local_with_active_rq");
    this.cxDestroyRemoteWithActiveRq = scope.counter("upstream_cx_destroy_remote_with_active_rq");
    this.cxDestroyRemote = scope.counter("upstream_cx_destroy_remote");
    this.cxRxBytes = scope.counter("upstream_cx_rx_bytes_total");
    this.cxTxBytes = scope.counter("upstream_cx_tx_bytes_total");
    this.cxConnectMs = scope.histogram("upstream_cx_connect_ms");
    this.cxConnectAttemptsExceeded = scope.counter("upstream_cx_connect_attempts_exceeded");
    this.rqTotal = scope.counter("upstream_rq_total");
    this.rqActive = scope.gauge("upstream_rq_active");
    this.rqPendingTotal = scope.counter("upstream_rq_pending_total");
    this.rqPendingActive = scope.gauge("upstream_rq_pending_active");
    this.rqPendingOverflow = scope.counter("upstream_rq_pending_overflow");
    this.rqPendingFailureEject = scope.counter("upstream_rq_pending_failure_eject");
    this.rqCancelled = scope.counter("upstream_rq_cancelled");
    this.rqTimeout = scope.counter("upstream_rq_timeout");
    this.rqPerTryTimeout = scope.counter("upstream_rq_per_try_timeout");
    this.rqMaxDuration = scope.counter("upstream_rq_max_duration_reached");
    this.rqRxReset = scope.counter("upstream_rq_rx_reset");
    this.rqTxReset = scope.counter("upstream_rq_tx_reset");
    this.rqRetry = scope.counter("upstream_rq_retry");
    this.rqRetrySuccess = scope.counter("upstream_rq_retry_success");
    this.rqRetryOverflow = scope.counter("upstream_rq_retry_overflow");
    this.rqRetryLimitExceeded = scope.counter("upstream_rq_retry_limit_exceeded");
    this.rqReplay = scope.counter("upstream_rq_replay");
    this.rqCompleted = scope.counter("upstream_rq_completed");
    this.rqTime = scope.histogram("upstream_rq_time");
    this.noneHealthy = scope.counter("upstream_cx_none_healthy");
    this.rqDropOverload = scope.counter("upstream_rq_drop_overload");
    this.#rqByClass = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"].map((name) => scope.counter(`upstream_rq_${name}`));
  }

  /** `cluster.<name>.http2.…`; made with the first HTTP/2 connection, since most clusters have none. */
  get http2(): Http2Stats {
    this.#http2 ??= this.#makeHttp2();
    return this.#http2;
  }

  get grpc(): GrpcClusterStats {
    this.#grpc ??= new GrpcClusterStats(this.#scope);
    return this.#grpc;
  }

  /** A counter of what a filter does with requests to the cluster: "ext_authz.ok". Its names are configured, not a client's. */
  named(name: string): Counter {
    this.#named ??= new Map();
    let counter = this.#named.get(name);
    if (counter === undefined) {
      counter = this.#scope.counter(name);
      this.#named.set(name, counter);
    }
    return counter;
  }

  /** Counts the end of a connection: who ended it, and whether a request was under way. */
  countEnd(remote: boolean, active: boolean, lengthMs: number): void {
    this.cxLengthMs.record(lengthMs);
    this.cxDestroy.add();
    (remote ? this.cxDestroyRemote : this.cxDestroyLocal).add();
    if (!active) return;
    this.cxDestroyWithActiveRq.add();
    (remote ? this.cxDestroyRemoteWithActiveRq : this.cxDestroyLocalWithActiveRq).add();
  }

  /** Counts an answer in whose place another one is asked for, which no client sees: `cluster.<name>.retry.…`. */
  countRetried(status: number): void {
    this.named("retry.upstream_rq_completed").add();
    this.named(`retry.upstream_rq_${Math.trunc(status / 100)}xx`).add();
    this.named(`retry.upstream_rq_${status}`).add();
  }

  /** Counts an answer that goes downstream, whether the upstream gave it or we did in its place. */
  countResponse(status: number): void {
    this.rqCompleted.add();
    this.#rqByClass[Math.trunc(status / 100)]?.add();
    let code = this.#rqByCode.get(status);
    if (code === undefined) {
      code = this.#scope.counter(`upstream_rq_${status}`);
      this.#rqByCode.set(status, code);
    }
    code.add();
  }
}

const HTTP2_GROUP = seriesGroup("cluster.http2", (scope) => new Http2Stats(scope));
const GROUP = seriesGroup("cluster", (scope) => new ClusterStats(scope, () => new Http2Stats(scope)));
