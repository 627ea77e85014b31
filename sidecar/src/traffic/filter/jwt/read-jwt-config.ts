import { err, isJsonObject, type Json, type JsonObject, ok, parseDurationMs, type Result } from "@heddle/base";
import type { ConfigIssue } from "@heddle/filter";
import { asBytes, readRouteMatch, readStringMatcher, wrongToldHeader } from "@heddle/traffic";
import { type FilterData, readFilterData } from "../filter-data.ts";
import {
  comparableAudience,
  type JwtAuthenticationConfig,
  type JwtProviderConfig,
  type JwtRequirement,
  type JwtRouteConfig,
  type TokenLocation,
} from "./jwt-config.ts";
import { readJwks } from "./read-jwks.ts";
import type { RemoteJwks } from "./remote-jwks.ts";

/** Reads `JwtAuthentication` in proto JSON. Everything that is wrong is told, with its path. */
export function readJwtAuthentication(
  json: Json,
  data: FilterData | undefined,
): Result<JwtAuthenticationConfig, readonly ConfigIssue[]> {
  const issues: ConfigIssue[] = [];
  const fields = objectOf(json);
  const providers = new Map(
    Object.entries(objectOf(fields["providers"])).map(([name, provider]) => [
      name,
      readProvider(name, objectOf(provider), data, new At(`providers[${JSON.stringify(name)}]`, issues)),
    ]),
  );
  const requirements = new Map(
    Object.entries(objectOf(fields["requirementMap"])).map(([name, requirement]) => [
      name,
      readRequirement(requirement, providers, new At(`requirementMap[${JSON.stringify(name)}]`, issues)),
    ]),
  );
  const rules = listOf(fields["rules"]).flatMap((rule, index) => {
    const at = new At(`rules[${index}]`, issues);
    const { match, requires, requirementName } = objectOf(rule);
    const read = readRouteMatch(match);
    if (!read.ok) for (const { path, message } of read.error) at.fail(path === "" ? "match" : `match.${path}`, message);
    const requirement =
      typeof requirementName === "string"
        ? named(requirementName, requirements, at)
        : requires === undefined
          ? undefined
          : readRequirement(requires, providers, at.below("requires"));
    return read.ok ? [{ match: read.value, requirement }] : [];
  });
  if (issues.length > 0) return err(issues);
  return ok({
    providers,
    requirements,
    rules,
    bypassCorsPreflight: fields["bypassCorsPreflight"] === true,
    stripFailureResponse: fields["stripFailureResponse"] === true,
    statPrefix: textOf(fields["statPrefix"]),
  });
}

/** Reads `PerRouteConfig`. Whether the name is known can be told only where the filter is. */
export function readJwtRoute(json: Json): Result<JwtRouteConfig, readonly ConfigIssue[]> {
  const { disabled, requirementName } = objectOf(json);
  if (disabled === true) return ok({ requirementName: undefined });
  if (typeof requirementName === "string" && requirementName !== "") return ok({ requirementName });
  return err([{ path: "", message: "needs one of disabled: true and requirement_name" }]);
}

/** Where something is read, and where its faults are told. */
class At {
  readonly #path: string;
  readonly #issues: ConfigIssue[];

  constructor(path: string, issues: ConfigIssue[]) {
    this.#path = path;
    this.#issues = issues;
  }

  below(path: string): At {
    return new At(`${this.#path}.${path}`, this.#issues);
  }

  fail(path: string, message: string): void {
    this.#issues.push({ path: path === "" ? this.#path : `${this.#path}.${path}`, message });
  }
}

/** Unless it says otherwise; Envoy's is 100, and only where it is asked for. */
const CACHED_TOKENS = 500;
const CACHED_TOKEN_CHARACTERS = 4096;
const MAX_CACHED_TOKENS = 100_000;
const CLOCK_SKEW_SECONDS = 60;

function readProvider(name: string, fields: JsonObject, data: FilterData | undefined, at: At): JwtProviderConfig {
  const { subjects, maxLifetime, clockSkewSeconds, jwtCacheConfig } = fields;
  const matcher = subjects === undefined ? undefined : readStringMatcher(subjects);
  if (matcher?.ok === false) at.fail("subjects", matcher.error);
  const cache = objectOf(jwtCacheConfig);
  const lifetimeMs = durationOf(maxLifetime, "maxLifetime", at);
  checkTold(fields["forwardPayloadHeader"], "forwardPayloadHeader", at);
  for (const [index, one] of listOf(fields["claimToHeaders"]).entries())
    checkTold(objectOf(one)["headerName"], `claimToHeaders[${index}].headerName`, at);
  return {
    name,
    issuer: textOf(fields["issuer"]),
    audiences: audiencesOf(fields["audiences"]),
    subjects: matcher?.ok === true ? matcher.value : undefined,
    maxLifetimeSeconds:
      lifetimeMs !== undefined ? lifetimeMs / 1000 : fields["requireExpiration"] === true ? Infinity : undefined,
    keys: readKeys(fields, data, at),
    forward: fields["forward"] === true,
    locations: readLocations(fields),
    forwardPayloadHeader: textOf(fields["forwardPayloadHeader"]).toLowerCase(),
    padsPayload: fields["padForwardPayloadHeader"] === true,
    payloadInMetadata: textOf(fields["payloadInMetadata"]),
    spaceDelimitedClaims: textsOf(objectOf(fields["normalizePayloadInMetadata"])["spaceDelimitedClaims"]),
    headerInMetadata: textOf(fields["headerInMetadata"]),
    failedStatusInMetadata: textOf(fields["failedStatusInMetadata"]),
    clockSkewSeconds: numberOf(clockSkewSeconds) || CLOCK_SKEW_SECONDS,
    cache: {
      tokens: Math.min(numberOf(cache["jwtCacheSize"]) || CACHED_TOKENS, MAX_CACHED_TOKENS),
      maxTokenCharacters: numberOf(cache["jwtMaxTokenSize"]) || CACHED_TOKEN_CHARACTERS,
    },
    claimHeaders: listOf(fields["claimToHeaders"]).map((one) => {
      const { headerName, claimName } = objectOf(one);
      return { header: textOf(headerName).toLowerCase(), path: textOf(claimName).split(".") };
    }),
    clearRouteCache: fields["clearRouteCache"] === true,
  };
}

function checkTold(name: Json | undefined, path: string, at: At): void {
  const wrong = wrongToldHeader(textOf(name));
  if (wrong !== undefined) at.fail(path, wrong);
}

function readKeys(
  { remoteJwks, localJwks }: JsonObject,
  data: FilterData | undefined,
  at: At,
): JwtProviderConfig["keys"] {
  if (remoteJwks !== undefined)
    return { from: "remote", source: readRemote(objectOf(remoteJwks), at.below("remoteJwks")) };
  const text = readFilterData(localJwks, data);
  if (!text.ok) {
    at.below("localJwks").fail(text.error.path, text.error.message);
    return { from: "local", keys: undefined };
  }
  if (text.value === undefined) return { from: "local", keys: undefined };
  const keys = readJwks(text.value, "local");
  if (!keys.ok) at.fail("localJwks", `is no set of keys: it ${keys.error}`);
  return { from: "local", keys: keys.ok ? keys.value : undefined };
}

/** Envoy's (`PubkeyCacheExpirationSec`). */
const CACHE_MS = 600_000;
const TIMEOUT_MS = 1000;
const FAILED_REFETCH_MS = 1000;
const RETRY_BASE_MS = 1000;

function readRemote({ httpUri, cacheDuration, asyncFetch, retryPolicy }: JsonObject, at: At): RemoteJwks {
  const { uri, cluster, timeout } = objectOf(httpUri);
  if (!isHttpUrl(textOf(uri)))
    at.fail("httpUri.uri", `found ${JSON.stringify(uri)}, allowed is an absolute http or https URL`);
  const backOff = objectOf(objectOf(retryPolicy)["retryBackOff"]);
  const baseMs = durationOf(backOff["baseInterval"], "retryPolicy.retryBackOff.baseInterval", at) ?? RETRY_BASE_MS;
  const refetch = durationOf(objectOf(asyncFetch)["failedRefetchDuration"], "asyncFetch.failedRefetchDuration", at);
  return {
    cluster: textOf(cluster),
    uri: textOf(uri),
    timeoutMs: durationOf(timeout, "httpUri.timeout", at) || TIMEOUT_MS,
    cacheMs: durationOf(cacheDuration, "cacheDuration", at) ?? CACHE_MS,
    failedRefetchMs: refetch ?? FAILED_REFETCH_MS,
    retries: {
      // One, where it does not say how many.
      count: retryPolicy === undefined ? 0 : ((objectOf(retryPolicy)["numRetries"] as number | undefined) ?? 1),
      baseMs,
      maxMs: durationOf(backOff["maxInterval"], "retryPolicy.retryBackOff.maxInterval", at) ?? baseMs * 10,
    },
  };
}

function isHttpUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && (url.protocol === "http:" || url.protocol === "https:") && url.host !== "";
}

/** Where tokens are looked for that are said to be nowhere (RFC 6750 §2.1, §2.3). */
const STANDARD_LOCATIONS: readonly TokenLocation[] = [
  { in: "header", name: "authorization", prefix: "Bearer " },
  { in: "query", name: "access_token" },
];

function readLocations({ fromHeaders, fromParams, fromCookies }: JsonObject): readonly TokenLocation[] {
  const locations: readonly TokenLocation[] = [
    ...listOf(fromHeaders).map((json): TokenLocation => {
      const { name, valuePrefix } = objectOf(json);
      return { in: "header", name: textOf(name).toLowerCase(), prefix: textOf(valuePrefix) };
    }),
    ...textsOf(fromParams).map((name): TokenLocation => ({ in: "query", name: asBytes(name) })),
    ...textsOf(fromCookies).map((name): TokenLocation => ({ in: "cookie", name: asBytes(name) })),
  ];
  return locations.length === 0 ? STANDARD_LOCATIONS : locations;
}

type Providers = ReadonlyMap<string, JwtProviderConfig>;

function readRequirement(json: Json | undefined, providers: Providers, at: At): JwtRequirement {
  const fields = objectOf(json);
  const { providerName, providerAndAudiences, requiresAny, requiresAll, allowMissing, allowMissingOrFailed } = fields;
  if (typeof providerName === "string") return forProvider(providerName, undefined, providers, at, "providerName");
  if (providerAndAudiences !== undefined) {
    const { providerName: name, audiences } = objectOf(providerAndAudiences);
    const own = audiencesOf(audiences);
    const path = "providerAndAudiences.providerName";
    return forProvider(textOf(name), own.size === 0 ? undefined : own, providers, at, path);
  }
  if (requiresAny !== undefined) {
    const all = readRequirements(requiresAny, providers, at.below("requiresAny"));
    const of = all.filter(({ type }) => type !== "optional");
    const optional = all.filter((one) => one.type === "optional");
    if (of.length === 0 && optional.length > 0)
      return { type: "optional", failed: optional.some(({ failed }) => failed) };
    const allows = optional.some(({ failed }) => failed) ? "failed" : optional.length > 0 ? "missing" : "nothing";
    return { type: "any", of, allows };
  }
  if (requiresAll !== undefined) {
    return { type: "all", of: readRequirements(requiresAll, providers, at.below("requiresAll")) };
  }
  if (allowMissingOrFailed !== undefined) return { type: "optional", failed: true };
  if (allowMissing !== undefined) return { type: "optional", failed: false };
  return { type: "nothing" };
}

function readRequirements(json: Json, providers: Providers, at: At): readonly JwtRequirement[] {
  const list = listOf(objectOf(json)["requirements"]);
  return list.map((one, index) => readRequirement(one, providers, at.below(`requirements[${index}]`)));
}

function forProvider(
  provider: string,
  audiences: ReadonlySet<string> | undefined,
  providers: Providers,
  at: At,
  path: string,
): JwtRequirement {
  if (!providers.has(provider)) {
    const known = [...providers.keys()].join(", ");
    at.fail(path, `there is no provider ${JSON.stringify(provider)}; there are: ${known}`);
  }
  return { type: "provider", provider, audiences };
}

function named(name: string, requirements: ReadonlyMap<string, JwtRequirement>, at: At): JwtRequirement | undefined {
  const found = requirements.get(name);
  if (found === undefined) {
    const known = [...requirements.keys()].join(", ");
    at.fail(
      "requirementName",
      `there is no requirement ${JSON.stringify(name)} in requirement_map; there are: ${known}`,
    );
  }
  return found;
}

function objectOf(json: Json | undefined): JsonObject {
  return isJsonObject(json) ? json : {};
}

function listOf(json: Json | undefined): readonly Json[] {
  return Array.isArray(json) ? json : [];
}

function textOf(json: Json | undefined): string {
  return typeof json === "string" ? json : "";
}

function textsOf(json: Json | undefined): readonly string[] {
  return listOf(json).filter((one) => typeof one === "string");
}

function numberOf(json: Json | undefined): number {
  return typeof json === "number" ? json : 0;
}

function audiencesOf(json: Json | undefined): ReadonlySet<string> {
  return new Set(textsOf(json).map(comparableAudience));
}

function durationOf(json: Json | undefined, path: string, at: At): number | undefined {
  if (typeof json !== "string") return undefined;
  const ms = parseDurationMs(json);
  if (!ms.ok) at.fail(path, ms.error);
  return ms.ok ? ms.value : undefined;
}
