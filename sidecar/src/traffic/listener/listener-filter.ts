import type { DownstreamInfo } from "@heddle/filter";
import type { Connection } from "@heddle/net";

/**
 * Looks at a connection before a filter chain is chosen. There is one for each listener, for all its connections; filters
 * are asked in their order, each when the one before it has decided.
 */
export type ListenerFilter = SocketFilter | BytesFilter;

/** Needs no byte of the client, so a server behind it may speak first. */
export interface SocketFilter {
  /** What is known of the connection from now on. */
  look(connection: Connection, info: DownstreamInfo): DownstreamInfo;
}

/** Waits for the client's first bytes. */
export interface BytesFilter {
  /** `bytes` are all that have come and that no filter before it has consumed. Asked again with more when it wants more. */
  inspect(bytes: Uint8Array, info: DownstreamInfo): Inspection;
  /** Before it has decided nobody knows who the client is and where it wants to go: nothing may be begun for it, whoever else speaks. */
  readonly tellsWho?: true;
}

export type Inspection =
  | { readonly type: "more" }
  /** So many bytes are taken away; the rest is for who comes next. `info`: what is known of the client from now on. */
  | { readonly type: "done"; readonly consumed: number; readonly info: DownstreamInfo }
  | { readonly type: "refuse"; readonly reason: string };

export const MORE: Inspection = { type: "more" };

/** A filter in its listener's list. */
export interface AppliedFilter {
  readonly filter: ListenerFilter;
  /** `filter_disabled`: the filter passes over such connections. Undefined: over none. */
  readonly isDisabled: ((info: DownstreamInfo) => boolean) | undefined;
}
