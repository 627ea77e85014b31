import assert from "node:assert/strict";
import { test } from "node:test";
import { Live, ManualClock, ok } from "@heddle/base";
import { type FilterChain, HttpFilterRegistry, type HttpFilterType } from "@heddle/filter";
import { silentLog, unseenMetrics } from "@heddle/filter/testing";
import { type HttpFilterConfig, missingConfig, NO_RUNTIME, type TypedConfig } from "@heddle/traffic";
import { missingConfigFactory } from "../filter/missing-config.ts";
import { routerType } from "../filter/router-type.ts";
import { DiscoveredChain } from "./discovered-chain.ts";
import { type Extensions, FilterBuilder } from "./filter-builder.ts";

const plain: HttpFilterType = {
  name: "plain",
  configType: "test.Plain",
  parse: (config) => ok(config),
  create: () => ({ create: () => ({}) }),
};

function typed(type: string): TypedConfig {
  return { name: "", type, config: {} };
}

const ROUTER: HttpFilterConfig = { name: "router", config: typed(routerType.configType), disabled: false };

function chainOf(...configs: readonly HttpFilterConfig[]) {
  const extensions = new Live<Extensions>(new Map());
  const builder = new FilterBuilder(new HttpFilterRegistry([plain, routerType]), (name) => ({
    name,
    clock: new ManualClock(),
    log: silentLog,
    metrics: unseenMetrics,
    runtime: NO_RUNTIME,
  }));
  const changes: FilterChain[] = [];
  const broken: unknown[] = [];
  const chain = new DiscoveredChain(
    configs,
    builder,
    1000,
    extensions,
    (next) => changes.push(next),
    (error) => broken.push(error),
  );
  const come = (config: Readonly<Record<string, TypedConfig>>): void =>
    void extensions.publish(new Map(Object.entries(config)));
  return { chain, changes, broken, come };
}

const DISCOVERED: HttpFilterConfig = {
  name: "found",
  config: missingConfig("found"),
  disabled: false,
  discovery: { types: ["test.Plain"] },
};

test("what comes replaces that filter alone, and what is removed leaves its default", () => {
  const fixed: HttpFilterConfig = { name: "fixed", config: typed("test.Plain"), disabled: false };
  const { chain, changes, come } = chainOf(fixed, DISCOVERED, ROUTER);
  const first = chain.current;
  assert.equal(first.places[1]?.factory, missingConfigFactory);
  const config = typed("test.Plain");
  come({ found: config });
  assert.equal(chain.current, changes[0]);
  assert.notEqual(chain.current, first);
  assert.equal(chain.current.places[0]?.factory, first.places[0]?.factory, "with its state");
  assert.notEqual(chain.current.places[1]?.factory, missingConfigFactory);
  come({ found: config, other: config });
  assert.equal(changes.length, 1, "nothing of this chain has changed");
  come({});
  assert.equal(chain.current.places[1]?.factory, missingConfigFactory);
});

test("what cannot be built leaves the chain as it is", () => {
  const unknown = { ...DISCOVERED, discovery: { types: ["test.Plain", "test.Nobody"] } };
  const { chain, changes, broken, come } = chainOf(unknown, ROUTER);
  const before = chain.current;
  come({ found: typed("test.Nobody") });
  assert.equal(chain.current, before);
  assert.deepEqual([changes.length, broken.length], [0, 1]);
  chain.stop();
  come({ found: typed("test.Plain") });
  assert.equal(chain.current, before, "it is over");
});

test("what came for others, and is of a type that this filter does not take, leaves its default", () => {
  const { chain, broken, come } = chainOf(DISCOVERED, ROUTER);
  come({ found: typed(routerType.configType) });
  assert.equal(chain.current.places[0]?.factory, missingConfigFactory);
  assert.deepEqual(broken, []);
});

test("a terminal filter may be discovered, too, and until then the chain ends all the same", () => {
  const end: HttpFilterConfig = { ...DISCOVERED, name: "end", discovery: { types: [routerType.configType] } };
  const { chain, come } = chainOf(end);
  const { terminal } = chain.current;
  come({ end: typed(routerType.configType) });
  assert.notEqual(chain.current.terminal, terminal);
});
