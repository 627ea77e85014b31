import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouteConfiguration, VirtualHost } from "@heddle/traffic";
import type { ConfigDelta } from "./assemble/config-draft.ts";
import { LaneBook } from "./lane-book.ts";
import { decodeLane, HeldHosts, isHostKey } from "./lanes.ts";
import type { ConfigLaneUpdate } from "./proxy-config.ts";

function delta(changed: Record<string, object>, ...removed: string[]): ConfigDelta {
  return { changed: new Map(Object.entries(changed)) as ConfigDelta["changed"], removed };
}

test("each step that changes anything is one generation", () => {
  const book = new LaneBook();
  const first = book.apply(delta({ "cluster/a": { name: "a" }, "cluster/b": { name: "b" } }));
  assert.equal(first?.generation, 1);
  assert.deepEqual(
    first.changed.map((entry) => entry.key),
    ["cluster/a", "cluster/b"],
  );
  const second = book.apply(delta({ "cluster/b": { name: "b", x: 1 } }, "cluster/a"));
  assert.equal(second?.generation, 2);
  assert.deepEqual(second.removed, ["cluster/a"]);
});

test("equal content under a new object, and the removal of something unknown, change nothing", () => {
  const book = new LaneBook();
  book.apply(delta({ "cluster/a": { name: "a", x: 1 } }));
  assert.equal(book.apply(delta({ "cluster/a": { x: 1, name: "a" } }, "cluster/z")), undefined);
  assert.equal(book.generation, 1);
});

test("a worker that comes late gets everything as one update of the last generation", () => {
  const book = new LaneBook();
  book.apply(delta({ "cluster/a": { name: "a" } }));
  const last = book.apply(delta({ "cluster/b": { name: "b" } }, "cluster/a"));
  const all = book.everything();
  assert.equal(all.generation, 2);
  assert.deepEqual(all.changed, last?.changed, "the same bytes, not a second encoding");
  assert.deepEqual(all.removed, []);
});

test("of many virtual hosts only those cross that have not been there, and a worker keeps the objects of the others", () => {
  const book = new LaneBook();
  const host = (name: string, cluster = "a"): VirtualHost =>
    ({ name, domains: [name], routes: [{ name: cluster }] }) as unknown as VirtualHost;
  const hosts = Array.from({ length: 40 }, (_, i) => host(`host-${i}`));
  const key = "route-configuration/r/x";
  const step = (virtualHosts: readonly VirtualHost[], more: object = {}) =>
    book.apply(delta({ [key]: { name: "r/x", virtualHosts, ...more } }));
  const held = new HeldHosts();
  /** What a worker makes of an update, whatever the order of its entries. */
  const taken = ({ changed, removed }: ConfigLaneUpdate): RouteConfiguration => {
    const head = changed.find((entry) => entry.key === key);
    for (const entry of [...changed].reverse()) if (isHostKey(entry.key)) held.take(entry);
    const whole = held.whole(key, decodeLane(key, head!.bytes) as RouteConfiguration);
    for (const gone of removed) if (isHostKey(gone)) held.drop(gone);
    return whole;
  };
  const first = step(hosts);
  assert.equal(first?.changed.length, 41);
  const table = taken(first);
  assert.deepEqual(table.virtualHosts, hosts);
  const changed = hosts.with(7, host("host-7", "b"));
  const second = step(changed);
  assert.deepEqual([second?.changed.length, second?.removed.length], [2, 1]);
  const next = taken(second!);
  assert.deepEqual(next.virtualHosts, changed);
  assert.deepEqual(
    next.virtualHosts.filter((one, i) => one !== table.virtualHosts[i]).map(({ name }) => name),
    ["host-7"],
  );
  assert.equal(step(structuredClone(changed)), undefined, "the same again, as other objects");
  assert.deepEqual(
    step(changed, { ignorePortInHostMatching: true })?.changed.map((entry) => entry.key),
    [key],
  );
  assert.equal(book.everything().changed.length, 41, "a worker that comes late");
  const few = step(changed.slice(0, 3));
  assert.deepEqual([few?.changed.length, few?.removed.length], [1, 40]);
  assert.deepEqual(taken(few!).virtualHosts, changed.slice(0, 3));
  step(hosts);
  const end = book.apply(delta({}, key));
  assert.equal(end?.removed.length, 41);
  assert.equal(book.everything().changed.length, 0);
  assert.throws(
    () => held.whole(key, decodeLane(key, first.changed.at(-1)!.bytes) as RouteConfiguration),
    /has not come/,
  );
});
