/**
 * How the process means to go on serving, as the control thread has been told. Plain data: it crosses to the workers.
 * Listeners that are gone, and the end of the process, are no part of it: their connections drain on their own.
 */
export interface ServingState {
  /** `/healthcheck/fail`: answers close their connections, and health checks fail, until `/healthcheck/ok`. */
  readonly healthCheckFailed: boolean;
  /** `/drain_listeners?graceful`: since when answers close their connections. Wall time, since threads' clocks differ. */
  readonly draining: { readonly sinceWallMs: number; readonly inboundOnly: boolean } | undefined;
}

export const SERVING: ServingState = { healthCheckFailed: false, draining: undefined };

/** How connections are asked to end (Envoy's `--drain-strategy` and `--drain-time-s`). */
export interface DrainOptions {
  /** gradual: an answer closes its connection with a chance that grows from 0 to 1 over the time. immediate: each does. */
  readonly strategy: "gradual" | "immediate";
  readonly timeMs: number;
}
