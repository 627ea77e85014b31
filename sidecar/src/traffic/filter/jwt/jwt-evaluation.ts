import { ok, type Result } from "@heddle/base";
import type { RequestHead } from "@heddle/http";
import type { JwtRequirement, TokenLocation } from "./jwt-config.ts";
import type { JwtProvider } from "./jwt-provider.ts";
import { JwtStatus } from "./jwt-status.ts";
import { type Jwt, parseJwt } from "./parse-jwt.ts";
import { tokensAt } from "./token-locations.ts";

/** The providers of a filter, and where tokens of any of them are looked for. */
export interface JwtProviders {
  readonly byName: ReadonlyMap<string, JwtProvider>;
  /** The first with that issuer; under "" the first that takes any. */
  readonly byIssuer: ReadonlyMap<string, JwtProvider>;
  readonly locations: readonly IssuersLocation[];
}

/** A place, and who may be found there. Undefined: anybody. */
export interface IssuersLocation {
  readonly location: TokenLocation;
  readonly issuers: ReadonlySet<string> | undefined;
}

/** A token that counts. */
export interface AcceptedToken {
  readonly provider: JwtProvider;
  readonly jwt: Jwt;
  readonly location: TokenLocation;
}

/** Who waits for a token. */
export interface JwtWaiter {
  /** The evaluation is to be run again. Never called from within `run`. */
  verified(): void;
}

export interface JwtCounts {
  cacheHit(): void;
  cacheMiss(): void;
}

/**
 * Whether a request meets a requirement. `run` goes through all of it at once; where it comes to a token that has not been verified,
 * it stops, has that done, and is run again from its beginning: so a token that is known costs neither a promise nor a closure.
 */
export class JwtEvaluation {
  /** What the last run has found good, in that order. */
  readonly accepted: AcceptedToken[] = [];
  /** What it has found wrong, where the provider is known. */
  readonly failures: { readonly provider: JwtProvider; readonly status: JwtStatus }[] = [];
  readonly #providers: JwtProviders;
  readonly #request: RequestHead;
  readonly #nowSeconds: number;
  readonly #counts: JwtCounts;
  readonly #waiter: JwtWaiter;
  /** What this exchange has had looked at. A cache may have forgotten it already. */
  #looked: Map<JwtProvider, Map<string, Looked>> | undefined = undefined;
  #removed: TokenLocation[] = [];
  #waiting: { cancel(): void } | undefined = undefined;

  constructor(providers: JwtProviders, request: RequestHead, nowSeconds: number, counts: JwtCounts, waiter: JwtWaiter) {
    this.#providers = providers;
    this.#request = request;
    this.#nowSeconds = nowSeconds;
    this.#counts = counts;
    this.#waiter = waiter;
  }

  /** Undefined: a token is being verified. */
  run(requirement: JwtRequirement): JwtStatus | undefined {
    this.accepted.length = 0;
    this.failures.length = 0;
    this.#removed = [];
    return this.#check(requirement);
  }

  cancel(): void {
    this.#waiting?.cancel();
    this.#waiting = undefined;
  }

  #check(requirement: JwtRequirement): JwtStatus | undefined {
    switch (requirement.type) {
      case "provider": {
        const provider = this.#providers.byName.get(requirement.provider)!; // reading has asked for it
        return this.#checkProvider(provider, requirement.audiences ?? provider.config.audiences);
      }
      case "any":
        return this.#checkAny(requirement);
      case "all":
        for (const one of requirement.of) {
          const status = this.#check(one);
          if (status !== JwtStatus.ok) return status;
        }
        return JwtStatus.ok;
      case "optional":
        return this.#checkOptional(requirement.failed);
      case "nothing":
        return JwtStatus.ok;
      default:
        throw new Error(`unknown requirement ${JSON.stringify(requirement satisfies never)}`);
    }
  }

  /** The first that is met counts. If none is: of the reasons the last that is neither a missing token nor a foreign one. */
  #checkAny({ of, allows }: Extract<JwtRequirement, { type: "any" }>): JwtStatus | undefined {
    let worst: JwtStatus = JwtStatus.missing;
    for (const one of of) {
      const status = this.#check(one);
      if (status === undefined || status === JwtStatus.ok) return status;
      const saysMore = status !== JwtStatus.missing && status !== JwtStatus.unknownIssuer;
      if (saysMore || worst === JwtStatus.missing) worst = status;
    }
    const isAllowed = allows === "failed" || (allows === "missing" && worst === JwtStatus.missing);
    return isAllowed ? JwtStatus.ok : worst;
  }

  /** All tokens where the provider's may be have to be good: the upstream might read the bad one. The last comes first, as in Envoy. */
  #checkProvider(provider: JwtProvider, audiences: ReadonlySet<string>): JwtStatus | undefined {
    const { locations } = provider.config;
    let found = false;
    for (let i = locations.length - 1; i >= 0; i--) {
      const location = locations[i]!; // i is within the list
      const tokens = this.#tokensAt(location);
      if (tokens.length > MAX_TOKENS) return this.#failed(provider, JwtStatus.verificationFails);
      for (const token of tokens) {
        found = true;
        const status = this.#checkToken(token, location, provider, audiences);
        if (status !== JwtStatus.ok) return status;
      }
    }
    return found ? JwtStatus.ok : this.#failed(provider, JwtStatus.missing);
  }

  /** Tokens of whomever they are. */
  #checkOptional(mayFail: boolean): JwtStatus | undefined {
    const { locations, byIssuer } = this.#providers;
    for (let i = locations.length - 1; i >= 0; i--) {
      const { location, issuers } = locations[i]!; // i is within the list
      const tokens = this.#tokensAt(location);
      if (tokens.length > MAX_TOKENS) {
        if (!mayFail) return JwtStatus.verificationFails;
        continue;
      }
      for (const token of tokens) {
        const status = this.#checkForeign(token, location, issuers, byIssuer);
        if (status === undefined) return undefined;
        if (status !== JwtStatus.ok && !mayFail) return status;
      }
    }
    return JwtStatus.ok;
  }

  #checkForeign(
    token: string,
    location: TokenLocation,
    issuers: ReadonlySet<string> | undefined,
    byIssuer: ReadonlyMap<string, JwtProvider>,
  ): JwtStatus | undefined {
    const parsed = parseJwt(token);
    if (!parsed.ok) return parsed.error;
    const { issuer } = parsed.value;
    const provider = byIssuer.get(issuer) ?? byIssuer.get("");
    if (provider === undefined || issuers?.has(issuer) === false) return JwtStatus.unknownIssuer;
    return this.#checkToken(token, location, provider, provider.config.audiences);
  }

  #checkToken(
    text: string,
    location: TokenLocation,
    provider: JwtProvider,
    audiences: ReadonlySet<string>,
  ): JwtStatus | undefined {
    const looked = this.#look(text, provider);
    if (!looked.jwt.ok) return this.#failed(provider, looked.jwt.error);
    const jwt = looked.jwt.value;
    const wrong = provider.checkClaims(jwt, audiences, this.#nowSeconds);
    if (wrong !== undefined) return this.#failed(provider, wrong);
    if (looked.signature === undefined) {
      this.#waiting = provider.verify(jwt, (status) => {
        looked.signature = status;
        this.#waiter.verified();
      });
      return undefined;
    }
    if (looked.signature !== JwtStatus.ok) return this.#failed(provider, looked.signature);
    this.accepted.push({ provider, jwt, location });
    if (!provider.config.forward) this.#removed.push(location);
    return JwtStatus.ok;
  }

  #look(text: string, provider: JwtProvider): Looked {
    const before = this.#looked?.get(provider)?.get(text);
    if (before !== undefined) return before;
    const known = provider.known(text);
    if (known === undefined) this.#counts.cacheMiss();
    else this.#counts.cacheHit();
    const looked: Looked =
      known === undefined ? { jwt: parseJwt(text), signature: undefined } : { jwt: ok(known), signature: JwtStatus.ok };
    if (known !== undefined) return looked;
    this.#looked ??= new Map();
    let ofProvider = this.#looked.get(provider);
    if (ofProvider === undefined) {
      ofProvider = new Map();
      this.#looked.set(provider, ofProvider);
    }
    ofProvider.set(text, looked);
    return looked;
  }

  #failed(provider: JwtProvider, status: JwtStatus): JwtStatus {
    this.failures.push({ provider, status });
    return status;
  }

  /** What a provider has taken, the next one does not find. */
  #tokensAt(location: TokenLocation): readonly string[] {
    if (location.in !== "cookie" && this.#removed.some((one) => one.in === location.in && one.name === location.name))
      return NONE;
    return tokensAt(this.#request, location);
  }
}

interface Looked {
  readonly jwt: Result<Jwt, JwtStatus>;
  /** Undefined: it has not been verified. */
  signature: JwtStatus | undefined;
}

const NONE: readonly string[] = [];

/**
 * At one place. Each costs a signature (up to 1 ms), also where it may be wrong, and a request may have a thousand of them: 900
 * made by nobody took 3.6 s of CPU. With more none of that place is good, and none is looked at. Envoy looks at all.
 */
const MAX_TOKENS = 16;
