/**
 * `grpc-message`: text as a field value (grpc/doc/PROTOCOL-HTTP2.md, "Percent-Encoded"): its UTF-8 bytes, all outside
 * space to tilde and the percent sign as %XX. What is no text (a lone surrogate) becomes U+FFFD.
 */
export function encodeGrpcMessage(text: string): string {
  if (PLAIN.test(text)) return text;
  let encoded = "";
  for (const byte of Buffer.from(text)) {
    const isPlain = byte >= SPACE && byte <= TILDE && byte !== PERCENT;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** The text of a `grpc-message`. Never fails: a percent sign that begins no escape stands for itself, as the protocol asks. */
export function decodeGrpcMessage(value: string): string {
  if (!value.includes("%")) return value;
  const bytes = Buffer.allocUnsafe(value.length);
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digits = value.slice(i + 1, i + 3);
    if (value.charCodeAt(i) === PERCENT && ESCAPE.test(digits)) {
      bytes[length++] = Number.parseInt(digits, 16);
      i += 2;
    } else bytes[length++] = value.charCodeAt(i); // field values are latin1
  }
  return bytes.toString("utf8", 0, length);
}

const PLAIN = /^[ -$&-~]*$/;
const ESCAPE = /^[0-9A-Fa-f]{2}$/;
const SPACE = 0x20;
const TILDE = 0x7e;
const PERCENT = 0x25;
