/**
 * What can go wrong with an exchange, each kind for one cause. The kinds are closed: the one place that turns a
 * failure into a response (`sidecar/src/traffic/http/answer-failure.ts`) has an answer for each of them.
 */
export type FailureKind =
  // downstream
  | "bad-request" // violates RFC 9110/9112/9113, or is ambiguous
  | "head-too-large"
  | "body-too-large"
  | "downstream-reset"
  | "downstream-idle-timeout"
  | "request-headers-timeout"
  | "request-timeout"
  | "not-implemented"
  | "http-version-unsupported"
  // routing
  | "no-listener-chain"
  | "no-route"
  | "no-cluster"
  | "no-healthy-upstream"
  | "overflow" // a circuit breaker is open
  | "drop-overload" // the share that the cluster's endpoints say to drop
  | "unconditional-drop-overload" // all of it
  | "upgrade-refused"
  // upstream
  | "connect-refused"
  | "connect-timeout"
  | "connect-failed"
  | "connection-closed" // the upstream closed before the response was complete
  | "reset-by-upstream"
  | "upstream-protocol-error"
  | "response-timeout"
  | "per-try-timeout"
  | "stream-idle-timeout"
  | "max-duration"
  | "upstream-max-duration" // an attempt lasted longer than its cluster allows
  // local
  | "overload"
  | "draining"
  | "filter-error"
  | "internal";

export type FailureSide = "downstream" | "upstream" | "local";

/**
 * May the same request be sent again?
 *
 * `if-connection-was-reused`: only when the connection had served a request before, that is, when the peer most likely
 * closed it while it was idle. `safe`: nothing reached the peer, or it said that it did not process the request.
 */
export type RetryAdvice = "never" | "if-connection-was-reused" | "safe";

/** What went wrong, whose fault it is, and whether sending again could help. */
export interface Failure {
  readonly kind: FailureKind;
  readonly side: FailureSide;
  readonly retry: RetryAdvice;
  /** For a person: one line, no secret, no user data beyond what an access log would carry. */
  readonly detail: string;
  /** Envoy's name for the detail, where whoever failed knows one ("http1.too_many_headers"). */
  readonly code?: string;
  readonly cause?: unknown;
}

export function failure(
  kind: FailureKind,
  side: FailureSide,
  detail: string,
  retry: RetryAdvice = "never",
  cause?: unknown,
): Failure {
  return cause === undefined ? { kind, side, retry, detail } : { kind, side, retry, detail, cause };
}
