const PLAIN = 0;
const CR = 0x0d;
const LF = 0x0a;

/** 0 for what may stand inside a line: tab, space, visible ASCII, obs-text (RFC 9110 §5.5). */
const CLASS = new Uint8Array(256).fill(1, 0, 0x20);
CLASS[0x09] = PLAIN;
CLASS[0x7f] = 1;

/** `scan` needs more bytes. */
export const MORE = -1;
/** `scan` met a byte that no head has. */
export const BAD_BYTE = -2;

/**
 * Finds the end of a head, the empty line, however the bytes are cut into reads, and refuses at the first of: a control
 * character other than tab, CR without LF, LF without CR. What lies between head and end is thereby lines that end in
 * CRLF, and nothing behind may mistake another byte for the end of a line (RFC 9112 §2.2).
 */
export class HeadScanner {
  /** Bytes of CRLFCRLF that have just been seen. */
  #matched = 0;

  /** Before a head (no byte seen) or, for trailers, at the start of a line, where an empty line ends the section. */
  reset(atLineStart: boolean): void {
    this.#matched = atLineStart ? 2 : 0;
  }

  /** Reads `bytes` from `at` to `end`. The index behind the empty line, or MORE, or BAD_BYTE. */
  scan(bytes: Uint8Array, at: number, end: number): number {
    let matched = this.#matched;
    let i = at;
    while (i < end) {
      if (matched === 0 || matched === 2) {
        const lineStart = matched === 2 && bytes[i] === CR;
        while (i < end && CLASS[bytes[i]!] === PLAIN) i++;
        if (i === end) {
          matched = 0;
          break;
        }
        if (bytes[i] !== CR) return BAD_BYTE;
        matched = lineStart ? 3 : 1;
      } else {
        if (bytes[i] !== LF) return BAD_BYTE;
        if (matched === 3) return i + 1;
        matched = 2;
      }
      i++;
    }
    this.#matched = matched;
    return MORE;
  }
}

/** The index behind the CRLF that ends the line at `at`; -1 if it is not there, or not the next control character. */
export function endOfLine(bytes: Uint8Array, at: number): number {
  let i = at;
  while (i < bytes.length && CLASS[bytes[i]!] === PLAIN) i++;
  return i + 1 < bytes.length && bytes[i] === CR && bytes[i + 1] === LF ? i + 2 : -1;
}
