import type { Clock, Timer } from "@heddle/base";
import { FULL, NO_CEILING, newVitals, Vital } from "../../traffic/overload/vitals.ts";
import { acceptCeiling, type DescriptorUse } from "../overload/accept-ceiling.ts";
import type { WorkerSlot } from "./worker-slot.ts";
import type { WorkerThread } from "./worker-thread.ts";

export interface AcceptPausesOptions {
  readonly clock: Clock;
  readonly slots: readonly WorkerSlot[];
  readonly descriptors: () => Omit<DescriptorUse, "connections">;
  /** Downstream connections of all workers. */
  readonly connections: () => number;
  /** A worker that had paused is to get its targets again. */
  readonly onMayAccept: (thread: WorkerThread) => void;
}

/** Between two looks at how many descriptors are left. */
const DESCRIPTORS_EVERY_MS = 500;

/** Tells the workers at how many connections accepting pauses, by the descriptors that are left, and lets those that paused go on. */
export class AcceptPauses {
  readonly #options: AcceptPausesOptions;
  #ceiling = NO_CEILING;
  #timer: Timer | undefined;

  constructor(options: AcceptPausesOptions) {
    this.#options = options;
  }

  /** Undefined: none. */
  get ceiling(): number | undefined {
    return this.#ceiling === NO_CEILING ? undefined : this.#ceiling;
  }

  /** For a worker that begins now. */
  newVitals(): ReturnType<typeof newVitals> {
    return newVitals(this.#ceiling);
  }

  /** `more`: descriptors that are soon to be used. */
  start(more: number): void {
    this.#look(more);
  }

  close(): void {
    this.#timer?.cancel();
  }

  #look(more = 0): void {
    const { descriptors, clock, slots } = this.#options;
    const { limit, used } = descriptors();
    const connections = this.#options.connections();
    this.#ceiling = acceptCeiling({ limit, used: used === undefined ? undefined : used + more, connections });
    for (const slot of slots) {
      slot.watch?.set(Vital.acceptCeiling, this.#ceiling);
      if (slot.paused && connections < this.#ceiling) this.#acceptAgain(slot);
    }
    this.#timer = clock.after(DESCRIPTORS_EVERY_MS, () => this.#look(), true);
  }

  #acceptAgain(slot: WorkerSlot): void {
    if (slot.thread === undefined || slot.watch?.get(Vital.stopAccepting) === FULL) return;
    slot.paused = false;
    this.#options.onMayAccept(slot.thread);
  }
}
