import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, ok } from "@heddle/base";
import type { FilterContext, HttpFilterFactory } from "@heddle/filter";
import { silentLog, unseenMetrics } from "@heddle/filter/testing";
import { LiveRuntime } from "@heddle/traffic";
import { lazyFilter } from "./lazy-filter.ts";

const context: FilterContext = {
  name: "lazy",
  clock: new ManualClock(),
  log: silentLog,
  metrics: unseenMetrics,
  runtime: new LiveRuntime(),
};

test("a lazy filter is read at once, loaded once, and made after that", async () => {
  const factory: HttpFilterFactory = { create: () => ({}) };
  let loads = 0;
  const type = lazyFilter({ name: "lazy", configType: "test.Lazy", parse: ok }, async () => {
    loads++;
    return { create: () => factory };
  });
  assert.deepEqual(type.parse({ a: 1 }), ok({ a: 1 }));
  assert.throws(() => type.create({}, context), /lazy has not been loaded/);
  await type.load?.();
  await type.load?.();
  assert.equal(loads, 1);
  assert.equal(type.create({}, context), factory);
});
