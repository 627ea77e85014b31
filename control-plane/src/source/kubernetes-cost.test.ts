import assert from "node:assert/strict";
import { test } from "node:test";
import { type JsonObject, ManualClock } from "@heddle/base";
import { makeResourceTypes } from "@heddle/xds";
import { testNode } from "@heddle/xds/testing";
import { ScriptedKubeApi, settle } from "../kubernetes/testing.ts";
import { collectionPath, MESH_KINDS, NODES, PODS } from "../kubernetes/watched-kinds.ts";
import { Snapshots } from "../snapshot/snapshots.ts";
import { KubernetesSource } from "./kubernetes.ts";
import { Sources } from "./sources.ts";

const SERVICES = 40;
const PODS_EACH = 5;

test("of a cluster one endpoint's change makes one EDS resource, whatever else there is; a pod's or a Node's heartbeat none", async (t) => {
  const clock = new ManualClock();
  const api = new ScriptedKubeApi();
  api.define(...MESH_KINDS.map((kind) => collectionPath(kind)));
  api.put(collectionPath(NODES), { metadata: { name: "n1" } });
  for (let service = 0; service < SERVICES; service += 1) {
    api.put("/api/v1/services", serviceOf(service));
    api.put("/apis/discovery.k8s.io/v1/endpointslices", sliceOf(service, 0));
    for (let index = 0; index < PODS_EACH; index += 1) api.put(collectionPath(PODS), podOf(service, index));
  }
  const sources = new Sources([new KubernetesSource({ api, server: "a", clock })]);
  const snapshots = new Snapshots(makeResourceTypes({ httpFilters: "unchecked" }), { trustDomain: "cluster.local" });
  sources.start(() => sources.world && snapshots.publish(sources.world));
  t.after(() => sources.close());
  const turn = async (): Promise<void> => {
    await settle();
    clock.advance(1000);
    await settle();
  };
  await turn();
  let told = 0;
  const node = { ...testNode(), id: "shop/laptop/1" };
  t.after(() => watch.close());
  const watch = snapshots.watch(node, () => {
    told += 1;
  });
  const made = (): Record<string, number> => Object.fromEntries(snapshots.computed);
  const endpoints = () => watch.current?.resources.get(ENDPOINTS);
  assert.equal(made()["endpoints"], SERVICES);
  const [before, heldBefore] = [made(), endpoints()];
  assert.equal(heldBefore?.size, SERVICES);

  api.put("/apis/discovery.k8s.io/v1/endpointslices", sliceOf(7, 1));
  await turn();
  assert.deepEqual(
    Object.entries(made()).filter(([what, count]) => count !== before[what]),
    [
      ["endpoints", SERVICES + 1],
      ["snapshot", (before["snapshot"] ?? 0) + 1],
    ],
  );
  const different = [...(endpoints() ?? [])].filter(([name, resource]) => heldBefore?.get(name) !== resource);
  assert.deepEqual(
    different.map(([name]) => name),
    ["outbound/80/service-7.shop"],
  );
  assert.equal(told, 1);

  const after = made();
  const pod = podOf(3, 0);
  api.put(collectionPath(PODS), {
    ...pod,
    status: { ...(pod["status"] as JsonObject), conditions: [{ type: "Ready" }] },
  });
  api.put(collectionPath(NODES), { metadata: { name: "n1", annotations: { heartbeat: "1" } } });
  await turn();
  assert.deepEqual(made(), after);
  assert.equal(told, 1);
});

test("a thousand pods of one workload share what they get: made once, and anew for those alone that a policy is for", async (t) => {
  const clock = new ManualClock();
  const api = new ScriptedKubeApi();
  api.define(...[...MESH_KINDS, NODES].map((kind) => collectionPath(kind)));
  const pods = 1000;
  for (let index = 0; index < pods; index += 1) {
    const pod = podOf(0, index) as { metadata: { labels: object } } & JsonObject;
    const labels = { ...pod.metadata.labels, canary: String(index < 10) };
    const status = { phase: "Running", podIP: `10.1.${index >> 8}.${index & 255}` };
    api.put(collectionPath(PODS), { ...pod, metadata: { ...pod.metadata, ...owner, labels }, status });
  }
  const sources = new Sources([new KubernetesSource({ api, server: "a", clock })]);
  const snapshots = new Snapshots(makeResourceTypes({ httpFilters: "unchecked" }), { trustDomain: "cluster.local" });
  sources.start(() => sources.world && snapshots.publish(sources.world));
  t.after(() => sources.close());
  const turn = async (): Promise<void> => {
    await settle();
    clock.advance(1000);
    await settle();
  };
  await turn();
  const watches = Array.from({ length: pods }, (_, index) =>
    snapshots.watch({ ...testNode(), id: `shop/web/service-0-${index}`, cluster: "web" }, () => {}),
  );
  t.after(() => {
    for (const watch of watches) watch.close();
  });
  assert.equal(new Set(watches.map(({ current }) => current)).size, 1);
  assert.equal(snapshots.computed.get("inbound"), 1);
  const [first] = watches;
  assert.ok((first?.current?.resources.get(LISTENERS)?.size ?? 0) > 0, "they have listeners");

  api.put("/apis/heddle.dev/v1/peerauthentications", {
    metadata: { name: "canary", namespace: "shop" },
    spec: { selector: { matchLabels: { canary: "true" } }, mtls: { mode: "STRICT" } },
  });
  await turn();
  assert.equal(snapshots.computed.get("inbound"), 2);
  const snapshotsNow = watches.map(({ current }) => current);
  assert.equal(new Set(snapshotsNow.slice(0, 10)).size, 1);
  assert.equal(new Set(snapshotsNow.slice(10)).size, 1);
  assert.notEqual(snapshotsNow[0], snapshotsNow[10]);
});

const owner = { ownerReferences: [{ kind: "StatefulSet", name: "web", controller: true }] };
const LISTENERS = "type.googleapis.com/envoy.config.listener.v3.Listener";
const ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

function serviceOf(service: number): JsonObject {
  const name = `service-${service}`;
  return {
    metadata: { name, namespace: "shop" },
    spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 8080 }] },
  };
}

function sliceOf(service: number, change: number): JsonObject {
  const name = `service-${service}`;
  return {
    metadata: { name: `${name}-a`, namespace: "shop", labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints: Array.from({ length: PODS_EACH }, (_, index) => ({
      addresses: [`10.${index === 0 ? change : 0}.${service}.${index + 1}`],
      targetRef: { kind: "Pod", name: `${name}-${index}` },
      nodeName: "n1",
    })),
  };
}

function podOf(service: number, index: number): JsonObject {
  const name = `service-${service}`;
  return {
    metadata: { name: `${name}-${index}`, namespace: "shop", labels: { app: name, "heddle.dev/injected": "true" } },
    spec: { nodeName: "n1", containers: [{ name: "app" }] },
    status: { phase: "Running", podIP: `10.0.${service}.${index + 1}` },
  };
}
