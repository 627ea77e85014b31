import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { GRACE_MS, RemovalGuard } from "./removal-guard.ts";
import type { ResourceKind } from "./resource/resource-type.ts";
import type { AcceptedResource, ResourceUpdate } from "./subscription.ts";

test("a first response on a stream that takes all away is held back, until the grace is over", () => {
  const g = guard();
  g.pass("cluster", { changed: ["a", "b"] });
  g.reconnect();
  assert.deepEqual(g.pass("cluster", { removed: ["a", "b"] }).removed, []);
  g.clock.advance(GRACE_MS - 1);
  assert.deepEqual(g.released, []);
  g.clock.advance(1);
  assert.deepEqual(g.released, ["cluster a b"]);
  assert.equal(g.guard.heldBack.size, 0);
  assert.equal(g.clock.pending, 0);
});

test("statement 31: what a stream takes away later is removed at once, be it the last", () => {
  const g = guard();
  g.pass("cluster", { changed: ["a", "b"] });
  assert.deepEqual(g.pass("cluster", { removed: ["a", "b"] }).removed, ["a", "b"]);
});

test("statement 51: what has gone while nobody was connected is removed at once where others of its kind are there", () => {
  const g = guard();
  g.pass("cluster", { changed: ["a", "b"] });
  g.reconnect();
  assert.deepEqual(g.pass("cluster", { removed: ["a"], refreshed: ["b"] }).removed, ["a"]);
  g.reconnect();
  assert.deepEqual(g.pass("cluster", { removed: ["b"], changed: ["c"] }).removed, ["b"]);
});

test("while one kind is held back all are, and what comes again stays", () => {
  const g = guard();
  g.pass("cluster", { changed: ["a", "b"] });
  g.pass("endpoints", { changed: ["a", "b"] });
  g.reconnect();
  g.pass("cluster", { removed: ["a", "b"] });
  assert.deepEqual(g.pass("endpoints", { absent: ["a"] }).absent, []);
  assert.deepEqual(g.pass("cluster", { changed: ["a"] }).removed, []);
  assert.deepEqual(g.pass("endpoints", { changed: ["a"] }).removed, []);
  g.clock.advance(GRACE_MS);
  assert.deepEqual(g.released, ["cluster b"]);
});

test("the grace ends early when all has come again, and later removals count at once", () => {
  const g = guard();
  g.pass("listener", { changed: ["a"] });
  g.reconnect();
  g.pass("listener", { removed: ["a"] });
  g.pass("listener", { changed: ["a"] });
  assert.equal(g.clock.pending, 0);
  assert.deepEqual(g.pass("listener", { removed: ["a"] }).removed, ["a"]);
});

test("a stream that is lost within the grace begins it anew with the next one's first response", () => {
  const g = guard();
  g.pass("listener", { changed: ["a"] });
  g.reconnect();
  g.pass("listener", { removed: ["a"] });
  g.clock.advance(GRACE_MS - 1);
  g.reconnect();
  g.clock.advance(GRACE_MS * 10);
  assert.deepEqual(g.released, []);
  g.pass("listener", {}); // an empty set again, of which the client has nothing to say
  g.clock.advance(GRACE_MS);
  assert.deepEqual(g.released, ["listener a"]);
});

test("names that nobody wants any more are neither held nor held back", () => {
  const g = guard();
  g.pass("endpoints", { changed: ["a", "b", "c"] });
  g.guard.want("endpoints", new Set(["a", "b"]));
  g.guard.drop("endpoints", ["b"]);
  g.reconnect();
  assert.deepEqual(g.pass("endpoints", { absent: ["a"] }).absent, []); // it was all
  g.guard.want("endpoints", new Set());
  g.clock.advance(GRACE_MS);
  assert.deepEqual(g.released, []);
});

test("the order of what is removed in the end is that of making before breaking", () => {
  const g = guard();
  for (const kind of ["cluster", "endpoints", "listener", "route-configuration"] as const)
    g.pass(kind, { changed: ["a"] });
  g.reconnect();
  for (const kind of ["cluster", "endpoints", "listener", "route-configuration"] as const)
    g.pass(kind, { removed: ["a"] });
  g.clock.advance(GRACE_MS);
  assert.deepEqual(g.released, ["listener a", "route-configuration a", "cluster a", "endpoints a"]);
});

test("a name that goes unanswered is no first response, and one that was never there is passed on", () => {
  const g = guard();
  g.pass("endpoints", { changed: ["a"] });
  g.reconnect();
  assert.deepEqual(g.pass("endpoints", { absent: ["b"], timedOut: true }).absent, ["b"]);
  assert.deepEqual(g.pass("endpoints", { removed: ["a"], absent: ["c"] }), { ...empty("endpoints"), absent: ["c"] });
});

interface Wish {
  readonly changed?: readonly string[];
  readonly refreshed?: readonly string[];
  readonly removed?: readonly string[];
  readonly absent?: readonly string[];
  readonly timedOut?: true;
}

function guard() {
  const clock = new ManualClock();
  const released: string[] = [];
  const made = new RemovalGuard(clock, ({ kind, removed }) => released.push([kind, ...removed].join(" ")));
  made.openStream();
  return {
    clock,
    released,
    guard: made,
    reconnect() {
      made.closeStream();
      made.openStream();
    },
    pass: (kind: ResourceKind, { changed = [], ...more }: Wish): ResourceUpdate =>
      made.pass({ ...empty(kind), ...more, changed: new Map(changed.map((name) => [name, accepted(name)])) }),
  };
}

function empty(kind: ResourceKind): ResourceUpdate {
  return { kind, changed: new Map(), removed: [], absent: [] };
}

function accepted(name: string): AcceptedResource {
  return { name, version: "1", config: {}, unhonoured: [] };
}
