/**
 * Sessions that servers have given us, to be resumed. As in Envoy a ticket is used once (RFC 8446 §C.4: one that is used
 * again tells an observer who is the same client); the newest is used first, and the oldest forgotten.
 */
export class SessionStore {
  readonly #most: number;
  readonly #sessions: { readonly key: string; readonly session: Buffer }[] = [];

  /** 0: none is kept. */
  constructor(most: number) {
    this.#most = most;
  }

  take(key: string): Buffer | undefined {
    const place = this.#sessions.findLastIndex((candidate) => candidate.key === key);
    return place === -1 ? undefined : this.#sessions.splice(place, 1)[0]?.session;
  }

  put(key: string, session: Buffer): void {
    this.#sessions.push({ key, session });
    if (this.#sessions.length > this.#most) this.#sessions.shift();
  }
}
