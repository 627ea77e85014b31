import type { MessagePort } from "node:worker_threads";
import type { Json } from "@heddle/base";
import type { PackedUpdate } from "@heddle/config/lanes";
import type { ListenTarget } from "@heddle/net";
import type { LogFlush, LogLevel, MetricsMessage } from "@heddle/telemetry";
import type { Demand } from "@heddle/traffic";
import type { JwksNews } from "../filter/jwt/remote-jwks.ts";
import type { TracingStart } from "../http/tracing/tracing-env.ts";
import type { DrainOptions, ServingState } from "../listener/serving-state.ts";
import type { SpanBatch } from "./span-sender.ts";
import type { JwksQuestion } from "./worker-remote-keys.ts";

/* What the control thread and a traffic worker say to each other. Everything is plain data or shared memory. */

/** Where a name's cells lie: in that block of all that have come so far, from that cell on. */
export interface CellPlace {
  readonly key: string;
  readonly block: number;
  readonly offset: number;
  readonly count: number;
}

/** A block of Int32 cells that all workers share, and one of the same size for this worker's part alone. */
export interface CellBlock {
  readonly sum: SharedArrayBuffer;
  readonly own: SharedArrayBuffer;
}

/**
 * New cells, before the configuration that names them. There may be thousands at once, and a worker that got an object for each would
 * spend a millisecond on the message alone.
 */
export interface CellTable {
  readonly blocks: readonly CellBlock[];
  /** Each is read in one go. */
  readonly lists: readonly CellList[];
}

export interface CellList {
  /** A JSON list. */
  readonly keys: string;
  /** Of each key three numbers: as in `CellPlace`. */
  readonly places: Int32Array;
}

/** What a traffic worker is told once, before anything else (`workerStart`). */
export interface WorkerStart {
  /** Rises with every worker that is started; a replaced worker has another number. */
  readonly worker: number;
  readonly logLevel: LogLevel;
  readonly logFormat: "json" | "text";
  /** Of the process; where the program's log goes. Standard error where left out. */
  readonly logDescriptor?: number;
  /** Of connections whose listener or filter chain is gone, and of `/drain_listeners?graceful`. */
  readonly drain: DrainOptions;
  /** As it is now; changes come as messages. */
  readonly serving: ServingState;
  /** From which relative paths of filters are taken. */
  readonly filterFolder: string;
  readonly accessLogFlush: LogFlush;
  /** Of all workers together. */
  readonly maxDownstreamConnections: number;
  /** By listener (`envoy.resource_limits.listener.<name>.connection_limit`), of all workers together. */
  readonly listenerLimits: Readonly<Record<string, number>>;
  /** See vitals.ts; this worker's own. */
  readonly vitals: SharedArrayBuffer;
  readonly cells: CellTable;
  /** See ticket-seed.ts; of all workers. */
  readonly ticketSeed: SharedArrayBuffer;
  readonly tracing: TracingStart;
  /** Left out where there is one worker. `board`: see `IdleBoard`; `answerWithinMs`: see `PeerLinkEnv`. */
  readonly sharing?: { readonly slot: number; readonly board: SharedArrayBuffer; readonly answerWithinMs: number };
}

export type ToWorker =
  | { readonly type: "config"; readonly update: PackedUpdate; readonly cells: CellTable }
  /** Accept there, once a listener has that place. The worker owns the target from now on. */
  | { readonly type: "listen"; readonly key: string; readonly target: ListenTarget }
  /** Nobody wants that place any more: let go of a target that no listener has taken. */
  | { readonly type: "unlisten"; readonly key: string }
  /** There is another worker, in that slot, and the port leads to it. */
  | { readonly type: "peer"; readonly slot: number; readonly port: MessagePort }
  | { readonly type: "serving"; readonly state: ServingState }
  | { readonly type: "log-level"; readonly level: LogLevel }
  /** Accept no more on the listeners, or on the inbound ones; connections go on. */
  | { readonly type: "stop-listeners"; readonly inboundOnly: boolean }
  /** What it asked for has come, or does not exist: true with the configuration of that generation. */
  | { readonly type: "demand-answered"; readonly demand: Demand; readonly generation: number }
  /** Of a set of keys that it wants. */
  | { readonly type: "jwks"; readonly news: JwksNews }
  /** So many spans have been taken. */
  | { readonly type: "spans-taken"; readonly count: number }
  /** Accept no more, let what runs end, answer "drained" at the latest at the deadline. */
  | { readonly type: "drain"; readonly deadlineMs: number }
  /** Files of access logs have been moved away: open them anew. */
  | { readonly type: "reopen-logs" }
  /** End now. */
  | { readonly type: "stop" }
  /** Note that it came, and how late: the watchdog asks. `sentWallMs` is by the wall's clock, which threads share. */
  | { readonly type: "ping"; readonly id: number; readonly sentWallMs: number }
  /** Accept nothing until targets come again. */
  | { readonly type: "pause-accepting" }
  | { readonly type: "inspect"; readonly id: number; readonly about: InspectedPart };

export type FromWorker =
  /** Runs and listens to messages. */
  | { readonly type: "started"; readonly rewrap: boolean }
  /** That generation serves. `refused` names what could not be built; there the previous one goes on. */
  | { readonly type: "applied"; readonly generation: number; readonly refused: readonly RefusedKey[] }
  | { readonly type: "metrics"; readonly message: MetricsMessage }
  | { readonly type: "spans"; readonly batches: readonly SpanBatch[] }
  /** Accepting has ended there. `exhausted`: out of descriptors; a new target after a while is welcome. */
  | { readonly type: "accept-stopped"; readonly key: string; readonly reason: string; readonly exhausted: boolean }
  /** A request needs it. */
  | { readonly type: "demand"; readonly demand: Demand }
  | { readonly type: "jwks"; readonly question: JwksQuestion }
  | { readonly type: "drained" }
  /** Connections wait in the kernel, since the process has as many as it may; targets are welcome when it has fewer. */
  | { readonly type: "accept-paused" }
  /** A filter's number in `Vital.running`. */
  | { readonly type: "code-named"; readonly id: number; readonly name: string }
  /** `more`: it is a list, and the rest of it comes later. */
  | { readonly type: "inspected"; readonly id: number; readonly value: Json; readonly more: boolean };

/**
 * "inside": listeners, clusters and pools, for those who look. "endpoints": what endpoints have carried (a list of `EndpointRow`).
 * "load", "load-by-endpoint": what load reports add up (`WorkerLoad`).
 */
export type InspectedPart = "inside" | "endpoints" | "load" | "load-by-endpoint";

export interface RefusedKey {
  readonly key: string;
  readonly reason: string;
}

/** The cell that counts the downstream connections of the process. */
export const CONNECTIONS_KEY = "downstream-connections";

/** The cell that counts those of one listener. */
export function listenerConnectionsKey(listener: string): string {
  return `downstream-connections/${listener}`;
}
