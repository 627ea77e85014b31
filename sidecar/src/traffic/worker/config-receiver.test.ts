import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { type ConfigLaneEntry, type ConfigLaneUpdate, LaneBook } from "@heddle/config";
import { type LaneKind, type LaneValues, laneEntry, packUpdate } from "@heddle/config/lanes";
import { endpointConfig, endpointsConfig, locality, routeConfiguration, virtualHost } from "@heddle/traffic/testing";
import { ConfigReceiver, type DecodedUpdate } from "./config-receiver.ts";

/** A clock that goes on by itself: each look costs that much. */
class BusyClock extends ManualClock {
  readonly #lookMs: number;

  constructor(lookMs: number) {
    super();
    this.#lookMs = lookMs;
  }

  override now(): number {
    this.advance(this.#lookMs);
    return super.now();
  }
}

function routes(name: string): ConfigLaneEntry {
  return laneEntry(`route-configuration/${name}`, routeConfiguration([], { name }));
}

function endpoints(cluster: string, count: number): ConfigLaneEntry {
  const members = Array.from({ length: count }, (_, i) => endpointConfig(`10.0.${i >> 8}.${i & 255}`));
  const value: LaneValues[LaneKind] = endpointsConfig([locality(members)], { clusterName: cluster });
  return laneEntry(`endpoints/${cluster}`, value);
}

function receiver(clock = new ManualClock()) {
  const applied: DecodedUpdate[] = [];
  const gate = { open: Promise.resolve() };
  const broken: unknown[] = [];
  const apply = async (update: DecodedUpdate): Promise<void> => {
    await gate.open;
    if (update.changed.some(({ name }) => name === "bad")) throw new Error("it cannot be built");
    applied.push(update);
  };
  const receiver = new ConfigReceiver(clock, apply, (_update, error) => broken.push(error));
  const receive = (update: ConfigLaneUpdate): void => receiver.receive(packUpdate(update));
  return { receive, applied, gate, broken };
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

test("decodes what changed, with its hash, and names what is gone", async () => {
  const { receive, applied } = receiver();
  const entry = routes("a");
  receive({ generation: 1, changed: [entry, endpoints("c", 3)], removed: ["cluster/b/c"] });
  await turns(2);
  const [update] = applied;
  assert.deepEqual(update?.removed, [{ kind: "cluster", name: "b/c" }]);
  assert.deepEqual(
    update.changed.map(({ kind, name }) => `${kind} ${name}`),
    ["route-configuration a", "endpoints c"],
  );
  assert.equal(update.changed[0]?.hash, entry.hash);
  const decoded = update.changed[1];
  assert.ok(decoded?.kind === "endpoints");
  assert.equal(decoded.value.localities[0]?.endpoints.length, 3);
});

test("leaves out what it has already, until it was removed", async () => {
  const { receive, applied } = receiver();
  receive({ generation: 1, changed: [routes("a")], removed: [] });
  await turns(2);
  receive({ generation: 2, changed: [routes("a"), routes("b")], removed: [] });
  await turns(2);
  receive({ generation: 3, changed: [], removed: ["route-configuration/a"] });
  await turns(2);
  receive({ generation: 4, changed: [routes("a")], removed: [] });
  await turns(2);
  assert.deepEqual(
    applied.map(({ generation, changed }) => [generation, changed.map(({ name }) => name)]),
    [[1, ["a"]], [2, ["b"]], [3, []], [4, ["a"]]],
  ); // biome-ignore format: a table
});

test("takes one update after the other, however long applying takes", async () => {
  const { receive, applied, gate } = receiver();
  const opened = Promise.withResolvers<void>();
  gate.open = opened.promise;
  receive({ generation: 1, changed: [routes("a")], removed: [] });
  await turns(1);
  receive({ generation: 2, changed: [routes("b")], removed: [] });
  await turns(5);
  assert.equal(applied.length, 0);
  opened.resolve();
  await turns(2);
  assert.deepEqual(
    applied.map(({ generation }) => generation),
    [1, 2],
  );
});

test("what has come meanwhile is taken as one, but for what was removed and comes again", async () => {
  const { receive, applied, gate } = receiver();
  const opened = Promise.withResolvers<void>();
  gate.open = opened.promise;
  receive({ generation: 1, changed: [routes("a")], removed: [] });
  await turns(1);
  const last = endpoints("c", 2);
  for (let generation = 2; generation < 1000; generation++)
    receive({ generation, changed: [endpoints("c", generation % 2), routes(`r${generation % 2}`)], removed: [] });
  receive({ generation: 1000, changed: [last], removed: ["route-configuration/r1", "route-configuration/a"] });
  receive({ generation: 1001, changed: [routes("a")], removed: [] });
  opened.resolve();
  await turns(5);
  assert.deepEqual(
    applied.map(({ generation }) => generation),
    [1, 1000, 1001],
  );
  const names = applied.map(({ changed }) => changed.map(({ kind, name }) => `${kind} ${name}`));
  assert.deepEqual(names, [
    ["route-configuration a"],
    ["endpoints c", "route-configuration r0"],
    ["route-configuration a"],
  ]);
  assert.equal(applied[1]?.changed.find(({ kind }) => kind === "endpoints")?.hash, last.hash);
  assert.deepEqual(
    applied[1]?.removed.map(({ name }) => name),
    ["r1", "a"],
  );
});

test("of what is taken as one a bad step is told of, and the good ones are applied", async () => {
  const { receive, applied, gate, broken } = receiver();
  const opened = Promise.withResolvers<void>();
  gate.open = opened.promise;
  receive({ generation: 1, changed: [routes("a")], removed: [] });
  receive({ generation: 2, changed: [routes("b")], removed: [] });
  receive({ generation: 3, changed: [{ ...routes("c"), bytes: new Uint8Array(3) }], removed: [] });
  receive({ generation: 4, changed: [routes("d")], removed: [] });
  opened.resolve();
  await turns(5);
  assert.deepEqual(
    applied.map(({ generation, changed }) => [generation, changed.map(({ name }) => name)]),
    [[1, ["a"]], [2, ["b"]], [4, ["d"]]],
  ); // biome-ignore format: a table
  assert.equal(broken.length, 1);
});

test("a virtual host that a later step takes away is there for an earlier one, when both have to be taken by themselves", async () => {
  const { receive, applied, gate, broken } = receiver();
  const book = new LaneBook();
  const key = "route-configuration/r";
  const step = (count: number, prefix: string): ConfigLaneUpdate => {
    const hosts = Array.from({ length: count }, (_, i) => virtualHost([`${i}`], [], { name: `${prefix}${i}` }));
    const changed = new Map([[key, routeConfiguration(hosts, { name: "r" })]]);
    return book.apply({ changed, removed: [] })!;
  };
  const opened = Promise.withResolvers<void>();
  receive(step(20, "old"));
  await turns(5);
  gate.open = opened.promise;
  receive({ generation: 9, changed: [routes("a")], removed: [] });
  await turns(2);
  const grown = step(21, "old");
  receive(grown);
  receive(step(20, "new"));
  receive({ generation: 10, changed: [routes("bad")], removed: [] });
  opened.resolve();
  await turns(20);
  const counts = applied.map(({ changed }) =>
    changed.map(({ kind, value }) => kind === "route-configuration" && value.virtualHosts.length),
  );
  assert.deepEqual([counts, broken.length], [[[20], [0], [21], [20]], 1]);
});

test("nothing is decoded in the turn in which it comes, nor in that in which another step came into force", async () => {
  const { receive, applied, gate } = receiver();
  const opened = Promise.withResolvers<void>();
  gate.open = opened.promise;
  receive({ generation: 1, changed: [routes("a")], removed: [] });
  await Promise.resolve();
  assert.equal(applied.length, 0);
  await turns(1);
  receive({ generation: 2, changed: [routes("b")], removed: ["cluster/b"] });
  opened.resolve();
  for (let i = 0; i < 20; i++) await Promise.resolve();
  assert.deepEqual(
    applied.map(({ generation }) => generation),
    [1],
  );
  await turns(2);
  assert.deepEqual([...(applied[1]?.kinds ?? [])], ["route-configuration", "cluster"]);
});

test("many endpoints are decoded in slices between which the thread serves others", async () => {
  const { receive, applied } = receiver(new BusyClock(0.3));
  receive({ generation: 1, changed: [endpoints("c", 5000)], removed: [] });
  let served = 0;
  while (applied.length === 0) {
    await turns(1);
    served++;
  }
  assert.ok(served > 10, `${served} turns for others`);
  const [entry] = applied[0]?.changed ?? [];
  assert.ok(entry?.kind === "endpoints");
  assert.equal(entry.value.localities[0]?.endpoints.length, 5000);
});

test("an update that cannot be applied is told of, and the next one is", async () => {
  const { receive, applied, gate, broken } = receiver();
  gate.open = Promise.reject(new Error("cannot be built"));
  gate.open.catch(() => undefined);
  receive({ generation: 1, changed: [routes("a")], removed: [] });
  await turns(5);
  assert.match(String(broken), /cannot be built/);
  gate.open = Promise.resolve();
  receive({ generation: 2, changed: [routes("a")], removed: [] });
  await turns(5);
  assert.deepEqual(
    applied.map(({ generation, changed }) => [generation, changed.length]),
    [[2, 1]],
    "what was not applied is not taken for known",
  );
});

test("bytes that cannot be decoded are told of, and do not end the thread", async () => {
  const { receive, applied, broken } = receiver();
  const entry = routes("a");
  receive({ generation: 1, changed: [{ ...entry, bytes: new Uint8Array(3) }], removed: [] });
  await turns(1);
  receive({ generation: 2, changed: [entry], removed: [] });
  await turns(5);
  assert.equal(broken.length, 1);
  assert.equal(applied.length, 1);
});
