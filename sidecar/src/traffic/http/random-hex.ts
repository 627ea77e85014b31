import { randomFillSync } from "node:crypto";

/**
 * Random identifiers in hex. The system is asked for 4 KiB at a time, which become one string; an identifier is a slice of
 * it.
 */
export class RandomHex {
  readonly #bytes = Buffer.alloc(POOL_BYTES);
  readonly #fill: (buffer: Buffer) => void;
  #digits = "";
  #used = 0;

  /** `fill` is given in tests. */
  constructor(fill: (buffer: Buffer) => void = randomFillSync) {
    this.#fill = fill;
  }

  /** Hex digits of that many bytes (at most 4096), never all zero. */
  take(bytes: number): string {
    const end = this.#used + 2 * bytes;
    if (end > this.#digits.length) {
      this.#fill(this.#bytes);
      this.#digits = this.#bytes.toString("hex");
      this.#used = 0;
      return this.take(bytes);
    }
    const hex = this.#digits.slice(this.#used, end);
    this.#used = end;
    return hex.charCodeAt(0) === ZERO && ONLY_ZEROS.test(hex) ? this.take(bytes) : hex;
  }

  /** A version 4 UUID (RFC 9562 §5.4). */
  uuid(): string {
    const hex = this.take(16);
    const variant = VARIANT[Number.parseInt(hex[16]!, 16) & 3]!; // two bits, four letters
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
  }
}

const POOL_BYTES = 4096;
const VARIANT = "89ab";
const ZERO = 0x30;
const ONLY_ZEROS = /^0+$/;
