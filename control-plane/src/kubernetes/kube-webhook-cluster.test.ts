import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type JsonObject, Live, ManualClock } from "@heddle/base";
import { DEFAULT_WEBHOOK_SETTINGS, webhookConfigurations } from "@heddle/inject";
import { eventually } from "@heddle/xds/testing";
import { TestCounters, TestLog } from "../ca/testing.ts";
import { CaBundles, type TestedOperation } from "../webhook/ca-bundles.ts";
import { applyJsonPatch } from "../webhook/testing.ts";
import type { KubeRequest } from "./kube-client.ts";
import { KubeError } from "./kube-error.ts";
import { KubeWebhookCluster } from "./kube-webhook-cluster.ts";
import { ScriptedKubeApi } from "./testing.ts";

const NAMESPACES = "/api/v1/namespaces";
const GROUP = "/apis/admissionregistration.k8s.io/v1";
const MUTATING = `${GROUP}/mutatingwebhookconfigurations`;
const VALIDATING = `${GROUP}/validatingwebhookconfigurations`;

function open(t: TestContext) {
  const [api, clock] = [new ScriptedKubeApi(), new ManualClock()];
  api.define(NAMESPACES, MUTATING, VALIDATING);
  const cluster = new KubeWebhookCluster({ api, clock, revision: "default", isLeader: new Live(true) });
  t.after(() => cluster.close());
  return { api, clock, cluster };
}

function namespace(name: string, labels: JsonObject): JsonObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

test("labels of namespaces are followed, and are looked up when they are asked for", async (t) => {
  const { api, cluster } = open(t);
  api.put(NAMESPACES, namespace("shop", { "heddle.dev/inject": "enabled" }));
  assert.equal(cluster.notReady(), "the namespaces are not known yet");
  cluster.start();
  await eventually(() => cluster.notReady() === undefined);
  assert.deepEqual(cluster.namespaces.known("shop"), { "heddle.dev/inject": "enabled" });
  assert.equal(cluster.namespaces.known("other"), undefined);
  api.put(NAMESPACES, namespace("shop", { "heddle.dev/inject": "disabled" }));
  await eventually(() => cluster.namespaces.known("shop")?.["heddle.dev/inject"] === "disabled");
  api.answers.set(`GET ${NAMESPACES}/new`, () => namespace("new", { a: "b", odd: 5 }));
  assert.deepEqual(await cluster.namespaces.labelsOf("new", 1000), { ok: true, value: { a: "b" } });
  assert.deepEqual(await cluster.namespaces.labelsOf("none", 1000), { ok: true, value: undefined });
});

test("a look at a namespace has an end, and an API server that fails is an error", async (t) => {
  const { api, clock, cluster } = open(t);
  api.answers.set(`GET ${NAMESPACES}/slow`, ({ signal }: KubeRequest) => {
    return new Promise((_resolve, reject) => {
      signal?.addEventListener("abort", () => reject(new KubeError(0, "", "aborted")));
    });
  });
  const looked = cluster.namespaces.labelsOf("slow", 1000);
  clock.advance(1000);
  assert.deepEqual(await looked, { ok: false, error: "no answer in time" });
  api.fault = () => new KubeError(500, "", "it is ill");
  assert.deepEqual(await cluster.namespaces.labelsOf("shop", 1000), { ok: false, error: "it is ill (500)" });
  assert.equal(clock.pending, 0);
});

test("where namespaces may not be listed it is ready all the same, and looks at each", async (t) => {
  const { api, cluster } = open(t);
  api.fault = ({ path }) => (path === NAMESPACES ? new KubeError(403, "Forbidden", "forbidden") : undefined);
  cluster.start();
  await eventually(() => cluster.notReady() === undefined);
});

test("our webhook configurations get the roots, by a patch that holds only if they are still the same ones", async (t) => {
  const { api, clock, cluster } = open(t);
  const [mutating, validating] = webhookConfigurations(DEFAULT_WEBHOOK_SETTINGS) as readonly [JsonObject, JsonObject];
  for (const [path, name, configuration] of [
    [MUTATING, "heddle-injector", mutating],
    [VALIDATING, "heddle-validator", validating],
  ] as const) {
    const { kind: _kind, apiVersion: _apiVersion, ...item } = configuration; // as in a list
    api.put(path, item);
    api.answers.set(`PATCH ${path}/${name}`, ({ body, contentType }) => {
      assert.equal(contentType, "application/json-patch+json");
      const steps = (body as readonly TestedOperation[]).filter((step) => step.op !== "test");
      api.put(path, applyJsonPatch(api.get(path, `/${name}`) ?? {}, steps) as JsonObject);
      return {};
    });
  }
  const roots = new Live<string | undefined>("ROOTS");
  cluster.start();
  const bundles = new CaBundles({
    configurations: cluster.configurations!,
    roots,
    revision: "default",
    isLeader: cluster.isLeader,
    clock,
    log: new TestLog().log,
    metrics: new TestCounters().scope(),
  });
  t.after(() => bundles.close());
  const bundle = Buffer.from("ROOTS").toString("base64");
  const has = (path: string, name: string): boolean => {
    const { webhooks = [] } = (api.get(path, `/${name}`) ?? {}) as {
      webhooks?: { clientConfig: { caBundle?: string } }[];
    };
    return webhooks.length > 0 && webhooks.every(({ clientConfig }) => clientConfig.caBundle === bundle);
  };
  await eventually(() => has(MUTATING, "heddle-injector") && has(VALIDATING, "heddle-validator"));
  const lists = api.requests.filter(({ method, path }) => method === "GET" && path.startsWith(GROUP));
  assert.ok(lists.length > 0 && lists.every(({ query }) => query?.["labelSelector"] === "heddle.dev/rev=default"));
});

test("a patch that fails, or of another kind, is an error", async (t) => {
  const { api, cluster } = open(t);
  api.answers.set(`PATCH ${MUTATING}/a`, () => {
    throw new KubeError(422, "Invalid", "the test failed");
  });
  const patch = cluster.configurations!.patch;
  assert.deepEqual(await patch("MutatingWebhookConfiguration", "a", []), { ok: false, error: "the test failed (422)" });
  assert.equal((await patch("Secret", "a", [])).ok, false);
});
