import type { Random } from "./balance/picker.ts";
import type { Http2Keepalive } from "./http2-options.ts";

/**
 * When an HTTP/2 connection shall send a PING, and when it is given up for want of an answer (Envoy
 * `connection_keepalive`, http2/codec_impl.cc). It is told what happens and owns no timer: whoever has one looks at
 * `nextMs`, and calls `look` when that has passed. All times are the monotonic clock's.
 *
 *     resting ─(interval, or a request after long idleness)─> asking ─(pong)─> resting
 *                                                                └─(timeout without a byte from the peer)─> dead
 */
export class PingKeepalive {
  readonly #settings: Http2Keepalive;
  readonly #random: Random;
  #asking = false;
  #nextMs = Infinity;
  #heardMs: number;

  constructor(settings: Http2Keepalive, random: Random, now: number) {
    this.#settings = settings;
    this.#random = random;
    this.#heardMs = now;
    this.#rest(now);
  }

  /** When `look` has something to say at the earliest; it may move to later meanwhile. */
  get nextMs(): number {
    return this.#nextMs;
  }

  /** Bytes came. Who waits behind a large answer is alive, so this puts the timeout off. */
  heard(now: number): void {
    this.#heardMs = now;
  }

  /** A PING has been answered. */
  pong(now: number): void {
    if (this.#asking) this.#rest(now);
  }

  /** ping: send one now. dead: the peer is gone. */
  look(now: number): "nothing" | "ping" | "dead" {
    if (this.#asking) this.#nextMs = Math.max(this.#nextMs, this.#heardMs + this.#settings.timeoutMs);
    if (this.#nextMs > now) return "nothing";
    if (this.#asking) return "dead";
    this.#ask(now);
    return "ping";
  }

  /** Whether a PING has to go ahead of a request that starts now, since long nothing came (`connection_idle_interval`). */
  pingsBeforeRequest(now: number): boolean {
    const { connectionIdleIntervalMs } = this.#settings;
    if (connectionIdleIntervalMs === 0 || this.#asking || now - this.#heardMs < connectionIdleIntervalMs) return false;
    this.#ask(now);
    return true;
  }

  #ask(now: number): void {
    this.#asking = true;
    this.#nextMs = now + this.#settings.timeoutMs;
  }

  #rest(now: number): void {
    const { intervalMs, intervalJitterPercent } = this.#settings;
    this.#asking = false;
    if (intervalMs === 0) {
      this.#nextMs = Infinity;
      return;
    }
    const spreadMs = Math.floor((intervalMs * intervalJitterPercent) / 100);
    this.#nextMs = now + intervalMs + (spreadMs === 0 ? 0 : this.#random() % spreadMs);
  }
}
