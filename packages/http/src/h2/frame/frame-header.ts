/** RFC 9113 §6. */
export const FrameType = {
  Data: 0x0,
  Headers: 0x1,
  Priority: 0x2,
  RstStream: 0x3,
  Settings: 0x4,
  PushPromise: 0x5,
  Ping: 0x6,
  GoAway: 0x7,
  WindowUpdate: 0x8,
  Continuation: 0x9,
} as const;

export const Flag = {
  EndStream: 0x01,
  /** Of SETTINGS and PING. */
  Ack: 0x01,
  EndHeaders: 0x04,
  Padded: 0x08,
  Priority: 0x20,
} as const;

export const FRAME_HEADER_BYTES = 9;
/** What every peer takes, and what we take: larger frames save nothing (RFC 9113 §4.2). */
export const DEFAULT_MAX_FRAME_SIZE = 16_384;
export const MAX_STREAM_ID = 0x7fff_ffff;

/** RFC 9113 §4.1. */
export interface FrameHeader {
  /** Bytes of the payload. */
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  /** 0: the connection. */
  readonly streamId: number;
}

/** One that is filled again for each frame. */
export type ReusedFrameHeader = { -readonly [Field in keyof FrameHeader]: FrameHeader[Field] };

export function newFrameHeader(): ReusedFrameHeader {
  return { length: 0, type: 0, flags: 0, streamId: 0 };
}

/** Reads nine bytes into `header`, and gives it back. The highest bit before the stream is reserved and ignored. */
export function readFrameHeader(bytes: Uint8Array, at: number, header = newFrameHeader()): FrameHeader {
  header.length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!; // the caller has seen that there are nine
  header.type = bytes[at + 3]!;
  header.flags = bytes[at + 4]!;
  header.streamId = readUint31(bytes, at + 5);
  return header;
}

/** The index behind it. */
export function writeFrameHeader(
  into: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  into[at] = length >>> 16;
  into[at + 1] = length >>> 8;
  into[at + 2] = length;
  into[at + 3] = type;
  into[at + 4] = flags;
  return writeUint32(into, at + 5, streamId);
}

export function readUint31(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! & 0x7f) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 0x100_0000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
}

export function writeUint32(into: Uint8Array, at: number, value: number): number {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
  return at + 4;
}
