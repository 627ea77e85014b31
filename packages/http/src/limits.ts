/** What a parser accepts, in bytes and counts. Names and defaults are Envoy's where Envoy has them. */
export interface HttpLimits {
  /** Request line or status line and all header fields together (HCM `max_request_headers_kb`, 60 KiB). Over it: 431. */
  readonly maxHeadBytes: number;
  /** Number of header fields (`max_headers_count`, 100). Over it: 431. */
  readonly maxHeaderCount: number;
  /** All trailer fields together. */
  readonly maxTrailerBytes: number;
  /** One chunk-size line with its extensions (RFC 9112 §7.1.1: a recipient ought to limit them). */
  readonly maxChunkLineBytes: number;
  /** Of all chunk extensions of one message. */
  readonly maxChunkExtensionBytes: number;
}

export const defaultHttpLimits: HttpLimits = {
  maxHeadBytes: 60 * 1024,
  maxHeaderCount: 100,
  maxTrailerBytes: 16 * 1024,
  maxChunkLineBytes: 256,
  maxChunkExtensionBytes: 16 * 1024,
};
