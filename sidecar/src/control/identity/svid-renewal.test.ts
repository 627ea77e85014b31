import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { SvidRenewal, type Validity } from "./svid-renewal.ts";

const HOUR = 3_600_000;
const MINUTE = 60_000;

function world(random = 0.5) {
  const clock = new ManualClock();
  const asked: number[] = [];
  const expired: number[] = [];
  const renewal = new SvidRenewal({
    clock,
    random: () => random,
    request: () => asked.push(clock.now()),
    onExpired: () => expired.push(clock.now()),
  });
  /** As an authority issues: its beginning a minute back. */
  const issue = (hours: number, skewMs = 0): Validity => ({
    validFromMs: clock.wallNow() - MINUTE + skewMs,
    validToMs: clock.wallNow() + hours * HOUR + skewMs,
  });
  return { clock, renewal, asked, expired, issue };
}

test("the next one is asked for after as much of its life as is told", () => {
  const clock = new ManualClock();
  const asked: number[] = [];
  const renewal = new SvidRenewal({
    clock,
    random: () => 0.5,
    request: () => asked.push(clock.now()),
    onExpired: () => assert.fail("expired"),
    renewAtPercent: 3,
  });
  renewal.start(undefined);
  renewal.issued({ validFromMs: clock.wallNow(), validToMs: clock.wallNow() + MINUTE });
  clock.advance(1799);
  assert.equal(asked.length, 1);
  clock.advance(1);
  assert.equal(asked.length, 2);
  renewal.close();
});

test("it is asked for at once, and again at half life, within a tenth of it", () => {
  for (const [random, atHours] of [
    [0, 10.8],
    [0.5, 12],
    [0.999_999, 13.2],
  ] as const) {
    const { clock, renewal, asked, issue } = world(random);
    renewal.start(undefined);
    assert.deepEqual(asked, [0]);
    renewal.issued(issue(24));
    clock.advance(10.7 * HOUR);
    assert.equal(asked.length, 1);
    clock.advance(13.2 * HOUR - 10.7 * HOUR);
    assert.equal(asked.length, 2);
    assert.ok(Math.abs(asked[1]! / HOUR - atHours) < 0.01, `${asked[1]! / HOUR}`);
    renewal.close();
    assert.equal(clock.pending, 0);
  }
});

test("one that fails is asked for again, ever less often, and what is held serves until it expires", () => {
  const { clock, renewal, asked, expired, issue } = world();
  renewal.start(undefined);
  renewal.issued(issue(24));
  clock.advance(12 * HOUR);
  assert.equal(renewal.state.type, "renewing");
  const waits: number[] = [];
  for (let i = 0; i < 10; i++) {
    const count = asked.length;
    renewal.failed();
    while (asked.length === count) clock.advance(100);
    waits.push(asked.at(-1)! - asked.at(-2)!);
  }
  assert.deepEqual(waits.slice(0, 4), [500, 1000, 2000, 4000]);
  assert.equal(waits.at(-1), 30_000, "a random part of a minute");
  assert.deepEqual(expired, []);
  clock.advance(12 * HOUR);
  assert.deepEqual(expired, [24 * HOUR]);
  assert.equal(renewal.state.type, "expired");
  assert.equal(renewal.failures, 10);
});

test("an attempt that is under way is the only one; it may succeed after what was held has expired", () => {
  const { clock, renewal, asked, expired, issue } = world();
  renewal.start(undefined);
  renewal.issued(issue(1));
  clock.advance(2 * HOUR);
  assert.equal(asked.length, 2);
  assert.equal(expired.length, 1);
  renewal.issued(issue(1));
  assert.equal(renewal.state.type, "valid");
  assert.equal(renewal.failures, 0);
  clock.advance(20 * MINUTE);
  assert.equal(asked.length, 2);
});

test("after expiry it is asked for with haste, and heals by itself", () => {
  const { clock, renewal, asked, expired, issue } = world(0.999);
  renewal.start(undefined);
  renewal.issued(issue(1));
  clock.advance(35 * MINUTE);
  for (let i = 0; i < 200 && renewal.state.type !== "expired"; i++) {
    renewal.failed();
    clock.advance(MINUTE);
  }
  assert.equal(expired.length, 1);
  const before = asked.length;
  renewal.failed();
  clock.advance(10_000);
  assert.equal(asked.length, before + 1, "at most 10 s");
  renewal.issued(issue(1));
  assert.equal(renewal.state.type, "valid");
});

test("what was kept from before serves, and is renewed at once; what has expired meanwhile does not", () => {
  const kept = world();
  kept.renewal.start(kept.issue(10));
  assert.equal(kept.renewal.state.type, "renewing");
  assert.equal(kept.asked.length, 1);
  const old = world();
  old.renewal.start(old.issue(-1));
  assert.equal(old.renewal.state.type, "none");
  assert.equal(old.asked.length, 1);
});

test("a clock that is five minutes off either way renews at half life too", () => {
  for (const skewMs of [5 * MINUTE, -5 * MINUTE]) {
    const { clock, renewal, asked, expired, issue } = world();
    renewal.start(undefined);
    renewal.issued(issue(1, skewMs));
    clock.advance(25 * MINUTE);
    assert.equal(asked.length, 1);
    clock.advance(8 * MINUTE);
    assert.equal(asked.length, 2);
    assert.equal(expired.length, 0);
  }
});

test("a machine that slept past the end notices when it wakes", () => {
  // Its timers stood still; its wall clock did not.
  let asleepMs = 0;
  const clock = new (class extends ManualClock {
    override wallNow(): number {
      return super.wallNow() + asleepMs;
    }
  })();
  let expired = 0;
  let asked = 0;
  const renewal = new SvidRenewal({
    clock,
    random: () => 0.5,
    request: () => {
      asked += 1;
    },
    onExpired: () => {
      expired += 1;
    },
  });
  renewal.start(undefined);
  renewal.issued({ validFromMs: clock.wallNow(), validToMs: clock.wallNow() + 24 * HOUR });
  asleepMs = 48 * HOUR;
  clock.advance(30_000);
  assert.equal(expired, 1);
  assert.equal(asked, 2);
});

test("of a certificate of two seconds the attempts are not slower than its life", () => {
  const { clock, renewal, asked } = world(0.999);
  renewal.start(undefined);
  renewal.issued({ validFromMs: clock.wallNow(), validToMs: clock.wallNow() + 2000 });
  clock.advance(1100);
  for (let i = 0; i < 5; i++) {
    renewal.failed();
    clock.advance(100);
  }
  assert.equal(asked.length, 7);
});

test("certificates that end at once are asked for twice a second, and not as fast as they come", () => {
  const { clock, renewal, asked, expired } = world();
  renewal.start(undefined);
  for (let i = 0; i < 100; i++) {
    if (asked.length > renewal.failures + expired.length)
      renewal.issued({ validFromMs: clock.wallNow() - MINUTE, validToMs: clock.wallNow() + 20 });
    clock.advance(100);
  }
  assert.ok(asked.length >= 17 && asked.length <= 21, `${asked.length} in 10 s`);
  renewal.close();
});

test("a clock that is put back by years after a failure keeps nobody from asking again", () => {
  let aheadMs = 4 * 365 * 24 * HOUR;
  const clock = new (class extends ManualClock {
    override wallNow(): number {
      return super.wallNow() + aheadMs;
    }
  })();
  let asked = 0;
  const renewal = new SvidRenewal({
    clock,
    random: () => 0.5,
    request: () => {
      asked += 1;
    },
    onExpired: () => undefined,
  });
  renewal.start(undefined);
  renewal.failed(); // of a clock that is ahead: everything has expired
  aheadMs = 0;
  clock.advance(30_000);
  assert.equal(asked, 2);
  renewal.close();
});

test("who hurries asks at once, where there is need", () => {
  const { clock, renewal, asked, issue } = world(0.999);
  renewal.start(undefined);
  renewal.hurry();
  assert.equal(asked.length, 1, "it is asking");
  renewal.failed();
  renewal.hurry();
  assert.equal(asked.length, 2);
  renewal.issued(issue(24));
  renewal.hurry();
  assert.equal(asked.length, 2);
  renewal.close();
  renewal.failed();
  renewal.issued(issue(24));
  renewal.hurry();
  assert.equal(clock.pending, 0);
});
