import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { err, ManualClock, ok, type Result } from "@heddle/base";
import { silentLog } from "@heddle/filter/testing";
import { type RemoteJwks, remoteJwksKey } from "../../traffic/filter/jwt/remote-jwks.ts";
import { TestIssuer } from "../../traffic/filter/jwt/testing-jwt.ts";
import { JwksFetches } from "./jwks-fetches.ts";

const SOURCE: RemoteJwks = {
  cluster: "c",
  uri: "https://user:secret@a.example/keys?token=secret",
  timeoutMs: 1000,
  cacheMs: 600_000,
  failedRefetchMs: 1000,
  retries: { count: 0, baseMs: 1000, maxMs: 10_000 },
};
const KEY = remoteJwksKey(SOURCE);
const ONE = JSON.stringify({ keys: [new TestIssuer("ES256", "one").jwk()] });
const TWO = JSON.stringify({ keys: [new TestIssuer("ES256", "two").jwk()] });

/** The control thread's part, with an issuer that answers when the test says so. */
class World {
  readonly clock = new ManualClock();
  readonly told: string[] = [];
  /** Requests to the issuer so far. */
  asked = 0;
  #answers: ((answer: Result<string, string>) => void)[] = [];
  readonly fetches = new JwksFetches({
    clock: this.clock,
    random: () => 0.5,
    log: silentLog,
    fetch: () => {
      this.asked++;
      return new Promise((resolve) => this.#answers.push(resolve));
    },
    tell: (worker, { key, keys, outcome, counts }) => {
      assert.equal(key, KEY);
      this.told.push(`${worker} ${outcome}${counts ? " counts" : ""} ${keys?.map(({ id }) => id).join() ?? "-"}`);
    },
  });

  want(worker: number, source = SOURCE): void {
    this.fetches.asked(worker, { ask: "want", source });
  }

  unwant(worker: number): void {
    this.fetches.asked(worker, { ask: "unwant", key: KEY });
  }

  refresh(worker: number): void {
    this.fetches.asked(worker, { ask: "refresh", key: KEY });
  }

  async answer(answer: Result<string, string>): Promise<readonly string[]> {
    this.#answers.shift()?.(answer);
    for (let i = 0; i < 5; i++) await Promise.resolve();
    return this.told.splice(0);
  }
}

describe("sets of keys", () => {
  test("are fetched once for all workers, and told to those who come later", async () => {
    const world = new World();
    world.want(1);
    world.want(2);
    assert.equal(world.asked, 1);
    assert.deepEqual(await world.answer(ok(ONE)), ["1 fetched counts one", "2 fetched one"]);
    world.want(3);
    assert.deepEqual(world.told.splice(0), ["3 told one"]);
    assert.equal(world.asked, 1);
    world.fetches.close();
    assert.equal(world.clock.pending, 0);
  });

  test("are fetched anew before they are old, and told only where they have changed", async () => {
    const world = new World();
    world.want(1);
    await world.answer(ok(ONE));
    world.clock.advance(594_999);
    assert.equal(world.asked, 1);
    world.clock.advance(1);
    assert.equal(world.asked, 2);
    assert.deepEqual(await world.answer(ok(ONE)), ["1 fetched counts -"]);
    world.clock.advance(595_000);
    assert.deepEqual(await world.answer(ok(TWO)), ["1 fetched counts two"]);
    world.fetches.close();
  });

  test("CVE-2025-64527: stay where a fetch fails, which is tried again ever more slowly until it succeeds", async () => {
    const world = new World();
    world.want(1);
    await world.answer(ok(ONE));
    world.clock.advance(595_000);
    for (const bad of [
      err("refused"),
      ok(""),
      ok("{}"),
      ok(JSON.stringify({ keys: Array.from({ length: 100_000 }, () => ({})) })),
    ])
      assert.deepEqual([...(await world.answer(bad)), world.clock.advance(60_000)].slice(0, 1), ["1 failed counts -"]);
    world.want(2);
    assert.deepEqual(world.told.splice(0), ["2 told one"]);
    const { asked } = world;
    await world.answer(err("refused"));
    world.clock.advance(11_000); // 1, 2, 4, 8 and now 16 s, of which at least half
    assert.equal(world.asked, asked);
    world.clock.advance(5000);
    assert.equal(world.asked, asked + 1);
    assert.deepEqual(await world.answer(ok(TWO)), ["1 fetched counts two", "2 fetched two"]);
    world.fetches.close();
  });

  test("are tried for as often as the policy of retries says before a fetch has failed", async () => {
    const world = new World();
    const source = { ...SOURCE, retries: { count: 2, baseMs: 100, maxMs: 1000 } };
    const fetches = new JwksFetches({
      clock: world.clock,
      random: () => 0.5,
      log: silentLog,
      fetch: async () => (++world.asked < 3 ? err("refused") : ok(ONE)),
      tell: (_, { outcome }) => void world.told.push(outcome),
    });
    fetches.asked(1, { ask: "want", source });
    for (let i = 0; i < 20; i++) await Promise.resolve();
    world.clock.advance(50);
    for (let i = 0; i < 20; i++) await Promise.resolve();
    world.clock.advance(100);
    for (let i = 0; i < 20; i++) await Promise.resolve();
    assert.deepEqual([world.asked, world.told], [3, ["fetched"]]);
    fetches.close();
  });

  test("tokens with ids that nobody knows cost their issuer one fetch in five seconds, and everybody has an answer", async () => {
    const world = new World();
    world.want(1);
    await world.answer(ok(ONE));
    for (let i = 0; i < 100; i++) world.refresh(1);
    assert.deepEqual([world.asked, world.told.splice(0).length], [1, 100]);
    world.clock.advance(5000);
    for (let i = 0; i < 100; i++) world.refresh(1);
    assert.equal(world.asked, 2);
    assert.deepEqual(await world.answer(ok(ONE)), ["1 fetched counts -"], "which is the answer to all of them");
    world.fetches.close();
  });

  test("that have never come are fetched for a request, but for no other within the second", async () => {
    const world = new World();
    world.want(1);
    assert.deepEqual(await world.answer(err("refused")), ["1 failed counts -"]);
    world.refresh(1);
    assert.deepEqual([world.asked, world.told.splice(0)], [1, ["1 told -"]]);
    world.clock.advance(750); // its own next try
    await world.answer(err("refused"));
    world.clock.advance(999);
    world.refresh(1);
    assert.equal(world.asked, 2);
    world.clock.advance(1);
    world.refresh(1);
    assert.equal(world.asked, 3);
    world.fetches.close();
  });

  test("are given up with the last worker that wants them, which may have died, whatever is under way", async () => {
    const world = new World();
    world.want(1);
    world.want(2);
    world.unwant(1);
    world.fetches.workerGone(2);
    assert.deepEqual(await world.answer(ok(ONE)), []);
    assert.equal(world.clock.pending, 0);
    assert.deepEqual(world.fetches.inspect(), []);
    world.refresh(2);
    world.want(3);
    assert.equal(world.asked, 2);
    world.fetches.close();
  });

  test("X10: admin shows neither what a URI carries nor what a key is", async () => {
    const world = new World();
    world.want(1);
    await world.answer(ok(ONE));
    assert.deepEqual(world.fetches.inspect(), [
      { uri: "https://a.example/keys", cluster: "c", keys: ["one"], failures: 0, error: "" },
    ]);
    world.fetches.close();
  });
});
