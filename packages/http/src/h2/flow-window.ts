/** RFC 9113 §6.9.1. */
export const MAX_WINDOW = 0x7fff_ffff;
/** Of a connection, and of streams until SETTINGS say otherwise (RFC 9113 §6.9.2). */
export const DEFAULT_WINDOW = 65_535;

/** How many bytes of DATA the peer still takes from us, of a stream or of the connection. */
export class SendWindow {
  #available: number;

  constructor(initial: number) {
    this.#available = initial;
  }

  /** Bytes; below zero after the peer has made its initial window smaller (RFC 9113 §6.9.2). */
  get available(): number {
    return this.#available;
  }

  consume(bytes: number): void {
    this.#available -= bytes;
  }

  /** A WINDOW_UPDATE, or the difference of a changed initial window. False: above 2^31 - 1 (RFC 9113 §6.9.1). */
  grow(bytes: number): boolean {
    this.#available += bytes;
    return this.#available <= MAX_WINDOW;
  }
}

/**
 * How many bytes of DATA the peer may still send, of a stream or of the connection. What has been used is given back in
 * batches: when it is half of the window.
 */
export class ReceiveWindow {
  readonly #size: number;
  #available: number;
  #used = 0;

  constructor(size: number) {
    this.#size = size;
    this.#available = size;
  }

  /** False: the peer has sent more than it may (RFC 9113 §6.9). */
  consume(bytes: number): boolean {
    this.#available -= bytes;
    return this.#available >= 0;
  }

  /** These bytes have been dealt with. What a WINDOW_UPDATE shall announce now, in bytes; 0: none yet. */
  release(bytes: number): number {
    this.#used += bytes;
    if (this.#used * 2 < this.#size) return 0;
    const increment = this.#used;
    this.#used = 0;
    this.#available += increment;
    return increment;
  }
}
