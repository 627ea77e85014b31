import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { formatSpiffeId, type SpiffeId } from "@heddle/identity";
import { quietLog } from "@heddle/xds/testing";
import { valueOfResult } from "../api/testing.ts";
import { ScriptedStore } from "../store/scripted-store.ts";
import { hashJoinToken, makeJoinToken } from "./join-token.ts";
import { JoinTokens, type ListedToken, MAX_JOIN_TOKENS, REPEAT_WINDOW_MS } from "./join-tokens.ts";

const WEB: SpiffeId = { trustDomain: "cluster.local", path: "/ns/shop/sa/web" };
const HOUR_S = 3600;

test("a token is its owner's, once", async () => {
  const { tokens } = await open();
  const token = await create(tokens);
  assert.match(token, /^hjt_[\w-]{43}$/);
  assert.deepEqual(valueOfResult(tokens.look(token, "key A")), WEB);
  assert.deepEqual(valueOfResult(await tokens.use(token, "key A")), WEB);
  assert.deepEqual(await tokens.use(token, "key B"), refused("used"));
  assert.deepEqual(tokens.look(token, "key B"), refused("used"));
});

test("a stolen join token that was used is refused to the thief, also with the first answer lost", async () => {
  const { tokens, clock } = await open();
  const token = await create(tokens);
  await tokens.use(token, "the workload's key");
  assert.deepEqual(await tokens.use(token, "the thief's key"), refused("used"));
  assert.deepEqual(valueOfResult(await tokens.use(token, "the workload's key")), WEB);
  clock.advance(REPEAT_WINDOW_MS);
  assert.deepEqual(await tokens.use(token, "the workload's key"), refused("used"));
});

test("of 1000 uses of one token at a time one is taken", async () => {
  const { tokens } = await open();
  const token = await create(tokens);
  const uses = await Promise.all(Array.from({ length: 1000 }, (_, index) => tokens.use(token, `key ${index}`)));
  assert.equal(uses.filter(({ ok }) => ok).length, 1);
  assert.ok(uses.every((use) => use.ok || use.error.code === "UNAUTHENTICATED"));
});

test("of two uses at two replicas that have not heard of each other one is taken", async () => {
  const store = new ScriptedStore();
  await store.start();
  const [one, other] = [await open(store), await open(store)];
  const token = await create(one.tokens);
  let theirs: unknown;
  store.beforeCommit = () => {
    store.beforeCommit = () => {};
    theirs = other.tokens.use(token, "their key"); // commits before we do
  };
  const ours = await one.tokens.use(token, "our key");
  assert.deepEqual([(await (theirs as Promise<{ ok: boolean }>)).ok, ours], [true, refused("used")]);
});

test("a token ends after its time, to the millisecond", async () => {
  const { tokens, clock } = await open();
  const token = await create(tokens);
  clock.advance(HOUR_S * 1000 - 1);
  assert.ok(tokens.look(token, "key").ok);
  clock.advance(1);
  assert.deepEqual(await tokens.use(token, "key"), refused("expired"));
});

test("what is no token, or nobody's, is refused", async () => {
  const { tokens } = await open();
  for (const token of ["hjt_", `${makeJoinToken()}x`, `${makeJoinToken().slice(0, -1)}\n`, ""])
    assert.deepEqual(await tokens.use(token, "key"), refused("malformed"));
  assert.deepEqual(await tokens.use(makeJoinToken(), "key"), refused("unknown"));
});

test("the store has a token's hash and not the token", async () => {
  const { tokens, store } = await open();
  const token = await create(tokens);
  await tokens.use(token, "key");
  const everything = [...(store.entries ?? [])].map(([key, { value }]) => key + Buffer.from(value).toString()).join();
  assert.ok(everything.includes(hashJoinToken(token)!));
  assert.ok(!everything.includes(token.slice(4)));
});

test("a use that could not be written lets nobody in, and uses nothing up", async () => {
  const { tokens, store } = await open();
  const token = await create(tokens);
  store.unavailable = "the disk is full";
  assert.deepEqual(await tokens.use(token, "key"), { ok: false, error: { code: "UNAVAILABLE", reason: "store" } });
  store.unavailable = undefined;
  assert.ok((await tokens.use(token, "another key")).ok);
});

test("before the store has been read no token is unknown", async () => {
  const { tokens } = await open(new ScriptedStore());
  const use = await tokens.use(makeJoinToken(), "key");
  assert.deepEqual(use, { ok: false, error: { code: "UNAVAILABLE", reason: "store" } });
});

test("a token of a file is used once too, and its use outlives the file's being read again", async () => {
  const token = makeJoinToken();
  const listed = new Map([[hashJoinToken(token)!, { spiffeId: WEB, expiresAtMs: Date.UTC(2026, 0, 2) }]]);
  const store = new ScriptedStore();
  await store.start();
  const first = await open(store, listed);
  assert.deepEqual(formatSpiffeId(valueOfResult(await first.tokens.use(token, "key"))), formatSpiffeId(WEB));
  const second = await open(store, listed);
  assert.deepEqual(await second.tokens.use(token, "another"), refused("used"));
});

test("a used token is remembered for an hour past its end, and then forgotten", async () => {
  const { tokens, store, clock } = await open();
  await tokens.use(await create(tokens), "key");
  const before = store.revision;
  clock.advance(2 * HOUR_S * 1000 - 1000);
  await Promise.resolve();
  assert.equal(store.entries?.size, 1);
  assert.equal(store.revision, before);
  clock.advance(2000);
  await tokens.sweep();
  assert.equal(store.entries?.size, 0);
});

test("a used token of a file stays used for as long as it stands there, whatever end it is given later", async () => {
  const token = makeJoinToken();
  const listed = new Map([[hashJoinToken(token)!, { spiffeId: WEB, expiresAtMs: Date.UTC(2026, 0, 2) }]]);
  const { tokens, clock } = await open(undefined, listed);
  await tokens.use(token, "key");
  listed.set(hashJoinToken(token)!, { spiffeId: WEB, expiresAtMs: Date.UTC(2027, 0, 1) });
  clock.advance(7 * 24 * HOUR_S * 1000);
  await tokens.sweep();
  assert.deepEqual(await tokens.use(token, "another"), refused("used"));
});

test("there is an end to how many tokens are kept", async () => {
  const { tokens, store } = await open();
  store.put(
    ...Array.from({ length: MAX_JOIN_TOKENS }, (_, index) => ({
      key: `join/${index}`,
      value: Buffer.from(
        JSON.stringify({ format: 1, spiffeId: formatSpiffeId(WEB), expiresAtMs: Date.UTC(2027, 0, 1) }),
      ),
    })),
  );
  assert.deepEqual(await tokens.create(WEB, HOUR_S, "admin"), {
    ok: false,
    error: "there are 10000 join tokens already",
  });
});

async function open(store?: ScriptedStore, listed: ReadonlyMap<string, ListedToken> = new Map()) {
  const clock = new ManualClock();
  const own = store ?? new ScriptedStore();
  if (store === undefined) await own.start();
  const tokens = new JoinTokens({ store: own, clock, log: quietLog, listed: () => listed });
  return { tokens, store: own, clock };
}

async function create(tokens: JoinTokens): Promise<string> {
  return valueOfResult(await tokens.create(WEB, HOUR_S, "admin")).token;
}

function refused(reason: string) {
  return { ok: false, error: { code: "UNAUTHENTICATED", reason } };
}
