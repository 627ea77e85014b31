import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { ManualClock } from "@heddle/base";
import { KubeError } from "./kube-error.ts";
import { Reflector, type ReflectorOptions } from "./reflector.ts";
import { ScriptedKubeApi, type ScriptedWatch, settle } from "./testing.ts";

const PATH = "/api/v1/things";

describe("a reflector", () => {
  const open: { close(): Promise<void> }[] = [];
  const clock = new ManualClock();

  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
    assert.equal(clock.pending, 0);
  });

  const reflect = (api: ScriptedKubeApi, more: Partial<ReflectorOptions<string>> = {}) => {
    const reads: string[] = [];
    const changes: string[][] = [];
    const reflector = new Reflector<string>({
      api,
      clock,
      path: PATH,
      random: () => 0.5,
      read: ({ key, json }) => {
        reads.push(key);
        return JSON.stringify(json["value"]);
      },
      onChange: (keys) => changes.push([...keys].sort()),
      ...more,
    });
    open.push(reflector);
    reflector.start();
    return { reflector, reads, changes };
  };
  const thing = (name: string, value = name) => ({ metadata: { namespace: "a", name }, value });
  const watchOf = (api: ScriptedKubeApi): ScriptedWatch => {
    const [watch] = api.watches;
    assert.ok(watch !== undefined, "somebody watches");
    return watch;
  };

  it("lists in pages, then watches from there, and tells what each event changes", async () => {
    const api = new ScriptedKubeApi();
    api.pageSize = 2;
    for (const name of ["a", "b", "c", "d", "e"]) api.put(PATH, thing(name));
    const { reflector, changes } = reflect(api);
    await settle();
    assert.deepEqual([...reflector.values()], ["a", "b", "c", "d", "e"].map(json));
    assert.deepEqual(
      api.requests.map(({ query }) => [query?.["limit"], query?.["continue"]]),
      [
        [500, undefined],
        [500, "2"],
        [500, "4"],
      ],
    );
    const { query } = watchOf(api).request;
    assert.deepEqual([query["resourceVersion"], query["allowWatchBookmarks"]], ["105", true]);
    changes.length = 0;
    api.put(PATH, thing("b", "other"));
    api.remove(PATH, "a/c");
    api.put(PATH, thing("f"));
    assert.deepEqual(changes, [["a/b"], ["a/c"], ["a/f"]]);
    assert.deepEqual([...reflector.values()], ["a", "other", "d", "e", "f"].map(json));
  });

  it("goes on from a bookmark when the API server ends the watch", async () => {
    const api = new ScriptedKubeApi();
    api.define(PATH);
    const { reads } = reflect(api);
    await settle();
    watchOf(api).send({ type: "BOOKMARK", object: { metadata: { resourceVersion: "777" } } });
    clock.advance(300_000);
    watchOf(api).end();
    await settle();
    assert.equal(watchOf(api).request.query["resourceVersion"], "777");
    assert.equal(api.requests.length, 1);
    assert.deepEqual(reads, []);
  });

  it("lists anew after 410, and reads and tells what is different alone", async () => {
    const api = new ScriptedKubeApi();
    for (const name of ["a", "b", "c"]) api.put(PATH, thing(name));
    const { reflector, reads, changes } = reflect(api);
    await settle();
    const seen: number[] = [];
    reads.length = changes.length = 0;
    api.loseSilently(PATH, "a/c");
    const silent = [...api.watches];
    api.watches.clear(); // nobody hears of what comes now
    api.put(PATH, thing("b", "other"));
    clock.advance(3000);
    seen.push(reflector.size);
    silent[0]?.send({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired", message: "too old" } });
    await settle();
    assert.deepEqual(seen, [3], "what was known served meanwhile");
    assert.deepEqual(reads, ["a/b"]);
    assert.deepEqual(changes, [["a/b", "a/c"]]);
    assert.deepEqual([...reflector.values()].sort(), ["a", "other"].map(json));
    assert.equal(reflector.trouble, undefined);
  });

  it("begins a list anew whose token for the next page is too old, in the end without pages", async () => {
    const api = new ScriptedKubeApi();
    api.pageSize = 1;
    for (const name of ["a", "b"]) api.put(PATH, thing(name));
    api.fault = () =>
      api.requests.at(-1)?.query?.["continue"] === undefined ? undefined : new KubeError(410, "Expired", "too old");
    const { reflector } = reflect(api);
    for (let turn = 0; turn < 3; turn += 1) {
      await settle();
      api.pageSize = turn >= 1 ? 500 : 1;
      clock.advance(10_000);
    }
    await settle();
    assert.equal(api.requests.at(-1)?.query?.["limit"], undefined);
    assert.equal(reflector.size, 2);
  });

  it("keeps what it has while the API server is away, waits longer each time, and goes on where it was", async () => {
    const api = new ScriptedKubeApi();
    api.put(PATH, thing("a"));
    const { reflector } = reflect(api);
    await settle();
    clock.advance(60_000);
    let asked = 0;
    const listed = api.requests.length;
    api.fault = () => {
      asked += 1;
      return new KubeError(0, "", "no answer: ECONNREFUSED");
    };
    watchOf(api).fail(new KubeError(0, "", "no answer: UND_ERR_SOCKET"));
    const askedBy: number[] = [];
    for (let second = 0; second < 120; second += 1) {
      await settle();
      clock.advance(1000);
      askedBy.push(asked);
    }
    assert.equal(reflector.size, 1);
    assert.match(reflector.trouble ?? "", /ECONNREFUSED/);
    assert.ok(asked >= 6 && asked <= 14, `asked ${asked} times in two minutes`);
    api.fault = () => undefined;
    clock.advance(30_000);
    await settle();
    assert.equal(reflector.trouble, undefined);
    const looks = api.requests.slice(listed).map(({ query }) => query?.["limit"]);
    assert.deepEqual(new Set(looks), new Set([1]), "no list: the version is still good");
    assert.equal(watchOf(api).request.query["resourceVersion"], "101");
    api.put(PATH, thing("b"));
    assert.equal(reflector.size, 2);
  });

  it("reads everything anew where the API server has gone back, since it says nothing of what is after a version of its future", async () => {
    const api = new ScriptedKubeApi();
    api.put(PATH, thing("a"));
    api.put(PATH, thing("b", "first"));
    const { reflector, reads } = reflect(api);
    await settle();
    assert.equal(watchOf(api).request.query["resourceVersion"], "102");
    // After the backup b had another life: what it is now has the version that was seen of what it was then.
    api.remove(PATH, "a/b");
    api.setBack(101);
    api.put(PATH, thing("b", "second"));
    api.setBack(101);
    reads.length = 0;
    await settle();
    clock.advance(2000);
    await settle();
    assert.deepEqual([...reflector.values()], ["a", "second"].map(json));
    assert.deepEqual(reads, ["a/a", "a/b"]);
    api.put(PATH, thing("c"));
    assert.equal(reflector.size, 3);
  });

  for (const [what, tell] of [
    [
      "a 504 for a version that is too large",
      (watch: ScriptedWatch) =>
        watch.fail(new KubeError(504, "Timeout", "Timeout: Too large resource version: 102, current: 100", 1000)),
    ],
    [
      "an event that is older than what was seen",
      (watch: ScriptedWatch) =>
        watch.send({ type: "ADDED", object: { metadata: { name: "x", namespace: "a", resourceVersion: "99" } } }),
    ],
  ] as const)
    it(`begins anew after ${what}`, async () => {
      const api = new ScriptedKubeApi();
      api.put(PATH, thing("a"));
      api.put(PATH, thing("b"));
      const { reflector, reads } = reflect(api);
      await settle();
      tell(watchOf(api));
      await settle();
      clock.advance(2000);
      await settle();
      assert.deepEqual(
        api.requests.map(({ query }) => query?.["limit"]),
        [500, 500],
      );
      assert.deepEqual(reads, ["a/a", "a/b", "a/a", "a/b"]);
      assert.equal(reflector.trouble, undefined);
      assert.equal(api.watches.size, 1);
    });

  it("waits for as long as a 429 asks it to", async () => {
    const api = new ScriptedKubeApi();
    api.define(PATH);
    let asked = 0;
    api.fault = () => {
      asked += 1;
      return new KubeError(429, "TooManyRequests", "busy", 20_000);
    };
    reflect(api);
    await settle();
    clock.advance(19_000);
    await settle();
    assert.equal(asked, 1);
    clock.advance(1000);
    await settle();
    assert.equal(asked, 2);
  });

  it("begins with a list after a watch that was silent for too long, or brought what is no event", async () => {
    for (const bad of ["silent", "garbled"] as const) {
      const api = new ScriptedKubeApi();
      api.put(PATH, thing("a"));
      const { reflector } = reflect(api);
      await settle();
      assert.ok(watchOf(api).request.silentMs > 300_000);
      clock.advance(400_000);
      if (bad === "silent") watchOf(api).fail(new KubeError(0, "Silent", "the watch was silent for too long"));
      else watchOf(api).sendText('{"type":"MODIF');
      await settle();
      clock.advance(1000);
      await settle();
      assert.equal(api.requests.length, 2, bad);
      assert.equal(reflector.trouble, undefined);
      assert.equal(reflector.size, 1);
    }
  });

  it("takes null for an empty list, as a kube-apiserver writes one of metadata alone", async () => {
    const api = new ScriptedKubeApi();
    api.define(PATH);
    const request = api.request.bind(api);
    api.request = async (asked) => ({ ...((await request(asked)) as object), items: null });
    const { reflector } = reflect(api);
    await settle();
    assert.equal(reflector.isSynchronised, true);
  });

  it("a list with null in the place of its items is empty, one without any is none", async () => {
    const api = new ScriptedKubeApi();
    api.put(PATH, thing("a"));
    api.answers.set(`GET ${PATH}`, () => ({ metadata: { resourceVersion: "5" }, items: null }));
    const { reflector } = reflect(api);
    await settle();
    assert.equal(reflector.trouble, undefined);
    assert.deepEqual([reflector.isSynchronised, reflector.size], [true, 0]);
    const none = new ScriptedKubeApi();
    none.answers.set(`GET ${PATH}`, () => ({ metadata: { resourceVersion: "5" } }));
    const other = reflect(none).reflector;
    await settle();
    assert.match(other.trouble ?? "", /the answer is no list/);
  });

  it("an object that is none stops no other", async () => {
    const api = new ScriptedKubeApi();
    api.put(PATH, thing("a"));
    api.answers.set(`GET ${PATH}`, () => ({
      metadata: { resourceVersion: "5" },
      items: [
        null,
        7,
        { metadata: null },
        { metadata: { name: "x" } },
        { metadata: { name: "y", resourceVersion: "4" } },
      ],
    }));
    const { reflector } = reflect(api);
    await settle();
    assert.equal(reflector.size, 1);
    const watch = watchOf(api);
    for (const object of [null, [], "text", { metadata: 3 }]) watch.send({ type: "ADDED", object });
    watch.send({ type: "ADDED", object: { metadata: { name: "z", resourceVersion: "9" }, value: 1 } });
    assert.equal(reflector.size, 2);
    assert.equal(api.requests.length, 1);
  });

  it("another object of the same name is read as another one", async () => {
    const api = new ScriptedKubeApi();
    const befores: (string | undefined)[] = [];
    api.put(PATH, thing("a"));
    reflect(api, {
      read: ({ json }, before) => {
        befores.push(before);
        return JSON.stringify(json["value"]);
      },
    });
    await settle();
    api.put(PATH, thing("a", "changed"));
    api.put(PATH, { metadata: { namespace: "a", name: "a", uid: "another" }, value: "new" });
    assert.deepEqual(befores, [undefined, json("a"), undefined]);
  });

  it("a kind that is not there is empty, is looked for again, and is followed when it comes", async () => {
    const api = new ScriptedKubeApi();
    const { reflector } = reflect(api, { findPath: async () => undefined });
    await settle();
    assert.deepEqual([reflector.isSynchronised, reflector.trouble], [true, undefined]);
    api.put(PATH, thing("a"));
    clock.advance(10_000);
    await settle();
    assert.equal(reflector.size, 1);
  });

  it("a kind that is defined and not served yet leaves it unsynchronised", async () => {
    const api = new ScriptedKubeApi();
    const { reflector } = reflect(api, { findPath: async () => PATH });
    await settle();
    assert.equal(reflector.isSynchronised, false);
    assert.match(reflector.trouble ?? "", /does not serve it yet/);
    api.define(PATH);
    clock.advance(1000);
    await settle();
    assert.equal(reflector.isSynchronised, true);
  });

  it("what is kept of a kind outlives by a minute that the API server says there is none", async () => {
    const api = new ScriptedKubeApi();
    api.put(PATH, thing("a"));
    const { reflector } = reflect(api, { findPath: async () => undefined });
    await settle();
    api.undefine(PATH);
    for (let second = 0; second < 55; second += 5) {
      await settle();
      clock.advance(5000);
      assert.equal(reflector.size, 1);
    }
    for (let second = 0; second < 30; second += 5) {
      await settle();
      clock.advance(5000);
    }
    await settle();
    assert.equal(reflector.size, 0);
    assert.equal(reflector.trouble, undefined);
  });

  it("what our account may not read is told, and awaited only where it can be done without", async () => {
    for (const isDispensable of [true, false]) {
      const api = new ScriptedKubeApi();
      api.fault = () => new KubeError(403, "Forbidden", "things is forbidden");
      const { reflector } = reflect(api, { isDispensable });
      await settle();
      assert.equal(reflector.isSynchronised, isDispensable);
      assert.match(reflector.trouble ?? "", /forbidden \(403\)/);
    }
  });
});

function json(value: string): string {
  return JSON.stringify(value);
}
