import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { TestAuthority } from "@heddle/identity/testing";
import { eventually } from "../harness/eventually.ts";
import { projectRoot } from "../harness/imports.ts";

const AUTHORITY = new TestAuthority("Webhooks");

test("heddle injector puts sidecars into pods by its settings, and ends when it is told to", async (t) => {
  const { child, port, output } = await startInjector(t, { settings: "image: registry.example/heddle:1\n" });
  const answer = await review(port, "/inject?timeout=10s", {
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

  const refused = await review(port, "/validate", {
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
  const folder = folderOf(t);
  const missing = ["--tls-cert", join(folder, "none"), "--tls-key", join(folder, "none")];
  const first = injector(t, missing);
  assert.deepEqual(await once(first.child, "exit"), [1, null]);
  assert.match(first.output(), /webhook certificate: .*none cannot be used: ENOENT/);
  const second = injector(t, ["--webhook-address", "nowhere"]);
  assert.deepEqual(await once(second.child, "exit"), [2, null]);
  assert.match(second.output(), /heddle injector: --webhook-address: found "nowhere"/);
});

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-injector-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function injector(t: TestContext, flags: readonly string[]): { child: ChildProcess; output: () => string } {
  const program = [
    "--conditions=heddle-src",
    "--disable-warning=ExperimentalWarning",
    "control-plane/src/injector-main.ts",
  ];
  const child = spawn(process.execPath, [...program, ...flags], {
    cwd: projectRoot,
    stdio: ["pipe", "ignore", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (more: string) => {
    text += more;
  });
  return { child, output: () => text };
}

async function startInjector(t: TestContext, { settings }: { readonly settings: string }) {
  const folder = folderOf(t);
  const { chain, key } = AUTHORITY.issue({ ips: ["127.0.0.1"], usage: "server" });
  for (const [name, text] of [
    ["tls.crt", chain],
    ["tls.key", key],
    ["settings.yaml", settings],
  ] as const)
    writeFileSync(join(folder, name), text);
  const own = ["--tls-cert", join(folder, "tls.crt"), "--tls-key", join(folder, "tls.key")];
  const addresses = ["--webhook-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"];
  const { child, output } = injector(t, [
    ...own,
    ...addresses,
    "--injection-settings",
    join(folder, "settings.yaml"),
    "--exit-with-parent",
  ]);
  await eventually(
    "the injector is up",
    () => {
      if (child.exitCode !== null) throw new Error(`the injector ended:\n${output()}`);
      return /injector is up/.test(output());
    },
    60_000,
  );
  const port = Number(/webhooks=https:\/\/127\.0\.0\.1:(\d+)/.exec(output())?.[1]);
  return { child, port, output };
}

interface Reviewed {
  readonly allowed: boolean;
  readonly patch?: string;
  readonly status?: { readonly message: string };
}

async function review(port: number, path: string, fields: object): Promise<Reviewed> {
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
    ca: AUTHORITY.certificate,
    headers,
    agent: false,
  });
  asked.end(body);
  const [response] = (await once(asked, "response")) as [AsyncIterable<Buffer>];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return (JSON.parse(Buffer.concat(chunks).toString()) as { response: Reviewed }).response;
}
