import type { Clock, Live } from "@heddle/base";
import type { Random } from "@heddle/traffic";
import type { DrainOptions, ServingState } from "./serving-state.ts";

/** Of the listener whose connections are asked about. */
export interface DrainSubject {
  /** Envoy `Listener.drain_type`: MODIFY_ONLY drains only when the listener changes or goes, not for a failed health check. */
  readonly drainType: "DEFAULT" | "MODIFY_ONLY";
  readonly trafficDirection: "UNSPECIFIED" | "INBOUND" | "OUTBOUND";
}

/**
 * Whether an answer is the last that its connection carries since something drains: the process's health check fails, it
 * drains its listeners, or the listener is gone (Envoy's drain manager, `drainClose`). One for each chain.
 */
export class DrainDecision {
  /** Nobody has to ask while this is false, which is nearly always. */
  active = false;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #options: DrainOptions;
  readonly #serving: Live<ServingState>;
  readonly #subject: DrainSubject;
  readonly #unwatch: () => void;
  /** Since when the listener is gone, by the wall clock; Infinity while it serves. */
  #goneSinceWallMs = Infinity;

  constructor(clock: Clock, random: Random, options: DrainOptions, serving: Live<ServingState>, subject: DrainSubject) {
    this.#clock = clock;
    this.#random = random;
    this.#options = options;
    this.#serving = serving;
    this.#subject = subject;
    this.#unwatch = serving.watch(() => this.#look());
    this.#look();
  }

  /** The listener is gone. */
  begin(): void {
    this.#goneSinceWallMs = Math.min(this.#goneSinceWallMs, this.#clock.wallNow());
    this.#look();
  }

  /** Asked once for each answer. */
  closes(): boolean {
    if (!this.active) return false;
    if (this.#isUnhealthy()) return true;
    const { strategy, timeMs } = this.#options;
    if (strategy === "immediate" || timeMs === 0) return true;
    const elapsedMs = this.#clock.wallNow() - this.#drainingSinceWallMs();
    return elapsedMs >= timeMs || elapsedMs > this.#random() % timeMs;
  }

  /** Nobody asks any more. */
  close(): void {
    this.#unwatch();
  }

  #look(): void {
    this.active = this.#isUnhealthy() || this.#drainingSinceWallMs() !== Infinity;
  }

  #isUnhealthy(): boolean {
    return this.#serving.current.healthCheckFailed && this.#subject.drainType === "DEFAULT";
  }

  #drainingSinceWallMs(): number {
    const { draining } = this.#serving.current;
    const isMeant = draining !== undefined && (!draining.inboundOnly || this.#subject.trafficDirection === "INBOUND");
    return isMeant ? Math.min(draining.sinceWallMs, this.#goneSinceWallMs) : this.#goneSinceWallMs;
  }
}
