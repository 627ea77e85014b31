import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { httpFilterRegistry, makeResourceTypes, type ResourceUpdate } from "@heddle/xds";
import { ResourceFiles } from "./resource-files.ts";

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
  const files = new ResourceFiles({
    files: [{ kind: "cluster", origin: { type: "file", path } }],
    types,
    clock,
    log: { info: note, warn: note, error: note } as unknown as Log,
    onUpdate: (update) => updates.push(update),
  });
  files.start();
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
