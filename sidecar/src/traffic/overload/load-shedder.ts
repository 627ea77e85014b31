import { FULL, NO_CEILING, Vital } from "./vitals.ts";

/**
 * A worker's view of the overload actions that the control thread has decided on. Asked once for each connection and request:
 * while nothing is overloaded that is one look at one cell.
 */
export class LoadShedder {
  readonly #cells: Int32Array;
  readonly #random: () => number;

  /** `random`: 0 to below 1. */
  constructor(vitals: Int32Array, random: () => number) {
    this.#cells = vitals;
    this.#random = random;
  }

  /** A new request is refused (Envoy `stop_accepting_requests`). */
  get shedsRequest(): boolean {
    return this.#cells[Vital.stopRequests] !== 0 && this.#draws(Vital.stopRequests);
  }

  /** An answer ends its connection (Envoy `disable_http_keepalive`). */
  get endsConnection(): boolean {
    return this.#cells[Vital.disableKeepalive] !== 0 && this.#draws(Vital.disableKeepalive);
  }

  /** A connection that was accepted is closed at once (Envoy `reject_incoming_connections`). */
  get rejectsConnection(): boolean {
    return this.#cells[Vital.rejectConnections] !== 0 && this.#draws(Vital.rejectConnections);
  }

  /** Connections wait in the kernel (Envoy `stop_accepting_connections`, which knows only all or nothing). */
  mayAccept(connections: number): boolean {
    return this.#cells[Vital.stopAccepting] !== FULL && connections < (this.#cells[Vital.acceptCeiling] ?? NO_CEILING);
  }

  #draws(cell: number): boolean {
    const strength = this.#cells[cell] ?? 0;
    return strength >= FULL || this.#random() * FULL < strength;
  }
}

/** Where nobody watches the load: in tests. */
export const SHEDS_NOTHING = new LoadShedder(Int32Array.from([0, 0, 0, 0, NO_CEILING]), () => 0);
