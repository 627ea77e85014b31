import {
  denial,
  type Exchange,
  type FilterContext,
  type HttpFilter,
  type HttpFilterFactory,
  type LocalReply,
} from "@heddle/filter";
import type { RequestHead } from "@heddle/http";
import type { Counter } from "@heddle/telemetry";
import { type ApiKeyAuthConfig, type ApiKeyAuthRouteConfig, type KeySource, keyDigest } from "./api-key-auth-type.ts";
import { cookieValues, queryValues, removeCookie, removeQueryParameter } from "./request-credentials.ts";

interface ApiKeyStats {
  readonly allowed: Counter;
  readonly unauthorized: Counter;
  readonly forbidden: Counter;
}

export function create(config: ApiKeyAuthConfig, { name, metrics }: FilterContext): HttpFilterFactory {
  const filter = new ApiKeyAuthFilter(config, name, {
    allowed: metrics.counter("api_key_auth.allowed"),
    unauthorized: metrics.counter("api_key_auth.unauthorized"),
    forbidden: metrics.counter("api_key_auth.forbidden"),
  });
  return { create: () => filter };
}

/** Keeps nothing between requests. */
class ApiKeyAuthFilter implements HttpFilter {
  readonly #config: ApiKeyAuthConfig;
  readonly #name: string;
  readonly #stats: ApiKeyStats;

  constructor(config: ApiKeyAuthConfig, name: string, stats: ApiKeyStats) {
    this.#config = config;
    this.#name = name;
    this.#stats = stats;
  }

  requestHead(exchange: Exchange): "continue" | "pause" {
    const { request } = exchange;
    const own = exchange.routeConfig(this.#name) as ApiKeyAuthRouteConfig | undefined;
    const sources = own?.sources ?? this.#config.sources;
    const clients = own?.clients ?? this.#config.clients;
    const forwarding = own?.forwarding ?? this.#config.forwarding;
    if (sources === undefined) return this.#refuse(exchange, NO_SOURCES);
    if (clients === undefined) return this.#refuse(exchange, NO_CREDENTIALS);
    const key = keyOf(request, sources);
    if (key === "") return this.#refuse(exchange, NO_KEY);
    const client = clients.get(keyDigest(key));
    if (client === undefined) return this.#refuse(exchange, UNKNOWN_KEY);
    if (own !== undefined && own.allowedClients.size > 0 && !own.allowedClients.has(client))
      return this.#refuse(exchange, NOT_ALLOWED);

    if (forwarding !== undefined) {
      if (forwarding.hideCredentials) for (const source of sources) removeKey(request, source);
      if (forwarding.header !== "") request.headers.set(forwarding.header, client);
    }
    this.#stats.allowed.add();
    return "continue";
  }

  #refuse(exchange: Exchange, reply: LocalReply): "pause" {
    (reply.status === 401 ? this.#stats.unauthorized : this.#stats.forbidden).add();
    exchange.reply(denial(exchange, reply, "api_key_auth", reply.details));
    return "pause";
  }
}

/** "" for none. Of several values in one place the first counts, as Envoy's proto says. */
function keyOf(request: RequestHead, sources: readonly KeySource[]): string {
  for (const source of sources) {
    const key = keyIn(request, source);
    if (key !== undefined && key !== "") return key;
  }
  return "";
}

function keyIn(request: RequestHead, source: KeySource): string | undefined {
  switch (source.in) {
    case "header": {
      const value = request.headers.get(source.name);
      return value?.startsWith("Bearer ") === true ? value.slice("Bearer ".length) : value;
    }
    case "query":
      return queryValues(request, source.name)[0];
    case "cookie":
      return cookieValues(request, source.name)[0];
    default:
      throw new Error(`unknown source ${source.in satisfies never as string}`);
  }
}

function removeKey(request: RequestHead, source: KeySource): void {
  if (source.in === "header") request.headers.remove(source.name);
  else if (source.in === "query") removeQueryParameter(request, source.name);
  else removeCookie(request, source.name);
}

const NO_SOURCES = refusal(401, "missing_key_sources");
const NO_CREDENTIALS = refusal(401, "missing_credentials");
const NO_KEY = refusal(401, "missing_api_key");
const UNKNOWN_KEY = refusal(401, "unknown_api_key");
const NOT_ALLOWED = refusal(403, "client_not_allowed");

function refusal(status: number, details: string): LocalReply {
  return { status, body: status === 401 ? "Client authentication failed." : "Client is forbidden.", details };
}
