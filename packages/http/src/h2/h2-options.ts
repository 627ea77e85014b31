import { defaultHttpLimits, type HttpLimits } from "../limits.ts";
import { type H2Stats, noH2Stats } from "./h2-stats.ts";

/** What both sides of HTTP/2 take. Names and meaning as in Envoy's `Http2ProtocolOptions`, defaults as its edge example. */
export interface H2Options {
  /** `maxHeadBytes` is of the decoded list as RFC 9113 §6.5.2 counts it, and what we announce as SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly limits?: HttpLimits;
  /** Octets of the HPACK tables of both directions (`hpack_table_size`). Default 4096. */
  readonly hpackTableSize?: number;
  /** Server: what we announce. Client: what we use at most of what the peer allows. Default 100. */
  readonly maxConcurrentStreams?: number;
  /** Bytes, 65,535 to 2^31 - 1. Default 64 KiB. */
  readonly initialStreamWindowSize?: number;
  /** Bytes, 65,535 to 2^31 - 1. Default 1 MiB. */
  readonly initialConnectionWindowSize?: number;
  /** Bytes of one stream that may wait for a window or the transport before `sendData` says false. Default 64 KiB. */
  readonly streamBufferBytes?: number;
  /** Extended CONNECT (RFC 8441): a server announces it and takes it, a client uses it where it is announced. Default false. */
  readonly allowConnect?: boolean;
  /** Frames of any kind that wait while the peer does not read. Default 10,000. */
  readonly maxOutboundFrames?: number;
  /** PING, SETTINGS and RST_STREAM among them. Default 1000. */
  readonly maxOutboundControlFrames?: number;
  /** HEADERS, CONTINUATION and DATA in a row without payload and END_STREAM. Default 1. */
  readonly maxConsecutiveInboundFramesWithEmptyPayload?: number;
  /** Times (1 + streams ever opened). Default 100. */
  readonly maxInboundPriorityFramesPerStream?: number;
  /** WINDOW_UPDATEs: 5 + 2 * (streams ever opened + this * DATA frames sent). Default 10. */
  readonly maxInboundWindowUpdateFramesPerDataFrameSent?: number;
  /**
   * A message that breaks RFC 9113 §8 ends its stream alone (`override_stream_error_on_invalid_http_message`). Default false:
   * it ends the connection.
   */
  readonly streamErrorOnInvalidHttpMessage?: boolean;
  readonly stats?: H2Stats;
}

export interface H2ServerOptions extends H2Options {
  /** How the client reached us; what `:scheme` says is taken where it is http or https. Default "http". */
  readonly scheme?: "http" | "https";
  /** Takes methods that no registry knows. Default false: 501. */
  readonly allowCustomMethods?: boolean;
}

export type H2ClientOptions = H2Options;

/** The same with nothing left open. */
export interface H2Settled extends Required<H2Options> {
  readonly limits: HttpLimits;
}

export function settleH2Options(options: H2Options): H2Settled {
  return {
    limits: options.limits ?? defaultHttpLimits,
    hpackTableSize: options.hpackTableSize ?? 4096,
    maxConcurrentStreams: options.maxConcurrentStreams ?? 100,
    initialStreamWindowSize: options.initialStreamWindowSize ?? 64 * 1024,
    initialConnectionWindowSize: options.initialConnectionWindowSize ?? 1024 * 1024,
    streamBufferBytes: options.streamBufferBytes ?? 64 * 1024,
    allowConnect: options.allowConnect ?? false,
    maxOutboundFrames: options.maxOutboundFrames ?? 10_000,
    maxOutboundControlFrames: options.maxOutboundControlFrames ?? 1000,
    maxConsecutiveInboundFramesWithEmptyPayload: options.maxConsecutiveInboundFramesWithEmptyPayload ?? 1,
    maxInboundPriorityFramesPerStream: options.maxInboundPriorityFramesPerStream ?? 100,
    maxInboundWindowUpdateFramesPerDataFrameSent: options.maxInboundWindowUpdateFramesPerDataFrameSent ?? 10,
    streamErrorOnInvalidHttpMessage: options.streamErrorOnInvalidHttpMessage ?? false,
    stats: options.stats ?? noH2Stats,
  };
}
