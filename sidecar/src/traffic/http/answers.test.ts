import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure } from "@heddle/base";
import { formatResponseFlags } from "@heddle/filter";
import {
  clusterConfig,
  Harness,
  type HarnessOptions,
  type MemoryConnection,
  retryPolicy,
  routeEntry,
  routesOf,
  routeTo,
} from "./testing-harness.ts";

/*
 * Every cause of an answer that is made here, brought about in the whole data path: what the client gets, and what the
 * access log says. Statuses, flags, details and bodies are Envoy's.
 */

interface Cause {
  readonly name: string;
  readonly options?: HarnessOptions;
  readonly request?: string;
  /** What happens once the request has been sent. */
  readonly play?: (harness: Harness, client: MemoryConnection) => void;
  readonly status: number;
  readonly flags: string;
  readonly details: string;
  readonly body: string;
}

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na";
const RESET = "upstream connect error or disconnect/reset before headers. reset reason:";
const AGAIN = RESET.replace("reset reason", "retried and the latest reset reason");
const thresholds = { maxConnections: 9, maxPendingRequests: 9, maxRequests: 0, maxRetries: 9 };
const refused = failure("connect-refused", "upstream", "10.0.0.1:80: ECONNREFUSED", "safe", { code: "ECONNREFUSED" });
const unreachable = failure("connect-failed", "upstream", "10.0.0.1:80: EHOSTUNREACH", "safe", {
  code: "EHOSTUNREACH",
});
const timedOut = failure("connect-timeout", "upstream", "10.0.0.1:80", "safe");

const CAUSES: readonly Cause[] = [
  { name: "no route", options: { routes: routesOf([]) },
    status: 404, flags: "NR", details: "route_not_found", body: "" },
  { name: "a cluster that is not there", options: { routes: routeTo("nobody") },
    status: 503, flags: "NC", details: "cluster_not_found", body: "" },
  { name: "such a cluster, where the route says which status",
    options: { routes: routeTo("nobody", { clusterNotFoundResponseCode: 404 }) },
    status: 404, flags: "NC", details: "cluster_not_found", body: "" },
  { name: "no endpoint", options: { endpoints: { app: [] } },
    status: 503, flags: "UH", details: "no_healthy_upstream", body: "no healthy upstream" },
  { name: "a circuit breaker", status: 503, flags: "UO",
    options: { clusters: [clusterConfig("app", { circuitBreakers: { default: thresholds, high: thresholds } })] },
    details: "upstream_reset_before_response_started{overflow}", body: `${RESET} overflow` },
  { name: "a connection that is refused", play: (harness) => void harness.dialFailures.push(refused),
    status: 503, flags: "UF",
    details: "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
    body: `${RESET} remote connection failure` },
  { name: "a host that cannot be reached", play: (harness) => void harness.dialFailures.push(unreachable),
    status: 503, flags: "UF",
    details: "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_No_route_to_host}",
    body: `${RESET} remote connection failure` },
  { name: "a connection that takes too long", play: (harness) => void harness.dialFailures.push(timedOut),
    status: 503, flags: "UF", details: "upstream_reset_before_response_started{connection_timeout}",
    body: `${RESET} connection timeout` },
  { name: "an upstream that closes", request: POST.replace("\r\n\r\na", "\r\n\r\nab"),
    play: (harness) => { harness.run(); harness.upstream().sendEnd(); },
    status: 503, flags: "UC", details: "upstream_reset_before_response_started{connection_termination}",
    body: `${RESET} connection termination` },
  { name: "an upstream that closes twice, with a retry between",
    options: { routes: routeTo("app", { retryPolicy: { ...retryPolicy, retryOn: ["reset"] } }) },
    play: (harness) => {
      harness.run();
      harness.upstream().sendEnd();
      harness.advance(100);
      harness.upstream(1).sendEnd();
    },
    status: 503, flags: "UC,URX", details: "upstream_reset_before_response_started{connection_termination}",
    body: `${AGAIN} connection termination` },
  { name: "an upstream that does not speak HTTP",
    play: (harness) => { harness.run(); harness.upstream().send("SSH-2.0-OpenSSH\r\n\r\n"); },
    status: 502, flags: "UPE", details: "upstream_reset_before_response_started{protocol_error}",
    body: `${RESET} protocol error` },
  { name: "the route's timeout", options: { routes: routeTo("app", { timeoutMs: 100 }) },
    play: (harness) => harness.advance(110),
    status: 504, flags: "UT", details: "response_timeout", body: "upstream request timeout" },
  { name: "the timeout of an attempt",
    options: { routes: routeTo("app", { retryPolicy: { ...retryPolicy, retryOn: ["connect-failure"], perTryTimeoutMs: 50 } }) },
    play: (harness) => harness.advance(60),
    status: 504, flags: "UT", details: "upstream_per_try_timeout", body: "upstream request timeout" },
  { name: "a silent upstream", options: { manager: { streamIdleTimeoutMs: 50 } },
    play: (harness) => harness.advance(60),
    status: 504, flags: "SI", details: "stream_idle_timeout", body: "stream timeout" },
  { name: "a silent client", options: { manager: { streamIdleTimeoutMs: 50 } }, request: POST,
    play: (harness) => harness.advance(60),
    status: 408, flags: "SI", details: "stream_idle_timeout", body: "stream timeout" },
  { name: "request_timeout", options: { manager: { requestTimeoutMs: 50 } }, request: POST,
    play: (harness) => harness.advance(60),
    status: 408, flags: "-", details: "request_overall_timeout", body: "request timeout" },
  { name: "request_headers_timeout", options: { manager: { requestHeadersTimeoutMs: 50 } }, request: "GET / HT",
    play: (harness) => harness.advance(60),
    status: 408, flags: "-", details: "request_header_timeout", body: "request header timeout" },
  { name: "max_stream_duration", options: { manager: { maxStreamDurationMs: 50 } },
    play: (harness) => harness.advance(60),
    status: 504, flags: "-", details: "max_duration_timeout", body: "downstream duration timeout" },
  { name: "an upgrade that nothing allows",
    request: "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    status: 403, flags: "-", details: "upgrade_failed", body: "" },
  { name: "a path that cannot be normalized", options: { manager: { normalizePath: true } },
    request: "GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n",
    status: 400, flags: "-", details: "path_normalization_failed", body: "" },
  { name: "HTTP/1.0 where it is not accepted", options: { manager: { acceptHttp10: false } },
    request: "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
    status: 426, flags: "DPE", details: "low_version", body: "Upgrade Required" },
  { name: "HTTP/1.0 without a host", request: "GET / HTTP/1.0\r\n\r\n",
    status: 400, flags: "-", details: "missing_host_header", body: "" },
  { name: "HTTP/1.1 without a host", request: "GET / HTTP/1.1\r\n\r\n",
    status: 400, flags: "DPE", details: "missing_host_header", body: "Bad Request" },
  { name: "a request line that is none", request: "GET /\r\n\r\n",
    status: 400, flags: "DPE", details: "http1.codec_error", body: "Bad Request" },
  { name: "too many fields", options: { manager: { maxHeadersCount: 2 } },
    request: "GET / HTTP/1.1\r\nhost: a\r\na: 1\r\nb: 2\r\n\r\n",
    status: 431, flags: "DPE", details: "http1.too_many_headers", body: "Request Header Fields Too Large" },
  { name: "a head that is too large", options: { manager: { maxRequestHeadersKb: 1 } },
    request: `GET / HTTP/1.1\r\nhost: a\r\nx: ${"x".repeat(2000)}\r\n\r\n`,
    status: 431, flags: "DPE", details: "http1.headers_too_large", body: "Request Header Fields Too Large" },
  { name: "transfer-encoding beside content-length",
    request: "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    status: 400, flags: "DPE", details: "http1.content_length_and_chunked_not_allowed", body: "Bad Request" },
  { name: "a transfer coding that nobody knows",
    request: "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
    status: 501, flags: "DPE", details: "http1.invalid_transfer_encoding", body: "Not Implemented" },
  { name: "a version that nobody speaks", request: "GET / HTTP/1.9\r\nhost: a\r\n\r\n",
    status: 505, flags: "DPE", details: "http1.codec_error", body: "HTTP Version Not Supported" },
  { name: "a route that answers itself", status: 418, flags: "-", details: "direct_response", body: "tea",
    options: { routes: routesOf([routeEntry({ action: { type: "direct-response", status: 418, body: "tea" } })]) } },
]; // biome-ignore format: a table

describe("an answer of ours, by its cause:", () => {
  for (const { name, options = {}, request = GET, play, status, flags, details, body } of CAUSES) {
    test(`${name}: ${status}, ${flags}`, () => {
      const harness = new Harness(options);
      const client = harness.connect();
      client.send(request);
      play?.(harness, client);
      harness.run();
      const answer = client.take();
      const end = answer.indexOf("\r\n\r\n");
      assert.equal(answer.slice(end + 4), body);
      assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), answer);
      assert.equal(/^content-type: (.*)\r$/m.exec(answer)?.[1], body === "" ? undefined : "text/plain");
      client.sendEnd();
      harness.run();
      const [logged, ...more] = harness.logged;
      assert.equal(more.length, 0);
      assert.deepEqual(
        [logged?.response?.status, formatResponseFlags(logged?.responseFlags ?? 0), logged?.responseCodeDetails],
        [status, flags, details],
      );
      assert.equal(logged?.localReplyBody, body);
      assert.equal(logged?.responseBodyBytes, body.length, "BYTES_SENT");
      assert.equal(harness.leaks(), "");
    });
  }
});

describe("what ends without an answer of ours", () => {
  test("a client that goes away: DC", () => {
    const harness = new Harness();
    const client = harness.connect();
    client.send(GET);
    harness.run();
    client.break(failure("downstream-reset", "downstream", "gone"));
    harness.run();
    const [logged] = harness.logged;
    assert.deepEqual(
      [logged?.response, formatResponseFlags(logged?.responseFlags ?? 0), logged?.responseCodeDetails],
      [undefined, "DC", "downstream_remote_disconnect"],
    );
    assert.equal(harness.leaks(), "");
  });

  test("an upstream that closes within its answer: the answer is cut, UC, and the detail says that it had begun", () => {
    const harness = new Harness();
    const client = harness.connect();
    client.send(GET);
    harness.run();
    harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    harness.run();
    harness.upstream().sendEnd();
    harness.run();
    const [logged] = harness.logged;
    assert.deepEqual(
      [logged?.response?.status, formatResponseFlags(logged?.responseFlags ?? 0), logged?.responseCodeDetails],
      [200, "UC", "upstream_reset_after_response_started{connection_termination}"],
    );
    assert.equal(harness.leaks(), "");
  });
});
