/**
 * Decodes base64url as tokens have it (RFC 7515 §2): without padding, without white space, and with no bits left over, so that no
 * two texts mean the same bytes. Undefined: it is none.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  if (!ALPHABET.test(text) || text.length % 4 === 1) return undefined;
  const bytes = Buffer.from(text, "base64url");
  const rest = text.length % 4;
  const leftOver = rest === 2 ? 0b1111 : rest === 3 ? 0b11 : 0;
  if (leftOver !== 0 && (DIGITS.indexOf(text.charAt(text.length - 1)) & leftOver) !== 0) return undefined;
  return bytes;
}

const ALPHABET = /^[A-Za-z0-9_-]*$/;
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
