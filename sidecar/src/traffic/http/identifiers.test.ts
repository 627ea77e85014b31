import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { HeaderMap } from "@heddle/http";
import { DateHeader } from "./date-header.ts";
import { RandomHex } from "./random-hex.ts";
import { traceOf } from "./trace-context.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID = "00f067aa0ba902b7";

test("identifiers differ, also those of different fillings", () => {
  const random = new RandomHex();
  assert.equal(new Set(Array.from({ length: 1000 }, () => random.uuid())).size, 1000);
  assert.equal(new Set(Array.from({ length: 1000 }, () => random.traceparent())).size, 1000);
});

test("the ids of a trace are never all zero", () => {
  const zeros = new RandomHex((buffer) => buffer.fill(0));
  assert.equal(zeros.traceparent(), `00-${"0".repeat(31)}1-${"0".repeat(15)}1-01`);
  const ones = new RandomHex((buffer) => buffer.fill(0xff));
  assert.equal(ones.traceparent(), `00-${"f".repeat(32)}-${"f".repeat(16)}-01`);
  assert.match(new RandomHex().traceparent(), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});

test("a UUID is one of version 4", () => {
  const random = new RandomHex();
  for (let i = 0; i < 100; i++) {
    assert.match(random.uuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
});

test("every place that is random gets every digit", () => {
  const random = new RandomHex();
  const placesBySpread = (next: () => string): Record<number, number> => {
    const ids = Array.from({ length: 1000 }, next);
    const places: Record<number, number> = {};
    for (let at = 0; at < ids[0]!.length; at++) {
      const spread = new Set(ids.map((id) => id[at])).size;
      places[spread] = (places[spread] ?? 0) + 1;
    }
    return places;
  };
  assert.deepEqual(
    placesBySpread(() => random.uuid()),
    { 1: 5, 4: 1, 16: 30 },
  );
  assert.deepEqual(
    placesBySpread(() => random.traceparent()),
    { 1: 7, 16: 48 },
  );
});

test("a date is formatted anew with each second", () => {
  const clock = new ManualClock(Date.UTC(2026, 0, 2, 3, 4, 5));
  const date = new DateHeader(clock);
  assert.equal(date.value, "Fri, 02 Jan 2026 03:04:05 GMT");
  clock.advance(999);
  assert.equal(date.value, "Fri, 02 Jan 2026 03:04:05 GMT");
  clock.advance(1);
  assert.equal(date.value, "Fri, 02 Jan 2026 03:04:06 GMT");
});

test("a trace that came stays as it is, with its state", () => {
  const headers = HeaderMap.from({ traceparent: `00-${TRACE_ID}-${SPAN_ID}-00`, tracestate: "a=b" });
  const { traceId, spanId, parentSpanId, sampled, traceState } = traceOf(headers, new RandomHex());
  assert.deepEqual([traceId, spanId, parentSpanId, sampled, traceState], [TRACE_ID, SPAN_ID, "", false, "a=b"]);
  assert.equal(headers.get("traceparent"), `00-${TRACE_ID}-${SPAN_ID}-00`);
});

test("a trace begins where there is none or a malformed one, whose state is dropped", () => {
  for (const traceparent of [
    undefined,
    "00-xyz",
    `00-${"0".repeat(32)}-${SPAN_ID}-01`,
    `ff-${TRACE_ID}-${SPAN_ID}-01`,
  ]) {
    const headers = HeaderMap.from(traceparent === undefined ? {} : { traceparent, tracestate: "a=b" });
    const trace = traceOf(headers, new RandomHex());
    assert.equal(headers.get("traceparent"), `00-${trace.traceId}-${trace.spanId}-01`);
    assert.equal(headers.has("tracestate"), false);
    assert.notEqual(trace.traceId, TRACE_ID);
  }
});
