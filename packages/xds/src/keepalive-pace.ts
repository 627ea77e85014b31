/**
 * How often a connection is asked whether anybody is still there (HTTP/2 PING). A control plane that hangs is noticed after one
 * interval and `KEEPALIVE_TIMEOUT_MS`: 20 s together.
 *
 * Servers made with grpc-go close connections that ping more often than they allow (15 s in Istio, 30 s in servers in the manner
 * of go-control-plane, 5 minutes by default), at the fourth ping after something was last said. grpc-js does not tell us the
 * reason, so connections that end just then are the sign: after two of them the interval is doubled (gRFC A8).
 */
export class KeepalivePace {
  #intervalMs = 15_500;
  #suspicions = 0;

  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** A connection ended, that many milliseconds after anything last came on it. */
  ended(quietMs: number): void {
    const pings = quietMs / this.#intervalMs;
    this.#suspicions = pings > 3.5 && pings < 4.5 ? this.#suspicions + 1 : 0;
    if (this.#suspicions < 2) return;
    this.#suspicions = 0;
    this.#intervalMs = Math.min(MAX_INTERVAL_MS, this.#intervalMs * 2);
  }
}

export const KEEPALIVE_TIMEOUT_MS = 4500;

/** Above what grpc-go allows where nobody has said anything. */
const MAX_INTERVAL_MS = 330_000;
