import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { formatDiagnostic } from "@heddle/config/yaml";
import { readProcesses } from "./process-file.ts";

test("reads every process of a folder, and only processes", (t) => {
  const folder = folderWith(t, {
    "a.yaml":
      "apiVersion: heddle.dev/v1\nkind: Process\nmetadata: { name: web, labels: { app: web } }\nspec: { command: [node, web.mjs], env: { A: b }, ports: [{ name: http, port: 8080 }], check: { path: /x } }\n",
    "b.yaml": "apiVersion: v1\nkind: Service\nmetadata: { name: web }\n",
    "notes.txt": "kind: Process",
  });
  const read = readProcesses(folder);
  assert.deepEqual(read.ok && read.value, [
    {
      namespace: "default",
      name: "web",
      labels: { app: "web" },
      serviceAccount: "web",
      command: ["node", "web.mjs"],
      env: { A: "b" },
      port: { name: "http", protocol: "http", wished: 8080 },
      checkPath: "/x",
    },
  ]);
});

test("reports every fault of every process with its place", (t) => {
  const folder = folderWith(t, {
    "a.yaml": `apiVersion: heddle.dev/v2
kind: Process
metadata: { name: "Web Site" }
spec:
  command: []
  colour: red
  env: { N: 1 }
  ports: [{ port: 70000 }]
`,
  });
  const read = readProcesses(folder);
  assert.deepEqual(read.ok || read.error.map((fault) => formatDiagnostic(fault).slice(folder.length + 1)).toSorted(), [
    'a.yaml:1:1: apiVersion: found "heddle.dev/v2", allowed is "heddle.dev/v1"',
    'a.yaml:3:13: metadata.name: found "Web Site", allowed are lower-case letters, digits and "-", at most 63',
    "a.yaml:5:3: spec.command: the command and its arguments are missing",
    "a.yaml:6:3: spec.colour: is not a field of a Process here; allowed are command, env, ports, check, serviceAccount",
    "a.yaml:7:10: spec.env.N: found 1, allowed is text: put it in quotes",
    "a.yaml:8:13: spec.ports[0].port: found 70000, allowed are 1 to 65535",
  ]);
});

test("refuses two processes of one name", (t) => {
  const one =
    "apiVersion: heddle.dev/v1\nkind: Process\nmetadata: { name: web }\nspec: { command: [a], ports: [{ name: http }] }\n";
  const read = readProcesses(folderWith(t, { "a.yaml": one, "b.yaml": one }));
  assert.match(read.ok ? "" : formatDiagnostic(read.error[0]!), /two processes named default\/web/);
});

function folderWith(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-test-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}
