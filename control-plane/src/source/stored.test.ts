import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import { formatDiagnostic, parseYamlDocuments } from "@heddle/config";
import { storeKeyOf } from "../api/resource-key.ts";
import { encodeStoredValue } from "../api/stored-value.ts";
import { ScriptedStore } from "../store/scripted-store.ts";
import { type SourceFixture, service, sourceContract } from "./source-contract.ts";
import { StoredSource } from "./stored.ts";

sourceContract("a store", async () => {
  const store = new ScriptedStore();
  const source = new StoredSource(store);
  return {
    source: Object.assign(source, { start: starting(store, source) }),
    put: async (name, yaml) => store.put({ key: serviceKey(name), value: storedBytes(yaml) }),
    remove: async (name) => store.put({ key: serviceKey(name), value: undefined }),
    dispose: () => store.close(),
  } satisfies SourceFixture;
});

test("what cannot be read is told with the resource's name, and nothing else suffers", async () => {
  const store = new ScriptedStore();
  const newer = JSON.stringify({ format: 99, json: {} });
  const cluster = { "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", name: "c", lb_polcy: 1 };
  const xds = (name: string) =>
    storeKeyOf({ type: "envoy.config.cluster.v3.Cluster", namespace: "", name, nodeCluster: "web" });
  store.put(
    { key: serviceKey("a"), value: storedBytes(service("a")) },
    { key: serviceKey("b"), value: Buffer.from(newer) },
    { key: serviceKey("c"), value: Buffer.from([0xff, 0xfe]) },
    { key: serviceKey("d"), value: storedBytes(service("somebody-else")) },
    { key: xds("c"), value: storedBytes(JSON.stringify(cluster)) },
    { key: xds("other"), value: storedBytes(JSON.stringify({ ...cluster, lb_polcy: undefined })) },
    { key: "whose/is%this", value: Buffer.from("x") },
    {
      key: serviceKey("e"),
      value: Buffer.from(`{"format":1,"json":{"kind":${"[".repeat(50_000)}${"]".repeat(50_000)}}}`),
    },
  );
  const source = new StoredSource(store);
  await store.start();
  source.start(() => {});
  assert.deepEqual(
    source.items?.map((item) => item.name),
    ["a"],
  );
  assert.deepEqual(source.diagnostics.map(formatDiagnostic), [
    "stored service/default/b: was written by a newer control plane (format 99; this one reads up to 1)",
    "stored service/default/c: is no resource of this API",
    "stored service/default/d: holds the service default/somebody-else",
    "stored cluster/c for node.cluster=web: lb_polcy: is no field of envoy.config.cluster.v3.Cluster",
    "stored cluster/other for node.cluster=web: holds the resource envoy.config.cluster.v3.Cluster/c for node.cluster=web",
    "stored whose/is%this: is no resource of this API",
    "stored service/default/e: is no resource of this API",
  ]);
});

test("a store that was set back may have something else at the same revision", async () => {
  const store = new ScriptedStore();
  store.put({ key: serviceKey("a"), value: storedBytes(service("a", 80)) });
  const source = new StoredSource(store);
  await store.start();
  source.start(() => {});
  const before = source.items?.[0];
  store.revision = 0;
  store.put({ key: serviceKey("a"), value: storedBytes(service("a", 81)) });
  assert.notDeepEqual(source.items?.[0], before);
  await source.close();
});

test("a store in trouble is told, and what it held stays in force", async () => {
  const store = new ScriptedStore();
  store.put({ key: serviceKey("a"), value: storedBytes(service("a")) });
  const source = new StoredSource(store);
  await store.start();
  let changes = 0;
  source.start(() => (changes += 1));
  store.setTrouble("cannot be reached");
  assert.deepEqual(source.diagnostics.map(formatDiagnostic), ["store scripted: cannot be reached"]);
  assert.equal(source.items?.length, 1);
  store.setTrouble(undefined);
  assert.deepEqual(source.diagnostics, []);
  assert.equal(changes, 2);
});

/** A source of the contract starts its store as well, as the control plane does. */
function starting(store: ScriptedStore, source: StoredSource): StoredSource["start"] {
  const start = source.start.bind(source);
  return (onChange) => {
    start(onChange);
    void store.start();
  };
}

function serviceKey(name: string): string {
  return storeKeyOf({ type: "Service", namespace: "default", name, nodeCluster: "" });
}

function storedBytes(yaml: string): Uint8Array {
  const documents = parseYamlDocuments("test.yaml", yaml);
  const json: Json = documents.ok ? (documents.value[0]?.json ?? null) : null;
  const content = { type: "json", json } as const;
  return encodeStoredValue({ content, override: false, author: "", manager: "", updatedAtMs: 0 });
}
