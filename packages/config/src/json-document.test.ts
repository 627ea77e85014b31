import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import fc from "fast-check";
import { parseJsonDocument } from "./json-document.ts";
import { DEFAULT_YAML_LIMITS, parseYamlDocuments, type YamlDocument } from "./yaml-document.ts";

/** The same text as the YAML reader has it. */
function asYaml(text: string): YamlDocument {
  const read = parseYamlDocuments("a", text, { ...DEFAULT_YAML_LIMITS, maxDepth: 80 });
  assert.ok(read.ok, read.ok ? "" : JSON.stringify(read.error));
  return read.value[0]!;
}

test("any object of JSON is what the YAML reader makes of it, and every field stands in the same place", () => {
  const keys = fc.constantFrom("a", "b.c", "lb_policy", "lbPolicy", "d", "app.kubernetes.io/name", "x y", 'q"q');
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<Json>(null, true, 0, 12, -3.5, 1e21, "", "text", 'a"b\\c', "x, y: {z} [1]", "\n\t"),
      fc.array(tie("tree"), { maxLength: 4 }),
      fc.dictionary(keys, tie("tree"), { maxKeys: 4 }),
    ),
  }));
  fc.assert(
    fc.property(fc.dictionary(keys, tree, { maxKeys: 5 }), fc.constantFrom(0, 1, 3), (json, indent) => {
      const text = JSON.stringify(json, null, indent);
      const [plain, yaml] = [parseJsonDocument("a", text), asYaml(text)];
      assert.deepEqual(plain?.json, yaml.json);
      for (const path of pathsOf(json as Json, ""))
        assert.deepEqual(plain?.positionOf(path), yaml.positionOf(path), path);
    }),
    { numRuns: 200 },
  );
});

test("a path that leads nowhere is where something is missing, as in YAML", () => {
  const text = '{\n  "spec": {\n    "rules": [ { "a": 1 },\n {} ]\n  }\n}';
  for (const path of [
    "",
    "spec.x",
    "spec.rules[1].a",
    "spec.rules[7]",
    "spec.rules.x",
    "nothing[0]",
    "spec.rules[0].a.b",
  ])
    assert.deepEqual(parseJsonDocument("a", text)?.positionOf(path), asYaml(text).positionOf(path), path);
});

test("what YAML reads with more care is left to it", () => {
  const deep = `{"a":${"[".repeat(95)}${"]".repeat(95)}}`;
  for (const text of [
    '{"a":1,"a":2}',
    '{"a":{"b":1,"\\u0062":2}}',
    '{"n":12345678901234567890}',
    '{"__proto__":1}',
    "{a: 1}",
    "[1]",
    '"x"',
    "",
    '{"a":1}\n---\n{}',
    deep,
  ])
    assert.equal(parseJsonDocument("a", text), undefined, text.slice(0, 30));
  assert.notEqual(parseJsonDocument("a", '{"n":123456789012345,"f":1.2345678901234567890}'), undefined);
});

function pathsOf(json: Json, path: string): readonly string[] {
  if (typeof json !== "object" || json === null) return [path];
  if (Array.isArray(json)) return [path, ...json.flatMap((item: Json, index) => pathsOf(item, `${path}[${index}]`))];
  // A path cannot say a quote as it is.
  const entries = Object.entries(json).filter(([key]) => !key.includes('"'));
  return [path, ...entries.flatMap(([key, value]) => pathsOf(value, `${path}["${key}"]`))];
}
