import assert from "node:assert/strict";
import { test } from "node:test";
import { workloadNameOf } from "./workload-name.ts";

const owned = (kind: string, name: string, labels = {}) => ({
  metadata: { name: `${name}-x1`, labels, ownerReferences: [{ kind, name, controller: true }] },
});

test("a pod of a Deployment is of the Deployment: its ReplicaSet's name without the template's hash", () => {
  assert.equal(workloadNameOf(owned("ReplicaSet", "web-api-5d4f8c", { "pod-template-hash": "5d4f8c" })), "web-api");
});

test("a ReplicaSet without a Deployment, and one whose name does not end in the hash, keep their names", () => {
  assert.equal(workloadNameOf(owned("ReplicaSet", "web-5d4f8c")), "web-5d4f8c");
  assert.equal(workloadNameOf(owned("ReplicaSet", "web", { "pod-template-hash": "5d4f8c" })), "web");
});

test("a pod of a CronJob's Job is of the CronJob, one of a Job of the Job", () => {
  assert.equal(workloadNameOf(owned("Job", "backup-28934112")), "backup");
  assert.equal(workloadNameOf(owned("Job", "migrate-2")), "migrate-2");
  assert.equal(workloadNameOf(owned("Job", "28934112")), "28934112");
});

test("other owners give their name, and the controller is asked before other owners", () => {
  assert.equal(workloadNameOf(owned("StatefulSet", "db")), "db");
  const ownerReferences = [
    { kind: "Node", name: "n1" },
    { kind: "DaemonSet", name: "agent", controller: true },
  ];
  assert.equal(workloadNameOf({ metadata: { name: "p", ownerReferences } }), "agent");
});

test("the annotation wins; without an owner the label names it, then the pod's own name, then what its name begins with", () => {
  const metadata = {
    name: "p",
    labels: { "app.kubernetes.io/name": "shop" },
    annotations: { "heddle.dev/workload": "w" },
  };
  assert.equal(workloadNameOf({ metadata }), "w");
  assert.equal(workloadNameOf({ metadata: { ...metadata, annotations: {} } }), "shop");
  assert.equal(workloadNameOf({ metadata: { name: "p" } }), "p");
  assert.equal(workloadNameOf({ metadata: { generateName: "web-" } }), "web");
});

test("a pod without any name, and what is no pod, has none", () => {
  for (const pod of [{}, null, [], "pod", { metadata: 5 }, { metadata: { labels: [], ownerReferences: {} } }])
    assert.equal(workloadNameOf(pod as never), "");
});
