import assert from "node:assert/strict";
import { test } from "node:test";
import { type InjectionQuestion, shouldInject } from "./should-inject.ts";

const ask = (question: Partial<InjectionQuestion>) =>
  shouldInject({ namespaceLabels: {}, pod: {}, revision: "default", ...question });
const INJECT = "heddle.dev/inject";
const enabled = { [INJECT]: "enabled" };
const pod = (labels: Record<string, string>, annotations: Record<string, string> = {}, spec = {}) => ({
  metadata: { labels, annotations },
  spec,
});

test("the namespace's label decides where the pod says nothing", () => {
  assert.equal(ask({ namespaceLabels: enabled }).inject, true);
  assert.equal(ask({ namespaceLabels: { [INJECT]: "disabled" } }).inject, false);
  assert.equal(ask({}).inject, false);
});

test("the pod's own word wins over the namespace's, its label over its annotation", () => {
  assert.equal(ask({ pod: pod({ [INJECT]: "true" }) }).inject, true);
  assert.equal(ask({ pod: pod({}, { [INJECT]: "true" }) }).inject, true);
  assert.equal(ask({ pod: pod({ [INJECT]: "true" }), namespaceLabels: { [INJECT]: "disabled" } }).inject, true);
  assert.equal(ask({ pod: pod({ [INJECT]: "false" }), namespaceLabels: enabled }).inject, false);
  assert.equal(ask({ pod: pod({ [INJECT]: "false" }, { [INJECT]: "true" }), namespaceLabels: enabled }).inject, false);
});

test("a word that is neither is no consent, and the reason says it", () => {
  const decision = ask({ pod: pod({ [INJECT]: "yes" }), namespaceLabels: enabled });
  assert.deepEqual(decision, {
    inject: false,
    reason: `its label ${INJECT}: found "yes", allowed are "true" and "false"`,
  });
  assert.match(ask({ namespaceLabels: { [INJECT]: "true" } }).reason, /allowed are "enabled" and "disabled"/);
});

test("only its own revision injects: the pod's before the namespace's, `default` where neither names one", () => {
  const rev = { "heddle.dev/rev": "canary" };
  assert.equal(ask({ namespaceLabels: { ...enabled, ...rev } }).inject, false);
  assert.equal(ask({ namespaceLabels: { ...enabled, ...rev }, revision: "canary" }).inject, true);
  assert.equal(ask({ namespaceLabels: rev, revision: "canary" }).inject, true);
  assert.equal(ask({ namespaceLabels: rev }).inject, false);
  assert.equal(ask({ namespaceLabels: enabled, revision: "canary" }).inject, false);
  assert.equal(ask({ namespaceLabels: enabled, pod: pod(rev), revision: "canary" }).inject, true);
  assert.equal(ask({ namespaceLabels: { ...rev, [INJECT]: "disabled" }, revision: "canary" }).inject, false);
});

test("never: the node's network, the mirror of a static pod, Windows, the cluster's own namespaces, and a pod that has a sidecar", () => {
  const wanted = { [INJECT]: "true" };
  for (const question of [
    { pod: pod(wanted, {}, { hostNetwork: true }) },
    { pod: pod(wanted, { "kubernetes.io/config.mirror": "0123abcd" }) },
    { pod: pod(wanted, {}, { os: { name: "windows" } }) },
    { pod: pod(wanted), namespace: "kube-system" },
    { pod: pod(wanted, { "heddle.dev/status": "{}" }) },
  ])
    assert.equal(ask({ namespaceLabels: enabled, ...question }).inject, false);
  assert.equal(ask({ pod: pod(wanted, { "heddle.dev/status": "{}" }) }).injected, true);
});
