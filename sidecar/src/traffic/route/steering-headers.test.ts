import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderMap } from "@heddle/http";
import { defaultManners, type RetryPolicy } from "@heddle/traffic";
import { Harness, type HarnessOptions, type MemoryConnection, retryPolicy } from "../http/testing-harness.ts";
import { type Steering, takeSteering } from "./steering-headers.ts";

function steer(
  fields: Readonly<Record<string, string>>,
  policy?: RetryPolicy,
  respectExpected = false,
): Steering & { readonly left: readonly string[] } {
  const headers = HeaderMap.from({ ...fields, "x-other": "1" });
  return { ...takeSteering(headers, 15_000, policy, respectExpected), left: headers.fields };
}

test("without such headers nothing changes, not even the policy object", () => {
  assert.deepEqual(steer({}), { timeoutMs: 15_000, retryPolicy: undefined, left: ["x-other", "1"] });
  assert.equal(steer({}, retryPolicy).retryPolicy, retryPolicy);
});

test("timeouts are taken from the headers, which go", () => {
  const {
    timeoutMs,
    retryPolicy: policy,
    left,
  } = steer({
    "x-envoy-upstream-rq-timeout-ms": "200",
    "x-envoy-upstream-rq-per-try-timeout-ms": "50",
  });
  assert.deepEqual([timeoutMs, policy?.perTryTimeoutMs, policy?.retryOn], [200, 50, []]);
  assert.deepEqual(left, ["x-other", "1"]);
  assert.equal(steer({ "x-envoy-upstream-rq-timeout-ms": "0" }).timeoutMs, 0, "without end");
});

test("the time that a sidecar before us expects to wait counts where it shall, and stays for those behind us", () => {
  const fields = { "x-envoy-expected-rq-timeout-ms": "300", "x-envoy-upstream-rq-timeout-ms": "200" };
  const respected = steer(fields, undefined, true);
  assert.equal(respected.timeoutMs, 300);
  assert.ok(respected.left.includes("x-envoy-expected-rq-timeout-ms"));
  assert.equal(steer(fields).timeoutMs, 200);
  assert.equal(steer({ "x-envoy-upstream-rq-timeout-ms": "200" }, undefined, true).timeoutMs, 200);
});

test("conditions and status codes are added to those of the route, and the number of retries replaces the route's", () => {
  const { retryPolicy: policy } = steer(
    {
      "x-envoy-retry-on": "reset, 5xx,Retriable-Status-Codes",
      "x-envoy-retry-grpc-on": "unavailable",
      "x-envoy-retriable-status-codes": "409,x,418",
      "x-envoy-max-retries": "7",
    },
    { ...retryPolicy, retriableStatusCodes: [503] },
  );
  assert.deepEqual(policy?.retryOn, ["5xx", "reset", "retriable-status-codes", "unavailable"]);
  assert.deepEqual(policy?.retriableStatusCodes, [503, 409, 418]);
  assert.equal(policy?.numRetries, 7);
});

test("a request may bring a policy where the route has none; a number of retries alone is none", () => {
  const { retryPolicy: policy } = steer({ "x-envoy-retry-on": "gateway-error" });
  assert.deepEqual([policy?.retryOn, policy?.numRetries, policy?.baseIntervalMs], [["gateway-error"], 1, 25]);
  assert.equal(steer({ "x-envoy-max-retries": "7" }).retryPolicy, undefined);
});

test("what is no number changes nothing, and goes all the same", () => {
  for (const value of ["", "-1", "1.5", "1e3", "0x10", "soon", "9".repeat(16)]) {
    const { timeoutMs, left } = steer({ "x-envoy-upstream-rq-timeout-ms": value });
    assert.equal(timeoutMs, 15_000, value);
    assert.deepEqual(left, ["x-other", "1"]);
  }
});

const INSIDE: HarnessOptions = {
  manager: { manners: { ...defaultManners, internalAddresses: { unixSockets: false, cidrRanges: ["10.0.0.0/8"] } } },
};

/** Sends a request whose x-forwarded-for has that address, with these field lines. */
function ask(options: HarnessOptions, address: string, lines: string): { harness: Harness; client: MemoryConnection } {
  const harness = new Harness({ router: { suppressEnvoyHeaders: false }, ...options });
  const client = harness.connect();
  client.send(`GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: ${address}\r\n${lines}\r\n`);
  harness.run();
  return { harness, client };
}

test("a caller inside sets the timeout of its request, and one outside does not", () => {
  const lines = "x-envoy-upstream-rq-timeout-ms: 200\r\n";
  const inside = ask(INSIDE, "10.1.1.1", lines);
  assert.match(inside.harness.upstream().take(), /\r\nx-envoy-expected-rq-timeout-ms: 200\r\n/);
  inside.harness.advance(220);
  assert.match(inside.client.take(), /^HTTP\/1\.1 504 /);
  assert.equal(inside.harness.leaks(), "");

  const outside = ask(INSIDE, "192.0.2.9", lines);
  assert.match(outside.harness.upstream().take(), /\r\nx-envoy-expected-rq-timeout-ms: 15000\r\n/);
  outside.harness.advance(220);
  assert.equal(outside.client.take(), "");
  assert.equal(outside.harness.leaks(), "");
});

test("a caller inside has its request tried again, and one outside does not", () => {
  const lines = "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 2\r\n";
  for (const [address, attempts] of [
    ["10.1.1.1", 3],
    ["192.0.2.9", 1],
  ] as const) {
    const { harness, client } = ask(INSIDE, address, lines);
    for (let attempt = 0; attempt < attempts; attempt++) {
      assert.equal(client.take(), "");
      const head = harness.upstream(attempt).take();
      assert.match(head, /^GET /);
      assert.doesNotMatch(head, /x-envoy-(?:retry-on|max-retries)/);
      harness.upstream(attempt).send("HTTP/1.1 503 Busy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
      harness.advance(1000);
    }
    assert.match(client.take(), /^HTTP\/1\.1 503 /);
    assert.equal(harness.upstreams.length, attempts);
    assert.equal(harness.leaks(), "");
  }
});
