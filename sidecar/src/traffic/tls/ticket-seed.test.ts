import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { TicketSeedRotation } from "../../control/workers/ticket-seed-rotation.ts";
import { newTicketSeed, renewTicketSeed, TicketSeed } from "./ticket-seed.ts";

test("workers derive the same key for the same context, and another one for another", () => {
  const memory = newTicketSeed();
  const [one, other] = [new TicketSeed(memory), new TicketSeed(memory)];
  assert.equal(one.key("a")?.length, 48);
  assert.deepEqual(one.key("a"), other.key("a"));
  assert.notDeepEqual(one.key("a"), one.key("b"));
  assert.notDeepEqual(one.key("a"), new TicketSeed(newTicketSeed()).key("a"));
});

test("no key is made of bytes that are half written", () => {
  const memory = newTicketSeed();
  const seed = new TicketSeed(memory);
  Atomics.add(new Int32Array(memory), 0, 1); // as the writer does before it begins
  assert.equal(seed.key("a"), undefined);
});

test("each hour the keys are others, until the rotation is stopped", () => {
  const clock = new ManualClock();
  const rotation = new TicketSeedRotation(clock);
  rotation.start();
  const seed = new TicketSeed(rotation.memory);
  const { version } = seed;
  const first = seed.key("a");
  clock.advance(3_599_999);
  assert.equal(seed.version, version);
  clock.advance(1);
  assert.notEqual(seed.version, version);
  const second = seed.key("a");
  assert.notDeepEqual(second, first);
  clock.advance(3_600_000);
  assert.notDeepEqual(seed.key("a"), second);
  rotation.stop();
  const last = seed.version;
  clock.advance(7_200_000);
  assert.equal(seed.version, last);
  renewTicketSeed(rotation.memory);
  assert.notEqual(seed.version, last);
});
