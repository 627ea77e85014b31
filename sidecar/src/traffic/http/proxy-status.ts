import { formatResponseFlags, ResponseFlag } from "@heddle/filter";
import type { ResponseHead } from "@heddle/http";
import type { ProxyStatusOptions } from "@heddle/traffic";

/** What of an exchange a `proxy-status` tells. */
export interface ProxyStatusSource {
  readonly responseFlags: number;
  readonly responseCodeDetails: string;
}

/**
 * Adds `proxy-status` (RFC 9209) to the answer of an exchange that went wrong, by Envoy's `proxy_status_config`: which error
 * follows from the first response flag of this list that is set.
 */
export function addProxyStatus(head: ResponseHead, source: ProxyStatusSource, options: ProxyStatusOptions): void {
  const { responseFlags, responseCodeDetails } = source;
  if (responseFlags === 0) return;
  const error = ERRORS.find(([flag]) => (responseFlags & flag) !== 0)?.[1];
  if (error === undefined) return;
  const details = options.removeResponseFlags
    ? responseCodeDetails
    : `${responseCodeDetails}; ${formatResponseFlags(responseFlags)}`;
  const parameters = options.removeDetails ? `error=${error}` : `error=${error}; details=${quoted(details)}`;
  const { headers } = head;
  const before = headers.joined("proxy-status");
  const own = `${nameOf(options.proxyName)}; ${parameters}`;
  headers.set("proxy-status", before === undefined ? own : `${before}, ${own}`);
  // Of a gRPC call `grpc-status` tells what went wrong, and the status is 200.
  if (options.setRecommendedResponseCode && !headers.has("grpc-status"))
    head.status = RECOMMENDED[error] ?? head.status;
}

type ProxyError =
  | "connection_limit_reached"
  | "connection_refused"
  | "connection_terminated"
  | "destination_not_found"
  | "destination_unavailable"
  | "http_protocol_error"
  | "http_request_error"
  | "http_response_timeout"
  | "proxy_configuration_error"
  | "connection_timeout";

/** In Envoy's order. */
const ERRORS: readonly (readonly [flag: number, error: ProxyError])[] = [
  [ResponseFlag.FailedLocalHealthCheck, "destination_unavailable"],
  [ResponseFlag.NoHealthyUpstream, "destination_unavailable"],
  [ResponseFlag.UpstreamRequestTimeout, "http_response_timeout"],
  [ResponseFlag.LocalReset, "connection_timeout"],
  [ResponseFlag.UpstreamRemoteReset, "connection_terminated"],
  [ResponseFlag.UpstreamConnectionFailure, "connection_refused"],
  [ResponseFlag.UpstreamConnectionTermination, "connection_terminated"],
  [ResponseFlag.UpstreamOverflow, "connection_limit_reached"],
  [ResponseFlag.NoRouteFound, "destination_not_found"],
  [ResponseFlag.RateLimited, "connection_limit_reached"],
  [ResponseFlag.RateLimitServiceError, "connection_limit_reached"],
  [ResponseFlag.UpstreamRetryLimitExceeded, "destination_unavailable"],
  [ResponseFlag.StreamIdleTimeout, "http_response_timeout"],
  [ResponseFlag.InvalidEnvoyRequestHeaders, "http_request_error"],
  [ResponseFlag.DownstreamProtocolError, "http_request_error"],
  [ResponseFlag.UpstreamMaxStreamDurationReached, "http_response_timeout"],
  [ResponseFlag.NoFilterConfigFound, "proxy_configuration_error"],
  [ResponseFlag.UpstreamProtocolError, "http_protocol_error"],
  [ResponseFlag.NoClusterFound, "destination_unavailable"],
];

/** RFC 9209 §2.3, "Recommended HTTP status code". */
const RECOMMENDED: Readonly<Partial<Record<ProxyError, number>>> = {
  connection_limit_reached: 503,
  connection_refused: 502,
  connection_terminated: 502,
  connection_timeout: 504,
  destination_not_found: 500,
  destination_unavailable: 503,
  http_protocol_error: 502,
  http_response_timeout: 504,
  proxy_configuration_error: 500,
};

/** A token, or else a string (RFC 8941 §3.3). */
function nameOf(name: string): string {
  return /^[A-Za-z*][\w!#$%&'*+\-.^`|~:/]*$/.test(name) ? name : quoted(name);
}

function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, "_").replace(/["\\]/g, "\\$&")}"`;
}
