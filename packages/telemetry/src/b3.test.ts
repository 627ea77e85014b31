import assert from "node:assert/strict";
import { test } from "node:test";
import { formatB3, parseB3, parseB3Decision, parseB3Multi } from "./b3.ts";

const TRACE = "80f198ee56343ba864fe8b2a57d3eff7";
const SPAN = "e457b5a2e4d86bd1";
const PARENT = "05e3ac9a4f6e3b90";

test("the single header is read, with and without a decision and a parent", () => {
  const ids = { traceId: TRACE, spanId: SPAN };
  assert.deepEqual(parseB3(`${TRACE}-${SPAN}-1-${PARENT}`), { ...ids, sampled: true });
  assert.deepEqual(parseB3(`${TRACE}-${SPAN}-d`), { ...ids, sampled: true });
  assert.deepEqual(parseB3(`${TRACE}-${SPAN}-0`), { ...ids, sampled: false });
  assert.deepEqual(parseB3(`${TRACE}-${SPAN}`), { ...ids, sampled: undefined });
});

test("the four headers are read; the debug flag means sampled", () => {
  const ids = { traceId: TRACE, spanId: SPAN };
  assert.deepEqual(parseB3Multi(TRACE, SPAN, "1", undefined), { ...ids, sampled: true });
  assert.deepEqual(parseB3Multi(TRACE, SPAN, "0", "1"), { ...ids, sampled: true });
  assert.deepEqual(parseB3Multi(TRACE, SPAN, "false", undefined), { ...ids, sampled: false });
  assert.equal(parseB3Multi(TRACE, undefined, "1", undefined), undefined);
});

test("a trace id of 64 bits is filled up", () => {
  assert.equal(parseB3(`${SPAN}-${SPAN}`)?.traceId, `${"0".repeat(16)}${SPAN}`);
});

test("the decision alone is no context", () => {
  assert.equal(parseB3("0"), undefined);
  assert.equal(parseB3Decision("0"), false);
  assert.equal(parseB3Decision("d"), true);
  assert.equal(parseB3Decision("toString"), undefined);
  assert.equal(parseB3Decision(`${TRACE}-${SPAN}`), undefined);
});

for (const value of ["", `${TRACE}`, `${TRACE.toUpperCase()}-${SPAN}`, `${"0".repeat(32)}-${SPAN}`, `${TRACE}-${SPAN}-1-x`,
  `${TRACE}-${SPAN}-1-${PARENT}-more`, `${TRACE}-${"0".repeat(16)}`, `${TRACE.slice(1)}-${SPAN}`] /* biome-ignore format: a table */) {
  test(`"${value}" is not continued`, () => assert.equal(parseB3(value), undefined));
}

test("what is written is read again", () => {
  assert.equal(formatB3(TRACE, SPAN, true, ""), `${TRACE}-${SPAN}-1`);
  assert.equal(parseB3(formatB3(TRACE, SPAN, false, PARENT))?.sampled, false);
});
