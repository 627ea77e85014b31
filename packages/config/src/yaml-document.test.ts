import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatDiagnostic } from "./diagnostic.ts";
import { parseYamlDocuments, type YamlDocument, type YamlLimits } from "./yaml-document.ts";

function read(text: string, limits?: YamlLimits): readonly YamlDocument[] {
  const result = parseYamlDocuments("a.yaml", text, limits);
  assert.ok(result.ok, result.ok ? "" : result.error.map(formatDiagnostic).join("\n"));
  return result.value;
}

function faults(text: string, limits?: YamlLimits): string[] {
  const result = parseYamlDocuments("a.yaml", text, limits);
  assert.ok(!result.ok);
  return result.error.map(formatDiagnostic);
}

test("reads every document of a file as plain JSON and leaves empty ones out", () => {
  const documents = read("---\na: 1\nb: [x, true, null, 1.5]\n---\n# nothing\n---\n- {c: 0x10}\n");
  assert.deepEqual(
    documents.map((document) => document.json),
    [{ a: 1, b: ["x", true, null, 1.5] }, [{ c: 16 }]],
  );
});

test("reads JSON", () => {
  assert.deepEqual(read('{"a": {"b": ["\\u00e9", 1e3]}}')[0]!.json, { a: { b: ["é", 1000] } });
});

test("an empty file has no documents", () => {
  assert.deepEqual(read(""), []);
  assert.deepEqual(read("# only a comment\n"), []);
});

test("keeps integers beyond 2^53 as text, digit by digit", () => {
  assert.deepEqual(read("a: 18446744073709551615\nb: 9007199254740991")[0]!.json, {
    a: "18446744073709551615",
    b: 9007199254740991,
  });
});

test("keys that look like numbers or booleans are texts as they were written", () => {
  assert.deepEqual(read("404: x\ntrue: y\n1.10: z")[0]!.json, { "404": "x", true: "y", "1.10": "z" });
});

test("finds the line and column of a field by its path", () => {
  const [, second] = read("x: 1\n---\nspec:\n  rules:\n    - name: a\n      weight: -1\n    - name: b\n");
  assert.deepEqual(second!.positionOf("spec.rules[0].weight"), { line: 6, column: 7 });
  assert.deepEqual(second!.positionOf("spec.rules[1]"), { line: 7, column: 7 });
  assert.deepEqual(second!.positionOf(""), { line: 3, column: 1 });
});

test("finds keys with dots, quoted or not, and either case of a proto field", () => {
  const [document] = read("labels:\n  app.kubernetes.io/name: x\n  app: y\nconnect_timeout: 1s\n");
  assert.deepEqual(document!.positionOf('labels["app.kubernetes.io/name"]'), { line: 2, column: 3 });
  assert.deepEqual(document!.positionOf("labels.app.kubernetes.io/name"), { line: 2, column: 3 });
  assert.deepEqual(document!.positionOf("labels.app"), { line: 3, column: 3 });
  assert.deepEqual(document!.positionOf("connectTimeout"), { line: 4, column: 1 });
});

test("a path to something missing gives the place where it is missing", () => {
  const [document] = read("spec:\n  a: 1\n  list: [1]\n");
  assert.deepEqual(document!.positionOf("spec.nothing.here"), { line: 1, column: 1 });
  assert.deepEqual(document!.positionOf("spec.list[7].x"), { line: 3, column: 3 });
  assert.deepEqual(document!.positionOf("spec.a.b"), { line: 2, column: 3 });
});

test("a path goes through an alias to the anchor's place", () => {
  const [document] = read("base: &b\n  port: 1\nuse: *b\n");
  assert.deepEqual(document!.json, { base: { port: 1 }, use: { port: 1 } });
  assert.deepEqual(document!.positionOf("use.port"), { line: 2, column: 3 });
  assert.deepEqual(document!.positionOf("use"), { line: 3, column: 1 });
});

test("makes a diagnostic about a field", () => {
  const [document] = read("spec:\n  weight: -1\n");
  assert.equal(
    formatDiagnostic(document!.diagnostic("spec.weight", "found -1, allowed are 0 to 10")),
    "a.yaml:2:3: spec.weight: found -1, allowed are 0 to 10",
  );
});

test("reports every error of every document, with its place", () => {
  const found = faults("a: 1\na: 2\n---\nb: [1\n---\nc: *nowhere\nd: .nan\n__proto__: {}\n? [k]\n: 1\n");
  assert.equal(found.length, 6);
  assert.match(found[0]!, /^a\.yaml:2:1: .*unique/);
  assert.match(found[1]!, /^a\.yaml:5:1: /);
  assert.match(found[2]!, /^a\.yaml:6:4: the alias \*nowhere has no anchor/);
  assert.match(found[3]!, /^a\.yaml:7:4: NaN is no JSON value/);
  assert.match(found[4]!, /^a\.yaml:8:1: "__proto__"/);
  assert.match(found[5]!, /^a\.yaml:9:3: a key must be a plain text/);
});

test("an unknown tag is an error, not silently a text", () => {
  assert.match(faults("a: !secret x")[0]!, /^a\.yaml:1:4: .*tag/);
});

test("bounds size, depth and what aliases multiply", () => {
  const limits = { maxBytes: 1000, maxDepth: 10, maxValues: 200 };
  assert.match(faults("a".repeat(1001), limits)[0]!, /^a\.yaml: found 1001 bytes, allowed are 1000/);
  assert.match(faults(`${"[".repeat(12)}${"]".repeat(12)}`, limits)[0]!, /deeper than 10 levels/);
  let laughs = "a0: &a0 [x, x, x, x]\n";
  for (let level = 1; level < 6; level++) laughs += `a${level}: &a${level} [${`*a${level - 1}, `.repeat(4)}]\n`;
  assert.deepEqual(faults(laughs, limits).length, 1);
  assert.match(faults(laughs, limits)[0]!, /more than 200 values/);
});

test("an anchor that contains itself is an error, not an endless loop", () => {
  assert.ok(faults("a: &a\n  b: *a\n").length >= 1);
});

test("brackets nested beyond the parser's stack are an error, not a crash", () => {
  assert.ok(faults("[".repeat(200_000)).length >= 1);
});

describe("several JSON objects one after the other, as kubectl takes them", () => {
  test("are documents, with or without anything between, and every place is that in the file", () => {
    for (const between of ["", "\n", "\r\n\t "]) {
      const text = `{"a":{"b":"}{"}}${between}{"a":[1,{"c":"\\""}]}${between}{"n":18446744073709551615}\n`;
      const documents = read(text);
      assert.deepEqual(
        documents.map(({ json }) => json),
        [{ a: { b: "}{" } }, { a: [1, { c: '"' }] }, { n: "18446744073709551615" }],
      );
      const at = (path: string, index: number): string => {
        const { line, column } = documents[index]!.positionOf(path);
        return text.split("\n")[line - 1]!.slice(column - 1);
      };
      assert.match(at("a[1].c", 1), /^"c"/);
      assert.match(at("n", 2), /^"n"/);
    }
  });

  test("what is wrong with one is told once, of where it stands", () => {
    assert.deepEqual(faults('{"a":1}\n{"b":1,\n "b":2}{"c":1}').length, 1);
    assert.match(faults('{"a":1}\n{"b":1,\n "b":2}{"c":1}')[0]!, /^a\.yaml:3:2: .*unique/);
    assert.match(faults('{"a":1}\n{"b":1}\n{"c":')[0]!, /^a\.yaml:3:/);
    assert.match(faults('{"a":1}\n]')[0]!, /^a\.yaml:2:1/);
    assert.match(faults(`{"a":1}${'{"b":1,"b":2}'.repeat(101)}`)[0]!, /101 of its 102 JSON objects/);
  });

  test("what is YAML stays YAML", () => {
    assert.deepEqual(
      read("{ a: '}{' }\n---\n{ b: 1 }\n").map(({ json }) => json),
      [{ a: "}{" }, { b: 1 }],
    );
    assert.deepEqual(
      read('{"a":1}\n---\n{"b":2}\n').map(({ json }) => json),
      [{ a: 1 }, { b: 2 }],
    );
    assert.deepEqual(
      read('{"a":1}\n---\nb: {c: 1}\nd: 2\n').map(({ json }) => json),
      [{ a: 1 }, { b: { c: 1 }, d: 2 }],
    );
    assert.deepEqual(
      read('{"a":1} # why\n').map(({ json }) => json),
      [{ a: 1 }],
    );
  });
});
