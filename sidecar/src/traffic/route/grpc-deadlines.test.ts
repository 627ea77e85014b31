import assert from "node:assert/strict";
import { test } from "node:test";
import type { ForwardAction } from "@heddle/traffic";
import { Harness, type HarnessOptions, retryPolicy, routeTo } from "../http/testing-harness.ts";

function callWith(grpcTimeout: string): string {
  return `POST /shop.Cart/Add HTTP/1.1\r\nhost: shop\r\ncontent-type: application/grpc\r\ngrpc-timeout: ${grpcTimeout}\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0`;
}

function withHarness(
  forward: Partial<ForwardAction>,
  body: (harness: Harness, client: ReturnType<Harness["connect"]>) => void,
  options: HarnessOptions = {},
): void {
  const harness = new Harness({ ...options, routes: routeTo("app", { timeoutMs: 15_000, ...forward }) });
  const client = harness.connect();
  body(harness, client);
  client.sendEnd();
  harness.run();
  assert.equal(harness.leaks(), "");
}

const heard = (request: string): readonly (string | undefined)[] => [
  /\r\ngrpc-timeout: (\S+)/.exec(request)?.[1],
  /\r\nx-envoy-expected-rq-timeout-ms: (\S+)/.exec(request)?.[1],
];

test("a route that says nothing of deadlines passes grpc-timeout on, and its own timeout counts", () => {
  withHarness({ timeoutMs: 100 }, (harness, client) => {
    client.send(callWith("10m"));
    harness.run();
    assert.deepEqual(heard(harness.upstream().take()), ["10m", undefined]);
    harness.advance(50);
    assert.equal(client.take(), "");
    harness.advance(60);
    assert.match(client.take(), /\r\ngrpc-status: 4\r\n/);
  });
});

test("max_grpc_timeout: the call ends at its deadline, and the upstream hears of it in both headers", () => {
  const router = { suppressEnvoyHeaders: false };
  withHarness(
    { maxGrpcTimeoutMs: 1000 },
    (harness, client) => {
      client.send(callWith("200m"));
      harness.run();
      assert.deepEqual(heard(harness.upstream().take()), ["200m", "200"]);
      harness.advance(210);
      assert.match(
        client.take(),
        /^HTTP\/1\.1 200 .*\r\ngrpc-status: 4\r\ngrpc-message: upstream request timeout\r\n/s,
      );
      assert.equal(harness.upstream().closed, true);
    },
    { router },
  );
});

test("a second attempt is told what is left, and its own timeout where that is shorter", () => {
  const policy = { ...retryPolicy, retryOn: ["unavailable"], perTryTimeoutMs: 0 };
  withHarness({ maxGrpcTimeoutMs: 1000, retryPolicy: policy }, (harness, client) => {
    client.send(callWith("5S"));
    harness.run();
    assert.deepEqual(heard(harness.upstream().take()), ["1000m", undefined]);
    harness.advance(300);
    harness.upstream().send("HTTP/1.1 200 OK\r\ngrpc-status: 14\r\ncontent-length: 0\r\n\r\n");
    harness.advance(100);
    const [left] = heard(harness.upstream().take());
    const leftMs = Number(/^(\d+)m$/.exec(left ?? "")?.[1]);
    assert.ok(leftMs <= 700 && leftMs >= 600, `what is left of a second: ${left}`);
    harness.upstream().send("HTTP/1.1 200 OK\r\ngrpc-status: 0\r\ncontent-length: 0\r\n\r\n");
    harness.run();
    assert.match(client.take(), /grpc-status: 0/);
  });
  withHarness({ maxGrpcTimeoutMs: 1000, retryPolicy: { ...policy, perTryTimeoutMs: 150 } }, (harness, client) => {
    client.send(callWith("5S"));
    harness.run();
    assert.deepEqual(heard(harness.upstream().take()), ["150m", undefined]);
  });
});

test("grpc_timeout_header_max bounds the stream from its first byte, though its answer has begun", () => {
  withHarness({ timeoutMs: 20, maxStreamDuration: { grpcTimeoutHeaderMaxMs: 500 } }, (harness, client) => {
    client.send(callWith("1S"));
    harness.run();
    assert.deepEqual(heard(harness.upstream().take()), ["500m", undefined]);
    harness.advance(100);
    const head = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n";
    harness.upstream().send(head);
    harness.advance(300);
    assert.equal(client.closed, false);
    assert.match(client.take(), /^HTTP\/1\.1 200 /);
    harness.advance(120);
    assert.equal(client.closed, true);
    assert.equal(harness.logged[0]?.responseCodeDetails, "max_duration_timeout");
    assert.equal(harness.upstream().closed, true);
  });
});

test("a deadline that has passed is DEADLINE_EXCEEDED", () => {
  withHarness({ maxStreamDuration: { grpcTimeoutHeaderMaxMs: 0 } }, (harness, client) => {
    client.send(callWith("0m"));
    harness.advance(20);
    assert.match(client.take(), /\r\ngrpc-status: 4\r\ngrpc-message: downstream duration timeout\r\n/);
  });
});
