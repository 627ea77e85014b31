import assert from "node:assert/strict";
import { test } from "node:test";
import { PrematureResets } from "./premature-resets.ts";

/** How many requests end, "x" those that are taken back early, until it is too much; -1: it never is. */
function endsAfter(requests: string): number {
  const resets = new PrematureResets();
  for (let i = 0; i < requests.length; i++) if (resets.isTooMuch(requests[i] === "x")) return i + 1;
  return -1;
}

test("250 requests that are taken back are too many, however many follow in good order", () => {
  assert.equal(endsAfter("x".repeat(1000)), 250);
  assert.equal(endsAfter(`${".".repeat(250)}${"x".repeat(1000)}`), 500);
});

test("beyond 500 requests half of them are too many", () => {
  assert.equal(endsAfter(`${".".repeat(1000)}${"x".repeat(5000)}`), 2000);
});

test("a client that takes back less than half goes on for ever", () => {
  assert.equal(endsAfter("x..".repeat(5000)), -1);
  assert.equal(endsAfter("x".repeat(249)), -1);
});
