/*
 * `envoy.config.core.v3.Http2ProtocolOptions`, of a listener's connection manager or of a cluster. Plain JSON data.
 *
 * What is not set has the value that Envoy recommends at an edge (docs/root/configuration/best_practices/edge.rst) where
 * that differs from the proto's own default, which Envoy itself calls unsafe there.
 */

export interface Http2Options {
  /** Bytes of the dynamic table that the peer's encoder may use, and at most what ours uses (`hpack_table_size`). */
  readonly hpackTableSize: number;
  /** That the peer may open; towards an upstream also at most how many we open (`max_concurrent_streams`). */
  readonly maxConcurrentStreams: number;
  /** Bytes; also the soft limit of what is kept for one stream (`initial_stream_window_size`). */
  readonly initialStreamWindowSize: number;
  /** Bytes (`initial_connection_window_size`). */
  readonly initialConnectionWindowSize: number;
  /** Extended CONNECT (RFC 8441): WebSocket and other upgrades. */
  readonly allowConnect: boolean;
  readonly maxOutboundFrames: number;
  /** PING, SETTINGS and RST_STREAM alone. */
  readonly maxOutboundControlFrames: number;
  readonly maxConsecutiveInboundFramesWithEmptyPayload: number;
  readonly maxInboundPriorityFramesPerStream: number;
  readonly maxInboundWindowUpdateFramesPerDataFrameSent: number;
  /** A message that breaks HTTP ends its stream alone, not the connection (`override_stream_error_on_invalid_http_message`). */
  readonly streamErrorOnInvalidHttpMessage: boolean;
  /** Undefined: no PING is sent. */
  readonly keepalive: Http2Keepalive | undefined;
}

/** `envoy.config.core.v3.KeepaliveSettings` */
export interface Http2Keepalive {
  /** 0: not by the clock. */
  readonly intervalMs: number;
  /** For the answer; anything that comes from the peer makes it longer. */
  readonly timeoutMs: number;
  /** Each interval is longer by up to that part of it, by chance. */
  readonly intervalJitterPercent: number;
  /** A connection that has been idle for so long is tried before its next request. 0: it is not. Upstream only. */
  readonly connectionIdleIntervalMs: number;
}

export const defaultHttp2Options: Http2Options = {
  hpackTableSize: 4096,
  maxConcurrentStreams: 100,
  initialStreamWindowSize: 65_536,
  initialConnectionWindowSize: 1_048_576,
  allowConnect: false,
  maxOutboundFrames: 10_000,
  maxOutboundControlFrames: 1000,
  maxConsecutiveInboundFramesWithEmptyPayload: 1,
  maxInboundPriorityFramesPerStream: 100,
  maxInboundWindowUpdateFramesPerDataFrameSent: 10,
  streamErrorOnInvalidHttpMessage: false,
  keepalive: undefined,
};
