import type { VerificationKey } from "./read-jwks.ts";

/** `RemoteJwks`: where a set of keys is fetched, and how. Plain data: it crosses to the control thread, which fetches. */
export interface RemoteJwks {
  readonly cluster: string;
  readonly uri: string;
  readonly timeoutMs: number;
  /** How long keys count as fresh. They are fetched anew before, and kept where that fails. */
  readonly cacheMs: number; // 10 min
  readonly failedRefetchMs: number; // 1 s
  /** Within one fetch. */
  readonly retries: { readonly count: number; readonly baseMs: number; readonly maxMs: number };
}

/** Equal sources have equal keys, and are fetched once. */
export function remoteJwksKey(source: RemoteJwks): string {
  return JSON.stringify(source);
}

/** What the control thread tells a worker that has asked for a source: once at first, if it has keys, and after each fetch. */
export interface JwksNews {
  readonly key: string;
  /** Left out: they are what they were. */
  readonly keys?: readonly VerificationKey[];
  /** "told": nothing has been fetched for this. */
  readonly outcome: "fetched" | "failed" | "told";
  /** One worker alone counts a fetch. */
  readonly counts: boolean;
}

/** A worker's door to the keys that the control thread fetches. */
export interface RemoteKeys {
  /** `onNews` is called with each news until `close`, never from within. */
  subscribe(source: RemoteJwks, onNews: (news: JwksNews) => void): RemoteKeysSubscription;
}

export interface RemoteKeysSubscription {
  /** Asks for a fetch now. News follow, whether there was one or it is too early for one. */
  refresh(): void;
  close(): void;
}
