import type { DownstreamInfo } from "@heddle/filter";

/**
 * Looks at a connection's first bytes before a filter chain is chosen. There is one for each listener, for all its
 * connections; filters are asked in their order, each when the one before it has decided.
 */
export interface ListenerFilter {
  /** `bytes` are all that have come and that no filter before it has consumed. Asked again with more when it wants more. */
  inspect(bytes: Uint8Array, info: DownstreamInfo): Inspection;
}

export type Inspection =
  | { readonly type: "more" }
  /** So many bytes are taken away; the rest is for who comes next. `info`: what is known of the client from now on. */
  | { readonly type: "done"; readonly consumed: number; readonly info: DownstreamInfo }
  | { readonly type: "refuse"; readonly reason: string };

export const MORE: Inspection = { type: "more" };
