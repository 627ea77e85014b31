import type { H2Counter, H2Stats } from "@heddle/http";
import type { MetricScope } from "@heddle/telemetry";

/**
 * Handles of what HTTP/2 connections count, under Envoy's names (`http2.…`, config/http/http_conn_man/stats "Per codec
 * statistics"). `scope` is what stands before them.
 */
export class Http2Stats implements H2Stats {
  readonly headerOverflow: H2Counter;
  readonly headersCbNoStream: H2Counter;
  readonly inboundEmptyFramesFlood: H2Counter;
  readonly inboundPriorityFramesFlood: H2Counter;
  readonly inboundWindowUpdateFramesFlood: H2Counter;
  readonly outboundControlFlood: H2Counter;
  readonly outboundFlood: H2Counter;
  readonly rxMessagingError: H2Counter;
  readonly rxReset: H2Counter;
  readonly txReset: H2Counter;
  readonly trailers: H2Counter;
  readonly streamRefusedErrors: H2Counter;
  readonly goawaySent: H2Counter;
  readonly streamsActive: H2Counter;
  readonly pendingSendBytes: H2Counter;
  /** Complete answers of which a client took no more. */
  readonly txFlushTimeout: H2Counter;
  /** `headers_with_underscores_action`, of a listener alone. */
  readonly requestsRejectedWithUnderscores: H2Counter;
  readonly droppedHeadersWithUnderscores: H2Counter;
  /** Connections that ended since a PING was not answered. */
  readonly keepaliveTimeout: H2Counter;

  constructor(scope: MetricScope) {
    this.headerOverflow = scope.counter("header_overflow");
    this.headersCbNoStream = scope.counter("headers_cb_no_stream");
    this.inboundEmptyFramesFlood = scope.counter("inbound_empty_frames_flood");
    this.inboundPriorityFramesFlood = scope.counter("inbound_priority_frames_flood");
    this.inboundWindowUpdateFramesFlood = scope.counter("inbound_window_update_frames_flood");
    this.outboundControlFlood = scope.counter("outbound_control_flood");
    this.outboundFlood = scope.counter("outbound_flood");
    this.rxMessagingError = scope.counter("rx_messaging_error");
    this.rxReset = scope.counter("rx_reset");
    this.txReset = scope.counter("tx_reset");
    this.trailers = scope.counter("trailers");
    this.streamRefusedErrors = scope.counter("stream_refused_errors");
    this.goawaySent = scope.counter("goaway_sent");
    this.streamsActive = scope.gauge("streams_active");
    this.pendingSendBytes = scope.gauge("pending_send_bytes");
    this.requestsRejectedWithUnderscores = scope.counter("requests_rejected_with_underscores_in_headers");
    this.droppedHeadersWithUnderscores = scope.counter("dropped_headers_with_underscores");
    this.txFlushTimeout = scope.counter("tx_flush_timeout");
    this.keepaliveTimeout = scope.counter("keepalive_timeout");
  }
}
