import assert from "node:assert/strict";
import { test } from "node:test";
import { captureOfPod, runPlugin } from "./plugin.ts";

const prevResult = { cniVersion: "1.0.0", interfaces: [{ name: "eth0" }], ips: [{ address: "10.0.0.2/24" }] };
const config = { cniVersion: "1.0.0", name: "net", type: "heddle-cni", kubeconfig: "/nowhere/kubeconfig", prevResult };
const add = { CNI_COMMAND: "ADD", CNI_CONTAINERID: "c", CNI_NETNS: "/run/netns/nowhere", CNI_IFNAME: "eth0" };
const ofPod = { ...add, CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web" };

async function call(
  env: Record<string, string>,
  stdin: unknown = config,
): Promise<{ exitCode: number; json: Record<string, unknown> }> {
  const { stdout, exitCode } = await runPlugin(env, typeof stdin === "string" ? stdin : JSON.stringify(stdin));
  return { exitCode, json: (stdout === "" ? {} : JSON.parse(stdout)) as Record<string, unknown> };
}

test("VERSION says what is understood, in the version of the question", async () => {
  const supportedVersions = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
  const env = { CNI_COMMAND: "VERSION" };
  assert.deepEqual(await call(env, { cniVersion: "1.0.0" }), {
    exitCode: 0,
    json: { cniVersion: "1.0.0", supportedVersions },
  });
  assert.deepEqual(await call(env, ""), { exitCode: 0, json: { cniVersion: "1.1.0", supportedVersions } });
});

test("ADD of what is no pod, and of pods of excluded namespaces, passes the result on without asking anybody", async () => {
  assert.deepEqual(await call(add), { exitCode: 0, json: prevResult });
  assert.deepEqual(await call(ofPod, { ...config, excludeNamespaces: ["shop"] }), { exitCode: 0, json: prevResult });
});

test("ADD fails where nobody can be asked: the pod is not started without rules", async () => {
  const { exitCode, json } = await call(ofPod);
  assert.equal(exitCode, 1);
  assert.deepEqual(json, {
    cniVersion: "1.0.0",
    code: 5,
    msg: "the API server cannot be asked",
    details: "kubeconfig /nowhere/kubeconfig cannot be read (ENOENT)",
  });
});

test("DEL and GC always succeed, also where the namespace has gone", async () => {
  for (const CNI_COMMAND of ["DEL", "GC"]) {
    const answer = await runPlugin({ ...ofPod, CNI_COMMAND, CNI_NETNS: "" }, JSON.stringify(config));
    assert.deepEqual(answer, { exitCode: 0, stdout: "" });
  }
});

for (const { what, env = add, stdin = config, code, msg } of [
  { what: "an unknown command", env: { ...add, CNI_COMMAND: "MEND" }, code: 4, msg: /CNI_COMMAND: found "MEND"/ },
  { what: "ADD without a namespace", env: { ...add, CNI_NETNS: "" }, code: 4, msg: /ADD needs CNI_NETNS/ },
  { what: "CNI_ARGS that are no pairs", env: { ...add, CNI_ARGS: "K8S_POD_NAME" }, code: 4, msg: /CNI_ARGS/ },
  { what: "a configuration that is not JSON", stdin: "{", code: 6, msg: /not JSON/ },
  { what: "a configuration that is no object", stdin: "[]", code: 6, msg: /not an object/ },
  {
    what: "a version that is not known",
    stdin: { ...config, cniVersion: "2.0.0" },
    code: 1,
    msg: /cniVersion: found "2.0.0"/,
  },
  { what: "no kubeconfig", stdin: { ...config, kubeconfig: undefined }, code: 7, msg: /kubeconfig/ },
  {
    what: "no plugin before",
    stdin: { ...config, prevResult: undefined },
    code: 7,
    msg: /behind the one that makes the interface/,
  },
  {
    what: "namespaces that are no list",
    stdin: { ...config, excludeNamespaces: "shop" },
    code: 7,
    msg: /excludeNamespaces: found "shop"/,
  },
] as const) {
  test(`${what}: an error in JSON with its code`, async () => {
    const { exitCode, json } = await call(env, stdin);
    assert.equal(exitCode, 1);
    assert.equal(json["code"], code);
    assert.match(String(json["msg"]), msg);
  });
}

test("a pod is captured by its label, as its annotations say; with those that are not understood it does not start", () => {
  const metadata = { name: "web", namespace: "shop", uid: "u" };
  assert.equal(captureOfPod({ metadata }, undefined), undefined);
  const labels = { "heddle.dev/injected": "true" };
  assert.equal(
    captureOfPod({ metadata: { ...metadata, labels, annotations: { "heddle.dev/capture": "none" } } }, undefined),
    undefined,
  );
  const captured = captureOfPod(
    { metadata: { ...metadata, labels, annotations: { "heddle.dev/capture": "tproxy" } } },
    ["10.96.0.10"],
  );
  assert.equal(captured?.mode, "tproxy");
  assert.deepEqual(captured?.dns?.servers, ["10.96.0.10"]);
  assert.throws(
    () => captureOfPod({ metadata: { ...metadata, labels, annotations: { "heddle.dev/capture": "x" } } }, undefined),
    {
      code: 100,
      details: 'metadata.annotations["heddle.dev/capture"]: found "x", allowed: redirect, tproxy, none',
    },
  );
});
