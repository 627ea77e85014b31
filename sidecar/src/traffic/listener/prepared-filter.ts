import type { Counter } from "@heddle/telemetry";
import type { NetworkFilter, Prepared } from "../network/network-filter.ts";

/** What a chain's filter has begun for a connection that it may not get. */
export class PreparedFilter implements Prepared {
  readonly #filter: NetworkFilter;
  readonly #made: Prepared;
  readonly #unused: Counter;

  constructor(filter: NetworkFilter, made: Prepared, unused: Counter) {
    this.#filter = filter;
    this.#made = made;
    this.#unused = unused;
  }

  /** The connection is that filter's: what was begun, if it is the same one. Undefined: nobody's. */
  takenBy(filter: NetworkFilter | undefined): Prepared | undefined {
    if (filter === this.#filter) return this.#made;
    this.cancel();
    return undefined;
  }

  cancel(): void {
    this.#unused.add();
    this.#made.cancel();
  }
}
