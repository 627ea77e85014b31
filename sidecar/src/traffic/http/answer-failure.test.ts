import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Failure, type FailureKind, failure } from "@heddle/base";
import { formatResponseFlags, type LocalReply } from "@heddle/filter";
import { formatResponseFlagsLong } from "@heddle/telemetry";
import { answerFailure } from "./answer-failure.ts";

const FIRST = { requestComplete: false, retried: false, envoyHeaders: true };
const RESET = "upstream connect error or disconnect/reset before headers. reset reason:";

/** Statuses, flags (short and long), details and bodies as Envoy gives them. */
const EXPECTED: Readonly<Record<FailureKind, readonly [number, string, string, string, string]>> = {
  "bad-request": [400, "DPE", "DownstreamProtocolError", "http1.codec_error", "Bad Request"],
  "head-too-large": [431, "DPE", "DownstreamProtocolError", "http1.headers_too_large", "Request Header Fields Too Large"],
  "not-implemented": [501, "DPE", "DownstreamProtocolError", "http1.codec_error", "Not Implemented"],
  "http-version-unsupported": [505, "DPE", "DownstreamProtocolError", "http1.codec_error", "HTTP Version Not Supported"],
  "body-too-large": [413, "-", "-", "request_payload_too_large", "Payload Too Large"],
  "downstream-reset": [0, "DC", "DownstreamConnectionTermination", "downstream_remote_disconnect", ""],
  "downstream-idle-timeout": [408, "SI", "StreamIdleTimeout", "stream_idle_timeout", "stream timeout"],
  "request-headers-timeout": [408, "-", "-", "request_header_timeout", "request header timeout"],
  "request-timeout": [408, "-", "-", "request_overall_timeout", "request timeout"],
  "no-listener-chain": [404, "NR", "NoRouteFound", "filter_chain_not_found", ""],
  "no-route": [404, "NR", "NoRouteFound", "route_not_found", ""],
  "no-cluster": [503, "NC", "NoClusterFound", "cluster_not_found", ""],
  "no-healthy-upstream": [503, "UH", "NoHealthyUpstream", "no_healthy_upstream", "no healthy upstream"],
  overflow: [503, "UO", "UpstreamOverflow", before("overflow"), `${RESET} overflow`],
  "upgrade-refused": [403, "-", "-", "upgrade_failed", ""],
  "connect-refused": [503, "UF", "UpstreamConnectionFailure", before("remote_connection_failure"),
    `${RESET} remote connection failure`],
  "connect-timeout": [503, "UF", "UpstreamConnectionFailure", before("connection_timeout"),
    `${RESET} connection timeout`],
  "connect-failed": [503, "UF", "UpstreamConnectionFailure", before("remote_connection_failure"),
    `${RESET} remote connection failure`],
  "connection-closed": [503, "UC", "UpstreamConnectionTermination", before("connection_termination"),
    `${RESET} connection termination`],
  "reset-by-upstream": [503, "UR", "UpstreamRemoteReset", before("remote_reset"), `${RESET} remote reset`],
  "upstream-protocol-error": [502, "UPE", "UpstreamProtocolError", before("protocol_error"),
    `${RESET} protocol error`],
  "response-timeout": [504, "UT", "UpstreamRequestTimeout", "response_timeout", "upstream request timeout"],
  "per-try-timeout": [504, "UT", "UpstreamRequestTimeout", "upstream_per_try_timeout", "upstream request timeout"],
  "stream-idle-timeout": [504, "SI", "StreamIdleTimeout", "stream_idle_timeout", "stream timeout"],
  "max-duration": [408, "-", "-", "max_duration_timeout", "downstream duration timeout"],
  "upstream-max-duration": [408, "UMSDR", "UpstreamMaxStreamDurationReached", "upstream_max_stream_duration_reached",
    "upstream max stream duration reached"],
  "drop-overload": [503, "DO", "DropOverload", "drop_overload", "drop overload"],
  "unconditional-drop-overload": [503, "UDO", "UnconditionalDropOverload", "unconditional_drop_overload",
    "unconditional drop overload"],
  overload: [503, "OM", "OverloadManagerTerminated", "overload", "envoy overloaded"],
  draining: [503, "-", "-", "draining", "draining"],
  "filter-error": [500, "-", "-", "filter_error", "Internal Server Error"],
  internal: [500, "-", "-", "internal_error", "Internal Server Error"],
}; // biome-ignore format: a table

function before(reason: string): string {
  return `upstream_reset_before_response_started{${reason}}`;
}

function row({ status, flags = 0, details, body = "" }: LocalReply): readonly [number, string, string, string, string] {
  return [status, formatResponseFlags(flags), formatResponseFlagsLong(flags), details, body];
}

for (const [kind, expected] of Object.entries(EXPECTED)) {
  test(`${kind} is answered with ${expected[0]}, ${expected[1]}`, () => {
    assert.deepEqual(row(answerFailure(failure(kind as FailureKind, "local", ""), FIRST)), expected);
  });
}

describe("what the answer depends on", () => {
  const refused: Failure = failure("connect-refused", "upstream", "", "safe", { code: "ECONNREFUSED" });

  test("a stream that the upstream has not processed has its own reason", () => {
    const safe = failure("reset-by-upstream", "upstream", "", "safe");
    assert.deepEqual(row(answerFailure(safe, FIRST)), [
      503,
      "UR",
      "UpstreamRemoteReset",
      before("remote_refused_stream_reset"),
      `${RESET} remote refused stream reset`,
    ]);
  });

  test("an exchange that lasts too long is 504 once the request is complete", () => {
    for (const kind of ["max-duration", "upstream-max-duration"] as const) {
      assert.equal(answerFailure(failure(kind, "local", ""), { ...FIRST, requestComplete: true }).status, 504);
    }
  });

  test("what the transport says of a connection that could not be made is in the details, and not in what clients read", () => {
    assert.deepEqual(row(answerFailure(refused, FIRST)).slice(3), [
      before("remote_connection_failure|delayed_connect_error:_Connection_refused"),
      `${RESET} remote connection failure`,
    ]);
  });

  test("and that it was not the first attempt", () => {
    const { body } = answerFailure(failure("connection-closed", "upstream", ""), { ...FIRST, retried: true });
    assert.equal(
      body,
      "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection termination",
    );
  });

  test("an overflow tells clients so, unless headers of Envoy's are suppressed", () => {
    const overflow = failure("overflow", "local", "");
    assert.equal(answerFailure(overflow, FIRST).headers?.get("x-envoy-overloaded"), "true");
    assert.equal(answerFailure(overflow, { ...FIRST, envoyHeaders: false }).headers, undefined);
  });

  test("the codec's own name for what is wrong is the detail", () => {
    const tooMany: Failure = { ...failure("head-too-large", "downstream", ""), code: "http1.too_many_headers" };
    assert.equal(answerFailure(tooMany, FIRST).details, "http1.too_many_headers");
  });

  test("a client that takes its request back has not left, and is told apart from one that has", () => {
    const gone = failure("downstream-reset", "downstream", "");
    const loggedFor = (code: string): readonly (number | string)[] =>
      row(answerFailure({ ...gone, code }, FIRST)).slice(0, 4);
    const reset = [0, "DR", "DownstreamRemoteReset"];
    assert.deepEqual(loggedFor("http2.remote_reset"), [...reset, "http2.remote_reset"]);
    assert.deepEqual(loggedFor("http2.remote_refuse"), [...reset, "http2.remote_refuse"]);
    const local = "downstream_local_disconnect(http2_ping_timeout)";
    assert.deepEqual(loggedFor(local), [0, "DC", "DownstreamConnectionTermination", local]);
  });
});
