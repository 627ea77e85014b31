import {
  ChainExchange,
  denial,
  type Exchange,
  type FilterContext,
  type HttpFilter,
  type HttpFilterFactory,
} from "@heddle/filter";
import { HeaderMap, type RequestHead } from "@heddle/http";
import type { Counter } from "@heddle/telemetry";
import { pathOnly, RequestToMatch, RouteMatcher } from "@heddle/traffic";
import { realmOf } from "../request-credentials.ts";
import { forwardClaims, noteFailure, ownHeaders } from "./forward-claims.ts";
import type {
  JwtAuthenticationConfig,
  JwtProviderConfig,
  JwtRequirement,
  JwtRouteConfig,
  TokenLocation,
} from "./jwt-config.ts";
import {
  type IssuersLocation,
  type JwtCounts,
  JwtEvaluation,
  type JwtProviders,
  type JwtWaiter,
} from "./jwt-evaluation.ts";
import { JwtProvider } from "./jwt-provider.ts";
import { JwtStatus } from "./jwt-status.ts";
import type { RemoteKeys } from "./remote-jwks.ts";

/** One place in a chain: its providers live as long as its configuration. */
export function makeJwtFactory(
  config: JwtAuthenticationConfig,
  context: FilterContext,
  remoteKeys: RemoteKeys | undefined,
): HttpFilterFactory {
  const shared = new JwtAuthn(config, context, remoteKeys);
  return { create: () => new JwtFilter(shared), close: () => shared.close() };
}

/** What a request has to meet, and the name of that for those who may know. */
interface Rule {
  readonly name: string;
  /** Undefined: nothing. */
  readonly requirement: JwtRequirement | undefined;
}

/** What all exchanges of a place in a chain share. */
class JwtAuthn implements JwtCounts {
  readonly config: JwtAuthenticationConfig;
  readonly name: string;
  readonly clock: FilterContext["clock"];
  readonly providers: JwtProviders;
  readonly allowed: Counter;
  readonly denied: Counter;
  readonly preflights: Counter;
  readonly #cacheHits: Counter;
  readonly #cacheMisses: Counter;
  readonly #rules: readonly (Rule & { readonly matcher: RouteMatcher })[];
  readonly #ownHeaders: readonly string[];
  /** How long a request waits for keys at most: a fetch with all its retries, and a little. */
  readonly patienceMs: number;

  constructor(
    config: JwtAuthenticationConfig,
    { name, clock, log, metrics }: FilterContext,
    remoteKeys: RemoteKeys | undefined,
  ) {
    const counter = (of: string): Counter =>
      metrics.counter(`jwt_authn.${config.statPrefix === "" ? "" : `${config.statPrefix}.`}${of}`);
    this.config = config;
    this.name = name;
    this.clock = clock;
    this.allowed = counter("allowed");
    this.denied = counter("denied");
    this.preflights = counter("cors_preflight_bypassed");
    this.#cacheHits = counter("jwt_cache_hit");
    this.#cacheMisses = counter("jwt_cache_miss");
    const fetched = counter("jwks_fetch_success");
    const failed = counter("jwks_fetch_failed");
    const env = {
      remoteKeys,
      onFetched: (good: boolean) => (good ? fetched : failed).add(),
      onThrow: (error: unknown) => log.error("a token's verification has thrown", { error: String(error) }),
    };
    this.providers = providersOf([...config.providers.values()].map((provider) => new JwtProvider(provider, env)));
    this.#rules = config.rules.map(({ match, requirement }, index) => ({
      name: `rules[${index}]`,
      requirement,
      matcher: new RouteMatcher(match),
    }));
    this.#ownHeaders = [...new Set([...config.providers.values()].flatMap(ownHeaders))];
    this.patienceMs = Math.max(0, ...[...config.providers.values()].map(({ keys }) => patienceOf(keys)));
  }

  cacheHit(): void {
    this.#cacheHits.add();
  }

  cacheMiss(): void {
    this.#cacheMisses.add();
  }

  /** What a client writes where the upstream reads claims, whether the request has to bring a token or not. */
  sanitize({ headers }: RequestHead): void {
    for (const name of this.#ownHeaders) headers.remove(name);
  }

  /** Undefined: none matches. */
  ruleOf(exchange: Exchange): Rule | undefined {
    if (this.#rules.length === 0) return undefined;
    const { request, downstream } = exchange;
    const toMatch = new RequestToMatch(request, pathOnly(request.path), downstream.tls);
    return this.#rules.find(({ matcher }) => matcher.matches(toMatch, 0));
  }

  close(): void {
    for (const provider of this.providers.byName.values()) provider.close();
  }
}

const MAX_PATIENCE_MS = 60_000;

function patienceOf(keys: JwtProviderConfig["keys"]): number {
  if (keys.from === "local") return 0;
  const { timeoutMs, retries } = keys.source;
  return Math.min(MAX_PATIENCE_MS, timeoutMs * (retries.count + 1) + retries.maxMs * retries.count + 1000);
}

class JwtFilter implements HttpFilter, JwtWaiter {
  readonly #shared: JwtAuthn;
  /** While the request waits: it, what it waits with, and how it goes on. */
  #evaluation: JwtEvaluation | undefined = undefined;
  #goOn: (() => void) | undefined = undefined;

  constructor(shared: JwtAuthn) {
    this.#shared = shared;
  }

  requestHead(exchange: Exchange): "continue" | "pause" {
    const shared = this.#shared;
    shared.sanitize(exchange.request);
    if (shared.config.bypassCorsPreflight && isCorsPreflight(exchange.request)) {
      shared.preflights.add();
      shared.allowed.add();
      return "continue";
    }
    const own = exchange.routeConfig(shared.name) as JwtRouteConfig | undefined;
    if (own === undefined) return this.#require(exchange, shared.ruleOf(exchange));
    const { requirementName } = own;
    if (requirementName === undefined) return this.#require(exchange, undefined);
    const requirement = shared.config.requirements.get(requirementName);
    if (requirement !== undefined) return this.#require(exchange, { name: requirementName, requirement });
    this.#refuseRoute(exchange, requirementName);
    return "pause";
  }

  log(): void {
    this.#evaluation?.cancel();
    this.#evaluation = undefined;
    this.#goOn = undefined;
  }

  #require(exchange: Exchange, rule: Rule | undefined): "continue" | "pause" {
    const shared = this.#shared;
    if (rule?.requirement === undefined) {
      shared.allowed.add();
      return "continue";
    }
    const { requirement } = rule;
    const nowSeconds = Math.floor(shared.clock.wallNow() / 1000);
    const evaluation = new JwtEvaluation(shared.providers, exchange.request, nowSeconds, shared, this);
    const status = evaluation.run(requirement);
    if (status !== undefined) return this.#decide(exchange, rule.name, evaluation, status) ? "continue" : "pause";
    this.#wait(exchange, { name: rule.name, requirement }, evaluation);
    return "pause";
  }

  /** A token has been verified. */
  verified(): void {
    this.#goOn?.();
  }

  #wait(exchange: Exchange, { name, requirement }: Required<Rule>, evaluation: JwtEvaluation): void {
    this.#evaluation = evaluation;
    const settle = (status: JwtStatus): void => {
      this.log();
      patience.cancel();
      if (this.#decide(exchange, name, evaluation, status)) exchange.continueRequest();
    };
    const patience = exchange.after(this.#shared.patienceMs + VERIFICATION_MS, () => settle(JwtStatus.fetchFailed));
    this.#goOn = asFilter(exchange, () => {
      const status = evaluation.run(requirement as JwtRequirement);
      if (status !== undefined) settle(status);
    });
  }

  /** True: the request goes on. */
  #decide(exchange: Exchange, rule: string, { accepted, failures }: JwtEvaluation, status: JwtStatus): boolean {
    const shared = this.#shared;
    for (const failure of failures) noteFailure(exchange, failure.provider.config, failure.status);
    forwardClaims(exchange, accepted);
    if (status === JwtStatus.ok) {
      shared.allowed.add();
      return true;
    }
    const { stripFailureResponse } = shared.config;
    const error = status === JwtStatus.missing ? "" : ', error="invalid_token"';
    const challenge = { "www-authenticate": `Bearer realm="${realmOf(exchange.request)}"${error}` };
    this.#refuse(exchange, rule, status === JwtStatus.audienceNotAllowed ? 403 : 401, status.text, {
      ...(!stripFailureResponse && { body: status.text, headers: HeaderMap.from(challenge) }),
    });
    return false;
  }

  #refuseRoute(exchange: Exchange, requirementName: string): void {
    const { config } = this.#shared;
    const known = [...config.requirements.keys()].toSorted().join(",");
    const message = `Wrong requirement_name: ${requirementName}. It should be one of [${known}]`;
    this.#refuse(exchange, requirementName, 403, message, {
      ...(!config.stripFailureResponse && { body: `Failed JWT authentication: ${message}` }),
    });
  }

  #refuse(
    exchange: Exchange,
    rule: string,
    status: number,
    message: string,
    rest: { readonly body?: string; readonly headers?: HeaderMap },
  ): void {
    this.#shared.denied.add();
    const details = `jwt_authn_access_denied{${message.replaceAll(/\s/g, "_")}}`;
    exchange.reply(denial(exchange, { status, details, ...rest }, "jwt_authn", rule));
  }
}

/** More than a signature takes on a machine that is busy. */
const VERIFICATION_MS = 10_000;

function asFilter(exchange: Exchange, callback: () => void): () => void {
  return exchange instanceof ChainExchange ? exchange.asFilter(callback) : callback;
}

/** https://fetch.spec.whatwg.org/#cors-preflight-fetch: it carries no credentials. */
function isCorsPreflight({ method, headers }: RequestHead): boolean {
  return method === "OPTIONS" && !!headers.get("origin") && !!headers.get("access-control-request-method");
}

function providersOf(all: readonly JwtProvider[]): JwtProviders {
  const byIssuer = new Map<string, JwtProvider>();
  const places = new Map<string, { readonly location: TokenLocation; readonly issuers: Set<string> }>();
  for (const provider of all) {
    const { issuer, locations } = provider.config;
    if (!byIssuer.has(issuer)) byIssuer.set(issuer, provider);
    for (const location of locations) {
      const key = JSON.stringify(location);
      const place = places.get(key) ?? { location, issuers: new Set() };
      place.issuers.add(issuer);
      places.set(key, place);
    }
  }
  return {
    byName: new Map(all.map((provider) => [provider.config.name, provider])),
    byIssuer,
    locations: [...places.values()].map(
      ({ location, issuers }): IssuersLocation => ({ location, issuers: issuers.has("") ? undefined : issuers }),
    ),
  };
}
