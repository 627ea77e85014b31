import { type FrameError, protocolError } from "./frame-error.ts";
import { Flag, type FrameHeader, FrameType, writeFrameHeader } from "./frame-header.ts";

const ON_CONNECTION = protocolError("DATA on stream 0");

/** What the header of a DATA frame says (RFC 9113 §6.1). Its payload is given on as it comes, not collected. */
export function checkData({ streamId }: FrameHeader): FrameError | undefined {
  return streamId === 0 ? ON_CONNECTION : undefined;
}

/** The header of a DATA frame without padding; `length` bytes follow. The index behind it. */
export function writeDataHeader(
  into: Uint8Array,
  at: number,
  streamId: number,
  length: number,
  endStream: boolean,
): number {
  return writeFrameHeader(into, at, length, FrameType.Data, endStream ? Flag.EndStream : 0, streamId);
}
