import { Buffer } from "node:buffer";

/**
 * A value of the configuration as it stands in a head: its UTF-8 bytes, one latin1 character for each. Matching and
 * rewriting compare and write bytes.
 */
export function asBytes(text: string): string {
  return isAscii(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}

export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}
