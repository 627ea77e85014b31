import type { ErrorCode } from "./error-code.ts";
import { type FrameError, protocolError, sizeError } from "./frame-error.ts";
import { type FrameHeader, FrameType, readUint31, readUint32, writeFrameHeader, writeUint32 } from "./frame-header.ts";

const FIXED_BYTES = 8;
const ON_STREAM = protocolError("GOAWAY on a stream");
const BAD_SIZE = sizeError("GOAWAY is shorter than 8 bytes");

export interface GoAwayFrame {
  readonly lastStreamId: number;
  readonly errorCode: ErrorCode;
  /** A view of the payload. For logs, with care: the peer wrote it. */
  readonly debugData: Uint8Array;
}

/** RFC 9113 §6.8. */
export function readGoAway({ streamId }: FrameHeader, payload: Uint8Array): GoAwayFrame | FrameError {
  if (streamId !== 0) return ON_STREAM;
  if (payload.length < FIXED_BYTES) return BAD_SIZE;
  return {
    lastStreamId: readUint31(payload, 0),
    errorCode: readUint32(payload, 4),
    debugData: payload.subarray(FIXED_BYTES),
  };
}

/** `debug` is ASCII, and of the class of error: what a peer has sent does not go back to it. The index behind the frame. */
export function writeGoAway(
  into: Uint8Array,
  at: number,
  lastStreamId: number,
  errorCode: ErrorCode,
  debug = "",
): number {
  at = writeFrameHeader(into, at, FIXED_BYTES + debug.length, FrameType.GoAway, 0, 0);
  at = writeUint32(into, writeUint32(into, at, lastStreamId), errorCode);
  for (let i = 0; i < debug.length; i++) into[at++] = debug.charCodeAt(i);
  return at;
}
