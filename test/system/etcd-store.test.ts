import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "@heddle/base";
import {
  committed,
  contents,
  EtcdStore,
  type EtcdStoreOptions,
  put,
  type StoredEntry,
  type StoreUpdate,
  storeContract,
} from "@heddle/control-plane/testing";
import { TestAuthority } from "@heddle/net/testing";
import { quietLog } from "@heddle/xds/testing";
import { type EtcdMember, etcdctl, noEtcd, startEtcd } from "../harness/etcd.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";

/* The store in a real etcd, Debian's: the contract of all stores, and what only etcd can do. */

let places = 0;

describe("etcd", { skip: noEtcd }, () => {
  const owner = lastFirst({ after });
  let members: readonly EtcdMember[] = [];
  before(async () => {
    members = await startEtcd(owner);
  });

  storeContract("etcd", async () => {
    const prefix = `/contract-${++places}/`;
    const { endpoint } = members[0]!;
    let isBroken = false;
    return {
      make: () => storeAt([endpoint], prefix),
      maxBatchChanges: 128,
      compact: async () => compact(endpoint),
      breakDown: async () => {
        isBroken = true;
        await members[0]!.kill("SIGKILL");
      },
      dispose: async () => {
        if (!isBroken) return;
        members[0]!.start();
        await eventually("etcd is back", () => etcdctl(endpoint, "endpoint", "health").ok, 30_000);
      },
    };
  });
});

describe("an etcd of three members", { skip: noEtcd }, () => {
  const owner = lastFirst({ after });
  let members: readonly EtcdMember[] = [];
  let endpoints: readonly string[] = [];
  before(async () => {
    members = await startEtcd(owner, 3);
    endpoints = members.map(({ endpoint }) => endpoint);
  });
  const open = async (own: Owner, store: EtcdStore): Promise<Followed> => {
    own.after(() => store.close());
    const followed = { store, updates: [] as StoreUpdate[] };
    store.watch((update) => followed.updates.push(update));
    await store.start();
    return followed;
  };
  const back = async (member: EtcdMember): Promise<void> => {
    member.start();
    await eventually("the member is back", () => etcdctl(member.endpoint, "endpoint", "health").ok, 30_000);
  };

  test("a member that is killed costs nothing: the watch goes on at another one, and nothing is missed or told twice", async (t) => {
    const prefix = `/killed-${++places}/`;
    // Each begins with another member, so each of them is followed by somebody.
    const followed = await Promise.all(
      [0, 1, 2].map((i) => open(t, storeAt([...endpoints.slice(i), ...endpoints.slice(0, i)], prefix))),
    );
    for (const member of members) {
      await member.kill("SIGKILL");
      for (const [i, { store }] of followed.entries())
        for (let n = 0; n < 5; n++) await commitAtLast(store, `${member.endpoint}/${i}/${n}`);
      await back(member);
    }
    await eventually("all have seen all", () => followed.every(({ store }) => store.entries?.size === 45));
    for (const { store, updates } of followed) {
      assert.deepEqual([...store.entries!.values()].sort(byKey), [...followed[0]!.store.entries!.values()].sort(byKey));
      assert.equal(store.trouble, undefined);
      assertWhole(updates, store);
    }
  });

  test("a member that hangs is left for another one", async (t) => {
    const { store } = await open(t, storeAt(endpoints, `/hung-${++places}/`, { timeoutMs: 1_500 }));
    await committed(store.commit([put("before", "1")]));
    members[0]!.signal("SIGSTOP"); // the one that is followed
    t.after(() => members[0]!.signal("SIGCONT"));
    const outcome = await store.commit([put("during", "1")]);
    assert.equal(outcome.type, "unavailable");
    await commitAtLast(store, "after");
    assert.ok(store.entries?.has("after"));
    members[0]!.signal("SIGCONT");
  });

  test("without a majority what was read is shown and nothing is taken; with one again all goes on", async (t) => {
    const { store } = await open(t, storeAt(endpoints, `/minority-${++places}/`, { timeoutMs: 1_500 }));
    await committed(store.commit([put("a", "1")]));
    await Promise.all([members[1]!.kill("SIGKILL"), members[2]!.kill("SIGKILL")]);
    const asked = performance.now();
    assert.equal((await store.commit([put("a", "2")])).type, "unavailable");
    assert.ok(performance.now() - asked < 30_000, "the answer is bounded in time");
    await eventually("the trouble is told", () => store.trouble !== undefined, 20_000);
    assert.equal(contents(store)["a"], "1");
    await Promise.all([members[1]!, members[2]!].map(back));
    await commitAtLast(store, "again");
    await eventually("all is well", () => store.trouble === undefined);
  });

  test("what was compacted while nobody watched is read anew, and told as one step", async (t) => {
    const prefix = `/compacted-${++places}/`;
    const { store, updates } = await open(t, storeAt([endpoints[0]!], prefix));
    const other = (await open(t, storeAt([endpoints[1]!], prefix))).store;
    await committed(store.commit([put("kept", "1"), put("changed", "1"), put("removed", "1")]));
    const kept = store.entries!.get("kept");
    await members[0]!.kill("SIGKILL");
    await takenAtLast(other, [put("changed", "2"), { key: "removed", value: undefined }]);
    await takenAtLast(other, [put("changed", "3"), put("new", "1")]);
    compact(endpoints[1]!);
    const before = updates.length;
    await back(members[0]!);
    await eventually("it has caught up", () => store.entries?.has("new") === true, 20_000);
    assert.deepEqual(contents(store), { changed: "3", kept: "1", new: "1" });
    assert.equal(store.entries!.get("kept"), kept);
    const steps = updates.slice(before).filter(({ changed, removed }) => changed.length + removed.length > 0);
    assert.deepEqual(
      steps.map(({ changed, removed }) => [changed.map(({ key }) => key).sort(), removed]),
      [[["changed", "new"], ["removed"]]],
    );
    assertWhole(updates, store);
  });

  test("a store that is started while etcd is away holds nothing, says so, and reads everything when it comes", async (t) => {
    const prefix = `/later-${++places}/`;
    const first = (await open(t, storeAt(endpoints, prefix))).store;
    await committed(first.commit([put("a", "1")]));
    await members[2]!.kill("SIGKILL");
    const { store, updates } = await open(t, storeAt([endpoints[2]!], prefix));
    assert.equal(store.entries, undefined);
    assert.match(store.trouble ?? "", /no member of etcd can be followed: 127\.0\.0\.1:\d+: /);
    assert.equal((await store.commit([put("b", "1")])).type, "unavailable");
    await back(members[2]!);
    await eventually("it has been read", () => store.entries !== undefined, 20_000);
    assert.deepEqual(contents(store), { a: "1" });
    await eventually("all is well", () => store.trouble === undefined);
    assertWhole(updates, store);
  });

  test("more entries than a page holds are read whole, and only those below the prefix", async (t) => {
    const prefix = `/many-${++places}/`;
    const { store } = await open(t, storeAt(endpoints, prefix));
    const beside = (await open(t, storeAt(endpoints, `${prefix.slice(0, -1)}0/`))).store;
    await committed(beside.commit([put("of another", "1")]));
    for (let i = 0; i < 1_200; i += 100)
      await committed(store.commit(Array.from({ length: 100 }, (_, n) => put(`key-${i + n}`, `${i + n}`))));
    const { store: again } = await open(t, storeAt(endpoints, prefix));
    assert.equal(again.entries?.size, 1_200);
    assert.deepEqual(contents(again), contents(store));
  });
});

describe("an etcd with users and TLS", { skip: noEtcd }, () => {
  test("is spoken to with a certificate of its authority alone", async (t) => {
    const owner = lastFirst(t);
    const folder = mkdtempSync(join(tmpdir(), "heddle-etcd-tls-"));
    owner.after(() => rmSync(folder, { recursive: true }));
    const file = (name: string): string => join(folder, name);
    writeCertificates(folder);
    const flags = ["--cert-file", file("server.pem"), "--key-file", file("server.key")];
    const [member] = await startEtcd(owner, 1, [...flags, "--trusted-ca-file", file("ca.pem"), "--client-cert-auth"]);
    const security = { tls: true, caFile: file("ca.pem"), certFile: file("client.pem"), keyFile: file("client.key") };
    const store = storeAt([member!.endpoint], "/tls/", { security });
    owner.after(() => store.close());
    await store.start();
    await eventually(
      "it can be written",
      async () => (await store.commit([put("a", "1")])).type === "committed",
      30_000,
    );
    const { certFile: _, keyFile: __, ...anonymous } = security;
    const stranger = storeAt([member!.endpoint], "/tls/", { security: anonymous });
    owner.after(() => stranger.close());
    await stranger.start();
    assert.equal(stranger.entries, undefined);
    assert.notEqual(stranger.trouble, undefined);
    const lost = storeAt([member!.endpoint], "/tls/", { security: { ...security, caFile: file("none.pem") } });
    await assert.rejects(lost.start(), /none\.pem/);
  });

  test("is logged in to, again when the login has run out; a wrong password ends the start", async (t) => {
    const owner = lastFirst(t);
    const folder = mkdtempSync(join(tmpdir(), "heddle-etcd-user-"));
    owner.after(() => rmSync(folder, { recursive: true }));
    const userFile = (text: string): string => {
      const path = join(folder, `user-${text.length}`);
      writeFileSync(path, text);
      return path;
    };
    const [member] = await startEtcd(owner);
    const { endpoint } = member!;
    for (const words of ["user add root:secret", "user grant-role root root", "auth enable"])
      assert.ok(etcdctl(endpoint, ...words.split(" ")).ok, words);
    const store = storeAt([endpoint], "/users/", { security: { tls: false, userFile: userFile("root:secret\n") } });
    owner.after(() => store.close());
    await store.start();
    await committed(store.commit([put("a", "1")]));
    // Whatever etcd's users were changed to, an old login is worth nothing any more.
    assert.ok(etcdctl(endpoint, "--user", "root:secret", "user", "add", "other:word").ok);
    await committed(store.commit([put("a", "2")]));
    await member!.kill("SIGKILL"); // which forgets every login
    member!.start();
    await commitAtLast(store, "b");
    const wrong = storeAt([endpoint], "/users/", { security: { tls: false, userFile: userFile("root:wrong") } });
    await assert.rejects(
      wrong.start(),
      (error: Error) => /authentication failed/.test(error.message) && !/wrong/.test(error.message),
    );
  });
});

interface Followed {
  readonly store: EtcdStore;
  readonly updates: StoreUpdate[];
}

async function commitAtLast(store: EtcdStore, key: string): Promise<void> {
  const revision = await takenAtLast(store, [put(key, "1")]);
  assert.equal(store.entries?.get(key)?.revision, revision);
}

/** A batch may come to nothing while a leader is elected: what counts is that it is taken soon, and that its answer is true. */
async function takenAtLast(store: EtcdStore, changes: Parameters<EtcdStore["commit"]>[0]): Promise<number> {
  let revision = 0;
  const isTaken = async (): Promise<boolean> => {
    const outcome = await store.commit(changes);
    if (outcome.type === "committed") revision = outcome.revision;
    return outcome.type === "committed";
  };
  await eventually("the batch is taken", isTaken, 30_000);
  return revision;
}

/** What was told, played from the beginning, is what is there; in the order of revisions. */
function assertWhole(updates: readonly StoreUpdate[], store: EtcdStore): void {
  const played = new Map<string, StoredEntry>();
  let last = 0;
  for (const { revision, changed, removed } of updates) {
    assert.ok(revision > last || changed.length + removed.length === 0, `${revision} after ${last}`);
    last = revision;
    for (const entry of changed) played.set(entry.key, entry);
    for (const key of removed) assert.ok(played.delete(key), `${key} is removed though it was never told`);
  }
  assert.deepEqual([...played.values()].sort(byKey), [...store.entries!.values()].sort(byKey));
}

/** ca.pem, and what the server and a client show. */
function writeCertificates(folder: string): void {
  const authority = new TestAuthority();
  writeFileSync(join(folder, "ca.pem"), authority.certificate);
  for (const name of ["server", "client"]) {
    const { certificate, key } = authority.issue({ commonName: name, ips: ["127.0.0.1"], dns: ["localhost"] });
    writeFileSync(join(folder, `${name}.pem`), certificate);
    writeFileSync(join(folder, `${name}.key`), key);
  }
}

function byKey(one: StoredEntry, other: StoredEntry): number {
  return one.key < other.key ? -1 : 1;
}

function storeAt(endpoints: readonly string[], prefix: string, more: Partial<EtcdStoreOptions> = {}): EtcdStore {
  return new EtcdStore({ endpoints, prefix, security: { tls: false }, clock: systemClock, log: quietLog, ...more });
}

/** Forgets everything before the last revision. */
function compact(endpoint: string): void {
  const status = JSON.parse(etcdctl(endpoint, "endpoint", "status", "-w", "json").output) as [
    { Status: { header: { revision: number } } },
  ];
  const compacted = etcdctl(endpoint, "compact", String(status[0].Status.header.revision));
  assert.ok(compacted.ok || /has been compacted/.test(compacted.output), compacted.output);
}
