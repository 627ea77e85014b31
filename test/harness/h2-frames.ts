import { Flag, FrameType, readFrameHeader } from "@heddle/http/testing";

/*
 * HTTP/2 as bytes, good and bad: nothing here checks what it writes. Nothing of the codec's own writing is used but the
 * numbers of RFC 9113, so that a mistake in it cannot hide itself.
 */

/** RFC 9113 §3.4. */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** Name and value in turn: names may repeat, and be nonsense. */
export type Fields = readonly (readonly [name: string, value: string])[];

const HEADER_BYTES = 9;

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array | string = ""): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;
  const bytes = Buffer.alloc(HEADER_BYTES + body.length);
  bytes.writeUIntBE(body.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId >>> 0, 5);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

/** The frames at the beginning of the bytes, and what is left behind them. */
export function splitFrames(bytes: Buffer): { readonly frames: Frame[]; readonly rest: Buffer } {
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length - at >= HEADER_BYTES) {
    const { length, type, flags, streamId } = readFrameHeader(bytes, at);
    const end = at + HEADER_BYTES + length;
    if (end > bytes.length) break;
    frames.push({ type, flags, streamId, payload: bytes.subarray(at + HEADER_BYTES, end) });
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}

export function settings(...values: readonly (readonly [setting: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(values.length * 6);
  for (const [i, [setting, value]] of values.entries()) {
    payload.writeUInt16BE(setting, i * 6);
    payload.writeUInt32BE(value >>> 0, i * 6 + 2);
  }
  return frame(FrameType.Settings, 0, 0, payload);
}

export const settingsAck = (): Buffer => frame(FrameType.Settings, Flag.Ack, 0);

export const ping = (opaque: Uint8Array | string, flags = 0): Buffer => frame(FrameType.Ping, flags, 0, opaque);

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export const windowUpdate = (streamId: number, increment: number): Buffer =>
  frame(FrameType.WindowUpdate, 0, streamId, uint32(increment));

export const rstStream = (streamId: number, code: number): Buffer =>
  frame(FrameType.RstStream, 0, streamId, uint32(code));

export const goAway = (lastStreamId: number, code: number, debug = ""): Buffer =>
  frame(FrameType.GoAway, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(code), Buffer.from(debug, "latin1")]));

export const priority = (streamId: number, dependsOn: number, weight = 16): Buffer =>
  frame(FrameType.Priority, 0, streamId, Buffer.concat([uint32(dependsOn), Buffer.of(weight - 1)]));

export const data = (streamId: number, bytes: Uint8Array | string, endStream = false): Buffer =>
  frame(FrameType.Data, endStream ? Flag.EndStream : 0, streamId, bytes);

export const continuation = (streamId: number, fragment: Uint8Array | string, endHeaders = true): Buffer =>
  frame(FrameType.Continuation, endHeaders ? Flag.EndHeaders : 0, streamId, fragment);

export interface HeadersWish {
  /** Default: true. */
  readonly endStream?: boolean;
  /** Default: true. */
  readonly endHeaders?: boolean;
}

/** A HEADERS frame of fields, or of a fragment of a block. */
export function headers(
  streamId: number,
  content: Fields | Uint8Array,
  { endStream = true, endHeaders = true }: HeadersWish = {},
): Buffer {
  const flags = (endStream ? Flag.EndStream : 0) | (endHeaders ? Flag.EndHeaders : 0);
  const fragment = content instanceof Uint8Array ? content : block(content);
  return frame(FrameType.Headers, flags, streamId, fragment);
}

/** The fields of a request for the path. */
export function request(path = "/", more: Fields = [], method = "GET"): Fields {
  return [[":method", method], [":scheme", "http"], [":path", path], [":authority", "a"], ...more];
}

/** Every field a literal that is not indexed, without Huffman (RFC 7541 §6.2.2): blocks do not depend on each other. */
export function block(fields: Fields): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), string(name), string(value)]));
}

/** A string without Huffman (RFC 7541 §5.2). */
export function string(text: string): Buffer {
  return Buffer.concat([integer(text.length, 7), Buffer.from(text, "latin1")]);
}

/** An integer whose first byte has so many bits for it, and these others (RFC 7541 §5.1). */
export function integer(value: number, bits: number, others = 0): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.of(others | value);
  const bytes = [others | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}
