import type { DownstreamInfo } from "@heddle/filter";

/**
 * A network filter that stands before the one that serves: it says of each connection whether it may pass. There is one for
 * each place in a filter chain, made when the chain's configuration changes.
 *
 * A gate is asked when the connection comes to the chain, its TLS handshake done and nothing of it read. Envoy asks with the
 * first byte, and may have dialled the upstream by then; what the rules look at is the same at both moments.
 */
export interface NetworkGate {
  admit(visit: GateVisit): GateVerdict;
  /**
   * Whether a connection would be admitted of which that is known. Nothing is counted and nobody is asked. Left out: it cannot
   * be said beforehand, and nothing is begun for a connection before it was admitted.
   */
  foresees?(info: DownstreamInfo): boolean;
  /**
   * Bytes of an admitted connection have come, and nobody behind this gate has seen them. Undefined: they may pass. Left out:
   * `admit` has decided for good, and the connection's bytes do not come by here.
   */
  onData?(visit: GateVisit): GateDenial | undefined;
  /** The chain is gone, and so is its last connection. */
  close?(): void;
}

/** Of `wait`: the gate calls `visit.decide` later, or is told by `cancel` that the connection is gone. One of them, once. */
export type GateVerdict = "allow" | GateDenial | { readonly type: "wait"; cancel(): void };

/** The connection is closed, without a byte of an answer. */
export interface GateDenial {
  readonly type: "deny";
  /** `%CONNECTION_TERMINATION_DETAILS%`: who denied, and by which rule. */
  readonly details: string;
  /** Bits of `ResponseFlag`. */
  readonly responseFlags?: number;
  /** How long the connection stays open, unread, before it is closed. Left out: not at all. */
  readonly delayMs?: number;
}

/** One connection before the gates of its chain. */
export interface GateVisit {
  /** With what listener filters and the gates before this one have left in `metadata`. */
  readonly info: DownstreamInfo;
  /** Dynamic metadata of the connection: for the gates behind, what serves, and logs. Keys that are there stay. */
  setMetadata(namespace: string, values: Readonly<Record<string, unknown>>): void;
  /** What a gate that has asked to wait has decided. Never from within `admit`. */
  decide(verdict: "allow" | GateDenial): void;
}
