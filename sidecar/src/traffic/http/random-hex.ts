import { randomFillSync } from "node:crypto";

/** Random identifiers in hex. The system is asked for 4 KiB at a time, which makes one cost a slice of a buffer. */
export class RandomHex {
  readonly #pool = Buffer.alloc(4096);
  readonly #fill: (buffer: Buffer) => void;
  #used: number;

  /** `fill` is given in tests. */
  constructor(fill: (buffer: Buffer) => void = randomFillSync) {
    this.#fill = fill;
    this.#used = this.#pool.length;
  }

  /** Hex digits of that many bytes (at most 4096), never all zero. */
  take(bytes: number): string {
    if (this.#used + bytes > this.#pool.length) {
      this.#fill(this.#pool);
      this.#used = 0;
    }
    const hex = this.#pool.toString("hex", this.#used, this.#used + bytes);
    this.#used += bytes;
    return isZero(hex) ? this.take(bytes) : hex;
  }

  /** A version 4 UUID (RFC 9562 §5.4). */
  uuid(): string {
    const hex = this.take(16);
    const variant = VARIANT[Number.parseInt(hex[16]!, 16) & 3]!; // two bits, four letters
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
  }
}

const VARIANT = "89ab";

function isZero(hex: string): boolean {
  return hex.charCodeAt(0) === 0x30 && /^0+$/.test(hex);
}
