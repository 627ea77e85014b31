import { ThrowPlaces } from "@heddle/base";
import type { Counter, Log, MetricScope } from "@heddle/telemetry";

/**
 * Where everything ends that a callback of this worker has thrown and that no exchange has answered for: a socket's, a timer's,
 * a message's. It is counted always (`worker.internal_error`), and its stack is logged once for each place.
 */
export class CrashReports {
  readonly #log: Log;
  readonly #count: Counter;
  readonly #places = new ThrowPlaces();

  constructor(log: Log, metrics: MetricScope) {
    this.#log = log;
    this.#count = metrics.counter("worker.internal_error");
  }

  /** `what`: whose callback it was, for a person: "a timer". */
  report(what: string, error: unknown): void {
    this.#count.add();
    if (!this.#places.isNew(error)) return;
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log.error("an exception was contained", { in: what, stack });
  }

  /** `report` for one kind of callback. */
  of(what: string): (error: unknown) => void {
    return (error) => this.report(what, error);
  }
}
