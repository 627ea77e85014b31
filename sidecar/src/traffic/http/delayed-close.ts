/**
 * Once a codec has ended its connection the client has a moment to read what was sent, and to close itself
 * (RFC 9112 §9.6; Envoy `delayed_close_timeout`). One that reads slowly gets more time as long as it reads.
 */
export class DelayedClose {
  /** When to look again; Infinity as long as the connection goes on. */
  atMs = Infinity;
  readonly #timeoutMs: number;
  #queuedBytes = Infinity;

  /** 0: nothing is waited for but what has to be sent. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  get begun(): boolean {
    return this.atMs !== Infinity;
  }

  begin(now: number): void {
    this.atMs = now + this.#timeoutMs;
  }

  /** Whether it is over. `queuedBytes` wait to be sent. */
  isOver(now: number, queuedBytes: number): boolean {
    if (this.atMs > now) return false;
    if (queuedBytes === 0 || queuedBytes >= this.#queuedBytes) return true;
    this.#queuedBytes = queuedBytes;
    this.atMs = now + Math.max(this.#timeoutMs, MIN_FLUSH_MS);
    return false;
  }
}

/** Between two looks at whether a client reads what is left for it. */
const MIN_FLUSH_MS = 1000;
