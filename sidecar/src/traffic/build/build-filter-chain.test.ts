import assert from "node:assert/strict";
import { test } from "node:test";
import { err, ManualClock, ok } from "@heddle/base";
import { HttpFilterRegistry, type HttpFilterType } from "@heddle/filter";
import { silentLog, unseenMetrics } from "@heddle/filter/testing";
import { type HttpFilterConfig, NO_RUNTIME } from "@heddle/traffic";
import { routerType } from "../filter/router-type.ts";
import { buildFilterChain } from "./build-filter-chain.ts";

const picky: HttpFilterType = {
  name: "picky",
  configType: "test.Picky",
  parse: (config) => (config === null ? err([{ path: "mode", message: "it is missing" }]) : ok(config)),
  create: () => ({ create: () => ({}) }),
};

const registry = new HttpFilterRegistry([picky, routerType]);

function build(...configs: readonly (readonly [name: string, type: string, config: null | object])[]) {
  const filters = configs.map(
    ([name, type, config]): HttpFilterConfig => ({
      name,
      config: { name, type, config: config && {} },
      disabled: false,
    }),
  );
  return buildFilterChain(filters, registry, 1000, (name) => ({
    name,
    clock: new ManualClock(),
    log: silentLog,
    metrics: unseenMetrics,
    runtime: NO_RUNTIME,
  }));
}

const ROUTER = ["router", routerType.configType, {}] as const;

test("a chain has its filters in order and ends with the router", () => {
  const chain = build(["a", "test.Picky", {}], ["b", "test.Picky", {}], ROUTER);
  assert.deepEqual(
    chain.places.map(({ name }) => name),
    ["a", "b"],
  );
});

test("what cannot be built names the filter and what is wrong", () => {
  assert.throws(() => build(["a", "test.Other", {}], ROUTER), /"a": unknown type test\.Other; known are .*test\.Picky/);
  assert.throws(() => build(["a", "test.Picky", null], ROUTER), /"a": mode: it is missing/);
  assert.throws(() => build(["a", "test.Picky", {}]), /must be a terminal one/);
  assert.throws(() => build(ROUTER, ["a", "test.Picky", {}]), /"a" stands behind the terminal filter/);
});
