import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import { formatDiagnostic } from "./diagnostic.ts";
import { mergeDocuments } from "./merge-documents.ts";
import { parseYamlDocuments, type YamlDocument } from "./yaml-document.ts";

function document(file: string, text: string): YamlDocument {
  const read = parseYamlDocuments(file, text);
  assert.ok(read.ok && read.value[0] !== undefined);
  return read.value[0];
}

function merged(base: string, overlay: string): YamlDocument {
  return mergeDocuments(document("base.yaml", base), document("over.yaml", overlay));
}

test("single fields replace, objects merge, lists are appended, in either spelling", () => {
  const cases: [base: string, overlay: string, both: Json][] = [
    ["node: {id: a, cluster: c}", "node: {id: b}", { node: { id: "b", cluster: "c" } }],
    [
      "admin: {access_log: [{name: a}]}",
      "admin: {accessLog: [{name: b}]}",
      { admin: { access_log: [{ name: "a" }, { name: "b" }] } },
    ],
    ["a: {x: 1}", "a: null", { a: { x: 1 } }],
    ["a: null", "a: [1]", { a: [1] }],
    ["a: [{x: 1}]", "a: {y: 1}", { a: [{ x: 1 }, { y: 1 }] }],
    ["a: {x: 1}", "a: [{y: 1}]", { a: [{ x: 1 }, { y: 1 }] }],
    ["a: 1", "a: {x: 1}", { a: { x: 1 } }],
    ["a: {'@type': one, x: 1}", "a: {'@type': two, y: 1}", { a: { "@type": "two", y: 1 } }],
  ];
  for (const [base, overlay, both] of cases) assert.deepEqual(merged(base, overlay).json, both);
});

test("places are those of the document that a field comes from", () => {
  const both = merged("list:\n  - name: a\n  - name: b\nnode: {id: x}", "node:\n  cluster: c\nlist: [{name: d}]");
  const place = (path: string): string => formatDiagnostic(both.diagnostic(path, "no"));
  assert.equal(place("list[1].name"), "base.yaml:3:5: list[1].name: no");
  assert.equal(place("list[2].name"), "over.yaml:3:9: list[2].name: no");
  assert.equal(place("node.id"), "base.yaml:4:8: node.id: no");
  assert.equal(place("node.cluster"), "over.yaml:2:3: node.cluster: no");
  assert.equal(place("list[2].missing.deeper"), "over.yaml:3:8: list[2].missing.deeper: no");
  const alone = merged("list: [{name: a}]", "node: {}\nlist: {name: d}");
  assert.equal(formatDiagnostic(alone.diagnostic("list[1].name", "no")), "over.yaml:2:8: list[1].name: no");
  assert.equal(place("other"), "over.yaml:1:1: other: no");
});
