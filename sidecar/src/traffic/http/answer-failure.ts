import { type Failure, type FailureKind, GrpcStatus } from "@heddle/base";
import { type LocalReply, ResponseFlag } from "@heddle/filter";
import { HeaderMap } from "@heddle/http";
import { transportFailureReason } from "@heddle/net";

/** What an answer depends on besides the failure. */
export interface FailedExchange {
  /** The client has sent its request whole. */
  readonly requestComplete: boolean;
  /** It was not the first attempt that failed. */
  readonly retried: boolean;
  /** Answers may have headers of Envoy's (the router's `suppress_envoy_headers`). */
  readonly envoyHeaders: boolean;
}

/**
 * The one place where a failure becomes an answer: status, response flag, details and body, as Envoy gives them
 * (config/advanced/substitution_formatter `%RESPONSE_FLAGS%`; http/conn_man/response_code_details; the router filter).
 */
export function answerFailure(failure: Failure, exchange: FailedExchange): LocalReply {
  const row = ANSWERS[failure.kind];
  switch (row.type) {
    case "answer":
      return row.reply;
    case "codec":
      return failure.code === undefined ? row.reply : { ...row.reply, details: failure.code };
    case "gone":
      return failure.code === undefined ? row.reply : { ...row.reply, ...goneFor(failure.code) };
    case "late":
      return exchange.requestComplete ? { ...row.reply, status: 504 } : row.reply;
    case "reset":
      return answerReset(row, failure, exchange);
    default:
      throw new Error(`unknown answer ${JSON.stringify(row satisfies never)}`);
  }
}

/** HTTP/2 can take one request back, and the connection goes on (RFC 9113 §6.4). */
function goneFor(code: string): Pick<LocalReply, "details" | "flags"> {
  const isReset = code === "http2.remote_reset" || code === "http2.remote_refuse";
  return isReset ? { details: code, flags: DownstreamRemoteReset } : { details: code };
}

/**
 * Envoy's words for a request to an upstream that came to nothing (router.cc, `onUpstreamReset`). Why its transport failed is
 * for the log alone, not for clients (Envoy: `hide_transport_failure_reason_in_response_body`).
 */
function answerReset(row: Reset, failure: Failure, exchange: FailedExchange): LocalReply {
  const transport = transportFailureReason(failure);
  const reason = failure.kind === "reset-by-upstream" && failure.retry === "safe" ? REFUSED : row.reason;
  const again = exchange.retried ? "retried and the latest " : "";
  const details = `${reason}${transport === "" ? "" : `|${transport}`}`.replaceAll(" ", "_");
  const reply: LocalReply = {
    status: row.status,
    flags: row.flags,
    details: `upstream_reset_before_response_started{${details}}`,
    body: `upstream connect error or disconnect/reset before headers. ${again}reset reason: ${reason}`,
  };
  // Tells clients that know of it not to retry at once.
  return row.overloaded && exchange.envoyHeaders
    ? { ...reply, headers: new HeaderMap(["x-envoy-overloaded", "true"]) }
    : reply;
}

type Row =
  | { readonly type: "answer"; readonly reply: LocalReply }
  /** The codec knows better what it was, and says so in the failure's code. */
  | { readonly type: "codec"; readonly reply: LocalReply }
  /** Nobody reads this answer; the access log shows what Envoy's would. */
  | { readonly type: "gone"; readonly reply: LocalReply }
  /** 408 where the client had not finished, 504 where what is behind us let time pass. */
  | { readonly type: "late"; readonly reply: LocalReply }
  | Reset;

interface Reset {
  readonly type: "reset";
  readonly status: number;
  /** Envoy's `resetReasonToString`. */
  readonly reason: string;
  readonly flags: number;
  readonly overloaded: boolean;
}

/** REFUSED_STREAM, and what a GOAWAY leaves out: the upstream has not processed the request (RFC 9113 §8.7). */
const REFUSED = "remote refused stream reset";

const {
  DownstreamConnectionTermination,
  DownstreamProtocolError,
  DropOverload,
  DownstreamRemoteReset,
  NoClusterFound,
  NoHealthyUpstream,
  NoRouteFound,
  OverloadManager,
  StreamIdleTimeout,
  UnconditionalDropOverload,
  UpstreamConnectionFailure,
  UpstreamConnectionTermination,
  UpstreamMaxStreamDurationReached,
  UpstreamOverflow,
  UpstreamProtocolError,
  UpstreamRemoteReset,
  UpstreamRequestTimeout,
} = ResponseFlag;

const ANSWERS: Readonly<Record<FailureKind, Row>> = {
  // downstream
  "bad-request": codec(400, "http1.codec_error", "Bad Request"),
  "head-too-large": codec(431, "http1.headers_too_large", "Request Header Fields Too Large"),
  "not-implemented": codec(501, "http1.codec_error", "Not Implemented"),
  "http-version-unsupported": codec(505, "http1.codec_error", "HTTP Version Not Supported"),
  "body-too-large": answer(413, "request_payload_too_large", "Payload Too Large"),
  "downstream-reset": {
    type: "gone",
    reply: { status: 0, details: "downstream_remote_disconnect", flags: DownstreamConnectionTermination },
  },
  "downstream-idle-timeout": answer(408, "stream_idle_timeout", "stream timeout", StreamIdleTimeout),
  "request-headers-timeout": answer(408, "request_header_timeout", "request header timeout"),
  "request-timeout": answer(408, "request_overall_timeout", "request timeout"),
  // routing
  "no-listener-chain": answer(404, "filter_chain_not_found", "", NoRouteFound),
  "no-route": answer(404, "route_not_found", "", NoRouteFound),
  "no-cluster": answer(503, "cluster_not_found", "", NoClusterFound),
  "no-healthy-upstream": answer(503, "no_healthy_upstream", "no healthy upstream", NoHealthyUpstream),
  "drop-overload": answer(503, "drop_overload", "drop overload", DropOverload),
  "unconditional-drop-overload": answer(
    503,
    "unconditional_drop_overload",
    "unconditional drop overload",
    UnconditionalDropOverload,
  ),
  overflow: reset(503, "overflow", UpstreamOverflow, true),
  "upgrade-refused": answer(403, "upgrade_failed"),
  // upstream
  "connect-refused": reset(503, "remote connection failure", UpstreamConnectionFailure),
  "connect-timeout": reset(503, "connection timeout", UpstreamConnectionFailure),
  "connect-failed": reset(503, "remote connection failure", UpstreamConnectionFailure),
  "connection-closed": reset(503, "connection termination", UpstreamConnectionTermination),
  "reset-by-upstream": reset(503, "remote reset", UpstreamRemoteReset),
  "upstream-protocol-error": reset(502, "protocol error", UpstreamProtocolError),
  "response-timeout": timeout("response_timeout"),
  "per-try-timeout": timeout("upstream_per_try_timeout"),
  "stream-idle-timeout": answer(504, "stream_idle_timeout", "stream timeout", StreamIdleTimeout),
  "max-duration": late("max_duration_timeout", "downstream duration timeout", 0),
  "upstream-max-duration": late(
    "upstream_max_stream_duration_reached",
    "upstream max stream duration reached",
    UpstreamMaxStreamDurationReached,
  ),
  // local
  overload: answer(503, "overload", "envoy overloaded", OverloadManager),
  draining: answer(503, "draining", "draining"),
  "filter-error": answer(500, "filter_error", "Internal Server Error"),
  internal: answer(500, "internal_error", "Internal Server Error"),
};

function answer(status: number, details: string, body = "", flags = 0): Row {
  return { type: "answer", reply: { status, details, body, flags } };
}

function late(details: string, body: string, flags: number): Row {
  return { type: "late", reply: { status: 408, details, body, flags, grpcStatus: GrpcStatus.DeadlineExceeded } };
}

/** UNAVAILABLE, which 504 stands for, would ask a gRPC client to try again (Envoy: `grpc_timeout_returns_deadline_exceeded`). */
function timeout(details: string): Row {
  const reply = { status: 504, details, body: "upstream request timeout", flags: UpstreamRequestTimeout };
  return { type: "answer", reply: { ...reply, grpcStatus: GrpcStatus.DeadlineExceeded } };
}

function codec(status: number, details: string, body: string): Row {
  return { type: "codec", reply: { status, details, body, flags: DownstreamProtocolError } };
}

function reset(status: number, reason: string, flags: number, overloaded = false): Row {
  return { type: "reset", status, reason, flags, overloaded };
}
