import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageBudget } from "./message-budget.ts";

function budget(connectionBytes: number, bytes: number) {
  const made = new MessageBudget({ connectionBytes, bytes });
  const ended: string[] = [];
  const open = (connection: object, name: string) => made.open(connection, (why) => ended.push(`${name}: ${why}`));
  return { made, ended, open };
}

test("a call ends that takes more than its connection may have, and what the others hold stays", () => {
  const { made, ended, open } = budget(100, 1000);
  const connection = {};
  const [first, second] = [open(connection, "first"), open(connection, "second")];
  first.take(60);
  second.take(40);
  assert.deepEqual(ended, []);
  second.take(1);
  assert.deepEqual(ended, ["second: more than 100 bytes of messages are under way on the connection"]);
  assert.equal(made.bytes, 60);
  first.take(40); // there is room again
  assert.equal(made.bytes, 100);
});

test("where all have too much, the largest call of the connection that has most ends, and not the one that came last", () => {
  const { made, ended, open } = budget(100, 150);
  const [large, small] = [{}, {}];
  const calls = [open(large, "large 1"), open(large, "large 2"), open(small, "small")];
  calls[0]!.take(30);
  calls[1]!.take(70);
  calls[2]!.take(51);
  assert.deepEqual(ended, ["large 2: more than 150 bytes of messages are under way; try again"]);
  assert.equal(made.bytes, 81);
});

test("nothing is held of a call that has ended, and none gives back more than it has", () => {
  const { made, open } = budget(100, 100);
  const call = open({}, "call");
  call.take(50);
  call.giveBack(80);
  assert.equal(made.bytes, 0);
  call.take(50);
  call.close();
  call.close();
  assert.equal(made.bytes, 0);
});
