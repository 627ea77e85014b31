import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Worker } from "node:worker_threads";
import { LiveRuntime } from "../runtime/live-runtime.ts";
import { CIRCUIT_BREAKER_CELLS, CircuitBreaker } from "./circuit-breaker.ts";
import { RuntimeThresholds } from "./runtime-thresholds.ts";

const LIMITS = { maxConnections: 2, maxPendingRequests: 1, maxRequests: 3, maxRetries: 0 };

function cells(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * CIRCUIT_BREAKER_CELLS));
}

describe("circuit breaker", () => {
  it("counts each kind up to its own limit, and down again", () => {
    const breaker = new CircuitBreaker(cells(), LIMITS);
    assert.ok(breaker.tryAcquireConnection() && breaker.tryAcquireConnection());
    assert.ok(!breaker.tryAcquireConnection());
    assert.ok(breaker.tryAcquirePending() && !breaker.tryAcquirePending());
    assert.ok(breaker.tryAcquireRequest());
    assert.ok(!breaker.tryAcquireRetry());
    assert.deepEqual(breaker.counts, { connections: 2, pendingRequests: 1, requests: 1, retries: 0 });
    breaker.releaseConnection();
    assert.ok(breaker.tryAcquireConnection());
  });

  it("notes the worker's share, so that it can be taken off when the worker dies", () => {
    const shared = cells();
    const share = cells();
    const other = new CircuitBreaker(shared, LIMITS);
    const dying = new CircuitBreaker(shared, LIMITS, share);
    assert.ok(other.tryAcquireRequest() && dying.tryAcquireRequest() && dying.tryAcquireRequest());
    assert.ok(!dying.tryAcquireRequest());
    dying.releaseRequest();
    assert.ok(dying.tryAcquireConnection());
    assert.deepEqual([...share], [1, 0, 1, 0]);
    share.forEach((held, index) => {
      shared[index]! -= held;
    });
    assert.deepEqual(other.counts, { connections: 0, pendingRequests: 0, requests: 1, retries: 0 });
  });

  it("keeps its counts when the limits change, and lets nobody in until enough have left", () => {
    const shared = cells();
    const before = new CircuitBreaker(shared, LIMITS);
    before.tryAcquireRequest();
    before.tryAcquireRequest();
    const after = new CircuitBreaker(shared, { ...LIMITS, maxRequests: 1 });
    assert.ok(!after.tryAcquireRequest());
    before.releaseRequest();
    before.releaseRequest();
    assert.ok(after.tryAcquireRequest());
  });

  it("ends the worker that releases what it does not hold", () => {
    assert.throws(() => new CircuitBreaker(cells(), LIMITS).releaseRetry(), /more often than acquired/);
  });

  it("never lets more in than the limit when workers race", async () => {
    const shared = new Int32Array(new SharedArrayBuffer(4 * (CIRCUIT_BREAKER_CELLS + 1)));
    const source = `
      const { parentPort, workerData } = require("node:worker_threads");
      import(workerData.module).then(({ CircuitBreaker }) => {
        const breaker = new CircuitBreaker(workerData.cells, { maxConnections: 0, maxPendingRequests: 0, maxRequests: 3, maxRetries: 0 });
        let highest = 0;
        for (let i = 0; i < 20000; i++) {
          if (!breaker.tryAcquireRequest()) continue;
          highest = Math.max(highest, Atomics.add(workerData.cells, 4, 1) + 1); // those inside, counted beside
          Atomics.sub(workerData.cells, 4, 1);
          breaker.releaseRequest();
        }
        parentPort.postMessage(highest);
      });`;
    const workerData = { module: new URL("./circuit-breaker.ts", import.meta.url).href, cells: shared };
    const highest = await Promise.all(
      [1, 2].map(
        () =>
          new Promise<number>((resolve, reject) => {
            const worker = new Worker(source, { eval: true, workerData });
            worker.once("message", resolve);
            worker.once("error", reject);
          }),
      ),
    );
    assert.ok(Math.max(...highest) <= 3);
    assert.deepEqual([...shared], [0, 0, 0, 0, 0]);
  });
});

it("the runtime's limits stand above the configured ones, from the next look on, and only those of its cluster", () => {
  const configured = { maxConnections: 1, maxPendingRequests: 1, maxRequests: 1, maxRetries: 3 };
  const runtime = new LiveRuntime();
  const limits = new RuntimeThresholds(configured, "a.b", runtime);
  const breaker = new CircuitBreaker(new Int32Array(CIRCUIT_BREAKER_CELLS), limits);
  assert.deepEqual([breaker.tryAcquireRequest(), breaker.tryAcquireRequest()], [true, false]);
  runtime.publish({ "circuit_breakers.a.b.default.max_requests": 2, "circuit_breakers.a.default.max_retries": 0 });
  assert.deepEqual([breaker.tryAcquireRequest(), breaker.tryAcquireRequest()], [true, false]);
  assert.equal(breaker.tryAcquireRetry(), true);
  runtime.publish({ "circuit_breakers.a.b.default.max_retries": "0", "circuit_breakers.a.b.high.max_requests": 9 });
  assert.deepEqual([breaker.tryAcquireRetry(), limits.maxRequests, limits.maxConnections], [false, 1, 1]);
});
