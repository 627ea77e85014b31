import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageBudget } from "./message-budget.ts";

function budget(connectionBytes: number, bytes: number) {
  const made = new MessageBudget({ connectionBytes, bytes });
  const ended: string[] = [];
  const open = (connection: object, name: string, client: unknown = connection) =>
    made.open(connection, client, (why) => ended.push(`${name}: ${why}`));
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

test("X9: a client with many connections does not crowd out one that has more on its only one", () => {
  const { made, ended, open } = budget(100, 150);
  const many = Array.from({ length: 7 }, (_, index) => open({}, `many ${index}`, "spiffe://mesh.test/many"));
  for (const call of many) call.take(20);
  open({}, "first", "spiffe://mesh.test/one").take(30);
  open({}, "second", "spiffe://mesh.test/other").take(25);
  assert.deepEqual(
    ended.map((text) => text.slice(0, 4)),
    ["many", "many", "many"],
  );
  assert.equal(made.bytes, 4 * 20 + 30 + 25);
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
