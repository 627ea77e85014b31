import assert from "node:assert/strict";
import { test } from "node:test";
import { continueTrace, formatTraceparent, parseTraceparent } from "./trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const hex = (bytes: number): string => "ab".repeat(bytes);

test("a valid traceparent is continued with a span of our own", () => {
  const context = continueTrace(`00-${TRACE}-${SPAN}-01`, "vendor=1", hex, false);
  assert.deepEqual(context, {
    traceId: TRACE,
    spanId: "abababababababab",
    parentSpanId: SPAN,
    sampled: true,
    traceState: "vendor=1",
  });
  assert.equal(formatTraceparent(context), `00-${TRACE}-abababababababab-01`);
});

test("without one a trace begins, and a stray tracestate is dropped", () => {
  const context = continueTrace(undefined, "vendor=1", hex, true);
  assert.deepEqual(context, {
    traceId: "ab".repeat(16),
    spanId: "ab".repeat(8),
    parentSpanId: "",
    sampled: true,
    traceState: "",
  });
});

test("ids of all zeros are never made", () => {
  const answers = ["00".repeat(8), "01".repeat(8), "00".repeat(16), "02".repeat(16)];
  const context = continueTrace(undefined, undefined, () => answers.shift()!, false);
  assert.equal(context.spanId, "01".repeat(8));
  assert.equal(context.traceId, "02".repeat(16));
});

test("a later version is read as far as we know it", () => {
  assert.deepEqual(parseTraceparent(`cc-${TRACE}-${SPAN}-03-what-comes`), {
    traceId: TRACE,
    spanId: SPAN,
    sampled: true,
  });
});

for (const [why, value] of [
  ["an empty one", ""],
  ["version ff", `ff-${TRACE}-${SPAN}-01`],
  ["more behind version 00", `00-${TRACE}-${SPAN}-01-more`],
  ["upper case", `00-${TRACE.toUpperCase()}-${SPAN}-01`],
  ["a trace id of zeros", `00-${"0".repeat(32)}-${SPAN}-01`],
  ["a span id of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
  ["a short id", `00-${TRACE.slice(1)}-${SPAN}-01`],
  ["flags that are no hex", `00-${TRACE}-${SPAN}-0x`],
] as const) {
  test(`${why} is not continued`, () => assert.equal(parseTraceparent(value), undefined));
}

test("a tracestate beyond 512 characters is dropped whole", () => {
  assert.equal(continueTrace(`00-${TRACE}-${SPAN}-01`, `a=${"x".repeat(511)}`, hex, true).traceState, "");
});
