import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTraceparent, parseTraceparent } from "./trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

test("a traceparent is read and written", () => {
  const context = { traceId: TRACE, spanId: SPAN, sampled: true };
  assert.deepEqual(parseTraceparent(`00-${TRACE}-${SPAN}-01`), context);
  const ours = { ...context, spanId: "ab".repeat(8), parentSpanId: SPAN, traceState: "" };
  assert.equal(formatTraceparent(ours), `00-${TRACE}-abababababababab-01`);
  assert.equal(formatTraceparent({ ...ours, sampled: false }), `00-${TRACE}-abababababababab-00`);
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
  ["a trace id that is no hex", `00-${TRACE.slice(1)}g-${SPAN}-01`],
  ["a span id that is no hex", `00-${TRACE}-${SPAN.slice(1)}:-01`],
  ["a dash in another place", `00-${TRACE}a${SPAN.slice(1)}--01`],
  ["a character that ends as a digit", `00-${TRACE.slice(1)}\u0130-${SPAN}-01`],
] as const) {
  test(`${why} is not continued`, () => assert.equal(parseTraceparent(value), undefined));
}

test("of all characters sixteen are digits, at every place of an id and of the flags", () => {
  const whole = `00-${TRACE}-${SPAN}-01`;
  for (const at of [3, 4, 5, 6, 34, 36, 51, 53, 54]) {
    for (let code = 0; code < 0x180; code++) {
      const character = String.fromCharCode(code);
      const changed = whole.slice(0, at) + character + whole.slice(at + 1);
      assert.equal(parseTraceparent(changed) !== undefined, /[0-9a-f]/.test(character), `${at} ${code}`);
    }
  }
});
