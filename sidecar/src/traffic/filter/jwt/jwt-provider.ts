import { asBytes, compileStringMatcher, type StringMatcher } from "@heddle/traffic";
import { comparableAudience, type JwtProviderConfig } from "./jwt-config.ts";
import { JwtStatus } from "./jwt-status.ts";
import { KeySet } from "./key-set.ts";
import type { Jwt } from "./parse-jwt.ts";
import type { JwksNews, RemoteKeys, RemoteKeysSubscription } from "./remote-jwks.ts";
import { TokenCache } from "./token-cache.ts";

/** Told how the verification of a token ended; never from within. */
export type OnVerified = (status: JwtStatus) => void;

export interface JwtProviderEnv {
  /** Left out: nothing is fetched here, and providers of remote keys have none. */
  readonly remoteKeys: RemoteKeys | undefined;
  /** A fetch has ended; it is told to one worker. */
  readonly onFetched: (good: boolean) => void;
  readonly onThrow: (error: unknown) => void;
}

/**
 * A provider at work: its keys, and the tokens that they have verified. Tokens are verified once, however many requests bring them
 * at the same time, and are forgotten when the keys change.
 */
export class JwtProvider {
  readonly config: JwtProviderConfig;
  readonly #env: JwtProviderEnv;
  readonly #subjects: StringMatcher | undefined;
  readonly #cache: TokenCache;
  #keys: KeySet | undefined;
  readonly #subscription: RemoteKeysSubscription | undefined;
  /** By the token's text. */
  readonly #underWay = new Map<string, Set<OnVerified>>();
  /** For the next news of the keys, by their texts. */
  #waiting = new Map<string, Jwt>();

  constructor(config: JwtProviderConfig, env: JwtProviderEnv) {
    const { keys, subjects } = config;
    this.config = config;
    this.#env = env;
    this.#subjects = subjects && compileStringMatcher(subjects);
    this.#cache = new TokenCache(config.cache);
    if (keys.from === "local") this.#keys = new KeySet(keys.keys ?? []);
    else this.#subscription = env.remoteKeys?.subscribe(keys.source, (news) => this.#heard(news));
  }

  /** A token that has been verified before. */
  known(text: string): Jwt | undefined {
    return this.#cache.get(text);
  }

  /** What the token says of itself: for whom, from whom, and when it counts. In Envoy's order. Undefined: nothing is wrong. */
  checkClaims(jwt: Jwt, audiences: ReadonlySet<string>, nowSeconds: number): JwtStatus | undefined {
    const { issuer, clockSkewSeconds: skew, maxLifetimeSeconds } = this.config;
    const { notBefore, expires } = jwt;
    if (issuer !== "" && issuer !== jwt.issuer) return JwtStatus.unknownIssuer;
    if (notBefore !== undefined && nowSeconds + skew < notBefore) return JwtStatus.notYetValid;
    if (expires !== undefined && nowSeconds > expires + skew) {
      this.#cache.delete(jwt.text);
      return JwtStatus.expired;
    }
    if (audiences.size > 0 && !jwt.audiences.some((one) => audiences.has(comparableAudience(one))))
      return JwtStatus.audienceNotAllowed;
    if (this.#subjects !== undefined && !this.#subjects.test(asBytes(jwt.subject))) return JwtStatus.verificationFails;
    if (maxLifetimeSeconds !== undefined && (expires === undefined || expires - nowSeconds >= maxLifetimeSeconds))
      return JwtStatus.verificationFails;
    return undefined;
  }

  /** Verifies the signature. `onVerified` is called once, unless it is cancelled before. */
  verify(jwt: Jwt, onVerified: OnVerified): { cancel(): void } {
    let same = this.#underWay.get(jwt.text);
    if (same === undefined) {
      same = new Set();
      this.#underWay.set(jwt.text, same);
      this.#begin(jwt);
    }
    const callbacks = same;
    callbacks.add(onVerified);
    return {
      cancel: () => {
        callbacks.delete(onVerified);
        // A token that nobody waits for is not kept until the keys have come: clients that leave could pile them up.
        if (callbacks.size === 0 && this.#underWay.get(jwt.text) === callbacks && this.#waiting.delete(jwt.text))
          this.#underWay.delete(jwt.text);
      },
    };
  }

  /** How many tokens wait for keys. */
  get waiting(): number {
    return this.#waiting.size;
  }

  close(): void {
    this.#subscription?.close();
  }

  #begin(jwt: Jwt): void {
    const keys = this.#keys;
    // Keys that are still to come, or one that has been made since they were fetched.
    const lacksKey = keys === undefined || keys.candidates(jwt).length === 0;
    if (!lacksKey || this.#subscription === undefined) {
      this.#tryKeys(jwt);
      return;
    }
    this.#waiting.set(jwt.text, jwt);
    this.#subscription.refresh();
  }

  #heard({ keys, outcome, counts }: JwksNews): void {
    if (keys !== undefined) {
      this.#keys = new KeySet(keys);
      this.#cache.clear(); // what the old keys have verified counts no more
    }
    if (counts && outcome !== "told") this.#env.onFetched(outcome === "fetched");
    const waiting = this.#waiting;
    this.#waiting = new Map();
    for (const jwt of waiting.values()) this.#tryKeys(jwt);
  }

  #tryKeys(jwt: Jwt): void {
    const keys = this.#keys;
    if (keys === undefined) {
      const { from } = this.config.keys;
      queueMicrotask(() => this.#settle(jwt, from === "remote" ? JwtStatus.fetchFailed : JwtStatus.noValidKeys, keys));
      return;
    }
    if (keys.size === 0) {
      queueMicrotask(() => this.#settle(jwt, JwtStatus.noValidKeys, keys));
      return;
    }
    keys
      .verify(jwt)
      .then((status) => this.#settle(jwt, status, keys))
      .catch(this.#env.onThrow);
  }

  #settle(jwt: Jwt, status: JwtStatus, keys: KeySet | undefined): void {
    if (status === JwtStatus.ok && keys === this.#keys) this.#cache.put(jwt);
    const callbacks = this.#underWay.get(jwt.text);
    this.#underWay.delete(jwt.text);
    for (const onVerified of callbacks ?? []) onVerified(status);
  }
}
