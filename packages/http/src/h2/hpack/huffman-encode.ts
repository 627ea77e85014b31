import { CODE_LENGTHS, CODES } from "./huffman-code.ts";

/** Bytes that `text`, of latin1 characters, takes when coded. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += CODE_LENGTHS[text.charCodeAt(i) & 0xff]!; // 256 of them and more
  return (bits + 7) >> 3;
}

/** Codes `text`, of latin1 characters, into `into` at `at`, and returns the index behind it. */
export function encodeHuffman(text: string, into: Uint8Array, at: number): number {
  let pending = 0;
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 0xff;
    const length = CODE_LENGTHS[symbol]!;
    const code = CODES[symbol]!;
    // At most 7 bits wait, and a code has up to 30: more than the 32 that numbers can be shifted in. So it goes in two parts.
    if (length > 16) {
      pending = (pending << (length - 16)) | (code >>> 16);
      bits += length - 16;
      while (bits >= 8) into[at++] = pending >>> (bits -= 8);
      pending &= (1 << bits) - 1;
      pending = (pending << 16) | (code & 0xffff);
      bits += 16;
    } else {
      pending = (pending << length) | code;
      bits += length;
    }
    while (bits >= 8) into[at++] = pending >>> (bits -= 8);
    pending &= (1 << bits) - 1;
  }
  // The rest is padded with the first bits of EOS, which are ones (RFC 7541 §5.2).
  if (bits > 0) into[at++] = (pending << (8 - bits)) | (0xff >> bits);
  return at;
}
