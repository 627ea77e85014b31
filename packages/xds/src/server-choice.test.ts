import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerChoice } from "./server-choice.ts";

test("servers are tried in their order, and after the last one there is a wait", () => {
  const choice = new ServerChoice(3);
  assert.equal(choice.index, 0);
  assert.deepEqual([choice.unanswered(true), choice.index], [false, 1]);
  assert.deepEqual([choice.unanswered(true), choice.index], [false, 2]);
  assert.deepEqual([choice.unanswered(true), choice.index], [true, 0]);
});

test("while everything that is wanted is held, only the first is tried", () => {
  const choice = new ServerChoice(3);
  assert.deepEqual([choice.unanswered(false), choice.index], [true, 0]);
});

test("one server alone always waits", () => {
  const choice = new ServerChoice(1);
  assert.deepEqual([choice.unanswered(true), choice.index], [true, 0]);
});

test("a stream that had been answered is followed by an attempt at the first server", () => {
  const choice = new ServerChoice(2);
  choice.unanswered(true);
  choice.beginAnew();
  assert.equal(choice.index, 0);
});
