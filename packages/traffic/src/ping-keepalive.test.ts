import assert from "node:assert/strict";
import { test } from "node:test";
import type { Http2Keepalive } from "./http2-options.ts";
import { PingKeepalive } from "./ping-keepalive.ts";

const settings: Http2Keepalive = {
  intervalMs: 1000,
  timeoutMs: 300,
  intervalJitterPercent: 0,
  connectionIdleIntervalMs: 0,
};

function keepalive(change: Partial<Http2Keepalive> = {}, random = 0): PingKeepalive {
  return new PingKeepalive({ ...settings, ...change }, () => random, 0);
}

test("a PING is due after each interval that begins with the answer to the last", () => {
  const watch = keepalive();
  assert.equal(watch.nextMs, 1000);
  assert.equal(watch.look(999), "nothing");
  assert.equal(watch.look(1000), "ping");
  watch.pong(1200);
  assert.equal(watch.nextMs, 2200);
  assert.equal(watch.look(1500), "nothing");
  assert.equal(watch.look(2200), "ping");
});

test("a peer that does not answer in time is dead, whatever it sent before the PING", () => {
  const watch = keepalive();
  watch.heard(900);
  assert.equal(watch.look(1000), "ping");
  assert.equal(watch.nextMs, 1300);
  assert.equal(watch.look(1299), "nothing");
  assert.equal(watch.look(1300), "dead");
});

test("whoever sends anything has more time to answer", () => {
  const watch = keepalive();
  assert.equal(watch.look(1000), "ping");
  watch.heard(1250);
  assert.equal(watch.look(1300), "nothing");
  assert.equal(watch.nextMs, 1550);
  assert.equal(watch.look(1550), "dead");
});

test("an answer to no question changes nothing", () => {
  const watch = keepalive();
  watch.pong(500);
  assert.equal(watch.nextMs, 1000);
});

test("jitter makes an interval longer, by less than that part of it", () => {
  for (const [random, nextMs] of [
    [0, 1000],
    [199, 1199],
    [200, 1000],
  ] as const) {
    assert.equal(keepalive({ intervalJitterPercent: 20 }, random).nextMs, nextMs);
  }
});

test("without an interval no PING is sent by the clock", () => {
  const watch = keepalive({ intervalMs: 0, connectionIdleIntervalMs: 500 });
  assert.equal(watch.nextMs, Infinity);
  assert.equal(watch.look(1e9), "nothing");
});

test("a request after long idleness has a PING before it, and the connection is dead if that is not answered", () => {
  const watch = keepalive({ intervalMs: 0, connectionIdleIntervalMs: 500 });
  watch.heard(100);
  assert.equal(watch.pingsBeforeRequest(599), false);
  assert.equal(watch.pingsBeforeRequest(600), true);
  assert.equal(watch.pingsBeforeRequest(700), false, "one question at a time");
  assert.equal(watch.look(899), "nothing");
  assert.equal(watch.look(900), "dead");
});

test("a PING of the interval stands for the one of idleness", () => {
  const watch = keepalive({ connectionIdleIntervalMs: 500 });
  assert.equal(watch.look(1000), "ping");
  assert.equal(watch.pingsBeforeRequest(1100), false);
  watch.heard(1150);
  watch.pong(1150);
  assert.equal(watch.pingsBeforeRequest(1649), false);
  assert.equal(watch.pingsBeforeRequest(1650), true);
});
