import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, TimerWheel } from "@heddle/base";
import type { Http2Keepalive } from "@heddle/traffic";
import { KeepalivePings } from "./keepalive-pings.ts";

const settings: Http2Keepalive = {
  intervalMs: 1000,
  timeoutMs: 300,
  intervalJitterPercent: 0,
  connectionIdleIntervalMs: 0,
};

/** A connection that is kept alive, and the times at which it sent a PING or was given up. */
function watched(change: Partial<Http2Keepalive> = {}, random = 0) {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, 1);
  const began = clock.now();
  const at: string[] = [];
  const pings = new KeepalivePings(
    { ...settings, ...change },
    { clock, wheel, random: () => random },
    {
      sendPing: () => at.push(`ping ${clock.now() - began}`),
      onKeepaliveTimeout: () => at.push(`dead ${clock.now() - began}`),
    },
  );
  const advanceTo = (ms: number): void => {
    while (clock.now() - began < ms) clock.advance(1);
  };
  return { pings, at, advanceTo, wheel };
}

test("a PING goes after each interval, which begins with the answer to the last", () => {
  const { pings, at, advanceTo } = watched();
  advanceTo(1200);
  pings.heard();
  pings.pong();
  advanceTo(2250);
  assert.equal(at.length, 2);
  assert.match(at[0]!, /^ping 100[0-2]$/);
  assert.match(at[1]!, /^ping 220[0-2]$/);
});

test("a peer that does not answer in time is given up, once, whatever it sent before the PING", () => {
  const { pings, at, advanceTo, wheel } = watched();
  advanceTo(900);
  pings.heard();
  advanceTo(5000);
  assert.equal(at.length, 2);
  assert.match(at[1]!, /^dead 130[0-3]$/);
  assert.equal(wheel.running, 0);
});

test("whoever sends anything has more time to answer", () => {
  const { pings, at, advanceTo } = watched();
  advanceTo(1250);
  pings.heard();
  advanceTo(1540);
  assert.equal(at.length, 1);
  advanceTo(1560);
  assert.match(at[1]!, /^dead 155[0-4]$/);
});

test("an answer to no question changes nothing", () => {
  const { pings, at, advanceTo } = watched();
  advanceTo(500);
  pings.pong();
  advanceTo(1010);
  assert.match(at[0]!, /^ping 100[0-2]$/);
});

test("jitter makes an interval longer, by less than that part of it", () => {
  for (const [random, earliest, latest] of [
    [0, 1000, 1002],
    [5000, 1100, 1102],
    [9999, 1199, 1202],
  ] as const) {
    const { at, advanceTo } = watched({ intervalJitterPercent: 20 }, random);
    advanceTo(earliest - 1);
    assert.deepEqual(at, []);
    advanceTo(latest);
    assert.equal(at.length, 1);
  }
});

test("without an interval no PING is sent by the clock", () => {
  const { at, advanceTo, wheel } = watched({ intervalMs: 0, connectionIdleIntervalMs: 500 });
  advanceTo(3000);
  assert.deepEqual(at, []);
  assert.equal(wheel.running, 0);
});

test("an exchange after long silence has a PING before it, and no other until that is answered", () => {
  const { pings, at, advanceTo } = watched({ intervalMs: 0, connectionIdleIntervalMs: 500 });
  advanceTo(100);
  pings.heard();
  advanceTo(590);
  pings.exchangeBegins();
  assert.deepEqual(at, []);
  advanceTo(610);
  pings.exchangeBegins();
  pings.exchangeBegins();
  assert.deepEqual(at, ["ping 610"]);
  advanceTo(700);
  pings.heard();
  pings.pong();
  pings.exchangeBegins();
  assert.equal(at.length, 1, "it has just been heard");
});

test("who is stopped neither asks nor gives up", () => {
  const { pings, at, advanceTo, wheel } = watched();
  advanceTo(1100);
  pings.stop();
  assert.equal(wheel.running, 0);
  advanceTo(5000);
  assert.equal(at.length, 1);
});
