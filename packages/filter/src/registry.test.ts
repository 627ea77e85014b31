import assert from "node:assert/strict";
import { test } from "node:test";
import { ok } from "@heddle/base";
import type { HttpFilterType } from "./http-filter.ts";
import { HttpFilterRegistry } from "./registry.ts";

const typeOf = (configType: string): HttpFilterType => ({
  name: configType,
  configType,
  parse: () => ok(undefined),
  create: () => ({ create: () => ({}) }),
});

test("a registry finds filters by the type of their configuration and knows all of them", () => {
  const registry = new HttpFilterRegistry([typeOf("b.B"), typeOf("a.A")]);
  assert.equal(registry.get("a.A")?.name, "a.A");
  assert.equal(registry.get("c.C"), undefined);
  assert.deepEqual(registry.configTypes, ["a.A", "b.B"]);
});

test("two filters for one type are refused", () => {
  assert.throws(() => new HttpFilterRegistry([typeOf("a.A"), typeOf("a.A")]), /two HTTP filters read a\.A/);
});
