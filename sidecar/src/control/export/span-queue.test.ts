import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { type Log, MetricsRegistry, SharedMetrics, type SpanRecord } from "@heddle/telemetry";
import { SpanQueue } from "./span-queue.ts";

function spans(count: number): SpanRecord[] {
  const ids = { traceId: "a".repeat(32), spanId: "b".repeat(16), parentSpanId: "", traceState: "" };
  return Array.from({ length: count }, (_, i) => ({ ...ids, name: String(i), kind: "server", startWallMs: 0, durationMs: 1, isError: false, attributes: [] })); // biome-ignore format: a table
}

function world() {
  const clock = new ManualClock();
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(0, message));
  const said: string[] = [];
  const say = (message: string): void => void said.push(message);
  const log = { info: say, warn: say } as unknown as Log;
  /** The sizes of the batches, and how each ends. */
  const sent: { readonly size: number; readonly settle: PromiseWithResolvers<void> }[] = [];
  const send = (batch: readonly SpanRecord[]): Promise<void> => {
    const settle = Promise.withResolvers<void>();
    sent.push({ size: batch.length, settle });
    return settle.promise;
  };
  const queue = new SpanQueue("opentelemetry", send, { clock, log, metrics });
  metrics.flush();
  const count = (name: string): number => registry.sum(`tracing.opentelemetry.${name}`);
  const settled = async (index: number, error?: Error): Promise<void> => {
    if (error === undefined) sent[index]?.settle.resolve();
    else sent[index]?.settle.reject(error);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, queue, sent, said, count, settled };
}

test("five spans go at once, fewer after five seconds", async () => {
  const { clock, queue, sent, count, settled } = world();
  queue.add(spans(4));
  clock.advance(4999);
  assert.equal(sent.length, 0);
  clock.advance(1);
  assert.deepEqual(
    sent.map(({ size }) => size),
    [4],
  );
  assert.equal(count("timer_flushed"), 1);
  await settled(0);
  assert.equal(count("spans_sent"), 4);
  queue.add(spans(5));
  assert.equal(sent[1]?.size, 5);
  assert.equal(clock.pending, 0);
});

test("while one export is under way spans gather for the next, and what is too much is dropped and counted", async () => {
  const { queue, sent, count, settled } = world();
  queue.add(spans(5));
  queue.add(spans(5000));
  assert.equal(sent.length, 1);
  assert.equal(count("spans_dropped"), 5000 - 4096);
  await settled(0);
  assert.equal(sent[1]?.size, 512);
});

test("what an export failed with is dropped; the log says so once, and once that it works again", async () => {
  const { queue, sent, said, count, settled } = world();
  for (let i = 0; i < 3; i++) {
    queue.add(spans(5));
    await settled(i, new Error("refused"));
  }
  assert.equal(count("spans_dropped"), 15);
  queue.add(spans(5));
  await settled(3);
  assert.deepEqual(said, ["spans cannot be exported and are dropped", "spans are exported again"]);
  assert.equal(sent.length, 4);
});

test("closing sends what waits, and does not wait for ever", async () => {
  const quick = world();
  quick.queue.add(spans(3));
  const closed = quick.queue.close();
  await quick.settled(0);
  await closed;
  assert.equal(quick.count("spans_sent"), 3);
  assert.equal(quick.clock.pending, 0);

  const slow = world();
  slow.queue.add(spans(3));
  const given = slow.queue.close();
  slow.queue.add(spans(2));
  slow.clock.advance(2000);
  await given;
  assert.equal(slow.count("spans_dropped"), 2, "nothing is taken any more");
  assert.equal(slow.clock.pending, 0);
});
