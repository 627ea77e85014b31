import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDiagnostic } from "@heddle/config/yaml";
import { injectStream, uninjectStream } from "./inject-stream.ts";
import { DEFAULT_INJECTION_SETTINGS } from "./injection-settings.ts";

function inject(text: string): string {
  const injected = injectStream("x.yaml", text, DEFAULT_INJECTION_SETTINGS);
  assert.ok(injected.ok, injected.ok ? "" : injected.error.map(formatDiagnostic).join("\n"));
  return injected.value.text;
}

function faults(
  text: string,
  run: typeof uninjectStream = (file, of) => injectStream(file, of, DEFAULT_INJECTION_SETTINGS),
) {
  const result = run("x.yaml", text);
  assert.ok(!result.ok);
  return result.error.map(formatDiagnostic);
}

const pod = (more = ""): string =>
  `apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n${more}spec:\n  containers:\n  - {name: c}\n`;

test("faults have the place of the annotation or the field, in every document", () => {
  const text = `${pod("  annotations:\n    heddle.dev/capture-dns: maybe\n")}---\nkind: Job\napiVersion: batch/v1\nspec:\n  template:\n    spec:\n      containers: []\n`;
  const [first, second] = faults(text);
  assert.match(first!, /^x\.yaml:6:5: metadata\.annotations\["heddle\.dev\/capture-dns"\]: /);
  assert.match(second!, /^x\.yaml:16:7: spec\.template\.spec\.containers: is missing/);
});

test("what is said as YAML 1.1 says it is understood: yes is true, as kubectl has it", () => {
  const text = `${pod()}  hostNetwork: yes\n`;
  assert.equal(inject(text), text);
});

test("what was changed since it was injected stays; what was added goes", () => {
  const edited = inject(pod())
    .replace("- {name: c}", "- {name: c, image: new}")
    .replace("kind: Pod\n", "kind: Pod # mine\n");
  const back = uninjectStream("x.yaml", edited);
  assert.ok(back.ok);
  assert.equal(
    back.value.text,
    pod().replace("- {name: c}", "- {name: c, image: new}").replace("kind: Pod\n", "kind: Pod # mine\n"),
  );
});

test("a status that somebody has forged is refused, or takes out what it names: nothing breaks", () => {
  const status = (undo: object): string =>
    pod(
      `  annotations:\n    heddle.dev/status: '${JSON.stringify({ version: 1, revision: "x", image: "x", added: [], was: {}, ...undo })}'\n`,
    );
  const uninject = (text: string) => uninjectStream("x.yaml", text);
  assert.match(faults(status({ added: ["/spec", "/spec/containers/c"] }), uninjectStream)[0]!, /does not fit/);
  assert.match(faults(status({ was: { "/spec/containers": [1, "[a"] } }), uninjectStream)[0]!, /does not fit/);
  assert.match(faults(status({ was: { "": [1, "[a"] } }), uninjectStream)[0]!, /does not fit/);
  for (const pointer of ["/nothing", "/spec/containers/9", "", "/", "^", "^/metadata/x", "/spec/__proto__"])
    uninject(status({ added: [pointer] }));
  assert.match(
    faults(status({ added: "all" }), uninjectStream)[0]!,
    /^x\.yaml:6:5: .*is not what heddle inject writes there/,
  );
});

test("an anchor that other objects of the document use is a fault: no status could tell of it", () => {
  const item = (name: string, containers: string): string =>
    `- apiVersion: v1\n  kind: Pod\n  metadata: {name: ${name}}\n  spec:\n    containers: ${containers}\n`;
  const probe = "[{name: c, livenessProbe: &p {httpGet: {port: 80}}}]";
  const text = `kind: List\napiVersion: v1\nitems:\n${item("a", probe)}- {kind: Other, use: *p}\n`;
  assert.match(faults(text)[0]!, /used in other objects of this document by an alias/);
});

test("streams that are too large, too deep, or multiply by aliases are refused, and so is what is no YAML", () => {
  let laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (let level = 1; level < 9; level++) laughs += `a${level}: &a${level} [${`*a${level - 1}, `.repeat(9)}]\n`;
  assert.match(faults(laughs)[0]!, /more than 2000000 values, aliases followed/);
  assert.match(faults(`a: ${"[".repeat(150)}${"]".repeat(150)}`)[0]!, /nested deeper than 100 levels/);
  assert.ok(faults("[".repeat(100_000)).length > 0);
  assert.match(faults("a".repeat(17 * 1024 * 1024))[0]!, /allowed are 16777216/);
  assert.match(faults("---\na: b\n".repeat(10_001))[0]!, /found 10001 documents/);
  assert.match(faults("a: 1\na: 2\n")[0]!, /^x\.yaml:2:1: /);
  assert.match(faults("a: *nowhere\n")[0]!, /^x\.yaml:1:4: /);
  assert.match(faults("__proto__: {}\n")[0]!, /is not allowed as a key/);
  assert.ok(faults("a: &a\n  b: *a\n").length > 0);
});
