import assert from "node:assert/strict";
import { test } from "node:test";
import { KEEPALIVE_TIMEOUT_MS, KeepalivePace } from "./keepalive-pace.ts";

test("a control plane that hangs is noticed within 20 s", () => {
  assert.ok(new KeepalivePace().intervalMs + KEEPALIVE_TIMEOUT_MS <= 20_000);
});

test("two connections that end at the fourth ping double the interval; other ends do not", () => {
  const pace = new KeepalivePace();
  const first = pace.intervalMs;
  for (const quietMs of [4 * first, 10, 4 * first, 9 * first]) pace.ended(quietMs);
  assert.equal(pace.intervalMs, first);
  pace.ended(4 * first);
  pace.ended(4 * first + 20);
  assert.equal(pace.intervalMs, 2 * first);
});

test("the interval ends above what any server wants", () => {
  const pace = new KeepalivePace();
  for (let round = 0; round < 40; round++) pace.ended(4 * pace.intervalMs);
  assert.equal(pace.intervalMs, 330_000);
});
