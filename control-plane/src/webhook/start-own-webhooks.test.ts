import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { err, type JsonObject, Live, ManualClock, ok, systemClock } from "@heddle/base";
import { DEFAULT_WEBHOOK_SETTINGS, webhookConfigurations } from "@heddle/inject";
import { openTestCa } from "../ca/testing.ts";
import { startOwnWebhooks } from "./start-own-webhooks.ts";
import { namespacesOf, podReview } from "./testing.ts";
import { ask, SERVICE_NAME } from "./testing-server.ts";

const REVIEW = JSON.stringify(podReview({ metadata: {}, spec: { containers: [{ name: "app", image: "a:1" }] } }));
const FLAGS = {
  address: { host: "127.0.0.1", port: 0 },
  clientCaFile: undefined,
  clientNames: [],
  settingsFile: undefined,
  revision: undefined,
  tlsNames: ["localhost", "127.0.0.1"],
};

async function open(t: TestContext, more: Partial<Parameters<typeof startOwnWebhooks>[0]> = {}) {
  const { ca, log, counters } = await openTestCa(t, { clock: systemClock });
  const options = { ...FLAGS, authority: ca.authority, clock: systemClock, log: log.log };
  const webhooks = await startOwnWebhooks({ ...options, metrics: counters.scope(), ...more });
  t.after(() => webhooks.close());
  const roots = ca.bundleText("pem") ?? "";
  const review = async (servername = SERVICE_NAME, body = REVIEW) => {
    const { json } = await ask(webhooks.address.port, "/inject", { body, servername, ca: roots });
    return json.response;
  };
  return { webhooks, review, roots, log };
}

function patchText({ patch }: { readonly patch: string }): string {
  return Buffer.from(patch, "base64").toString();
}

test("a control plane's webhooks are known by its Service's names, and by those of the command line", async (t) => {
  const { review } = await open(t);
  for (const name of [SERVICE_NAME, `${SERVICE_NAME}.cluster.local`, "localhost"])
    assert.equal((await review(name)).allowed, true);
  await assert.rejects(review("heddle-control-plane.other.svc"), /altnames/);
});

test("pods are injected by the settings of the file, and by those that it says anew", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-settings-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const settingsFile = join(folder, "settings.yaml");
  writeFileSync(settingsFile, "image: example/heddle:1\n");
  const clock = new ManualClock(systemClock.wallNow());
  const { review, log } = await open(t, { settingsFile, revision: "canary", clock });
  assert.match(patchText(await review()), /example\/heddle:1/);
  writeFileSync(settingsFile, "image: 5\n");
  clock.advance(10_000);
  assert.equal(log.with("injection settings cannot be read anew").length, 1);
  writeFileSync(settingsFile, "image: example/heddle:2\nrevision: other\n");
  clock.advance(10_000);
  const patch = patchText(await review());
  assert.match(patch, /example\/heddle:2/);
  assert.match(patch, /"canary"/);
});

test("settings that cannot be read are an error at start, with their place", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-settings-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const settingsFile = join(folder, "settings.yaml");
  writeFileSync(settingsFile, "imgae: x\n");
  await assert.rejects(open(t, { settingsFile }), /injection settings: .*settings\.yaml:1:1: imgae: is no setting/);
});

test("in a cluster the namespace's labels decide, and our configurations get the roots", async (t) => {
  const current = new Live<readonly JsonObject[] | undefined>(webhookConfigurations(DEFAULT_WEBHOOK_SETTINGS));
  const patched = Promise.withResolvers<string>();
  const { review, roots } = await open(t, {
    openCluster: () => ({
      namespaces: namespacesOf({ shop: { "heddle.dev/inject": "disabled" } }),
      configurations: {
        current,
        patch: async (_kind, _name, patch) => {
          const written = patch.find(({ op }) => op === "add");
          patched.resolve(written?.op === "add" ? (written.value as string) : "");
          return ok(undefined);
        },
      },
      isLeader: new Live(true),
      notReady: () => undefined,
      close: async () => undefined,
    }),
  });
  assert.equal((await review()).patch, undefined);
  assert.equal(Buffer.from(await patched.promise, "base64").toString(), roots);
});

test("what Kubernetes cannot say now is no answer", async (t) => {
  const { webhooks, roots } = await open(t, {
    openCluster: () => ({
      namespaces: { known: () => undefined, labelsOf: async () => err("away") },
      configurations: undefined,
      isLeader: new Live(false),
      notReady: () => "the namespaces are not known yet",
      close: async () => undefined,
    }),
  });
  const question = { ca: roots };
  assert.equal((await ask(webhooks.address.port, "/inject", { ...question, body: REVIEW })).status, 503);
  assert.equal((await ask(webhooks.address.port, "/readyz", { ...question, method: "GET" })).status, 503);
});
