import type { OverloadActionName } from "@heddle/traffic";

/*
 * What the control thread and one worker tell each other through shared memory, without a message:
 *
 *   to the worker     how strong each overload action is, and how many connections the process may have before accepting pauses
 *   from the worker   that it lives, how late it looked, how full its heap is, and whose code it runs right now
 *
 * All are Int32 cells: a store that another thread sees costs the hot path as much as one to an array of its own.
 */

/** Cells of one worker. */
export const Vital = {
  // Strengths, in thousandths.
  stopRequests: 0,
  disableKeepalive: 1,
  rejectConnections: 2,
  stopAccepting: 3,
  /** Downstream connections of the process at which accepting pauses. */
  acceptCeiling: 4,
  /** The last question of the watchdog that was answered. */
  answered: 5,
  /** How late the worker was to answer it, in ms. */
  delayMs: 6,
  /** Thousandths of the heap's limit. */
  heapUsed: 7,
  /** The filter (or other code) that runs, as `place * PHASES + phase`; 0: our own. */
  running: 8,
} as const;

const VITAL_CELLS = 16;

/** A strength that means always. */
export const FULL = 1000;

/** No ceiling. */
export const NO_CEILING = 0x7fff_ffff;

export const ACTION_CELL: Readonly<Record<OverloadActionName, number>> = {
  "envoy.overload_actions.stop_accepting_requests": Vital.stopRequests,
  "envoy.overload_actions.disable_http_keepalive": Vital.disableKeepalive,
  "envoy.overload_actions.reject_incoming_connections": Vital.rejectConnections,
  "envoy.overload_actions.stop_accepting_connections": Vital.stopAccepting,
};

export function newVitals(acceptCeiling: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(VITAL_CELLS * Int32Array.BYTES_PER_ELEMENT);
  new Int32Array(buffer)[Vital.acceptCeiling] = acceptCeiling;
  return buffer;
}
