import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderMap } from "@heddle/http";
import { defaultManners, type RetryPolicy } from "@heddle/traffic";
import { Harness, type HarnessOptions, type MemoryConnection, retryPolicy, routeTo } from "../http/testing-harness.ts";
import { type Steering, senselessHeader, takeSteering } from "./steering-headers.ts";

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

test("headers that are to be checked must make sense, or the answer is 400 with their name", () => {
  const names = ["x-envoy-retry-on", "x-envoy-max-retries", "x-envoy-retry-grpc-on"];
  const check = (fields: Readonly<Record<string, string>>): string | undefined =>
    senselessHeader(HeaderMap.from(fields), names);
  assert.equal(check({}), undefined);
  assert.equal(check({ "x-envoy-retry-on": "5xx,reset", "x-envoy-max-retries": "1" }), undefined);
  assert.equal(check({ "x-envoy-retry-on": "5xx, reset" }), "x-envoy-retry-on", "no blanks");
  assert.equal(check({ "x-envoy-retry-grpc-on": "5xx" }), "x-envoy-retry-grpc-on");
  assert.equal(check({ "x-envoy-max-retries": "many" }), "x-envoy-max-retries");

  const router = { suppressEnvoyHeaders: false, strictCheckHeaders: names };
  const { harness, client } = ask({ ...INSIDE, router }, "10.1.1.1", "x-envoy-max-retries: many\r\n");
  assert.match(client.take(), /^HTTP\/1\.1 400 (?:.*\r\n)+\r\ninvalid header 'x-envoy-max-retries' with value 'many'$/);
  assert.equal(harness.logged[0]?.responseCodeDetails, "request_headers_failed_strict_check{x-envoy-max-retries}");
  assert.equal(harness.leaks(), "");
});

test("an attempt tells how much of the time is left for it", () => {
  const routes = routeTo("app", {
    timeoutMs: 5000,
    retryPolicy: { ...retryPolicy, baseIntervalMs: 1000, maxIntervalMs: 1000 },
  });
  const harness = new Harness({ router: { suppressEnvoyHeaders: false }, routes });
  harness.random = 2 ** 32 - 1;
  const client = harness.connect();
  client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  harness.run();
  assert.match(harness.upstream().take(), /\r\nx-envoy-expected-rq-timeout-ms: 5000\r\n/);
  harness.upstream().send("HTTP/1.1 503 Busy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  harness.advance(1010);
  const left = /\r\nx-envoy-expected-rq-timeout-ms: (\d+)\r\n/.exec(harness.upstream(1).take())?.[1];
  assert.ok(Number(left) >= 3980 && Number(left) <= 4020, left);
  client.destroy();
  assert.equal(harness.leaks(), "");
});

test("headers for those inside alone do not reach the upstream from elsewhere", () => {
  const routes = { ...routeTo("app"), internalOnlyHeaders: ["x-secret"] };
  for (const [address, passes] of [
    ["10.1.1.1", true],
    ["192.0.2.9", false],
  ] as const) {
    const { harness, client } = ask({ ...INSIDE, routes }, address, "x-secret: 1\r\n");
    assert.equal(harness.upstream().take().includes("x-secret"), passes);
    client.destroy();
    assert.equal(harness.leaks(), "");
  }
});
