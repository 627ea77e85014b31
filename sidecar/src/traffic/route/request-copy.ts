import { ByteHold } from "@heddle/filter";

/** Below this a request that may turn out to be unsent costs one copy, which is less than losing it. */
const UNSENT_LIMIT_BYTES = 64 * 1024;

/**
 * The part of a request's body that the router holds: what waits for a connection, and what has been sent but may have to
 * be sent again.
 */
export class RequestCopy {
  readonly #limitBytes: number;
  #bytes: ByteHold | undefined = undefined;
  /** All that has come so far is here, so the request can be sent from its beginning. */
  intact = true;

  /** `keep`: a retry or a replay may need what has been sent. */
  constructor(keep: boolean, limitBytes: number) {
    this.#limitBytes = keep ? limitBytes : Math.min(limitBytes, UNSENT_LIMIT_BYTES);
  }

  get length(): number {
    return this.#bytes?.length ?? 0;
  }

  get isOverLimit(): boolean {
    return this.length > this.#limitBytes;
  }

  view(): Uint8Array {
    return this.#bytes?.view() ?? NOTHING;
  }

  /** Takes a chunk that cannot be sent yet; whoever calls this stops the source, so it is bounded by one read. */
  hold(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#bytes ??= new ByteHold();
    this.#bytes.append(chunk);
  }

  /** Takes a chunk that is being sent. Above the limit everything is let go. */
  keep(chunk: Uint8Array): void {
    if (!this.intact) return;
    if (this.length + chunk.length > this.#limitBytes) this.drop();
    else this.hold(chunk);
  }

  /** Nothing will be sent again. */
  drop(): void {
    if (this.length > 0) this.#bytes = undefined;
    this.intact = false;
  }
}

const NOTHING = new Uint8Array(0);
