import type { ErrorCode } from "./error-code.ts";
import { type FrameError, protocolError, sizeError } from "./frame-error.ts";
import { type FrameHeader, FrameType, readUint32, writeFrameHeader, writeUint32 } from "./frame-header.ts";

const BYTES = 4;
const ON_CONNECTION = protocolError("RST_STREAM on stream 0");
const BAD_SIZE = sizeError("RST_STREAM is not of 4 bytes");

export interface RstStreamFrame {
  readonly errorCode: ErrorCode;
}

/** RFC 9113 §6.4. */
export function readRstStream({ streamId }: FrameHeader, payload: Uint8Array): RstStreamFrame | FrameError {
  if (streamId === 0) return ON_CONNECTION;
  if (payload.length !== BYTES) return BAD_SIZE;
  return { errorCode: readUint32(payload, 0) };
}

/** The index behind it. */
export function writeRstStream(into: Uint8Array, at: number, streamId: number, errorCode: ErrorCode): number {
  return writeUint32(into, writeFrameHeader(into, at, BYTES, FrameType.RstStream, 0, streamId), errorCode);
}
