import { type Clock, type TimerWheel, WheelTimer } from "@heddle/base";
import type { Http2Keepalive, Random } from "@heddle/traffic";

/** The connection that is kept alive. */
export interface KeepaliveOwner {
  sendPing(): void;
  /** The peer is silent: nothing has come for as long as the answer may take. The owner ends the connection. */
  onKeepaliveTimeout(): void;
}

/** What a keepalive needs from outside. */
export interface KeepaliveEnv {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
}

/**
 * PINGs of one HTTP/2 connection, as Envoy sends them (`connection_keepalive`): the next one an interval after the answer
 * to the last, one at a time.
 *
 *     resting ─> pinged ─> resting          resting: until the interval has passed, or an exchange begins after a pause
 *        └──────────┴────> stopped          pinged: until the answer, or the timeout
 *
 * Whatever the peer sends while a PING is out shows that it is there, so the timeout begins anew with it: an answer may
 * stand behind much data.
 */
export class KeepalivePings extends WheelTimer {
  readonly #settings: Http2Keepalive;
  readonly #env: KeepaliveEnv;
  readonly #owner: KeepaliveOwner;
  #state: "resting" | "pinged" | "stopped" = "resting";
  #heardMs: number;

  constructor(settings: Http2Keepalive, env: KeepaliveEnv, owner: KeepaliveOwner) {
    super();
    this.#settings = settings;
    this.#env = env;
    this.#owner = owner;
    this.#heardMs = env.clock.now();
    this.#rest();
  }

  /** Bytes have come. */
  heard(): void {
    this.#heardMs = this.#env.clock.now();
  }

  /** The answer to a PING has come. */
  pong(): void {
    if (this.#state === "pinged") this.#rest();
  }

  /** An exchange is about to begin: after a long silence it is asked first whether anybody is there. */
  exchangeBegins(): void {
    const { connectionIdleIntervalMs } = this.#settings;
    if (connectionIdleIntervalMs === 0 || this.#state !== "resting") return;
    if (this.#env.clock.now() - this.#heardMs > connectionIdleIntervalMs) this.#ping();
  }

  stop(): void {
    this.#state = "stopped";
    this.#env.wheel.cancel(this);
  }

  override onTimeout(): void {
    switch (this.#state) {
      case "resting":
        this.#ping();
        return;
      case "pinged": {
        const leftMs = this.#heardMs + this.#settings.timeoutMs - this.#env.clock.now();
        if (leftMs > 0) {
          this.#env.wheel.start(this, leftMs);
          return;
        }
        this.#state = "stopped";
        this.#owner.onKeepaliveTimeout();
        return;
      }
      case "stopped":
        return;
      default:
        throw new Error(`unknown state ${JSON.stringify(this.#state satisfies never)}`);
    }
  }

  #rest(): void {
    this.#state = "resting";
    const { intervalMs, intervalJitterPercent } = this.#settings;
    if (intervalMs === 0) {
      this.#env.wheel.cancel(this);
      return;
    }
    const spread = intervalJitterPercent === 0 ? 0 : (this.#env.random() % SPREAD_STEPS) / SPREAD_STEPS;
    this.#env.wheel.start(this, intervalMs * (1 + (intervalJitterPercent / 100) * spread));
  }

  #ping(): void {
    this.#state = "pinged";
    this.#heardMs = this.#env.clock.now(); // the timeout begins now
    this.#env.wheel.start(this, this.#settings.timeoutMs);
    this.#owner.sendPing();
  }
}

const SPREAD_STEPS = 10_000;
