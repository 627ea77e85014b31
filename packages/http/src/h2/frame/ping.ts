import { type FrameError, protocolError, sizeError } from "./frame-error.ts";
import { Flag, type FrameHeader, FrameType, writeFrameHeader } from "./frame-header.ts";

export const PING_BYTES = 8;
const ON_STREAM = protocolError("PING on a stream");
const BAD_SIZE = sizeError("PING is not of 8 bytes");

export interface PingFrame {
  readonly ack: boolean;
  /** A view of the payload. */
  readonly opaque: Uint8Array;
}

/** RFC 9113 §6.7. */
export function readPing({ flags, streamId }: FrameHeader, payload: Uint8Array): PingFrame | FrameError {
  if (streamId !== 0) return ON_STREAM;
  if (payload.length !== PING_BYTES) return BAD_SIZE;
  return { ack: (flags & Flag.Ack) !== 0, opaque: payload };
}

/** `opaque` is of 8 bytes. The index behind it. */
export function writePing(into: Uint8Array, at: number, opaque: Uint8Array, ack: boolean): number {
  const behind = writeFrameHeader(into, at, PING_BYTES, FrameType.Ping, ack ? Flag.Ack : 0, 0);
  into.set(opaque, behind);
  return behind + PING_BYTES;
}
