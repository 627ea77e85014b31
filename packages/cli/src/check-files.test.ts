import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { formatDiagnostic } from "@heddle/config/yaml";
import { checkFiles, type FilesCheck } from "./check-files.ts";
import { exitCode, formatCheck } from "./commands/check.ts";
import { colourOf } from "./paint.ts";

/** Checks these texts as files of one folder; findings as lines, without the folder. */
function check(
  t: TestContext,
  texts: Readonly<Record<string, string>>,
  forEnvoy = false,
): FilesCheck & { lines: string[] } {
  const folder = mkdtempSync(join(tmpdir(), "heddle-check-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text);
  const outcome = checkFiles([folder], { forEnvoy });
  const lines = outcome.diagnostics.map(
    (one) => `${one.severity} ${formatDiagnostic(one).replaceAll(`${folder}/`, "")}`,
  );
  return { ...outcome, lines };
}

const SERVICE =
  "apiVersion: v1\nkind: Service\nmetadata: { name: orders }\nspec: { ports: [{ port: 80 }], selector: { app: x } }\n";

test("files of one folder are checked as one configuration, each finding in its file", (t) => {
  const route = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r }
spec:
  parentRefs: [{ kind: Service, group: "", name: orders, port: 80 }]
  rules:
    - backendRefs: [{ name: nobody, port: 80, weight: -1 }]
`;
  const { lines, diagnostics, files } = check(t, {
    "a.yaml": SERVICE,
    "b.yaml": route,
    "notes.txt": "no: yaml: at: all",
  });
  assert.equal(files.length, 2);
  assert.ok(
    lines.every((line) => /^(error|warning) b\.yaml:\d+:\d+: spec\./.test(line)),
    lines.join("\n"),
  );
  assert.match(lines.join("\n"), /weight: found -1, allowed/);
  assert.equal(exitCode({ files, diagnostics }, false), 1);
});

test("a right configuration has no finding", (t) => {
  const outcome = check(t, { "a.yaml": SERVICE });
  assert.deepEqual(outcome.lines, []);
  assert.equal(exitCode(outcome, true), 0);
});

test("raw resources are checked by Envoy's rules, and by what a sidecar says of them", (t) => {
  const cluster = (fields: string): string =>
    `resources:\n  - "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster\n    name: c\n    ${fields}\n`;
  const wrong = check(t, { "c.yaml": cluster("connect_timeout: -1s\n    lb_polcy: RANDOM") });
  assert.match(wrong.lines[0]!, /^error c\.yaml:5:5: resources\[0\]\.lb_polcy: is no field of/);
  const subsets = cluster("lb_subset_config: {}\n    lb_policy: CLUSTER_PROVIDED\n    type: ORIGINAL_DST");
  const refused = check(t, { "c.yaml": `# first\n---\n${subsets}` });
  assert.match(refused.lines[0]!, /^error c\.yaml:6:5: resources\[0\]\.lb_subset_config: endpoint subsets are not/);
  const forEnvoy = check(t, { "c.yaml": subsets }, true);
  assert.match(forEnvoy.lines[0]!, /^warning c\.yaml:4:5: resources\[0\]\.lb_subset_config: a sidecar refuses it: /);
  assert.deepEqual([exitCode(forEnvoy, false), exitCode(forEnvoy, true)], [0, 1]);
});

test("what a sidecar accepts and leaves without effect is a warning with its place", (t) => {
  const text = `"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
name: c
track_timeout_budgets: true
load_assignment: { cluster_name: c }
`;
  const { lines } = check(t, { "c.yaml": text });
  assert.match(lines[0]!, /^warning c\.yaml:3:1: track_timeout_budgets: /);
});

test("a bootstrap of an Envoy is known by its fields and stands for itself", (t) => {
  const bootstrap = "node: { id: a }\nstatic_resources:\n  clusters: [{ name: c, lb_policy: MAGLEVV }]\nadmn: {}\n";
  const outcome = check(t, { "a.yaml": SERVICE, "envoy.yaml": bootstrap, "two.yaml": "admin: {}" });
  assert.deepEqual(
    outcome.files.map(({ kind }) => kind),
    ["configuration", "bootstrap", "bootstrap"],
  );
  assert.match(
    outcome.lines[0]!,
    /^error envoy\.yaml:3:25: static_resources\.clusters\[0\]\.lb_policy: found "MAGLEVV"/,
  );
  assert.match(outcome.lines[1]!, /^error envoy\.yaml:4:1: admn: is no field/);
});

test("a file that is not there is told, and ends with 2", () => {
  const outcome = checkFiles(["/nowhere/a.yaml"], { forEnvoy: false });
  assert.match(outcome.diagnostics[0]!.message, /^cannot be read: ENOENT/);
  assert.equal(exitCode(outcome, false), 2);
});

test("findings are counted, and coloured on a terminal alone", () => {
  const error = { severity: "error", file: "a", line: 1, column: 2, path: "b", message: "no" } as const;
  const found = { files: [{ file: "a", kind: "configuration" }], diagnostics: [error] } as const;
  const plain = colourOf({ isTTY: false }, {});
  assert.deepEqual(formatCheck(found, plain), ["error: a:1:2: b: no", "1 file: 1 error, 0 warnings"]);
  assert.equal(formatCheck(found, colourOf({ isTTY: true }, {}))[0], "\u001b[31merror\u001b[0m: a:1:2: b: no");
  for (const environment of [{ NO_COLOR: "1" }, { TERM: "dumb" }])
    assert.deepEqual(formatCheck(found, colourOf({ isTTY: true }, environment)), formatCheck(found, plain));
});
