import { connectivityState } from "@grpc/grpc-js";
import { Backoff, type Clock, type Timer } from "@heddle/base";
import type { XdsChannel } from "./dial.ts";

export interface PrimaryWatchOptions {
  /** Of the control planes that are preferred, the most preferred first. */
  readonly dials: readonly (() => XdsChannel)[];
  readonly clock: Clock;
  readonly random?: (() => number) | undefined;
  /** Once: the first that can be reached, with its connection, which is the caller's from then on. The watch has ended. */
  readonly onReachable: (channel: XdsChannel, index: number) => void;
}

/** As reconnecting has it, but never as often as ten times a second: something else serves meanwhile. */
const BACKOFF = { baseMs: 2000, maxMs: 10_000 };

/** How long an attempt may take, and how often it is looked at. */
const ATTEMPT_MS = 5000;
const LOOK_MS = 250;

/**
 * Looks whether a control plane that could not be reached can be reached again, while another one is used (gRFC A71). It is
 * asked nothing: a connection that is up is the sign.
 */
export class PrimaryWatch {
  readonly #options: PrimaryWatchOptions;
  readonly #backoff: Backoff;
  #channels: readonly XdsChannel[] = [];
  #timer: Timer | undefined;

  constructor(options: PrimaryWatchOptions) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.random);
    this.#wait();
  }

  close(): void {
    this.#timer?.cancel();
    for (const channel of this.#channels) channel.close();
    this.#channels = [];
  }

  #wait(): void {
    this.#timer = this.#options.clock.after(this.#backoff.nextMs(), () => this.#try(), true);
  }

  #try(): void {
    const channels: XdsChannel[] = [];
    this.#channels = channels;
    try {
      for (const dial of this.#options.dials) channels.push(dial());
    } catch {
      // Its certificates may be on their way, say.
      this.close();
      this.#wait();
      return;
    }
    this.#look(this.#options.clock.now() + ATTEMPT_MS);
  }

  #look(deadlineMs: number): void {
    const states = this.#channels.map((channel) => channel.getChannel().getConnectivityState(true));
    const index = states.indexOf(connectivityState.READY);
    if (index !== -1) {
      const [channel] = this.#channels.slice(index, index + 1);
      this.#channels = this.#channels.filter((other) => other !== channel);
      this.close();
      this.#options.onReachable(channel!, index); // it is one of them
      return;
    }
    const isOver = states.every((state) => state === connectivityState.TRANSIENT_FAILURE);
    if (isOver || this.#options.clock.now() >= deadlineMs) {
      this.close();
      this.#wait();
    } else this.#timer = this.#options.clock.after(LOOK_MS, () => this.#look(deadlineMs), true);
  }
}
