import assert from "node:assert/strict";
import { test } from "node:test";
import { err, type JsonObject, Live, ok } from "@heddle/base";
import { DEFAULT_INJECTION_SETTINGS } from "@heddle/inject";
import { type AdmissionRequest, readAdmissionReview } from "./admission-review.ts";
import { podInjection } from "./pod-injection.ts";
import { type PodReview, reviewPod } from "./review-pod.ts";
import { applyJsonPatch, namespacesOf, podReview, SCRIPTED_INJECTION } from "./testing.ts";

const POD = { metadata: { name: "web", labels: {} }, spec: { containers: [{ name: "app", image: "app:1" }] } };
const NAMESPACES = namespacesOf({
  shop: { "heddle.dev/inject": "enabled" },
  plain: {},
  canary: { "heddle.dev/inject": "enabled", "heddle.dev/rev": "canary" },
  "heddle-system": { "heddle.dev/inject": "enabled" },
  "kube-system": { "heddle.dev/inject": "enabled" },
});
const OPTIONS = {
  injection: SCRIPTED_INJECTION,
  namespaces: NAMESPACES,
  revision: "default",
  systemNamespace: "heddle-system",
};

function requestOf(pod: unknown, change: object = {}): AdmissionRequest {
  const read = readAdmissionReview(JSON.stringify(podReview(pod, change)));
  assert.ok(read.ok);
  return read.value;
}

async function review(pod: unknown, change: object = {}, tag?: string, options = OPTIONS): Promise<PodReview> {
  const reviewed = await reviewPod(requestOf(pod, change), tag, 1000, options);
  assert.ok(reviewed.ok);
  return reviewed.value;
}

function patchOf({ answer }: PodReview) {
  return answer.allowed ? (answer.patch ?? []) : [];
}

test("a pod of a namespace that wants it gets its sidecar", async () => {
  const reviewed = await review(POD);
  assert.equal(reviewed.outcome, "injected");
  assert.deepEqual(patchOf(reviewed), [
    { op: "add", path: "/metadata/labels/heddle.dev~1injected", value: "true" },
    { op: "add", path: "/spec/initContainers", value: [{ name: "heddle-sidecar", restartPolicy: "Always" }] },
  ]);
});

test("W10: a pod that is asked about again, with what was patched in, gets an empty patch", async () => {
  const patched = applyJsonPatch(POD, patchOf(await review(POD)));
  const again = await review(patched);
  assert.deepEqual([again.outcome, again.answer.allowed, patchOf(again)], ["skipped", true, []]);
});

test("W10: of a container that another webhook has added since, the probes are patched, and nothing else", async () => {
  const options = { ...OPTIONS, injection: podInjection(new Live(DEFAULT_INJECTION_SETTINGS)) };
  const once = applyJsonPatch(POD, patchOf(await review(POD, {}, undefined, options))) as JsonObject;
  assert.deepEqual(patchOf(await review(once, {}, undefined, options)), []);
  const late = { name: "late", readinessProbe: { tcpSocket: { port: 81 } } };
  const changed = { ...once, spec: { ...(once["spec"] as JsonObject), containers: [...POD.spec.containers, late] } };
  const again = await review(changed, {}, undefined, options);
  assert.deepEqual(
    [again.outcome, ...patchOf(again).map(({ op, path }) => `${op} ${path}`)],
    [
      "injected",
      "replace /metadata/annotations/heddle.dev~1status",
      "remove /spec/containers/1/readinessProbe/tcpSocket",
      "add /spec/containers/1/readinessProbe/httpGet",
      "add /spec/initContainers/1/env/9",
    ],
  );
  const completed = applyJsonPatch(changed, patchOf(again));
  assert.deepEqual(patchOf(await review(completed, {}, undefined, options)), []);
  const asProxy = { ...late, securityContext: { runAsUser: 1337 } };
  const around = { ...once, spec: { ...(once["spec"] as JsonObject), containers: [...POD.spec.containers, asProxy] } };
  assert.equal((await review(around, {}, undefined, options)).outcome, "refused");
});

test("W9: the answer is the same, and nothing is kept of it", async () => {
  const dry = await review(POD, { dryRun: true });
  assert.deepEqual(dry, await review(POD));
});

test("a pod of a namespace that does not want it stays as it is", async () => {
  const reviewed = await review(POD, { namespace: "plain" });
  assert.deepEqual([reviewed.outcome, reviewed.answer.allowed, patchOf(reviewed)], ["skipped", true, []]);
});

test("W8: no pod of the system's namespaces is touched, whatever labels say", async () => {
  for (const namespace of ["heddle-system", "kube-system", "kube-public", "kube-node-lease"]) {
    const reviewed = await review({ ...POD, metadata: { labels: { "heddle.dev/inject": "true" } } }, { namespace });
    assert.deepEqual([namespace, reviewed.outcome, patchOf(reviewed)], [namespace, "skipped", []]);
  }
});

test("the namespace is the request's, whatever the pod says", async () => {
  const pod = { ...POD, metadata: { ...POD.metadata, namespace: "shop" } };
  assert.equal((await review(pod, { namespace: "plain" })).outcome, "skipped");
});

test("revision tags: the path says which revision is asked for, and a pod of another one is left to it", async () => {
  assert.equal((await review(POD, { namespace: "canary" })).outcome, "skipped");
  assert.equal((await review(POD, { namespace: "canary" }, "canary")).outcome, "injected");
  assert.equal((await review(POD, {}, "canary")).outcome, "skipped");
});

test("W1: where nobody knows the namespace's labels there is no answer, and the failurePolicy decides", async () => {
  const unknown = await reviewPod(requestOf(POD, { namespace: "?" }), undefined, 1000, OPTIONS);
  assert.deepEqual(unknown, { ok: false, error: "the labels of namespace ? are not known now: no answer" });
  const absent = await reviewPod(requestOf(POD, { namespace: "new" }), undefined, 1000, OPTIONS);
  assert.deepEqual(absent, {
    ok: false,
    error: "the labels of namespace new are not known now: the API server does not know it yet",
  });
});

test("a namespace that has just been labelled is asked about anew, where what was seen of it says no", async () => {
  const asked: string[] = [];
  const namespaces = {
    known: (name: string) => (name === "shop" ? {} : { "heddle.dev/inject": "enabled" }),
    labelsOf: async (name: string) => {
      asked.push(name);
      return ok({ "heddle.dev/inject": name === "shop" ? "enabled" : "disabled" });
    },
  };
  const options = { ...OPTIONS, namespaces };
  assert.equal((await review(POD, {}, undefined, options)).outcome, "injected");
  assert.equal((await review(POD, { namespace: "seen" }, undefined, options)).outcome, "injected");
  const injected = { ...POD, metadata: { labels: { "heddle.dev/injected": "true" } } };
  assert.equal((await review(injected, {}, undefined, options)).outcome, "skipped");
  assert.deepEqual(asked, ["shop"]);
});

test("where nobody can be asked, what was seen of a namespace decides", async () => {
  const namespaces = { known: () => ({}), labelsOf: async () => err("away") };
  assert.equal((await review(POD, {}, undefined, { ...OPTIONS, namespaces })).outcome, "skipped");
});

test("where nobody watches namespaces, the webhook's own selectors have chosen", async () => {
  const options = { ...OPTIONS, namespaces: undefined as never };
  assert.equal((await review(POD, { namespace: "any" }, undefined, options)).outcome, "injected");
  assert.equal((await review(POD, { namespace: "any" }, "canary", options)).outcome, "injected");
});

test("other operations, subresources and kinds are let through untouched", async () => {
  for (const change of [
    { operation: "DELETE", object: null, oldObject: POD },
    { operation: "CONNECT", object: { kind: "PodExecOptions" } },
    { operation: "UPDATE", oldObject: POD },
    { subResource: "ephemeralcontainers", operation: "UPDATE", oldObject: POD },
    {
      kind: { group: "apps", version: "v1", kind: "Deployment" },
      resource: { group: "apps", version: "v1", resource: "deployments" },
    },
  ]) {
    const reviewed = await review(POD, change);
    assert.deepEqual([reviewed.outcome, reviewed.answer.allowed, patchOf(reviewed)], ["skipped", true, []]);
  }
});

test("what is no pod is refused with a reason, and never a crash", async () => {
  for (const [pod, message] of [
    [{}, /metadata: is no object/],
    [{ metadata: null, spec: {} }, /metadata: is no object/],
    [{ metadata: {}, spec: [] }, /spec: is no object/],
    [{ metadata: {}, spec: { containers: {} } }, /containers: is no list/],
    [{ metadata: {}, spec: { containers: [1] } }, /containers: is no list/],
    [{ metadata: {}, spec: { containers: [], initContainers: "x" } }, /initContainers: is no list/],
    [{ metadata: {}, spec: { containers: [], volumes: [null] } }, /volumes: is no list/],
    [{ metadata: { labels: { a: 1 } }, spec: { containers: [] } }, /labels: is no map/],
    [{ metadata: { annotations: [] }, spec: { containers: [] } }, /annotations: is no map/],
  ] as const) {
    const { answer, outcome } = await review(pod);
    assert.equal(outcome, "refused");
    assert.ok(!answer.allowed && answer.code === 400);
    assert.match(answer.message, message);
  }
  const { answer } = await review(POD, { namespace: "" });
  assert.ok(!answer.allowed && /namespace/.test(answer.message));
});

test("an annotation that cannot be read refuses the pod, and says which and what is allowed", async () => {
  const { answer } = await review({ ...POD, metadata: { annotations: { "heddle.dev/capture": "magic" } } });
  assert.ok(!answer.allowed && answer.code === 422);
  assert.match(answer.message, /heddle.dev\/capture.*allowed are redirect/);
});

for (const [what, template] of [
  ["a privileged container", { containers: [{ name: "heddle-helper", securityContext: { privileged: true } }] }],
  ["a capability", { containers: [{ name: "x", securityContext: { capabilities: { add: ["SYS_ADMIN"] } } }] }],
  [
    "a capability beyond capture's own",
    {
      initContainers: [
        { name: "heddle-capture", securityContext: { capabilities: { add: ["NET_ADMIN", "SYS_ADMIN"] } } },
      ],
    },
  ],
  ["escalation", { containers: [{ name: "x", securityContext: { allowPrivilegeEscalation: true } }] }],
  ["no seccomp", { containers: [{ name: "x", securityContext: { seccompProfile: { type: "Unconfined" } } }] }],
  ["a host port", { containers: [{ name: "x", ports: [{ hostPort: 80, containerPort: 80 }] }] }],
  ["the host's files", { volumes: [{ name: "root", hostPath: { path: "/" } }] }],
  ["the host's network", { hostNetwork: true }],
  ["the host's processes", { hostPID: true }],
  ["another account", { serviceAccountName: "cluster-admin" }],
  ["a kernel's setting", { securityContext: { sysctls: [{ name: "kernel.msgmax", value: "1" }] } }],
  ["a place on another node", { nodeName: "control-plane" }],
] as const)
  test(`W6: an annotation that asks for ${what} refuses the pod`, async () => {
    const annotations = { "heddle.dev/template": JSON.stringify(template) };
    const { answer } = await review({ ...POD, metadata: { annotations } });
    assert.ok(!answer.allowed && answer.code === 403);
    assert.match(answer.message, /no annotation of a pod gives it privileges: spec\./);
  });

test("what a pod had of privileges itself is its author's, and stays", async () => {
  const privileged = { name: "app", securityContext: { privileged: true, capabilities: { add: ["SYS_ADMIN"] } } };
  const pod = {
    metadata: { annotations: { "heddle.dev/template": JSON.stringify({ volumes: [{ name: "tmp", emptyDir: {} }] }) } },
    spec: { hostPID: true, volumes: [{ name: "tmp", emptyDir: {} }], containers: [privileged] },
  };
  assert.equal((await review(pod)).outcome, "injected");
});

test("capture's init container may have what it is for", async () => {
  const capture = { name: "heddle-capture", securityContext: { capabilities: { add: ["NET_ADMIN", "NET_RAW"] } } };
  const annotations = { "heddle.dev/template": JSON.stringify({ initContainers: [capture] }) };
  assert.equal((await review({ ...POD, metadata: { annotations } })).outcome, "injected");
});

test("under TPROXY the sidecar is injected with NET_ADMIN; without it no template gets it one", async () => {
  const injection = podInjection(new Live(DEFAULT_INJECTION_SETTINGS));
  const options = { ...OPTIONS, injection };
  const transparent = { annotations: { "heddle.dev/capture": "tproxy" } };
  assert.equal((await review({ ...POD, metadata: transparent }, {}, undefined, options)).outcome, "injected");
  const sidecar = { name: "heddle-sidecar", securityContext: { capabilities: { add: ["NET_ADMIN"] } } };
  const annotations = { "heddle.dev/template": JSON.stringify({ initContainers: [sidecar] }) };
  const { answer } = await review({ ...POD, metadata: { annotations } }, {}, undefined, options);
  assert.ok(!answer.allowed && answer.code === 403);
});
