import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { fromProtoJson } from "@heddle/proto";
import type { Log } from "@heddle/telemetry";
import { httpFilterRegistry, makeResourceTypes, type ResourceUpdate } from "@heddle/xds";
import { ResourceFile } from "./resource-file.ts";

const types = makeResourceTypes({ httpFilters: httpFilterRegistry([]) });
const LOOK_MS = 500;

/** A file of clusters that is followed; `write` replaces it as editors do, and lets it be looked at. */
function follow(t: TestContext, first?: string) {
  const folder = mkdtempSync(join(tmpdir(), "heddle-files-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "cds.yaml");
  const clock = new ManualClock();
  const updates: ResourceUpdate[] = [];
  const logged: string[] = [];
  const note = (message: string): void => void logged.push(message);
  const put = (text: string): void => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  if (first !== undefined) put(first);
  const files = new ResourceFile({
    origin: { type: "file", path },
    type: types.cluster,
    clock,
    log: { info: note, warn: note, error: note } as unknown as Log,
    onUpdate: (update) => updates.push(update),
  });
  files.subscribe("cluster", new Set(["*"]));
  clock.advance(0);
  t.after(() => files.close());
  const write = (text: string): void => {
    put(text);
    clock.advance(LOOK_MS);
  };
  return { clock, updates, logged, write, files, path };
}

const cluster = (name: string, fields = ""): string =>
  `- { "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: ${name}, load_assignment: { cluster_name: ${name} }${fields} }\n`;
const response = (...resources: string[]): string => `version_info: v1\nresources:\n${resources.join("")}`;

test("what a file holds is in force at once; later what changed in it, and what is gone from it", (t) => {
  const { updates, write, clock, files } = follow(t, response(cluster("a"), cluster("b")));
  assert.deepEqual([...(updates[0]?.changed.keys() ?? [])], ["a", "b"]);
  assert.equal(updates[0]?.changed.get("a")?.version, "v1");
  clock.advance(10 * LOOK_MS);
  assert.equal(updates.length, 1, "nothing happened");
  write(response(cluster("a"), cluster("b", ", connect_timeout: 1s"), cluster("c")).replace("v1", "v2"));
  assert.deepEqual([...(updates[1]?.changed.keys() ?? [])], ["b", "c"]);
  write(response(cluster("c")));
  assert.deepEqual([[...(updates[2]?.changed.keys() ?? [])], updates[2]?.removed], [[], ["a", "b"]]);
  assert.deepEqual(
    files.statuses().map(({ name, state, version }) => [name, state, version]),
    [["c", "SYNCED", "v1"]],
  );
});

test("a file that is wrong changes nothing, and says every fault with its place, once", (t) => {
  const { updates, write, logged, files, path, clock } = follow(t, response(cluster("a")));
  write(
    `resource: []\nresources:\n${cluster("a", ", nam: x")}${cluster("b", ", lb_policy: CLUSTER_PROVIDED")}${cluster("c")}${cluster("c")}`,
  );
  clock.advance(10 * LOOK_MS);
  assert.equal(updates.length, 1);
  const [, refused] = files.statuses();
  assert.deepEqual([refused?.name, refused?.state], [path, "NACKED"]);
  const errors = (refused?.errors ?? []).map((line) => line.replace(path, "cds.yaml"));
  assert.match(errors[0]!, /^cds\.yaml:1:1: resource: is no field of a DiscoveryResponse$/);
  assert.match(errors[1]!, /^cds\.yaml:3:\d+: resources\[0\]\.nam: is no field of envoy\.config\.cluster/);
  assert.match(errors[2]!, /^cds\.yaml:4:\d+: resources\[1\]\.lb_policy: CLUSTER_PROVIDED/);
  assert.match(errors[3]!, /^cds\.yaml:6:\d+: resources\[3\]: there are two named "c"$/);
  assert.equal(logged.filter((message) => message.includes("refused")).length, 1);
  write(response(cluster("a"), cluster("d")));
  assert.deepEqual([...(updates[1]?.changed.keys() ?? [])], ["d"]);
  assert.ok(files.statuses().every(({ state }) => state === "SYNCED"));
});

test("a file of another type of resources, of two documents or of none is refused", (t) => {
  const { updates, write, files } = follow(t);
  const listener = `resources: [{ "@type": type.googleapis.com/envoy.config.listener.v3.Listener, name: l }]`;
  const cases: [text: string, fault: RegExp][] = [
    [listener, /found .*Listener, allowed is .*Cluster$/],
    ["resources: []\n---\nresources: []", /second document/],
    ["", /is empty/],
    ["resources: {}", /allowed is a list/],
    ["resources: [", /cds\.yaml:1:/],
  ];
  for (const [text, fault] of cases) {
    write(text);
    assert.match(files.statuses()[0]?.errors[0] ?? "", fault, text);
  }
  assert.ok(
    updates.every(({ changed }) => changed.size === 0),
    "nothing comes of it, and nobody waits for it",
  );
});

test("a file that is not there yet is read when it comes; one that goes away serves on", (t) => {
  const { updates, write, logged, path, clock } = follow(t);
  assert.deepEqual(logged, ["a file of resources is not there"]);
  write(response(cluster("a")));
  assert.equal(updates.length, 1);
  rmSync(path);
  clock.advance(LOOK_MS);
  assert.equal(updates.length, 1, "what it held stays in force");
  write(response(cluster("a")));
  assert.deepEqual([...(updates[1]?.changed.keys() ?? [])], [], "and is not taken for another");
});

/** A file of endpoints that is followed by name. */
function followEndpoints(t: TestContext, watched: boolean, file = "eds.json") {
  const folder = mkdtempSync(join(tmpdir(), "heddle-files-"));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "watched"));
  const path = join(folder, file);
  const clock = new ManualClock();
  const updates: ResourceUpdate[] = [];
  const feed = new ResourceFile({
    origin: { type: "file", path, ...(watched && { watchedFolder: join(folder, "watched") }) },
    type: types.endpoints,
    clock,
    log: quiet,
    onUpdate: (update) => updates.push(update),
  });
  t.after(() => feed.close());
  return { folder, path, clock, updates, feed };
}

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as Log;

function endpoints(...names: string[]): object {
  const type = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
  return { version_info: "v1", resources: names.map((cluster_name) => ({ "@type": type, cluster_name })) };
}

test("of a file of endpoints comes what is asked for, and what is not in it does not exist", (t) => {
  const { path, clock, updates, feed } = followEndpoints(t, false);
  writeFileSync(path, JSON.stringify(endpoints("a", "b")));
  feed.subscribe("endpoints", new Set(["a", "c"]));
  assert.equal(updates.length, 0, "nobody is called while asking");
  clock.advance(0);
  assert.deepEqual([[...updates[0]!.changed.keys()], updates[0]!.absent], [["a"], ["c"]]);
  feed.subscribe("endpoints", new Set(["a", "b"]));
  clock.advance(0);
  assert.deepEqual([...updates[1]!.changed.keys()], ["b"]);
  writeFileSync(path, JSON.stringify(endpoints("b")));
  clock.advance(10 * LOOK_MS);
  assert.deepEqual(
    updates.slice(2).flatMap(({ removed }) => removed),
    [],
    "statement 32: absence means nothing",
  );
  assert.equal(feed.statuses().length, 2);
  feed.subscribe("endpoints", new Set());
  assert.equal(clock.pending, 0);
});

test("statement 76: with a watched folder the file is read when something is renamed into that folder", (t) => {
  const { folder, path, clock, updates, feed } = followEndpoints(t, true);
  writeFileSync(path, JSON.stringify(endpoints("a")));
  feed.subscribe("endpoints", new Set(["a", "b"]));
  clock.advance(0);
  assert.deepEqual([...updates[0]!.changed.keys()], ["a"]);
  writeFileSync(path, "{ half of it");
  clock.advance(10 * LOOK_MS);
  assert.deepEqual([updates.length, feed.statuses().length], [1, 1], "nobody has said that it is complete");
  writeFileSync(path, JSON.stringify(endpoints("a", "b")));
  writeFileSync(join(folder, "new"), "");
  renameSync(join(folder, "new"), join(folder, "watched", "new"));
  clock.advance(LOOK_MS);
  assert.deepEqual([...updates[1]!.changed.keys()], ["b"]);
});

test("statement 76: a bad file keeps the last good", (t) => {
  const { folder, path, clock, updates, feed } = followEndpoints(t, true);
  writeFileSync(path, JSON.stringify(endpoints("a")));
  feed.subscribe("endpoints", new Set(["a"]));
  clock.advance(0);
  writeFileSync(path, "{ half of it");
  writeFileSync(join(folder, "watched", "now"), "");
  clock.advance(LOOK_MS);
  assert.deepEqual(
    feed.statuses().map(({ state }) => state),
    ["SYNCED", "NACKED"],
  );
  assert.equal(updates.length, 1);
});

test("a serialised response is read, and text in protobuf's own form is refused by its name", (t) => {
  const it = followEndpoints(t, false, "eds.pb");
  const bytes = fromProtoJson("envoy.service.discovery.v3.DiscoveryResponse", endpoints("a"));
  assert.ok(bytes.ok);
  writeFileSync(it.path, bytes.value);
  it.feed.subscribe("endpoints", new Set(["a"]));
  it.clock.advance(0);
  assert.equal(it.updates[0]?.changed.get("a")?.version, "v1");
  writeFileSync(it.path, "no protobuf");
  it.clock.advance(LOOK_MS);
  assert.match(it.feed.statuses()[1]?.errors[0] ?? "", /eds\.pb: is no DiscoveryResponse/);

  const text = followEndpoints(t, false, "eds.pb_text");
  writeFileSync(text.path, "");
  text.feed.subscribe("endpoints", new Set(["a"]));
  text.clock.advance(0);
  assert.match(text.feed.statuses()[0]?.errors[0] ?? "", /allowed are YAML, JSON and serialised \(\.pb\) files/);
});
