import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:https";
import { join } from "node:path";
import { test } from "node:test";
import { runInjector, startInjector } from "../harness/injector-process.ts";
import { scratchFolder } from "../harness/sidecar.ts";

test("heddle injector puts sidecars into pods by its settings, and ends when it is told to", async (t) => {
  const { child, port, output, authority } = await startInjector(t, { settings: "image: registry.example/heddle:1\n" });
  const answer = await review({ port, authority }, "/inject?timeout=10s", {
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    object: { metadata: { generateName: "web-" }, spec: { containers: [{ name: "app", image: "app:1" }] } },
  });
  assert.equal(answer.allowed, true);
  const steps = JSON.parse(Buffer.from(answer.patch ?? "", "base64").toString()) as { path: string; value: unknown }[];
  const added = steps.find(({ path }) => path === "/spec/initContainers")?.value as { name: string; image: string }[];
  assert.deepEqual(
    added.map(({ name, image }) => `${name} ${image}`),
    ["heddle-capture registry.example/heddle:1", "heddle-sidecar registry.example/heddle:1"],
  );

  const refused = await review({ port, authority }, "/validate", {
    kind: { group: "heddle.dev", version: "v1", kind: "PeerAuthentication" },
    resource: { group: "heddle.dev", version: "v1", resource: "peerauthentications" },
    object: {
      apiVersion: "heddle.dev/v1",
      kind: "PeerAuthentication",
      metadata: { name: "a" },
      spec: { mtls: { mode: "X" } },
    },
  });
  assert.equal(refused.allowed, false);
  assert.match(refused.status?.message ?? "", /spec\.mtls\.mode: found "X", allowed/);

  child.stdin?.end(); // its parent is gone
  const [code] = (await once(child, "exit")) as [number];
  assert.equal(code, 0);
  assert.match(output(), /injector stops/);
});

test("heddle injector says why it cannot start, and ends with 1; with 2 where its command line is wrong", async (t) => {
  const folder = scratchFolder(t);
  const missing = ["--tls-cert", join(folder, "none"), "--tls-key", join(folder, "none")];
  const first = runInjector(t, missing);
  assert.deepEqual(await once(first.child, "exit"), [1, null]);
  assert.match(first.output(), /webhook certificate: .*none cannot be used: ENOENT/);
  const second = runInjector(t, ["--webhook-address", "nowhere"]);
  assert.deepEqual(await once(second.child, "exit"), [2, null]);
  assert.match(second.output(), /heddle injector: --webhook-address: found "nowhere"/);
});

interface Reviewed {
  readonly allowed: boolean;
  readonly patch?: string;
  readonly status?: { readonly message: string };
}

async function review(
  { port, authority }: { readonly port: number; readonly authority: string },
  path: string,
  fields: object,
): Promise<Reviewed> {
  const body = JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: { uid: "1", operation: "CREATE", namespace: "shop", ...fields },
  });
  const headers = { "content-type": "application/json" };
  const asked = request({
    host: "127.0.0.1",
    port,
    path,
    method: "POST",
    ca: authority,
    headers,
    agent: false,
  });
  asked.end(body);
  const [response] = (await once(asked, "response")) as [AsyncIterable<Buffer>];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return (JSON.parse(Buffer.concat(chunks).toString()) as { response: Reviewed }).response;
}
