import { type FrameError, protocolError, sizeError } from "./frame-error.ts";
import { Flag, type FrameHeader, FrameType, readUint31, writeFrameHeader } from "./frame-header.ts";
import { CONTENT, findContent } from "./padding.ts";
import { PRIORITY_BYTES } from "./priority.ts";

export interface HeadersFrame {
  /** A view of the payload. */
  readonly fragment: Uint8Array;
  readonly endStream: boolean;
  readonly endHeaders: boolean;
  /** Of the priority fields, which say nothing any more (RFC 9113 §5.3.2) but may be wrong; undefined without them. */
  readonly dependsOn: number | undefined;
}

export const HEADERS_ON_CONNECTION = protocolError("HEADERS on stream 0");
const NO_PRIORITY = sizeError("HEADERS too short for its priority fields");

/** Without padding and priority, and no CONTINUATION follows: the payload is the block. */
export function isPlainHeaders({ type, flags }: FrameHeader): boolean {
  return type === FrameType.Headers && (flags & (Flag.EndHeaders | Flag.Padded | Flag.Priority)) === Flag.EndHeaders;
}

/** RFC 9113 §6.2. */
export function readHeaders({ flags, streamId }: FrameHeader, payload: Uint8Array): HeadersFrame | FrameError {
  if (streamId === 0) return HEADERS_ON_CONNECTION;
  const prioritized = (flags & Flag.Priority) !== 0;
  const padding = (flags & Flag.Padded) !== 0 ? 1 : 0;
  if (prioritized && payload.length < padding + PRIORITY_BYTES) return NO_PRIORITY;
  const error = findContent(payload, flags, prioritized ? PRIORITY_BYTES : 0);
  if (error !== undefined) return error;
  const isWhole = CONTENT.from === 0 && CONTENT.to === payload.length; // as mostly; a view costs 0.1 µs
  return {
    fragment: isWhole ? payload : payload.subarray(CONTENT.from, CONTENT.to),
    endStream: (flags & Flag.EndStream) !== 0,
    endHeaders: (flags & Flag.EndHeaders) !== 0,
    dependsOn: prioritized ? readUint31(payload, padding) : undefined,
  };
}

/** The header of a HEADERS frame without padding; `length` bytes of the block follow. The index behind it. */
export function writeHeadersHeader(
  into: Uint8Array,
  at: number,
  streamId: number,
  length: number,
  endStream: boolean,
  endHeaders: boolean,
): number {
  const flags = (endStream ? Flag.EndStream : 0) | (endHeaders ? Flag.EndHeaders : 0);
  return writeFrameHeader(into, at, length, FrameType.Headers, flags, streamId);
}
