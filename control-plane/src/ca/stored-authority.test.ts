import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { SealSecret } from "@heddle/identity/ca";
import { eventually } from "@heddle/xds/testing";
import { valueOfResult } from "../api/testing.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { ScriptedStore } from "../store/scripted-store.ts";
import type { Store } from "../store/store.ts";
import { StoredAuthority } from "./stored-authority.ts";
import { HOUR_MS, TestLog, TRUST_DOMAIN } from "./testing.ts";

const DAY_MS = 24 * HOUR_MS;
const KEY: SealSecret = { type: "key", key: Buffer.alloc(32, 7) };

test("a rotation goes on by itself, and every root is trusted for as long as anything that it signed", async (t) => {
  const { authority, clock } = await open(t);
  const old = signs(authority);
  valueOfResult(await authority.beginRotation());
  assert.deepEqual([shape(authority), signs(authority)], ["publishing 2 #2", old]);
  clock.advance(DAY_MS - 1);
  assert.equal(signs(authority), old);
  clock.advance(1);
  await eventually(() => shape(authority) === "retiring 2 #2", "the new root's turn");
  assert.notEqual(signs(authority), old);
  assert.ok(
    authority.current.current!.roots.some((der) => Buffer.from(der).equals(Buffer.from(rootOf(authority, old)))),
  );
  // Half of a step's time more: the last certificate of the old root has ended long before.
  clock.advance(DAY_MS + HOUR_MS);
  await eventually(() => shape(authority) === "steady 1 #3", "the old root's end");
});

test("control planes on one store have one root, and one of them takes each step", async (t) => {
  const store = await started(new MemoryStore());
  const one = await open(t, store);
  const other = await open(t, store, one.clock);
  assert.equal(signs(one.authority), signs(other.authority));
  valueOfResult(await one.authority.beginRotation());
  await eventually(() => shape(other.authority) === "publishing 2 #2", "the other to hear of it");
  one.clock.advance(DAY_MS);
  await eventually(
    () => [one, other].every(({ authority }) => shape(authority) === "retiring 2 #2"),
    "both to sign anew",
  );
  assert.equal(signs(one.authority), signs(other.authority));
  assert.equal([...one.log.with("a step is taken"), ...other.log.with("a step is taken")].length, 1);
});

test("of two that start at a time on an empty store both have the root of the first", async (t) => {
  const store = await started(new ScriptedStore());
  const first = open(t, store);
  const second = open(t, store);
  assert.equal(signs((await first).authority), signs((await second).authority));
});

test("a rotation that another control plane has begun meanwhile is not begun twice", async (t) => {
  const store = await started(new ScriptedStore());
  const one = await open(t, store);
  const other = await open(t, store, one.clock);
  const [a, b] = await Promise.all([one.authority.beginRotation(), other.authority.beginRotation()]);
  assert.equal([a, b].filter(({ ok }) => ok).length, 1);
  await eventually(() => shape(one.authority) === "publishing 2 #2" && shape(other.authority) === "publishing 2 #2");
});

test("a store that cannot be written keeps the last state, and the step is taken when it can", async (t) => {
  const store = await started(new ScriptedStore());
  const { authority, clock, log } = await open(t, store);
  valueOfResult(await authority.beginRotation());
  store.unavailable = "the disk is full";
  clock.advance(DAY_MS);
  await eventually(() => log.with("could not be taken").length === 1, "the refusal");
  assert.equal(shape(authority), "publishing 2 #2");
  store.unavailable = undefined;
  await eventually(() => {
    clock.advance(5000);
    return shape(authority) === "retiring 2 #2";
  }, "the step");
});

test("a root that has become old is replaced without anybody's asking", async (t) => {
  const store = await started(new MemoryStore());
  const first = await open(t, store);
  await first.authority.close();
  const later = (years: number): ManualClock => new ManualClock(first.clock.wallNow() + years * 365 * DAY_MS);
  const young = await open(t, store, later(7.9));
  young.clock.advance(HOUR_MS);
  await young.authority.close();
  assert.equal(shape(young.authority), "steady 1 #1");
  const old = await open(t, store, later(8.1));
  old.clock.advance(0);
  await eventually(() => shape(old.authority) === "publishing 2 #2", "a new root");
});

test("a store that comes late brings the authority, and what it cannot read takes nothing away", async (t) => {
  const store = new ScriptedStore();
  const { authority, log } = await open(t, store);
  assert.equal(authority.current.current, undefined);
  assert.deepEqual(await authority.beginRotation(), { ok: false, error: "the store has not been read" });
  await store.start();
  await eventually(() => authority.current.current !== undefined, "the authority");
  const before = signs(authority);
  store.put({ key: "state", value: Buffer.from('{"format":2}') });
  await eventually(() => log.with("newer control plane").length === 1, "the complaint");
  assert.equal(signs(authority), before);
});

test("a store that loses the authority, or falls back to an old state of it, brings no other root", async (t) => {
  const store = await started(new ScriptedStore());
  const { authority, clock, log } = await open(t, store);
  const first = store.entries!.get("state")!.value;
  valueOfResult(await authority.beginRotation());
  clock.advance(DAY_MS);
  await eventually(() => shape(authority) === "retiring 2 #2", "the new root's turn");
  const signer = signs(authority);
  store.put({ key: "state", value: first });
  await eventually(() => log.with("old state of it: sequence number 1, and 2 is known").length === 1, "the complaint");
  store.put({ key: "state", value: undefined });
  await eventually(() => log.with("has lost it").length === 1, "the other complaint");
  // Whatever is written later: nothing has been made meanwhile.
  store.put({ key: "join/other", value: Buffer.from("{}") });
  assert.equal(store.entries!.has("state"), false);
  assert.deepEqual([shape(authority), signs(authority)], ["retiring 2 #2", signer]);
  // Nor is a step of the rotation taken on top of what is not there.
  assert.equal((await authority.hurryRotation()).ok, false);
  assert.equal(store.entries!.has("state"), false);
});

async function open(t: TestContext, store?: Store, clock = new ManualClock()) {
  const log = new TestLog();
  const authority = await StoredAuthority.open({
    trustDomain: TRUST_DOMAIN,
    store: store ?? (await started(new MemoryStore())),
    secret: async () => KEY,
    times: { publishMs: DAY_MS, retireMs: DAY_MS + HOUR_MS },
    clock,
    log: log.log,
  });
  t.after(() => authority.close());
  return { authority, clock, log };
}

async function started<S extends Store>(store: S): Promise<S> {
  await store.start();
  return store;
}

function signs(authority: StoredAuthority): string {
  return authority.current.current!.authority.certificate.fingerprintSha256;
}

/** "publishing 2 #2": the rotation's state, how many roots, the bundle's sequence number. */
function shape(authority: StoredAuthority): string {
  const status = authority.status() as { state: string; roots?: readonly unknown[]; sequenceNumber?: number };
  return `${status.state} ${status.roots?.length} #${status.sequenceNumber}`;
}

function rootOf(authority: StoredAuthority, sha256: string): Uint8Array {
  const { roots } = authority.status() as { roots: readonly { sha256: string }[] };
  const index = roots.findIndex((root) => root.sha256 === sha256);
  return authority.current.current!.roots[index]!;
}
