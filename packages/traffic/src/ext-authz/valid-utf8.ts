import { Buffer, isUtf8 } from "node:buffer";
import { isAscii } from "../match/bytes.ts";

/**
 * What a protobuf string may hold of bytes that somebody else has chosen: bytes that are no UTF-8 become "!", as in Envoy
 * (`sanitizeUtf8String`). Value and result hold bytes as latin1, as heads do.
 */
export function validUtf8(value: string): string {
  if (isAscii(value)) return value;
  const bytes = Buffer.from(value, "latin1");
  return isUtf8(bytes) ? value : replaced(bytes).toString("latin1");
}

/** The same of bytes. */
export function validUtf8Bytes(bytes: Uint8Array): Uint8Array {
  return isUtf8(bytes) ? bytes : replaced(Buffer.from(bytes));
}

/** One "!" for each byte that does not belong to a character. */
function replaced(bytes: Buffer): Buffer {
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes, at);
    if (length === 0) bytes[at++] = EXCLAMATION_MARK;
    else at += length;
  }
  return bytes;
}

/** Of the character that begins there, in bytes; 0: none does (RFC 3629 §4). */
function characterLength(bytes: Buffer, at: number): number {
  const first = bytes[at]!; // the caller stays within
  if (first < 0x80) return 1;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return isUtf8(bytes.subarray(at, at + length)) && at + length <= bytes.length ? length : 0;
}

const EXCLAMATION_MARK = 0x21;
