import assert from "node:assert/strict";
import { test } from "node:test";
import { Subscription } from "./subscription.ts";

test("statement 35: a first list without names means all, for a type with the old form of the wildcard", () => {
  const subscription = new Subscription(true);
  assert.deepEqual(subscription.replace([]), ["*"]);
  assert.ok(subscription.wants("anything"));
  assert.deepEqual(subscription.replace([]), [], "and goes on meaning all");
  assert.ok(subscription.wildcard);
});

test("statement 36: an explicit * means all and may stand beside names", () => {
  const subscription = new Subscription(false);
  assert.deepEqual(subscription.replace(["a", "*"]), ["a", "*"]);
  assert.ok(subscription.wants("b"));
  assert.deepEqual([...subscription.names], ["a"]);
});

test("statement 37: {} then {*,A} then {A} then {} is all, all and A, only A, nothing", () => {
  const subscription = new Subscription(true);
  subscription.replace([]);
  assert.ok(subscription.wildcard);
  assert.deepEqual(subscription.replace(["*", "A"]), ["A"]);
  assert.ok(subscription.wildcard);
  subscription.replace(["A"]);
  assert.deepEqual([subscription.wildcard, [...subscription.names]], [false, ["A"]]);
  subscription.replace([]);
  assert.deepEqual([subscription.wildcard, subscription.names.size], [false, 0]);
});

test("statement 37: an explicit * followed by an empty list is nothing", () => {
  const subscription = new Subscription(true);
  subscription.replace(["*"]);
  subscription.replace([]);
  assert.equal(subscription.wildcard, false);
});

test("statement 38: the delta twin never falls back to the wildcard", () => {
  const subscription = new Subscription(true);
  subscription.change([], []);
  assert.ok(subscription.wildcard);
  subscription.change(["A"], []);
  assert.deepEqual([subscription.wildcard, [...subscription.names]], [true, ["A"]]);
  subscription.change([], ["*"]);
  assert.deepEqual([subscription.wildcard, [...subscription.names]], [false, ["A"]]);
  assert.deepEqual(subscription.change([], ["A"]), ["A"]);
  subscription.change([], []);
  assert.deepEqual([subscription.wildcard, subscription.names.size], [false, 0]);
});

test("statement 39: the old form of the wildcard is only for types that define it", () => {
  const sotw = new Subscription(false);
  sotw.replace([]);
  assert.equal(sotw.wildcard, false);
  const delta = new Subscription(false);
  delta.change([], []);
  assert.equal(delta.wildcard, false);
});

test("statement 41: taking away a name that was never asked for is nothing", () => {
  const subscription = new Subscription(true);
  subscription.change(["A"], []);
  assert.deepEqual(subscription.change([], ["B"]), []);
  assert.deepEqual([...subscription.names], ["A"]);
});

test("statement 28: names left out of a list are no longer asked for", () => {
  const subscription = new Subscription(false);
  subscription.replace(["A", "B"]);
  assert.deepEqual(subscription.replace(["B", "C"]), ["C"]);
  assert.equal(subscription.wants("A"), false);
});
