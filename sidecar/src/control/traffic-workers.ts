import type { Inspectable, Json } from "@heddle/base";
import type { ConfigLaneUpdate } from "@heddle/config";
import type { LogLevel } from "@heddle/telemetry";
import type { Address, Demand } from "@heddle/traffic";
import type { JwksNews } from "../traffic/filter/jwt/remote-jwks.ts";
import type { InspectedPart } from "../traffic/worker/worker-messages.ts";

/** What one worker says of itself. A worker that takes another's place has a number of its own. */
export interface InspectedWorker {
  readonly worker: number;
  readonly value: Json;
}

/** The traffic workers as the control thread's other parts see them. */
export interface TrafficWorkers extends Inspectable {
  /** Resolves when all of them run; what was handed over meanwhile is theirs by then. Rejects if one cannot start. */
  start(): Promise<void>;
  /** Hands one step of the configuration to every worker. */
  apply(update: ConfigLaneUpdate): void;
  /** The generation that every running worker serves. */
  readonly acknowledged: number;
  /** Running now. */
  readonly running: number;
  /** Died and were replaced since the start. */
  readonly restarts: number;
  /** Of all workers: connections, waiting requests, requests, retries of a cluster. */
  breakerCounts?(clusterName: string): readonly number[];
  /** Where the listeners really listen. */
  readonly listeners: readonly { readonly name: string; readonly address: Address }[];
  /** What the living workers show of themselves, by their number; null of one that does not answer within `withinMs`. */
  inspectWorkers(withinMs: number, about?: InspectedPart): Promise<readonly InspectedWorker[]>;
  /** `/healthcheck/fail` and `/healthcheck/ok`: while it fails, answers close their connections. */
  setHealthCheckFailed(failed: boolean): void;
  /** What was said last. `/ready` and health checks fail meanwhile. */
  readonly healthCheckFailed: boolean;
  /**
   * `/drain_listeners`: stops accepting, on all listeners or the inbound ones; connections go on. `graceful`: for the
   * drain time answers close their connections, and accepting stops behind it, unless `skipExit`. A graceful drain
   * that runs is not begun again. Listeners that come later are stopped as well.
   */
  drainListeners(how: { readonly inboundOnly: boolean; readonly graceful: boolean; readonly skipExit: boolean }): void;
  /** What was asked for has come or does not exist: true with the configuration of that generation. */
  answerDemands(demands: readonly Demand[], generation: number): void;
  /** Tells a worker of keys that it wants. Left out: none ever asks. */
  tellJwks?(worker: number, news: JwksNews): void;
  /** Opens the files of access logs anew: somebody has moved them away. */
  reopenLogs(): void;
  /** What the workers write to the program's log from now on. */
  setLogLevel(level: LogLevel): void;
  /**
   * Stops accepting, lets requests go on for at most `drainMs`, then ends the workers and closes the sockets. Called again
   * it shortens the time.
   */
  stop(drainMs: number): Promise<void>;
}
