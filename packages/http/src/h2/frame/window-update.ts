import { ErrorCode } from "./error-code.ts";
import { FrameError, protocolError, sizeError } from "./frame-error.ts";
import { type FrameHeader, FrameType, readUint31, writeFrameHeader, writeUint32 } from "./frame-header.ts";

const BYTES = 4;
const BAD_SIZE = sizeError("WINDOW_UPDATE is not of 4 bytes");
const NOTHING_FOR_CONNECTION = protocolError("WINDOW_UPDATE of 0 for the connection");
const NOTHING_FOR_STREAM = new FrameError(ErrorCode.ProtocolError, "stream", "WINDOW_UPDATE of 0");

export interface WindowUpdateFrame {
  /** 1 to 2^31 - 1 bytes. */
  readonly increment: number;
}

/** RFC 9113 §6.9. */
export function readWindowUpdate({ streamId }: FrameHeader, payload: Uint8Array): WindowUpdateFrame | FrameError {
  if (payload.length !== BYTES) return BAD_SIZE;
  const increment = readUint31(payload, 0);
  if (increment === 0) return streamId === 0 ? NOTHING_FOR_CONNECTION : NOTHING_FOR_STREAM;
  return { increment };
}

/** The index behind it. */
export function writeWindowUpdate(into: Uint8Array, at: number, streamId: number, increment: number): number {
  return writeUint32(into, writeFrameHeader(into, at, BYTES, FrameType.WindowUpdate, 0, streamId), increment);
}
