import type { Failure, FailureKind } from "@heddle/base";
import { type LocalReply, ResponseFlag } from "@heddle/filter";
import { HeaderMap } from "@heddle/http";

/**
 * The one place where a failure becomes an answer: status, response flag, details and body, as Envoy gives them
 * (config/observability/access_log/usage `%RESPONSE_FLAGS%`; http/conn_man/response_code_details).
 */
export function answerFailure(failure: Failure, requestComplete: boolean): LocalReply {
  const reply = ANSWERS[failure.kind];
  // Who let time pass: the client that had not finished (408), or what is behind us (504).
  const isDuration = failure.kind === "max-duration" || failure.kind === "upstream-max-duration";
  return isDuration && requestComplete ? { ...reply, status: 504 } : reply;
}

const RESET = "upstream connect error or disconnect/reset before headers. reset reason:";

const ANSWERS: Readonly<Record<FailureKind, LocalReply>> = {
  // downstream
  "bad-request": answer(400, "http1.codec_error", "Bad Request", ResponseFlag.DownstreamProtocolError),
  "head-too-large": answer(431, "request_headers_too_large", "", ResponseFlag.DownstreamProtocolError),
  "body-too-large": answer(413, "request_payload_too_large", "Payload Too Large"),
  // Nobody reads this answer; the access log shows what Envoy's would.
  "downstream-reset": answer(0, "downstream_remote_disconnect", "", ResponseFlag.DownstreamConnectionTermination),
  "downstream-idle-timeout": answer(408, "stream_idle_timeout", "stream timeout", ResponseFlag.StreamIdleTimeout),
  "request-headers-timeout": answer(408, "request_header_timeout", "request header timeout"),
  "request-timeout": answer(408, "request_overall_timeout", "request timeout"),
  "not-implemented": answer(501, "http1.codec_error", "Not Implemented", ResponseFlag.DownstreamProtocolError),
  "http-version-unsupported": answer(505, "http1.codec_error", "", ResponseFlag.DownstreamProtocolError),
  // routing
  "no-listener-chain": answer(404, "filter_chain_not_found", "", ResponseFlag.NoRouteFound),
  "no-route": answer(404, "route_not_found", "", ResponseFlag.NoRouteFound),
  "no-cluster": answer(503, "cluster_not_found", "", ResponseFlag.NoClusterFound),
  "no-healthy-upstream": answer(503, "no_healthy_upstream", "no healthy upstream", ResponseFlag.NoHealthyUpstream),
  overflow: overloaded(answer(503, before("overflow"), `${RESET} overflow`, ResponseFlag.UpstreamOverflow)),
  "upgrade-refused": answer(403, "upgrade_failed"),
  // upstream
  "connect-refused": connectFailure("remote connection failure"),
  "connect-timeout": connectFailure("connection timeout"),
  "connect-failed": connectFailure("connection failure"),
  "connection-closed": answer(
    503,
    before("connection_termination"),
    `${RESET} connection termination`,
    ResponseFlag.UpstreamConnectionTermination,
  ),
  "reset-by-upstream": answer(503, before("remote_reset"), `${RESET} remote reset`, ResponseFlag.UpstreamRemoteReset),
  "upstream-protocol-error": answer(
    502,
    before("protocol_error"),
    `${RESET} protocol error`,
    ResponseFlag.UpstreamProtocolError,
  ),
  "response-timeout": timeout("response_timeout", ResponseFlag.UpstreamRequestTimeout),
  "per-try-timeout": timeout("upstream_per_try_timeout", ResponseFlag.UpstreamRequestTimeout),
  "stream-idle-timeout": answer(504, "stream_idle_timeout", "stream timeout", ResponseFlag.StreamIdleTimeout),
  "max-duration": answer(408, "max_duration_timeout", "downstream duration timeout", ResponseFlag.DurationTimeout),
  "upstream-max-duration": answer(
    408,
    "upstream_max_stream_duration_reached",
    "upstream max stream duration reached",
    ResponseFlag.UpstreamMaxStreamDurationReached,
  ),
  // local
  overload: overloaded(answer(503, "overload", "envoy overloaded", ResponseFlag.OverloadManager)),
  draining: answer(503, "draining", "draining"),
  "filter-error": answer(500, "filter_error", "Internal Server Error"),
  internal: answer(500, "internal_error", "Internal Server Error"),
};

function answer(status: number, details: string, body = "", flags = 0): LocalReply {
  return { status, details, body, flags };
}

function connectFailure(reason: string): LocalReply {
  const details = before("connection_failure");
  return answer(503, details, `${RESET} ${reason}`, ResponseFlag.UpstreamConnectionFailure);
}

function timeout(details: string, flag: number): LocalReply {
  return answer(504, details, "upstream request timeout", flag);
}

function before(reason: string): string {
  return `upstream_reset_before_response_started{${reason}}`;
}

/** Tells clients that know of it not to retry at once (Envoy `x-envoy-overloaded`). */
function overloaded(reply: LocalReply): LocalReply {
  return { ...reply, headers: new HeaderMap(["x-envoy-overloaded", "true"]) };
}
