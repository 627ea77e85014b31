import assert from "node:assert/strict";
import { test } from "node:test";
import { unseenMetrics } from "@heddle/filter/testing";
import { type Demand, demandKey } from "@heddle/traffic";
import { WorkerDemands } from "./demands.ts";

const ORDERS: Demand = { kind: "cluster", name: "orders" };

function world() {
  const told: string[] = [];
  const answered: string[] = [];
  const demands = new WorkerDemands(unseenMetrics, (demand) => told.push(demandKey(demand)));
  const ask = (who: string, demand = ORDERS) => demands.ask(demand, () => answered.push(who));
  return { demands, told, answered, ask };
}

test("what many need is asked for once, and each is told", () => {
  const { demands, told, answered, ask } = world();
  ask("a");
  ask("b");
  ask("c", { kind: "virtual-host", routes: "r", host: "h" });
  assert.deepEqual(told, ["cluster/orders", "virtual-host/r/h"]);
  demands.answered(ORDERS, 0);
  assert.deepEqual(answered, ["a", "b"]);
  demands.answered(ORDERS, 0);
  assert.deepEqual(answered, ["a", "b"], "once");
});

test("an answer counts when the configuration with which it is true is in force", () => {
  const { demands, answered, ask } = world();
  ask("a");
  demands.answered(ORDERS, 3);
  demands.applied(2);
  assert.deepEqual(answered, []);
  demands.applied(3);
  assert.deepEqual(answered, ["a"]);
});

test("who has gone is not told, and the next one asks anew", () => {
  const { demands, told, answered, ask } = world();
  ask("a")?.cancel();
  ask("b");
  assert.equal(told.length, 2);
  demands.answered(ORDERS, 0);
  assert.deepEqual(answered, ["b"]);
});

test("no more than 1000 wait; room comes back", () => {
  const { demands, ask } = world();
  const waiting = Array.from({ length: 1000 }, () => ask("a"));
  assert.equal(ask("b"), undefined);
  waiting[0]?.cancel();
  assert.notEqual(ask("b"), undefined);
  demands.answered(ORDERS, 0);
  assert.notEqual(ask("b"), undefined);
});
