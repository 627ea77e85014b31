import assert from "node:assert/strict";
import { test } from "node:test";
import { type FailureKind, failure } from "@heddle/base";
import { formatResponseFlags } from "@heddle/filter";
import { answerFailure } from "./answer-failure.ts";

/** Statuses, flags and details as Envoy documents them. */
const EXPECTED: Readonly<Record<FailureKind, readonly [status: number, flags: string, details: string]>> = {
  "bad-request": [400, "DPE", "http1.codec_error"],
  "head-too-large": [431, "DPE", "request_headers_too_large"],
  "body-too-large": [413, "-", "request_payload_too_large"],
  "downstream-reset": [0, "DC", "downstream_remote_disconnect"],
  "downstream-idle-timeout": [408, "SI", "stream_idle_timeout"],
  "request-headers-timeout": [408, "-", "request_header_timeout"],
  "request-timeout": [408, "-", "request_overall_timeout"],
  "not-implemented": [501, "DPE", "http1.codec_error"],
  "http-version-unsupported": [505, "DPE", "http1.codec_error"],
  "no-listener-chain": [404, "NR", "filter_chain_not_found"],
  "no-route": [404, "NR", "route_not_found"],
  "no-cluster": [503, "NC", "cluster_not_found"],
  "no-healthy-upstream": [503, "UH", "no_healthy_upstream"],
  overflow: [503, "UO", "upstream_reset_before_response_started{overflow}"],
  "upgrade-refused": [403, "-", "upgrade_failed"],
  "connect-refused": [503, "UF", "upstream_reset_before_response_started{connection_failure}"],
  "connect-timeout": [503, "UF", "upstream_reset_before_response_started{connection_failure}"],
  "connect-failed": [503, "UF", "upstream_reset_before_response_started{connection_failure}"],
  "connection-closed": [503, "UC", "upstream_reset_before_response_started{connection_termination}"],
  "reset-by-upstream": [503, "UR", "upstream_reset_before_response_started{remote_reset}"],
  "upstream-protocol-error": [502, "UPE", "upstream_reset_before_response_started{protocol_error}"],
  "response-timeout": [504, "UT", "response_timeout"],
  "per-try-timeout": [504, "UT", "upstream_per_try_timeout"],
  "stream-idle-timeout": [504, "SI", "stream_idle_timeout"],
  "upstream-max-duration": [408, "UMSDR", "upstream_max_stream_duration_reached"],
  "max-duration": [408, "DT", "max_duration_timeout"],
  overload: [503, "OM", "overload"],
  draining: [503, "-", "draining"],
  "filter-error": [500, "-", "filter_error"],
  internal: [500, "-", "internal_error"],
};

for (const [kind, [status, flags, details]] of Object.entries(EXPECTED)) {
  test(`${kind} is answered with ${status}, ${flags}`, () => {
    const reply = answerFailure(failure(kind as FailureKind, "local", ""), false);
    assert.deepEqual([reply.status, formatResponseFlags(reply.flags ?? 0), reply.details], [status, flags, details]);
  });
}

test("an exchange that lasts too long is 504 once the request is complete", () => {
  assert.equal(answerFailure(failure("max-duration", "local", ""), true).status, 504);
});
