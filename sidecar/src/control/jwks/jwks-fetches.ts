import { backoffMs, type Clock, type Inspectable, type Json, type Result, type Timer } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { readJwks, type VerificationKey } from "../../traffic/filter/jwt/read-jwks.ts";
import { type JwksNews, type RemoteJwks, remoteJwksKey } from "../../traffic/filter/jwt/remote-jwks.ts";
import type { JwksQuestion } from "../../traffic/worker/worker-remote-keys.ts";

export interface JwksFetchesOptions {
  readonly clock: Clock;
  /** 0 to below 1. */
  readonly random: () => number;
  readonly log: Log;
  /** One request, within the source's timeout; the error says what went wrong, without what came. Does not reject. */
  readonly fetch: (source: RemoteJwks) => Promise<Result<string, string>>;
  readonly tell: (worker: number, news: JwksNews) => void;
}

/** Keys are fetched anew before they are old (as Envoy's asynchronous fetch). */
const BEFORE_EXPIRY_MS = 5000;
const MAX_REFETCH_MS = 60_000;
/** Tokens with keys that nobody knows cost the issuer at most one fetch in that time, however many come. */
const MIN_BETWEEN_MS = 5000;

/**
 * Fetches sets of keys for all workers: each source once, in the background, for as long as a worker wants it. Keys that have come
 * stay until others come; a fetch that fails takes nothing away.
 */
export class JwksFetches implements Inspectable {
  readonly name = "jwks";
  readonly #options: JwksFetchesOptions;
  readonly #sources = new Map<string, Source>();

  constructor(options: JwksFetchesOptions) {
    this.#options = options;
  }

  asked(worker: number, question: JwksQuestion): void {
    switch (question.ask) {
      case "want":
        this.#want(worker, question.source);
        break;
      case "unwant":
        this.#unwant(worker, question.key);
        break;
      case "refresh":
        this.#sources.get(question.key)?.refresh(worker);
        break;
      default:
        throw new Error(`unknown question ${JSON.stringify(question satisfies never)}`);
    }
  }

  /** It has died, or ended. */
  workerGone(worker: number): void {
    for (const key of this.#sources.keys()) this.#unwant(worker, key);
  }

  close(): void {
    for (const source of this.#sources.values()) source.close();
    this.#sources.clear();
  }

  inspect(): Json {
    return [...this.#sources.values()].map((source) => source.inspect());
  }

  #want(worker: number, source: RemoteJwks): void {
    const key = remoteJwksKey(source);
    let known = this.#sources.get(key);
    if (known === undefined) {
      known = new Source(source, key, this.#options);
      this.#sources.set(key, known);
    }
    known.add(worker);
  }

  #unwant(worker: number, key: string): void {
    const source = this.#sources.get(key);
    if (source?.remove(worker) !== true) return;
    source.close();
    this.#sources.delete(key);
  }
}

/** One source, and the workers that want it. */
class Source {
  readonly #source: RemoteJwks;
  readonly #key: string;
  readonly #options: JwksFetchesOptions;
  readonly #workers = new Set<number>();
  #keys: readonly VerificationKey[] | undefined = undefined;
  /** Why the last fetch has failed; "" where it has not. */
  #error = "";
  #failures = 0;
  #underWay = false;
  #startedMs = Number.NEGATIVE_INFINITY;
  #next: Timer | undefined = undefined;
  #closed = false;

  constructor(source: RemoteJwks, key: string, options: JwksFetchesOptions) {
    this.#source = source;
    this.#key = key;
    this.#options = options;
  }

  add(worker: number): void {
    this.#workers.add(worker);
    if (this.#keys !== undefined) this.#tell(worker, { keys: this.#keys, outcome: "told", counts: false });
    else if (this.#next === undefined) this.#fetch();
  }

  /** True: nobody wants it any more. */
  remove(worker: number): boolean {
    return this.#workers.delete(worker) && this.#workers.size === 0;
  }

  /** News follow in any case, or whoever asks would wait for ever. */
  refresh(worker: number): void {
    if (this.#underWay) return;
    const { clock } = this.#options;
    // Without any keys nobody is let in, so that is as urgent as the configuration says.
    const pauseMs = this.#keys === undefined ? this.#source.failedRefetchMs : MIN_BETWEEN_MS;
    if (clock.now() - this.#startedMs >= pauseMs) this.#fetch();
    else this.#tell(worker, { outcome: "told", counts: false });
  }

  close(): void {
    this.#closed = true;
    this.#next?.cancel();
  }

  inspect(): Json {
    const { uri, cluster } = this.#source;
    const keys = this.#keys?.map(({ id }) => id) ?? null;
    return { uri: withoutSecrets(uri), cluster, keys, failures: this.#failures, error: this.#error };
  }

  #fetch(): void {
    if (this.#underWay || this.#closed) return;
    this.#underWay = true;
    this.#startedMs = this.#options.clock.now();
    this.#next?.cancel();
    this.#try(0);
  }

  #try(attempt: number): void {
    const { fetch, clock, random, log } = this.#options;
    const { retries } = this.#source;
    void fetch(this.#source).then((text) => {
      if (this.#closed) return;
      const read = text.ok ? readJwks(text.value, "fetched") : text;
      if (read.ok) this.#succeeded(read.value);
      else if (attempt < retries.count)
        this.#next = clock.after(backoffMs(attempt, retries, random), () => this.#try(attempt + 1), true);
      else {
        this.#failed(read.error);
        log.warn("the keys of tokens cannot be fetched; those from before stay", {
          uri: withoutSecrets(this.#source.uri),
          reason: read.error,
        });
      }
    });
  }

  #succeeded(keys: readonly VerificationKey[]): void {
    const changed = this.#keys === undefined || JSON.stringify(keys) !== JSON.stringify(this.#keys);
    this.#keys = keys;
    this.#error = "";
    this.#failures = 0;
    this.#settle(Math.max(this.#source.cacheMs - BEFORE_EXPIRY_MS, this.#source.cacheMs / 2));
    this.#tellAll({ ...(changed && { keys }), outcome: "fetched" });
  }

  #failed(reason: string): void {
    this.#error = reason;
    const baseMs = this.#source.failedRefetchMs;
    const delayMs = Math.min(baseMs * 2 ** Math.min(this.#failures, 16), Math.max(baseMs, MAX_REFETCH_MS));
    this.#failures++;
    // Never at once, and not all sidecars in the same moment.
    this.#settle(delayMs * (0.5 + 0.5 * this.#options.random()));
    this.#tellAll({ outcome: "failed" });
  }

  #settle(nextMs: number): void {
    this.#underWay = false;
    this.#next = this.#options.clock.after(nextMs, () => this.#fetch(), true);
  }

  #tellAll(news: Pick<JwksNews, "keys" | "outcome">): void {
    let counts = true;
    for (const worker of this.#workers) {
      this.#tell(worker, { ...news, counts });
      counts = false;
    }
  }

  #tell(worker: number, news: Omit<JwksNews, "key">): void {
    this.#options.tell(worker, { key: this.#key, ...news });
  }
}

/** A user or a query in a URI may be a secret. */
function withoutSecrets(uri: string): string {
  const { protocol, host, pathname } = new URL(uri);
  return `${protocol}//${host}${pathname}`;
}
