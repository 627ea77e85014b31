import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Authority } from "@heddle/identity/ca";
import { heddleBin } from "../harness/mesh.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";

const FILE = "deployment-with-comments.yaml";
const input = read(FILE);
const injected = read(FILE.replace(".yaml", ".injected.yaml"));

function read(name: string): string {
  return readFileSync(new URL(`../conformance/injection/goldens/${name}`, import.meta.url), "utf8");
}

function heddle(args: readonly string[], stdin: string) {
  return spawnSync(process.execPath, [heddleBin, ...args], { input: stdin, encoding: "utf8", timeout: 60_000 });
}

test("heddle inject prints the stream with sidecars, and heddle uninject the one before, byte for byte", () => {
  const inject = heddle(["inject", "-f", "-"], input);
  assert.deepEqual([inject.status, inject.stdout, inject.stderr], [0, injected, ""]);
  const uninject = heddle(["uninject", "-f", "-"], injected);
  assert.deepEqual([uninject.status, uninject.stdout, uninject.stderr], [0, input, ""]);
});

test("heddle inject --diff prints what would change and ends with 1; what is not injected is told, what is wrong with its place", () => {
  const diff = heddle(["inject", "-f", "-", "--diff"], input);
  assert.equal(diff.status, 1);
  assert.match(diff.stdout, /^-\s+path: \/healthz {3}# cheap\n/m);
  assert.match(diff.stdout, /^\+\s+path: \/app-health\/web\/livez {3}# cheap\n/m);

  const pod = (more: string): string =>
    `apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n${more}spec: {containers: [{name: c}]}\n`;
  const out = heddle(["inject", "-f", "-"], pod('  labels: {heddle.dev/inject: "false"}\n'));
  assert.equal(out.status, 0);
  assert.equal(out.stderr, 'Pod p is not injected: its label heddle.dev/inject is "false"\n');

  const wrong = heddle(["inject", "-f", "-"], pod("  annotations:\n    heddle.dev/capture: sometimes\n"));
  assert.deepEqual([wrong.status, wrong.stdout], [1, ""]);
  assert.match(
    wrong.stderr,
    /^error: standard input:6:5: metadata\.annotations\["heddle\.dev\/capture"\]: found "sometimes", allowed: /,
  );
});

test("heddle install prints what installs the mesh as it is told, and heddle uninstall what takes it away", () => {
  const install = heddle(["install", "--replicas", "3", "--revision", "v2", "--image", "mirror/heddle:2", "--cni"], "");
  assert.deepEqual([install.status, install.stderr], [0, ""]);
  for (const line of [/^ {2}replicas: 3$/m, /^ {8}image: mirror\/heddle:2$/m, /^ {2}name: heddle-control-plane-v2$/m])
    assert.match(install.stdout, line);
  assert.match(install.stdout, /"controlPlane":"heddle-control-plane-v2\.heddle-system\.svc:15012"/);
  const uninstall = heddle(["uninstall", "--revision", "v2"], "");
  assert.equal(uninstall.status, 0);
  assert.match(uninstall.stdout, /^---\napiVersion: admissionregistration\.k8s\.io\/v1\n/);
  assert.doesNotMatch(uninstall.stdout, /kind: (Namespace|CustomResourceDefinition|ServiceAccount)$/m);
  const tagged = heddle(["install", "--tag", "prod", "--tag", "stable"], "");
  const gone = heddle(["uninstall", "--tag", "prod", "--tag", "stable"], "");
  for (const tag of ["prod", "stable"])
    for (const { stdout } of [tagged, gone])
      assert.match(stdout, new RegExp(`^  name: heddle-injector-tag-${tag}$`, "m"));
  const wrong = heddle(["install", "--replicas", "0", "--trust-domain", "A B"], "");
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /trustDomain: found "A B"/);
});

test("heddle install --authority-from prints the authority's Secret as well, after the checks of a control plane", async (t) => {
  const folder = scratchFolder(lastFirst(t));
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const root = await Authority.createRoot("cluster.local", { nowMs: Date.now() });
  const [certificate, key] = [write("ca.crt", root.certificatesPem()), write("ca.key", root.exportKey())];
  const install = heddle(["install", "--authority-from", `${certificate},${key}`, "--ca-secret", "own"], "");
  assert.deepEqual([install.status, install.stderr], [0, ""]);
  const [, namespace, secret] = install.stdout.split("---\n");
  assert.match(namespace!, /^kind: Namespace$/m);
  assert.match(secret!, /^kind: Secret\nmetadata:\n {2}name: own\n {2}namespace: heddle-system$/m);
  const decoded = (name: string) =>
    Buffer.from(new RegExp(`^  ${name}: "?([\\w+/=]+)"?$`, "m").exec(secret!)?.[1] ?? "", "base64").toString();
  assert.deepEqual([decoded("tls.crt"), decoded("tls.key")], [root.certificatesPem(), root.exportKey()]);
  assert.match(install.stdout, /secretName: own$/m);

  const other = await Authority.createRoot("cluster.local", { nowMs: Date.now() });
  for (const [files, why] of [
    [`${certificate},${write("other.key", other.exportKey())}`, /the private key is not that of the certificate/],
    [certificate, /allowed is CERTIFICATES,KEY\[,ROOTS\]/],
    [`${certificate},${join(folder, "none.key")}`, /none\.key: cannot be read/],
  ] as const) {
    const { status, stdout, stderr } = heddle(["install", "--authority-from", files], "");
    assert.deepEqual([status, stdout], [2, ""]);
    assert.match(stderr, why);
    assert.doesNotMatch(stderr, /PRIVATE/);
  }
});

test("heddle tag prints a name of a revision, and what is to be deleted of it", () => {
  const set = heddle(["tag", "set", "prod", "--revision", "v2"], "");
  assert.deepEqual([set.status, set.stderr], [0, ""]);
  assert.match(set.stdout, /^ {6}name: heddle-control-plane-v2$/m);
  const removed = heddle(["tag", "remove", "prod"], "");
  assert.deepEqual(
    [...removed.stdout.matchAll(/^ {2}name: (.+)$/gm)].map(([, name]) => name),
    ["heddle-injector-tag-prod", "heddle-tag-prod", "heddle-tag-prod"],
  );
});
