import type { HeaderMap } from "@heddle/http";
import type { RetryPolicy } from "@heddle/traffic";

/** What a request's own headers make of its route's timeouts and retries. */
export interface Steering {
  /** Of the route; 0: without end. */
  readonly timeoutMs: number;
  readonly retryPolicy: RetryPolicy | undefined;
}

/**
 * Takes the headers out by which a caller inside the mesh steers the router, and says what they change (Envoy's
 * config/http/http_filters/router_filter, "HTTP headers (consumed)"). Values that are no numbers change nothing. To be
 * asked only for requests whose headers may be believed: the connection manager has removed them from the others.
 *
 * With `respectExpected` the time that a sidecar before us expects to wait counts for the route's timeout
 * (`respect_expected_rq_timeout`).
 */
export function takeSteering(
  headers: HeaderMap,
  routeTimeoutMs: number,
  routePolicy: RetryPolicy | undefined,
  respectExpected: boolean,
): Steering {
  const expectedMs = respectExpected ? numberOf(headers.get("x-envoy-expected-rq-timeout-ms")) : undefined;
  const wantedMs = takeNumber(headers, "x-envoy-upstream-rq-timeout-ms");
  const perTryTimeoutMs = takeNumber(headers, "x-envoy-upstream-rq-per-try-timeout-ms");
  const maxRetries = takeNumber(headers, "x-envoy-max-retries");
  const on = [...takeList(headers, "x-envoy-retry-on"), ...takeList(headers, "x-envoy-retry-grpc-on")];
  const codes = takeList(headers, "x-envoy-retriable-status-codes").flatMap((code) => numberOf(code) ?? []);
  const policy = routePolicy ?? NO_RETRIES;
  const retryOn = on.length === 0 ? policy.retryOn : [...new Set([...policy.retryOn, ...on])];
  const changes =
    perTryTimeoutMs !== undefined ||
    on.length > 0 ||
    codes.length > 0 ||
    (maxRetries !== undefined && retryOn.length > 0);
  return {
    timeoutMs: expectedMs ?? wantedMs ?? routeTimeoutMs,
    retryPolicy: changes
      ? {
          ...policy,
          retryOn,
          numRetries: retryOn.length > 0 ? (maxRetries ?? policy.numRetries) : policy.numRetries,
          perTryTimeoutMs: perTryTimeoutMs ?? policy.perTryTimeoutMs,
          retriableStatusCodes: [...policy.retriableStatusCodes, ...codes],
        }
      : routePolicy,
  };
}

/** Whether there may be any of these headers: most requests have nothing that begins like them. */
export function maySteer({ fields }: HeaderMap): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!; // names stand at even places
    if (name.charCodeAt(0) === LETTER_X && name.startsWith("x-envoy-")) return true;
  }
  return false;
}

const LETTER_X = 0x78;

/** The first of these headers whose value makes no sense (`strict_check_headers`); undefined: they all do. */
export function senselessHeader(headers: HeaderMap, names: readonly string[]): string | undefined {
  return names.find((name) => {
    const value = headers.joined(name);
    if (value === undefined) return false;
    if (!name.endsWith("-on")) return numberOf(value) === undefined;
    const known = name === "x-envoy-retry-grpc-on" ? RETRY_GRPC_ON : RETRY_ON;
    return !value.split(",").every((item) => known.has(item));
  });
}

const RETRY_ON: ReadonlySet<string> = new Set(
  (
    "5xx gateway-error connect-failure envoy-ratelimited retriable-4xx refused-stream retriable-status-codes " +
    "retriable-headers reset reset-before-request http3-post-connect-failure"
  ).split(" "),
);
const RETRY_GRPC_ON: ReadonlySet<string> = new Set(
  "cancelled deadline-exceeded internal resource-exhausted unavailable".split(" "),
);

/** Envoy's values where a route has no policy, and the request brings one. */
const NO_RETRIES: RetryPolicy = {
  retryOn: [],
  numRetries: 1,
  perTryTimeoutMs: 0,
  retriableStatusCodes: [],
  baseIntervalMs: 25,
  maxIntervalMs: 250,
};

function takeNumber(headers: HeaderMap, name: string): number | undefined {
  return numberOf(take(headers, name));
}

function takeList(headers: HeaderMap, name: string): readonly string[] {
  const value = take(headers, name);
  return value === undefined
    ? []
    : value
        .split(",")
        .map((item) => item.trim().toLowerCase())
        .filter((item) => item !== "");
}

function take(headers: HeaderMap, name: string): string | undefined {
  const value = headers.get(name);
  if (value !== undefined) headers.remove(name);
  return value;
}

/** Whole and not negative. */
function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
