import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { err, type Json, type JsonObject, Live, ManualClock, ok } from "@heddle/base";
import { DEFAULT_WEBHOOK_SETTINGS, webhookConfigurations } from "@heddle/inject";
import { TestCounters, TestLog } from "../ca/testing.ts";
import { bundlePatch, CaBundles, type TestedOperation, type WebhookConfigurations } from "./ca-bundles.ts";
import { applyJsonPatch } from "./testing.ts";

/** A cluster with webhook configurations, which applies patches as an API server does. */
class ScriptedConfigurations implements WebhookConfigurations {
  readonly current = new Live<readonly JsonObject[] | undefined>(undefined);
  readonly patched: string[] = [];
  /** So many patches fail. */
  failures = 0;

  async patch(kind: string, name: string, patch: readonly TestedOperation[]) {
    this.patched.push(`${kind} ${name}`);
    if (this.failures > 0) {
      this.failures -= 1;
      return err("no answer");
    }
    const steps = patch.filter((step) => step.op !== "test");
    const isIt = (one: JsonObject): boolean => (one["metadata"] as JsonObject)["name"] === name && one["kind"] === kind;
    const next = this.current.current?.map((one) => (isIt(one) ? (applyJsonPatch(one, steps) as JsonObject) : one));
    this.current.publish(next);
    return ok(undefined);
  }

  bundles(): readonly string[] {
    const texts = (this.current.current ?? []).flatMap((one) =>
      (one["webhooks"] as readonly { clientConfig: { caBundle?: string } }[]).map(({ clientConfig }) =>
        Buffer.from(clientConfig.caBundle ?? "", "base64").toString(),
      ),
    );
    return [...new Set(texts)];
  }
}

function open(t: TestContext, more: { isLeader?: boolean; roots?: string | undefined } = {}) {
  const configurations = new ScriptedConfigurations();
  const roots = new Live<string | undefined>("roots" in more ? more.roots : "ROOT 1");
  const isLeader = new Live(more.isLeader ?? true);
  const [clock, log, counters] = [new ManualClock(), new TestLog(), new TestCounters()];
  const bundles = new CaBundles({
    configurations,
    roots,
    revision: "default",
    isLeader,
    clock,
    log: log.log,
    metrics: counters.scope(),
  });
  t.after(() => bundles.close());
  return { configurations, roots, isLeader, clock, log, counters, bundles };
}

const OURS = webhookConfigurations(DEFAULT_WEBHOOK_SETTINGS);

/** Until what is under way has been done. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

test("our configurations get the roots, and once they have them nothing is written", async (t) => {
  const { configurations, counters } = open(t);
  configurations.current.publish(OURS);
  await turns();
  assert.deepEqual(configurations.bundles(), ["ROOT 1"]);
  const written = configurations.patched.length;
  assert.equal(written, 2);
  configurations.current.publish([...(configurations.current.current ?? [])]);
  await turns();
  assert.equal(configurations.patched.length, written);
  assert.equal(counters.values.get("webhook.ca_bundles_written"), 2);
});

test("while one root replaces another both are there", async (t) => {
  const { configurations, roots } = open(t);
  configurations.current.publish(OURS);
  roots.publish("ROOT 1ROOT 2");
  await turns();
  assert.deepEqual(configurations.bundles(), ["ROOT 1ROOT 2"]);
  roots.publish("ROOT 2");
  await turns();
  assert.deepEqual(configurations.bundles(), ["ROOT 2"]);
});

test("W4: what somebody changes is put back, and one that is made again has the roots", async (t) => {
  const { configurations } = open(t);
  configurations.current.publish(OURS);
  await turns();
  configurations.current.publish(OURS.slice(1));
  await turns();
  const changed = structuredClone(OURS[0]) as JsonObject & {
    readonly webhooks: { clientConfig: { caBundle?: string } }[];
  };
  changed.webhooks[1]!.clientConfig.caBundle = Buffer.from("EVIL").toString("base64");
  configurations.current.publish([changed, ...(configurations.current.current ?? [])]);
  await turns();
  assert.deepEqual(configurations.bundles(), ["ROOT 1"]);
});

test("who does not lead writes nothing, until it leads", async (t) => {
  const { configurations, isLeader } = open(t, { isLeader: false });
  configurations.current.publish(OURS);
  await turns();
  assert.deepEqual(configurations.patched, []);
  isLeader.publish(true);
  await turns();
  assert.deepEqual(configurations.bundles(), ["ROOT 1"]);
});

test("roots that are not known are written nowhere: an empty bundle would trust the system's authorities", async (t) => {
  const { configurations, roots } = open(t, { roots: undefined });
  configurations.current.publish(OURS);
  await turns();
  assert.deepEqual(configurations.patched, []);
  roots.publish("ROOT 1");
  await turns();
  assert.deepEqual(configurations.bundles(), ["ROOT 1"]);
  roots.publish(undefined);
  await turns();
  assert.deepEqual(configurations.bundles(), ["ROOT 1"]);
});

test("a patch that fails is told of, and tried again later", async (t) => {
  const { configurations, clock, log, counters } = open(t);
  configurations.failures = 2;
  configurations.current.publish(OURS);
  await turns();
  assert.equal(log.with("cannot be given the mesh's roots").length, 2);
  assert.equal(counters.values.get("webhook.ca_bundles_failed"), 2);
  assert.equal(clock.pending, 1);
  clock.advance(1000);
  await turns();
  assert.deepEqual(configurations.bundles(), ["ROOT 1"]);
  assert.equal(clock.pending, 0);
});

test("closing leaves no timer", async (t) => {
  const { configurations, clock, bundles } = open(t);
  configurations.failures = 100;
  configurations.current.publish(OURS);
  await turns();
  await bundles.close();
  assert.equal(clock.pending, 0);
});

test("what is somebody else's is not touched", () => {
  const [mutating] = OURS as readonly [JsonObject];
  const named = (name: string, labels: Json) => ({ ...mutating, metadata: { name, labels } });
  assert.deepEqual(bundlePatch(named("istio-sidecar-injector", { "heddle.dev/rev": "default" }), "default", "X"), []);
  assert.deepEqual(bundlePatch(named("heddle-injector", { "heddle.dev/rev": "canary" }), "default", "X"), []);
  assert.deepEqual(bundlePatch(named("heddle-injector", {}), "default", "X"), []);
  assert.deepEqual(bundlePatch({ metadata: 5, webhooks: "x" }, "default", "X"), []);
  const [first] = mutating["webhooks"] as readonly JsonObject[];
  const mixed = { ...mutating, webhooks: [{ ...first, name: "audit.example.com" }, null, first] } as JsonObject;
  assert.deepEqual(bundlePatch(mixed, "default", "X"), [
    { op: "test", path: "/webhooks/2/name", value: "enabled.inject.heddle.dev" },
    { op: "add", path: "/webhooks/2/clientConfig/caBundle", value: "X" },
  ]);
});
