import type { Connection } from "@heddle/net";

/**
 * The pools of the other workers, as a pool sees them: a worker that has no idle connection to an endpoint takes one that
 * another worker has idle, instead of making one. Undefined in the environment where there is one worker, or where connections
 * cannot move.
 */
export interface PoolSharing {
  /** Makes a pool known. Pools of the same key in all workers give each other connections. */
  join(key: string, giver: ConnectionGiver): PoolShare;
}

/** One pool's part in the sharing. */
export interface PoolShare {
  /** An idle connection came to the pool (1) or left it (-1). */
  countIdle(change: 1 | -1): void;
  /**
   * Asks another worker for an idle connection. False: none has one that nobody else of this pool asks for, or
   * the pool asks so often that connections of its own are cheaper. Otherwise
   * the taker hears of it, never from within.
   */
  ask(taker: ConnectionTaker): boolean;
  /** The pool gives nothing any more. It may still ask, and count. */
  leave(): void;
}

/** A pool that is asked. */
export interface ConnectionGiver {
  /**
   * Lets go of its coldest idle connection. `release` gives the descriptor that stands for it, or -1 if it cannot move. Undefined:
   * there is none to give.
   */
  give(release: (connection: Connection) => number): GivenConnection | undefined;
}

export interface GivenConnection {
  readonly descriptor: number;
  readonly past: ConnectionPast;
  /** The other worker counts the connection from now on, or it is closed: give back what is counted here. Once. */
  readonly settle: () => void;
}

/** A pool that asks. */
export interface ConnectionTaker {
  onOffer(offer: OfferedConnection): void;
  /** Nothing comes; or nothing came soon enough, and the other worker keeps what it has. */
  onNothing(): void;
}

/** Another worker's connection. Whoever it is offered to adopts it before returning, even if only to close it. */
export interface OfferedConnection {
  readonly past: ConnectionPast;
  /** The other worker gives back its count after this call. Undefined: the connection is lost. */
  adopt(highWatermarkBytes: number): Connection | undefined;
}

/** What a connection's next owner must know. Plain data: clocks of two threads differ, so times are spans. */
export interface ConnectionPast {
  /** Requests that it has carried. */
  readonly requests: number;
  readonly ageMs: number;
  /** How long it may still stand idle; Infinity is without end. */
  readonly idleLeftMs: number;
  /** What the upstream announced of how long it keeps it (`Keep-Alive: timeout=N`). */
  readonly announcedIdleMs: number | undefined;
  /** Whether the circuit breaker's count of connections has it. */
  readonly counted: boolean;
}
