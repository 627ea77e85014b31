import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { MetricsRegistry, SharedMetrics, type SpanRecord } from "@heddle/telemetry";
import { type SpanBatch, SpanSender } from "./span-sender.ts";

function span(name: string): SpanRecord {
  const ids = { traceId: "a".repeat(32), spanId: "b".repeat(16), parentSpanId: "", traceState: "" };
  return { ...ids, name, kind: "server", startWallMs: 0, durationMs: 1, isError: false, attributes: [] };
}

function makeSender() {
  const clock = new ManualClock();
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(1, message));
  const sent: SpanBatch[] = [];
  const sender = new SpanSender(clock, metrics, (batches) => sent.push(...batches));
  metrics.flush();
  const dropped = (): number => registry.collect().find(({ name }) => name === "tracing.spans_dropped")?.value ?? -1;
  return { clock, sender, sent, dropped };
}

test("spans are gathered by provider for a tenth of a second", () => {
  const { clock, sender, sent } = makeSender();
  sender.add("a", span("1"));
  sender.add("b", span("2"));
  sender.add("a", span("3"));
  clock.advance(99);
  assert.equal(sent.length, 0);
  clock.advance(1);
  assert.deepEqual(
    sent.map(({ provider, spans }) => [provider, spans.map(({ name }) => name)]),
    [["a", ["1", "3"]], ["b", ["2"]]],
  ); // biome-ignore format: a table
});

test("many spans do not wait", () => {
  const { sender, sent } = makeSender();
  for (let i = 0; i < 256; i++) sender.add("a", span(String(i)));
  assert.equal(sent[0]?.spans.length, 256);
});

test("what the control thread does not take is dropped and counted, and it goes on when it has taken", () => {
  const { sender, sent, dropped } = makeSender();
  for (let i = 0; i < 4100; i++) sender.add("a", span(String(i)));
  assert.equal(
    sent.reduce((total, { spans }) => total + spans.length, 0),
    4096,
  );
  assert.equal(dropped(), 4);
  sender.taken(256);
  sender.add("a", span("again"));
  sender.flush();
  assert.equal(sent.at(-1)?.spans[0]?.name, "again");
  assert.equal(dropped(), 4);
});
