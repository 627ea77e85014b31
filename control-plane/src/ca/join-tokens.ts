import { type Clock, err, isJsonObject, ok, type Result, type Timer } from "@heddle/base";
import { formatSpiffeId, parseSpiffeId, type SpiffeId } from "@heddle/identity";
import type { Log } from "@heddle/telemetry";
import type { Store, StoredEntry } from "../store/store.ts";
import { hashJoinToken, makeJoinToken } from "./join-token.ts";

export interface JoinTokensOptions {
  /** Of the authority. */
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** Tokens that were made elsewhere, by hash: those of a file. */
  readonly listed?: () => ReadonlyMap<string, ListedToken>;
}

/** A token of a file. */
export interface ListedToken {
  readonly spiffeId: SpiffeId;
  readonly expiresAtMs: number;
}

/** Why a token is not taken. The caller learns the code alone: what is known of tokens is nobody's business. */
export interface TokenRefusal {
  readonly code: "UNAUTHENTICATED" | "UNAVAILABLE";
  /** For the audit. */
  readonly reason: "malformed" | "unknown" | "expired" | "used" | "store";
}

export const DEFAULT_JOIN_TOKEN_TTL_S = 3600;
export const MAX_JOIN_TOKEN_TTL_S = 7 * 86_400;
/** Tokens that have not been swept. */
export const MAX_JOIN_TOKENS = 10_000;

/**
 * So long after its first use a token is taken once more with the key of that use: whoever has that key has lost the answer.
 * Who stole the token has another key. See docs/decisions on join tokens.
 */
export const REPEAT_WINDOW_MS = 10 * 60_000;

/** A used or expired token is remembered so long past its end: a wall clock that was set back does not make it good again. */
const KEEP_MS = 3_600_000;
const SWEEP_MS = 600_000;
const PREFIX = "join/";

/**
 * Join tokens in the authority's store, each bound to one SPIFFE ID, and used once: the use is written with the revision that
 * was read, so that of many uses at a time, at however many replicas, one is first.
 */
export class JoinTokens {
  readonly #options: JoinTokensOptions;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: JoinTokensOptions) {
    this.#options = options;
    this.#sweepLater();
  }

  /** Makes a token. `ttlS` is at least 1 and at most MAX_JOIN_TOKEN_TTL_S. The error is for people. */
  async create(
    spiffeId: SpiffeId,
    ttlS: number,
    createdBy: string,
  ): Promise<Result<{ readonly token: string; readonly expiresAtMs: number }, string>> {
    const { store, clock } = this.#options;
    if (this.#count() >= MAX_JOIN_TOKENS) await this.sweep();
    if (this.#count() >= MAX_JOIN_TOKENS) return err(`there are ${MAX_JOIN_TOKENS} join tokens already`);
    const token = makeJoinToken();
    const now = clock.wallNow();
    const kept: KeptToken = { spiffeId, createdAtMs: now, expiresAtMs: now + ttlS * 1000, createdBy, use: undefined };
    const outcome = await store.commit([
      { key: PREFIX + hashJoinToken(token)!, value: encode(kept), expectedRevision: 0 }, // it is one of ours
    ]);
    if (outcome.type === "committed") return ok({ token, expiresAtMs: kept.expiresAtMs });
    return err(outcome.type === "conflict" ? "the store has changed meanwhile" : outcome.message);
  }

  /**
   * Whose a token is, if it could be used with that key now. Uses nothing. `keyHash`: of the public key, any text; undefined:
   * whether it could be used with any.
   */
  look(token: string, keyHash: string | undefined): Result<SpiffeId, TokenRefusal> {
    const found = this.#find(token, keyHash);
    return found.ok ? ok(found.value.kept.spiffeId) : found;
  }

  /** Uses a token up, for that key. Resolves with whose it is once the use is durable. */
  async use(token: string, keyHash: string): Promise<Result<SpiffeId, TokenRefusal>> {
    const { store, clock } = this.#options;
    const found = this.#find(token, keyHash);
    if (!found.ok) return found;
    const { key, revision, kept } = found.value;
    if (kept.use !== undefined) return ok(kept.spiffeId); // a repetition: it stands there already
    const used: KeptToken = { ...kept, use: { keyHash, atMs: clock.wallNow() } };
    const outcome = await store.commit([{ key, value: encode(used), expectedRevision: revision }]);
    if (outcome.type === "committed") return ok(kept.spiffeId);
    if (outcome.type !== "conflict") return err({ code: "UNAVAILABLE", reason: "store" });
    // Somebody was first. Where it was the same client at another replica, and this one has heard of it, all is well.
    const again = this.#find(token, keyHash);
    if (!again.ok) return again;
    return again.value.kept.use === undefined ? err({ code: "UNAVAILABLE", reason: "store" }) : ok(kept.spiffeId);
  }

  /** Forgets what has long been of no use. */
  async sweep(): Promise<void> {
    const { store, clock, log, listed } = this.#options;
    const now = clock.wallNow();
    const tokens = listed?.();
    // One that stands in the file yet may have been given a later end there; it stays used.
    const old = this.#entries().filter(
      ({ key, value }) => (decode(value)?.expiresAtMs ?? 0) + KEEP_MS < now && !tokens?.has(key.slice(PREFIX.length)),
    );
    if (old.length === 0) return;
    // Where another replica was faster, the rest waits for the next time.
    const outcome = await store.commit(
      old.slice(0, MAX_SWEPT).map(({ key, revision }) => ({ key, value: undefined, expectedRevision: revision })),
    );
    if (outcome.type === "committed") log.debug("join tokens that had ended are forgotten", { tokens: old.length });
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #find(token: string, keyHash: string | undefined): Result<FoundToken, TokenRefusal> {
    const { store, clock, listed } = this.#options;
    const hash = hashJoinToken(token);
    if (hash === undefined) return err({ code: "UNAUTHENTICATED", reason: "malformed" });
    if (store.entries === undefined) return err({ code: "UNAVAILABLE", reason: "store" });
    const key = PREFIX + hash;
    const entry = store.entries.get(key);
    const kept = entry === undefined ? listedAsKept(listed?.().get(hash)) : decode(entry.value);
    if (kept === undefined) return err({ code: "UNAUTHENTICATED", reason: "unknown" });
    const now = clock.wallNow();
    if (kept.use !== undefined) {
      const { keyHash: first, atMs } = kept.use;
      return (keyHash ?? first) === first && now < atMs + REPEAT_WINDOW_MS
        ? ok({ key, revision: entry?.revision ?? 0, kept })
        : err({ code: "UNAUTHENTICATED", reason: "used" });
    }
    if (now >= kept.expiresAtMs) return err({ code: "UNAUTHENTICATED", reason: "expired" });
    return ok({ key, revision: entry?.revision ?? 0, kept });
  }

  #entries(): readonly StoredEntry[] {
    return [...(this.#options.store.entries?.values() ?? [])].filter(({ key }) => key.startsWith(PREFIX));
  }

  #count(): number {
    return this.#entries().length;
  }

  #sweepLater(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.after(SWEEP_MS, () => void this.sweep().then(() => this.#sweepLater()), true);
  }
}

const MAX_SWEPT = 5000;

interface KeptToken {
  readonly spiffeId: SpiffeId;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly createdBy: string;
  readonly use: { readonly keyHash: string; readonly atMs: number } | undefined;
}

interface FoundToken {
  readonly key: string;
  /** 0: it is not in the store yet, being one of a file. */
  readonly revision: number;
  readonly kept: KeptToken;
}

function listedAsKept(token: ListedToken | undefined): KeptToken | undefined {
  return token && { ...token, createdAtMs: 0, createdBy: "file", use: undefined };
}

const FORMAT = 1;

function encode({ spiffeId, ...rest }: KeptToken): Uint8Array {
  return Buffer.from(JSON.stringify({ format: FORMAT, spiffeId: formatSpiffeId(spiffeId), ...rest }));
}

/** Undefined for what is none of ours: then nobody is let in by it. */
function decode(bytes: Uint8Array): KeptToken | undefined {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
  if (!isJsonObject(json)) return undefined;
  const { format, spiffeId, createdAtMs, expiresAtMs, createdBy, use } = json;
  const id = parseSpiffeId(typeof spiffeId === "string" ? spiffeId : "");
  if (format !== FORMAT || !id.ok || typeof expiresAtMs !== "number") return undefined;
  const kept = {
    spiffeId: id.value,
    createdAtMs: typeof createdAtMs === "number" ? createdAtMs : 0,
    expiresAtMs,
    createdBy: typeof createdBy === "string" ? createdBy : "",
  };
  if (use === undefined) return { ...kept, use: undefined };
  if (!isJsonObject(use)) return undefined;
  const { keyHash, atMs } = use;
  return typeof keyHash === "string" && typeof atMs === "number" ? { ...kept, use: { keyHash, atMs } } : undefined;
}
