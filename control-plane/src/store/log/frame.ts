import { crc32 } from "node:zlib";

/*
 * A file of the log store is a head and then frames, one behind the other. A frame is what one fsync has made durable.
 *
 *     head    magic (8 bytes) · revision (u64) · CRC-32 of the 16 bytes before (u32)
 *     frame   payload length (u32) · number (u64) · CRC-32 of the 12 bytes before (u32) · payload · CRC-32 of all before (u32)
 *
 * Numbers are big-endian. The length has a checksum of its own, so that a damaged one is not mistaken for a frame that the
 * end of the file cut off. Frames that are written together are one frame: a power failure may lose any page of what was
 * not yet durable, and would else leave a good frame behind a bad one though nobody had been promised either.
 */

export const FILE_HEAD_BYTES = 20;
const FRAME_HEAD_BYTES = 16;
const CHECKSUM_BYTES = 4;
/** More than any batch can be: a longer one has not been written by us. */
const MAX_PAYLOAD_BYTES = 256 * 1024 * 1024;

export function encodeFileHead(magic: string, revision: number): Uint8Array {
  const head = Buffer.alloc(FILE_HEAD_BYTES);
  head.write(magic, 0, "latin1");
  head.writeBigUInt64BE(BigInt(revision), 8);
  head.writeUInt32BE(crc32(head.subarray(0, 16)), 16);
  return head;
}

/** The revision that the head of such a file names, or undefined if it is none. */
export function decodeFileHead(magic: string, file: Buffer): number | undefined {
  if (file.length < FILE_HEAD_BYTES) return undefined;
  const head = file.subarray(0, FILE_HEAD_BYTES);
  if (head.toString("latin1", 0, 8) !== magic || crc32(head.subarray(0, 16)) !== head.readUInt32BE(16))
    return undefined;
  return safeNumber(head.readBigUInt64BE(8));
}

export function encodeFrame(number: number, payload: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + payload.length + CHECKSUM_BYTES);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeBigUInt64BE(BigInt(number), 4);
  frame.writeUInt32BE(crc32(frame.subarray(0, 12)), 12);
  frame.set(payload, FRAME_HEAD_BYTES);
  const checked = FRAME_HEAD_BYTES + payload.length;
  frame.writeUInt32BE(crc32(frame.subarray(0, checked)), checked);
  return frame;
}

export type FrameReading =
  | { readonly type: "frame"; readonly number: number; readonly payload: Uint8Array; readonly end: number }
  /** The file ends where a frame may begin. */
  | { readonly type: "end" }
  /** A write that never came to its end: nobody was told that it was durable. */
  | { readonly type: "torn" }
  /** Bytes that were durable are no longer what they were. */
  | { readonly type: "damaged"; readonly what: string };

/** Reads the frame that begins at the offset. */
export function readFrame(file: Buffer, offset: number): FrameReading {
  if (offset === file.length) return { type: "end" };
  const head = readFrameHead(file, offset);
  if (head === "short") return { type: "torn" };
  if (head === "bad") return tornOrDamaged(file, offset, "the checksum of a frame's head does not match");
  if (head.end > file.length) return { type: "torn" };
  if (!payloadMatches(file, offset, head.end))
    return tornOrDamaged(file, offset, "the checksum of a frame does not match");
  const payload = file.subarray(offset + FRAME_HEAD_BYTES, head.end - CHECKSUM_BYTES);
  return { type: "frame", number: head.number, payload, end: head.end };
}

interface FrameHead {
  readonly number: number;
  readonly end: number;
}

function readFrameHead(file: Buffer, offset: number): FrameHead | "short" | "bad" {
  if (file.length - offset < FRAME_HEAD_BYTES) return "short";
  if (crc32(file.subarray(offset, offset + 12)) !== file.readUInt32BE(offset + 12)) return "bad";
  const length = file.readUInt32BE(offset);
  const number = safeNumber(file.readBigUInt64BE(offset + 4));
  if (length > MAX_PAYLOAD_BYTES || number === undefined) return "bad";
  return { number, end: offset + FRAME_HEAD_BYTES + length + CHECKSUM_BYTES };
}

function payloadMatches(file: Buffer, offset: number, end: number): boolean {
  const checked = end - CHECKSUM_BYTES;
  return crc32(file.subarray(offset, checked)) === file.readUInt32BE(checked);
}

/**
 * What is whole in length and yet wrong. In the last write it may be that a power failure kept the file's new length but
 * not all of its pages, which then are zeros: a piece of a sector that is all zeros says so. A good frame further on says
 * that this was not the last write.
 */
function tornOrDamaged(file: Buffer, offset: number, what: string): FrameReading {
  if (hasFrameAfter(file, offset)) return { type: "damaged", what };
  return hasZeroSector(file, offset) ? { type: "torn" } : { type: "damaged", what };
}

function hasFrameAfter(file: Buffer, offset: number): boolean {
  for (let at = offset + 1; at <= file.length - FRAME_HEAD_BYTES; at++) {
    const head = readFrameHead(file, at);
    if (typeof head !== "string" && head.end <= file.length && payloadMatches(file, at, head.end)) return true;
  }
  return false;
}

const SECTOR_BYTES = 512;
/** A shorter piece may be zeros by itself, as the end of a checksum. */
const MIN_PIECE_BYTES = 4;

function hasZeroSector(file: Buffer, offset: number): boolean {
  for (let from = offset; from < file.length; ) {
    const to = Math.min(file.length, from - (from % SECTOR_BYTES) + SECTOR_BYTES);
    const piece = file.subarray(from, to);
    if (piece.length >= MIN_PIECE_BYTES && piece.every((byte) => byte === 0)) return true;
    from = to;
  }
  return false;
}

function safeNumber(value: bigint): number | undefined {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}
