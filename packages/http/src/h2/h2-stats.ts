/** A metric that goes up, or up and down. The counters and gauges of `@heddle/telemetry` fit. */
export interface H2Counter {
  add(n?: number): void;
}

/** What an HTTP/2 connection counts. The names are Envoy's (`http2.*`), in camelCase. */
export interface H2Stats {
  /** Header lists beyond the limits of count or size, and blocks that do not end. */
  readonly headerOverflow: H2Counter;
  /** Header blocks of streams that are gone: refused, reset or above our GOAWAY. */
  readonly headersCbNoStream: H2Counter;
  readonly inboundEmptyFramesFlood: H2Counter;
  readonly inboundPriorityFramesFlood: H2Counter;
  readonly inboundWindowUpdateFramesFlood: H2Counter;
  readonly outboundControlFlood: H2Counter;
  readonly outboundFlood: H2Counter;
  /** Messages that break RFC 9113 §8. */
  readonly rxMessagingError: H2Counter;
  readonly rxReset: H2Counter;
  readonly txReset: H2Counter;
  /** Trailer sections that were received or sent. */
  readonly trailers: H2Counter;
  /** Streams refused for being too many: by us on a server, by the peer on a client. */
  readonly streamRefusedErrors: H2Counter;
  readonly goawaySent: H2Counter;
  /** Streams open now. A gauge: `add(-1)` when one ends. */
  readonly streamsActive: H2Counter;
  /** Bytes that wait for a window or the transport, of all streams. A gauge. */
  readonly pendingSendBytes: H2Counter;
}

const nobody: H2Counter = { add: () => undefined };

/** Counts nothing. */
export const noH2Stats: H2Stats = {
  headerOverflow: nobody,
  headersCbNoStream: nobody,
  inboundEmptyFramesFlood: nobody,
  inboundPriorityFramesFlood: nobody,
  inboundWindowUpdateFramesFlood: nobody,
  outboundControlFlood: nobody,
  outboundFlood: nobody,
  rxMessagingError: nobody,
  rxReset: nobody,
  txReset: nobody,
  trailers: nobody,
  streamRefusedErrors: nobody,
  goawaySent: nobody,
  streamsActive: nobody,
  pendingSendBytes: nobody,
};
