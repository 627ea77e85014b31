import type { Drainable } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { Connection } from "@heddle/net";
import type { FilterChainConfig } from "@heddle/traffic";

/**
 * The last network filter of a filter chain: what serves the connections that the listener gives to the chain. There is one
 * for each chain, made when the chain's configuration changes; it lives as long as a connection of the chain does.
 */
export interface NetworkFilter {
  /**
   * Takes the connection over: calls `start` before it returns, and from then on ends it. `onClosed` is to be called once,
   * when the connection is gone (its `onClose`), with what the listener's log does not know yet. What is returned lets the
   * listener drain it.
   *
   * @param prepared of this filter's `prepare`, for that connection.
   */
  serve(
    connection: Connection,
    info: DownstreamInfo,
    onClosed: (end?: ConnectionEnd) => void,
    prepared?: Prepared,
  ): ServedConnection;
  /**
   * Begins with what serving a connection will take, before it is known whether the filter gets it: its client is silent, and
   * the server may be about to speak. `onSpoken`: it has, called once at most, never from within. Undefined: there is nothing
   * to begin with. Left out where servers never speak first.
   */
  prepare?(info: DownstreamInfo, onSpoken: () => void): Prepared | undefined;
  /**
   * The chain's listener is gone: connections end as it suits them within the drain time, and not all at once. Left out
   * where a filter cannot tell its clients; then they are drained as any.
   */
  drainGradually?(): void;
  /** The chain is gone, and so is its last connection: lets timers and the like go. */
  close?(): void;
}

/** Something that was made in advance. It is used once, or cancelled. */
export interface Prepared {
  cancel(): void;
}

/** How a connection has ended, for the log of its listener. */
export interface ConnectionEnd {
  /** As the filters have left it. */
  readonly downstream: DownstreamInfo;
  /** `%CONNECTION_TERMINATION_DETAILS%`; "" where nobody of us has ended it. */
  readonly terminationDetails: string;
  /** Bits of `ResponseFlag`. */
  readonly responseFlags: number;
}

/** A connection that a network filter serves. */
export interface ServedConnection extends Drainable {
  /**
   * As `drain`, but without closing what is only idle: a client that just sends its next request would lose it. For when
   * there is time, as after an update of the listener. Left out where `drain` is as gentle. `withinMs`: how long that
   * request is waited for; the filter knows where it is left out.
   */
  drainGently?(withinMs?: number): void;
}

/**
 * Makes what serves the connections of one chain, of all its filters. `listener` is the listener's name. Called while a
 * configuration is built.
 */
export type NetworkFilterFactory = (chain: FilterChainConfig, listener: string) => NetworkFilter;
