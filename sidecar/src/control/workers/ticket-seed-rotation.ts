import type { Clock, Timer } from "@heddle/base";
import { newTicketSeed, renewTicketSeed } from "../../traffic/tls/ticket-seed.ts";

/** A client whose ticket is older makes one full handshake. */
const RENEW_EVERY_MS = 3_600_000;

/** Owns the bytes that keys of session tickets are derived from, and renews them until it is stopped. */
export class TicketSeedRotation {
  readonly memory: SharedArrayBuffer = newTicketSeed();
  readonly #clock: Clock;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  start(): void {
    this.#timer = this.#clock.after(RENEW_EVERY_MS, () => {
      renewTicketSeed(this.memory);
      this.start();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
