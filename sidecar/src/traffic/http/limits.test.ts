import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ok } from "@heddle/base";
import { defineFilter, formatResponseFlags } from "@heddle/filter";
import { clusterConfig, Harness, type HarnessOptions, type MemoryConnection, routeTo } from "./testing-harness.ts";

/*
 * Every limit of an exchange, below it, at it and above it: in bytes, in counts and in time. What a client gets, and
 * what the log says. Those of connections are in http-connection.test.ts and pool.test.ts.
 */

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

function withHarness(options: HarnessOptions, body: (harness: Harness, client: MemoryConnection) => void): void {
  const harness = new Harness(options);
  body(harness, harness.connect());
  assert.equal(harness.leaks(), "");
}

/** The text with a field that makes it as long as that. `{}` stands where the field comes. */
function padded(text: string, bytes: number): string {
  const frame = text.replace("{}", "x-pad: \r\n");
  return text.replace("{}", `x-pad: ${"p".repeat(bytes - frame.length)}\r\n`);
}

/** The text with so many fields more than it has. */
function withFields(text: string, count: number): string {
  return text.replace("{}", Array.from({ length: count }, (_, i) => `x-${i}: 1\r\n`).join(""));
}

const REQUEST = "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n";
const RESPONSE = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{}\r\n";

/** The status that a client gets for its request, and what is logged: flags and details. */
function asked(options: HarnessOptions, request: string): string {
  let outcome = "";
  withHarness(options, (harness, client) => {
    client.send(request);
    harness.run();
    harness.upstreams[0]?.send(OK);
    harness.run();
    outcome = outcomeOf(harness, client);
  });
  return outcome;
}

function answered(options: HarnessOptions, response: string): string {
  let outcome = "";
  withHarness(options, (harness, client) => {
    client.send(GET);
    harness.run();
    harness.upstream().send(response);
    harness.run();
    outcome = outcomeOf(harness, client);
  });
  return outcome;
}

function outcomeOf(harness: Harness, client: MemoryConnection): string {
  const status = /^HTTP\/1\.1 (\d{3})/.exec(client.take())?.[1] ?? "nothing";
  const exchange = harness.logged[0];
  return `${status} ${formatResponseFlags(exchange?.responseFlags ?? 0)} ${exchange?.responseCodeDetails ?? ""}`;
}

describe("bytes", () => {
  test("of a request's head: max_request_headers_kb", () => {
    const options = { manager: { maxRequestHeadersKb: 2 } };
    assert.equal(asked(options, padded(REQUEST, 2047)), "200 - via_upstream");
    assert.equal(asked(options, padded(REQUEST, 2048)), "200 - via_upstream");
    assert.match(asked(options, padded(REQUEST, 2049)), /^431 DPE /);
  });

  test("of a response's head: max_response_headers_kb", () => {
    const options = { clusters: [clusterConfig("app", { maxResponseHeadersKb: 2 })] };
    const refused = "502 UPE upstream_reset_before_response_started{protocol_error}";
    assert.equal(answered(options, padded(RESPONSE, 2047)), "200 - via_upstream");
    assert.equal(answered(options, padded(RESPONSE, 2048)), "200 - via_upstream");
    assert.equal(answered(options, padded(RESPONSE, 2049)), refused);
    assert.equal(answered({}, padded(RESPONSE, 80 * 1024)), "200 - via_upstream");
    assert.equal(answered({}, padded(RESPONSE, 80 * 1024 + 1)), refused);
  });

  test("of a body that a filter holds: the listener's buffer limit", () => {
    const holding = defineFilter({
      parse: () => ok(undefined),
      create: () => ({ create: () => ({ requestData: (_exchange, _chunk, end) => (end ? "continue" : "buffer") }) }),
    });
    const held = (bytes: number): string => {
      let outcome = "";
      withHarness({ filters: { holding }, bufferLimitBytes: 1000 }, (harness, client) => {
        client.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n${"b".repeat(bytes)}`);
        harness.run();
        client.send("b".repeat(2000 - bytes));
        harness.run();
        harness.upstreams[0]?.send(OK);
        harness.run();
        outcome = outcomeOf(harness, client);
      });
      return outcome;
    };
    assert.equal(held(999), "200 - via_upstream");
    assert.equal(held(1000), "200 - via_upstream");
    assert.equal(held(1001), "413 - request_payload_too_large");
  });
});

describe("counts", () => {
  test("of a request's fields: max_headers_count", () => {
    const options = { manager: { maxHeadersCount: 20 } };
    assert.equal(asked(options, withFields(REQUEST, 18)), "200 - via_upstream");
    assert.equal(asked(options, withFields(REQUEST, 19)), "200 - via_upstream");
    assert.match(asked(options, withFields(REQUEST, 20)), /^431 DPE /);
  });

  test("of a response's fields: max_headers_count of the cluster", () => {
    const options = { clusters: [clusterConfig("app", { maxHeadersCount: 20 })] };
    assert.equal(answered(options, withFields(RESPONSE, 18)), "200 - via_upstream");
    assert.equal(answered(options, withFields(RESPONSE, 19)), "200 - via_upstream");
    assert.match(answered(options, withFields(RESPONSE, 20)), /^502 UPE /);
  });

  test("of interim answers before the final one: 32", () => {
    const early = "HTTP/1.1 103 Early Hints\r\n\r\n";
    assert.equal(answered({}, early.repeat(31) + OK).slice(0, 3), "103");
    for (const [count, logged] of [
      [31, "via_upstream"],
      [32, "via_upstream"],
      [33, "upstream_reset_before_response_started{protocol_error}"],
    ] as const) {
      withHarness({}, (harness, client) => {
        client.send(GET);
        harness.run();
        harness.upstream().send(early.repeat(count) + OK);
        harness.run();
        assert.equal(harness.logged[0]?.responseCodeDetails, logged, `${count}`);
        assert.equal(client.take().split("HTTP/1.1 103").length - 1, Math.min(count, 32));
      });
    }
  });
});

/**
 * A limit on time: what happens up to it, that nothing has happened 10 ms before it, and what the client has got 10 ms
 * after it.
 */
function overdue(
  options: HarnessOptions,
  before: (harness: Harness, client: MemoryConnection) => void,
  limitMs: number,
  expected: string,
  counter: string,
): void {
  withHarness(options, (harness, client) => {
    before(harness, client);
    harness.run();
    harness.advance(limitMs - 10);
    assert.equal(client.take(), "", "below the limit");
    assert.equal(harness.value(counter), 0);
    harness.advance(20);
    assert.equal(outcomeOf(harness, client), expected);
    assert.equal(harness.value(counter), 1);
  });
}

describe("time", () => {
  const BODY = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf ";

  test("for a request's head: request_headers_timeout, from its first byte", () => {
    overdue(
      { manager: { requestHeadersTimeoutMs: 1000 } },
      (harness, client) => {
        harness.advance(5000);
        client.send("GET / HTTP/1.1\r\nhost: ");
      },
      1000,
      "408 - request_header_timeout",
      "http.downstream_rq_header_timeout",
    );
  });

  test("for a request's head is not what its body may take", () => {
    withHarness({ manager: { requestHeadersTimeoutMs: 1000 } }, (harness, client) => {
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n");
      harness.advance(990);
      client.send("\r\n");
      harness.advance(5000);
      client.send("x");
      harness.run();
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
    });
  });

  test("for a whole request: request_timeout, however steadily it comes", () => {
    overdue(
      { manager: { requestTimeoutMs: 1000 } },
      (_harness, client) => client.send(BODY),
      1000,
      "408 - request_overall_timeout",
      "http.downstream_rq_timeout",
    );
    withHarness({ manager: { requestTimeoutMs: 1000 } }, (harness, client) => {
      client.send(BODY);
      harness.advance(990);
      client.send("whole");
      harness.advance(5000);
      assert.equal(client.take(), "", "what comes whole in time has no limit behind it");
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
    });
  });

  test("for a whole request: none once the answer has begun, or a tunnel", () => {
    const manager = { requestTimeoutMs: 1000, upgradeConfigs: [{ upgradeType: "websocket", enabled: true }] };
    withHarness({ manager }, (harness, client) => {
      client.send(BODY);
      harness.run();
      harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
      harness.advance(5000);
      assert.equal(client.closed, false);
      client.send("whole");
      harness.run();
      harness.upstream().send("k");
      harness.run();
      assert.match(client.take(), /ok$/);
    });
    withHarness({ manager }, (harness, client) => {
      client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      harness.run();
      harness.upstream().send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      harness.advance(5000);
      assert.equal(client.closed, false);
    });
  });

  test("in which nothing moves: stream_idle_timeout, 408 or 504 by who is silent", () => {
    const manager = { streamIdleTimeoutMs: 1000 };
    const counter = "http.downstream_rq_idle_timeout";
    overdue({ manager }, (_harness, client) => client.send(BODY), 1000, "408 SI stream_idle_timeout", counter);
    overdue({ manager }, (_harness, client) => client.send(GET), 1000, "504 SI stream_idle_timeout", counter);
  });

  test("in which nothing moves: the route's idle_timeout instead, longer or shorter or none", () => {
    const counter = "http.downstream_rq_idle_timeout";
    for (const limitMs of [500, 2000]) {
      overdue(
        { manager: { streamIdleTimeoutMs: 1000 }, routes: routeTo("app", { idleTimeoutMs: limitMs }) },
        (_harness, client) => client.send(GET),
        limitMs,
        "504 SI stream_idle_timeout",
        counter,
      );
    }
    const routes = routeTo("app", { idleTimeoutMs: 0, timeoutMs: 0 });
    withHarness({ manager: { streamIdleTimeoutMs: 1000 }, routes }, (harness, client) => {
      client.send(GET);
      harness.run();
      harness.clock.advance(24 * 3_600_000);
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
    });
  });

  test("for the answer: the route's timeout, from the end of the request", () => {
    overdue(
      { routes: routeTo("app", { timeoutMs: 1000 }) },
      (harness, client) => {
        client.send(BODY);
        harness.advance(5000);
        client.send("whole");
      },
      1000,
      "504 UT response_timeout",
      "cluster.upstream_rq_timeout",
    );
  });

  test("for the answer: none where the route's timeout is 0", () => {
    withHarness({ routes: routeTo("app", { timeoutMs: 0 }) }, (harness, client) => {
      client.send(GET);
      harness.run();
      harness.advance(290_000);
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
    });
  });

  test("for an exchange: max_stream_duration of the listener, 408 or 504", () => {
    const manager = { maxStreamDurationMs: 1000 };
    const counter = "http.downstream_rq_max_duration_reached";
    overdue({ manager }, (_harness, client) => client.send(BODY), 1000, "408 - max_duration_timeout", counter);
    overdue({ manager }, (_harness, client) => client.send(GET), 1000, "504 - max_duration_timeout", counter);
  });

  test("for an exchange: the route's max_stream_duration instead, and none where it is 0", () => {
    overdue(
      { manager: { maxStreamDurationMs: 500 }, routes: routeTo("app", { maxStreamDuration: { durationMs: 1000 } }) },
      (_harness, client) => client.send(GET),
      1000,
      "504 - max_duration_timeout",
      "http.downstream_rq_max_duration_reached",
    );
    const routes = routeTo("app", { maxStreamDuration: { durationMs: 0 } });
    withHarness({ manager: { maxStreamDurationMs: 500 }, routes }, (harness, client) => {
      client.send(GET);
      harness.advance(10_000);
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
    });
  });

  test("for an exchange cuts an answer that has begun", () => {
    withHarness({ manager: { maxStreamDurationMs: 1000 } }, (harness, client) => {
      client.send(GET);
      harness.run();
      harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun");
      harness.advance(1010);
      assert.match(client.take(), /begun$/);
      assert.equal(client.closed, true);
      assert.equal(harness.logged[0]?.responseCodeDetails, "max_duration_timeout");
    });
  });

  test("for an exchange with the upstream: the cluster's max_stream_duration, from the connection on", () => {
    overdue(
      { clusters: [clusterConfig("app", { maxStreamDurationMs: 1000 })] },
      (harness, client) => {
        harness.holdDials = true;
        client.send(GET);
        harness.advance(3000);
        harness.holdDials = false;
      },
      1000,
      "504 UMSDR upstream_max_stream_duration_reached",
      "cluster.upstream_rq_max_duration_reached",
    );
  });

  test("for an exchange with the upstream cuts an answer that has begun, and leaves one that ends in time", () => {
    withHarness({ clusters: [clusterConfig("app", { maxStreamDurationMs: 1000 })] }, (harness, client) => {
      client.send(GET);
      harness.run();
      harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
      harness.advance(990);
      harness.upstream().send("k");
      harness.advance(2000);
      assert.match(client.take(), /ok$/);
      assert.equal(harness.upstream().closed, false, "the connection is kept");
      client.send(GET);
      harness.run();
      harness.upstreams.at(-1)?.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
      harness.advance(1010);
      assert.equal(client.closed, true);
    });
  });
});
