import type { Clock, TimerWheel } from "@heddle/base";
import type { DialCallbacks, Dialling } from "@heddle/net";
import type { Log, MetricScope } from "@heddle/telemetry";
import type { LiveRuntime, Random } from "@heddle/traffic";
import type { LiveSecrets } from "../tls/live-secrets.ts";
import type { LoadLedger } from "./load-ledger.ts";
import type { ConnectionIdentity } from "./pool/pool-key.ts";
import type { PoolSharing } from "./pool/pool-sharing.ts";

/** What the upstream side of one worker needs from outside. */
export interface UpstreamEnv {
  readonly clock: Clock;
  /** For timeouts of connections and exchanges, which are many and coarse. */
  readonly wheel: TimerWheel;
  readonly random: Random;
  /** What runtime keys say. Left out: nothing. */
  readonly runtimeValues?: LiveRuntime;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** Hears what callbacks throw that belong to no exchange. Left out in tests. */
  readonly onThrow?: (error: unknown) => void;
  /** What TLS contexts name. */
  readonly secrets: LiveSecrets;
  /** Makes a connection. */
  readonly dial: DialUpstream;
  /** Left out where there is nobody to share with, or connections cannot move. */
  readonly sharing?: PoolSharing;
  /** Hears which endpoints leave. Left out in tests. */
  readonly load?: LoadLedger;
  /** `CIRCUIT_BREAKER_CELLS` cells in memory that all workers share, the same for the same name. */
  breakerCells(clusterName: string): Int32Array;
  /** As many cells for this worker's share of those, which is taken off when it dies. Left out where nobody survives it. */
  breakerShare?(clusterName: string): Int32Array;
}

export interface UpstreamDialOptions {
  readonly connectTimeoutMs: number;
  readonly highWatermarkBytes: number;
  /** Undefined: no TCP keep-alive. */
  readonly keepAliveDelayMs: number | undefined;
}

/** Exactly one of the callbacks is called, once, and never from within; neither after `cancel`. */
export type DialUpstream = (
  identity: ConnectionIdentity,
  options: UpstreamDialOptions,
  callbacks: DialCallbacks,
) => Dialling;
