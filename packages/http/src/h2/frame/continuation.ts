import { type FrameError, protocolError } from "./frame-error.ts";
import { Flag, type FrameHeader, FrameType, writeFrameHeader } from "./frame-header.ts";

const ON_CONNECTION = protocolError("CONTINUATION on stream 0");

export interface ContinuationFrame {
  readonly fragment: Uint8Array;
  readonly endHeaders: boolean;
}

/** RFC 9113 §6.10. Whether it may stand here is for whoever knows the frame before. */
export function readContinuation(header: FrameHeader, payload: Uint8Array): ContinuationFrame | FrameError {
  if (header.streamId === 0) return ON_CONNECTION;
  return { fragment: payload, endHeaders: (header.flags & Flag.EndHeaders) !== 0 };
}

/** The header of a CONTINUATION frame; `length` bytes of the block follow. The index behind it. */
export function writeContinuationHeader(
  into: Uint8Array,
  at: number,
  streamId: number,
  length: number,
  endHeaders: boolean,
): number {
  return writeFrameHeader(into, at, length, FrameType.Continuation, endHeaders ? Flag.EndHeaders : 0, streamId);
}
