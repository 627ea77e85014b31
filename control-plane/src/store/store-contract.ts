import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import type { CommitOutcome, Store, StoreChange, StoreUpdate } from "./store.ts";

/** What the contract needs of a kind of store: an empty place, and stores over it, one after the other. */
export interface StoreFixture {
  /** A store over the place, not yet started. The one before it has been closed. */
  readonly make: () => Store;
  /** A batch of so many changes is taken. */
  readonly maxBatchChanges: number;
  /** Forgets the history of the place, if stores of this kind can; what is stored stays. */
  readonly compact?: () => Promise<void>;
  /** Makes the store unable to write from now on. */
  readonly breakDown: () => Promise<void>;
  /** Ends what the fixture itself holds; every store has been closed before. */
  readonly dispose: () => Promise<void>;
}

/** What every store does, wherever it keeps things. One call in each store's test. */
export function storeContract(name: string, makeFixture: () => Promise<StoreFixture>): void {
  describe(`${name} as a store`, () => {
    const opened: { fixture: StoreFixture; stores: Store[] }[] = [];
    const place = async () => {
      const fixture = await makeFixture();
      const stores: Store[] = [];
      opened.push({ fixture, stores });
      const make = (): Store => {
        const store = fixture.make();
        stores.push(store);
        return store;
      };
      const open = async (): Promise<Store> => {
        const store = make();
        await store.start();
        return store;
      };
      return { fixture, make, open };
    };
    afterEach(async () => {
      for (const { fixture, stores } of opened.splice(0)) {
        for (const store of stores) await store.close();
        await fixture.dispose();
      }
    });

    it("holds nothing before it has been started, and takes nothing", async () => {
      const { make } = await place();
      const store = make();
      assert.equal(store.entries, undefined);
      assert.equal((await store.commit([put("a", "1")])).type, "unavailable");
    });

    it("is empty at first, and all is well", async () => {
      const store = await (await place()).open();
      assert.deepEqual(contents(store), {});
      assert.equal(store.trouble, undefined);
      assert.notEqual(store.name, "");
    });

    it("holds what was committed as soon as the commit is told", async () => {
      const store = await (await place()).open();
      const revision = await committed(store.commit([put("a", "1"), put("b", "2")]));
      assert.deepEqual(contents(store), { a: "1", b: "2" });
      assert.equal(store.revision, revision);
      for (const key of ["a", "b"]) {
        assert.equal(store.entries?.get(key)?.revision, revision);
        assert.equal(store.entries?.get(key)?.createdRevision, revision);
      }
    });

    it("gives each batch a higher revision, and an entry that of the batch that changed it last", async () => {
      const store = await (await place()).open();
      const first = await committed(store.commit([put("a", "1"), put("b", "1")]));
      const second = await committed(store.commit([put("a", "2")]));
      assert.ok(second > first);
      assert.deepEqual(revisionsOf(store, "a"), [second, first]);
      assert.deepEqual(revisionsOf(store, "b"), [first, first]);
    });

    it("counts an entry that was removed and put again as a new one", async () => {
      const store = await (await place()).open();
      await committed(store.commit([put("a", "1")]));
      await committed(store.commit([remove("a")]));
      assert.deepEqual(contents(store), {});
      const again = await committed(store.commit([put("a", "3")]));
      assert.deepEqual(revisionsOf(store, "a"), [again, again]);
    });

    it("changes an entry only at the revision that is expected", async () => {
      const store = await (await place()).open();
      const first = await committed(store.commit([put("a", "1")]));
      const second = await committed(store.commit([put("a", "2", first)]));
      assert.deepEqual(await store.commit([put("a", "3", first)]), {
        type: "conflict",
        conflicts: [{ key: "a", expectedRevision: first, foundRevision: second }],
      });
      assert.deepEqual(await store.commit([remove("a", first)]), {
        type: "conflict",
        conflicts: [{ key: "a", expectedRevision: first, foundRevision: second }],
      });
      assert.deepEqual(contents(store), { a: "2" });
      await committed(store.commit([remove("a", second)]));
    });

    it("takes 0 as expecting that there is no such entry", async () => {
      const store = await (await place()).open();
      const first = await committed(store.commit([put("a", "1", 0)]));
      assert.deepEqual(await store.commit([put("a", "2", 0)]), {
        type: "conflict",
        conflicts: [{ key: "a", expectedRevision: 0, foundRevision: first }],
      });
      assert.deepEqual(await store.commit([put("b", "1", first)]), {
        type: "conflict",
        conflicts: [{ key: "b", expectedRevision: first, foundRevision: 0 }],
      });
      assert.deepEqual(contents(store), { a: "1" });
    });

    it("does all of a batch or nothing of it, and names every conflict", async () => {
      const store = await (await place()).open();
      const first = await committed(store.commit([put("a", "1"), put("b", "1")]));
      const outcome = await store.commit([put("a", "2", first + 1_000), put("b", "2", first), put("c", "2", first)]);
      assert.deepEqual(outcome, {
        type: "conflict",
        conflicts: [
          { key: "a", expectedRevision: first + 1_000, foundRevision: first },
          { key: "c", expectedRevision: first, foundRevision: 0 },
        ],
      });
      assert.deepEqual(contents(store), { a: "1", b: "1" });
      assert.equal(store.revision, first);
    });

    it("lets one of those win who expect the same revision", async () => {
      const store = await (await place()).open();
      const first = await committed(store.commit([put("a", "0")]));
      const outcomes = await Promise.all(Array.from({ length: 8 }, (_, i) => store.commit([put("a", `${i}`, first)])));
      const winner = outcomes.findIndex(({ type }) => type === "committed");
      assert.deepEqual(
        outcomes.map(({ type }) => type),
        outcomes.map((_, i) => (i === winner ? "committed" : "conflict")),
      );
      assert.deepEqual(contents(store), { a: `${winner}` });
    });

    it("commits what is asked for at once, each in a revision of its own", async () => {
      const store = await (await place()).open();
      const outcomes = Array.from({ length: 50 }, (_, i) => committed(store.commit([put(`key-${i}`, `${i}`)])));
      const revisions = await Promise.all(outcomes);
      assert.equal(new Set(revisions).size, 50);
      assert.equal(store.entries?.size, 50);
      for (const [i, revision] of revisions.entries()) assert.equal(store.entries?.get(`key-${i}`)?.revision, revision);
    });

    it("tells its watchers of each batch once, in order, after it is there", async () => {
      const store = await (await place()).open();
      const told: string[] = [];
      let before = store.revision;
      store.watch(({ revision, changed, removed }) => {
        assert.equal(revision, store.revision);
        assert.ok(revision > before);
        before = revision;
        for (const entry of changed) assert.equal(store.entries?.get(entry.key), entry);
        told.push(
          [...changed.map(({ key, value }) => `${key}=${text(value)}`), ...removed.map((key) => `-${key}`)].join(),
        );
      });
      await Promise.all([
        store.commit([put("a", "1"), put("b", "1")]),
        store.commit([put("a", "2"), remove("b"), remove("never-there")]),
        store.commit([put("c", "3", 7)]),
        store.commit([put("c", "4")]),
      ]);
      assert.deepEqual(told, ["a=1,b=1", "a=2,-b", "c=4"]);
    });

    it("tells a watcher that came before the start of everything in one step", async () => {
      const { make, open } = await place();
      const store = await open();
      await committed(store.commit([put("a", "1")]));
      await committed(store.commit([put("b", "2")]));
      await store.close();
      const next = make();
      const updates: StoreUpdate[] = [];
      next.watch((update) => updates.push(update));
      await next.start();
      assert.deepEqual(
        updates.map(({ revision, changed, removed }) => [revision, changed.map(({ key }) => key).sort(), removed]),
        [[next.revision, ["a", "b"], []]],
      );
    });

    it("tells a watcher nothing more after it has left, even in the middle of a step", async () => {
      const store = await (await place()).open();
      let calls = 0;
      const leave = store.watch(() => {
        calls += 1;
        leave();
        leaveOther();
      });
      const leaveOther = store.watch(() => {
        calls += 100;
      });
      await committed(store.commit([put("a", "1")]));
      await committed(store.commit([put("a", "2")]));
      assert.equal(calls, 1);
    });

    it("lets a watcher commit", async () => {
      const store = await (await place()).open();
      let second: Promise<CommitOutcome> | undefined;
      store.watch(() => {
        second ??= store.commit([put("b", "of the watcher")]);
      });
      await committed(store.commit([put("a", "1")]));
      await committed(second!);
      assert.deepEqual(contents(store), { a: "1", b: "of the watcher" });
    });

    it("commits a batch that removes what is not there without a new revision", async () => {
      const store = await (await place()).open();
      const first = await committed(store.commit([put("a", "1")]));
      let steps = 0;
      store.watch(() => {
        steps += 1;
      });
      assert.equal(await committed(store.commit([remove("b"), remove("c", 0)])), first);
      assert.equal(await committed(store.commit([])), first);
      assert.equal(store.revision, first);
      assert.equal(steps, 0);
    });

    it("keeps a copy of the bytes, and never changes an entry that it has handed out", async () => {
      const store = await (await place()).open();
      const value = Buffer.from("before");
      const commit = store.commit([{ key: "a", value }]);
      value.write("after!");
      await committed(commit);
      const entry = store.entries!.get("a")!;
      await committed(store.commit([put("a", "another")]));
      assert.equal(text(entry.value), "before");
      assert.notEqual(store.entries!.get("a"), entry);
      assert.throws(() => Object.assign(entry, { key: "b" }), TypeError);
    });

    it("keeps any bytes and any text, the empty value too", async () => {
      const { open } = await place();
      const store = await open();
      const every = Uint8Array.from({ length: 256 }, (_, i) => i);
      await committed(store.commit([{ key: "ключ/鍵 🧵\n\0", value: every }, put("empty", "")]));
      await store.close();
      const next = await open();
      assert.deepEqual([...next.entries!.get("ключ/鍵 🧵\n\0")!.value], [...every]);
      assert.equal(next.entries!.get("empty")!.value.length, 0);
    });

    it("refuses a batch that no store of its kind could take, and says why", async () => {
      const { fixture, open } = await place();
      const store = await open();
      const refused = async (changes: readonly StoreChange[], why: RegExp): Promise<void> => {
        const outcome = await store.commit(changes);
        assert.equal(outcome.type, "refused");
        assert.match(outcome.type === "refused" ? outcome.message : "", why);
      };
      await refused([put("a", "1"), put("a", "2")], /"a" twice/);
      await refused([put("", "1")], /a key is empty/);
      await refused([put("half \ud83e", "1")], /no well-formed Unicode/);
      await refused([put("k".repeat(2_000), "1")], /2000 bytes; allowed: 1024/);
      await refused([{ key: "a", value: new Uint8Array(1_048_577) }], /"a" has 1048577 bytes; allowed: 1048576/);
      const tooMany = Array.from({ length: fixture.maxBatchChanges + 1 }, (_, i) => put(`key-${i}`, ""));
      await refused(tooMany, new RegExp(`a batch of ${tooMany.length} changes; allowed: ${tooMany.length - 1}`));
      assert.deepEqual(contents(store), {});
      await committed(store.commit(tooMany.slice(1)));
      assert.equal(store.entries?.size, fixture.maxBatchChanges);
      await committed(store.commit([{ key: "large", value: new Uint8Array(1_048_576) }]));
    });

    it("has everything after a restart: entries, their revisions, and its own", async () => {
      const { open } = await place();
      const store = await open();
      await committed(store.commit([put("a", "1"), put("b", "1"), put("c", "1")]));
      await committed(store.commit([put("a", "2"), remove("c")]));
      const before = { revision: store.revision, entries: [...store.entries!.values()].sort(byKey) };
      await store.close();
      const next = await open();
      assert.equal(next.revision, before.revision);
      assert.deepEqual([...next.entries!.values()].map(plain).sort(byKey), before.entries.map(plain));
      const revision = await committed(next.commit([put("a", "3", before.entries[0]!.revision)]));
      assert.ok(revision > before.revision);
    });

    it("uses no revision twice, though its last batches left nothing behind", async () => {
      const { fixture, open } = await place();
      let highest = 0;
      for (let round = 0; round < 3; round++) {
        const store = await open();
        assert.ok(store.revision >= highest, `${store.revision} after ${highest}`);
        const revision = await committed(store.commit([put("a", `${round}`)]));
        assert.ok(revision > highest);
        highest = await committed(store.commit([remove("a")]));
        assert.ok(highest > revision);
        await fixture.compact?.();
        await store.close();
      }
    });

    it("keeps everything through a compaction, if there is such a thing", async () => {
      const { fixture, open } = await place();
      const store = await open();
      const updates: StoreUpdate[] = [];
      for (let i = 0; i < 10; i++) await committed(store.commit([put(`key-${i % 3}`, `${i}`)]));
      await fixture.compact?.();
      store.watch((update) => updates.push(update));
      const revision = await committed(store.commit([put("after", "1")]));
      assert.deepEqual(contents(store), { "key-0": "9", "key-1": "7", "key-2": "8", after: "1" });
      assert.equal(store.trouble, undefined);
      assert.deepEqual(
        updates.map((update) => [update.revision, update.changed.map(({ key }) => key)]),
        [[revision, ["after"]]],
      );
      await store.close();
      assert.deepEqual(contents(await open()), { "key-0": "9", "key-1": "7", "key-2": "8", after: "1" });
    });

    it("says that it cannot write, tells its watchers, and goes on showing what it has", async () => {
      const { fixture, open } = await place();
      const store = await open();
      const revision = await committed(store.commit([put("a", "1")]));
      const troubles: (string | undefined)[] = [];
      const updates: StoreUpdate[] = [];
      store.watch((update) => {
        updates.push(update);
        if (troubles.at(-1) !== store.trouble) troubles.push(store.trouble);
      });
      await fixture.breakDown();
      const outcomes = await Promise.all([store.commit([put("a", "2")]), store.commit([put("b", "2")])]);
      assert.deepEqual(
        outcomes.map(({ type }) => type),
        ["unavailable", "unavailable"],
      );
      assert.notEqual(store.trouble, undefined);
      assert.equal(troubles.at(-1), store.trouble);
      assert.deepEqual(contents(store), { a: "1" });
      assert.equal(store.revision, revision);
      assert.deepEqual(
        updates.flatMap(({ changed, removed }) => [...changed.map(({ key }) => key), ...removed]),
        [],
      );
    });

    it("lets what has been asked for come to its end when it is closed, and is silent afterwards", async () => {
      const { open } = await place();
      const store = await open();
      const commits = [store.commit([put("a", "1")]), store.commit([put("b", "2")])];
      await store.close();
      const outcomes = await Promise.all(commits);
      let calls = 0;
      store.watch(() => {
        calls += 1;
      });
      assert.equal((await store.commit([put("c", "3")])).type, "unavailable");
      await store.close();
      assert.equal(calls, 0);
      const next = await open();
      const kept = ["a", "b"].filter((_, i) => outcomes[i]!.type === "committed");
      for (const key of kept) assert.ok(next.entries?.has(key));
      assert.ok(!next.entries?.has("c"));
    });
  });
}

export function put(key: string, value: string, expectedRevision?: number): StoreChange {
  const change = { key, value: Buffer.from(value) };
  return expectedRevision === undefined ? change : { ...change, expectedRevision };
}

export function remove(key: string, expectedRevision?: number): StoreChange {
  return expectedRevision === undefined ? { key, value: undefined } : { key, value: undefined, expectedRevision };
}

/** The revision of a commit that must succeed. */
export async function committed(commit: Promise<CommitOutcome>): Promise<number> {
  const outcome = await commit;
  if (outcome.type !== "committed") assert.fail(`not committed: ${JSON.stringify(outcome)}`);
  return outcome.revision;
}

/** What a store holds, as text by key. */
export function contents(store: Pick<Store, "entries">): Record<string, string> {
  const entries = [...(store.entries ?? assert.fail("the store has not been read")).values()].sort(byKey);
  return Object.fromEntries(entries.map(({ key, value }) => [key, text(value)]));
}

function text(value: Uint8Array): string {
  return Buffer.from(value).toString();
}

function plain({ value, ...rest }: { readonly key: string; readonly value: Uint8Array }): object {
  return { ...rest, value: text(value) };
}

function byKey(one: { readonly key?: string }, other: { readonly key?: string }): number {
  return (one.key ?? "") < (other.key ?? "") ? -1 : 1;
}

function revisionsOf(store: Store, key: string): [number | undefined, number | undefined] {
  const entry = store.entries?.get(key);
  return [entry?.revision, entry?.createdRevision];
}
