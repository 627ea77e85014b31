import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Diagnostic } from "@heddle/config";
import { checkGeneratedNames } from "./check-generated-names.ts";
import { mergeItems } from "./merge.ts";
import { parseResource } from "./parse-resource.ts";
import { hasErrors, readFileText } from "./read-file.ts";
import type { SourceItem } from "./source.ts";
import { service } from "./source-contract.ts";

const CLUSTER = '"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster';

describe("merging", () => {
  it("makes one world of all items", () => {
    const { world, diagnostics } = mergeItems(
      [...items("a.yaml", service("a")), ...items("b.yaml", service("b"))],
      new Map(),
    );
    assert.deepEqual(
      world.mesh.services.map(({ name }) => name),
      ["a", "b"],
    );
    assert.deepEqual(diagnostics, []);
  });

  it("one name from two places is an error that names both, and the one that served goes on", () => {
    const b = items("b.yaml", service("x", 81));
    const first = mergeItems(b, new Map());
    const a = items("a.yaml", service("x", 80));
    const second = mergeItems([...a, ...b], first.serving);
    assert.equal(second.world.mesh.services[0]?.ports[0]?.port, 81);
    assert.deepEqual(messages(second.diagnostics), [
      "error a.yaml:1: the service default/x stands also in b.yaml:1, which serves; remove one of them",
    ]);
    const edited = mergeItems([...a, ...items("b.yaml", service("x", 82))], second.serving);
    assert.equal(edited.world.mesh.services[0]?.ports[0]?.port, 82);
    const alone = mergeItems(a, edited.serving);
    assert.deepEqual([alone.world.mesh.services[0]?.ports[0]?.port, alone.diagnostics], [80, []]);
  });

  it("of two that come together the first by file and line serves", () => {
    const both = [
      ...items("b.yaml", service("x", 81)),
      ...items("a.yaml", `${service("x", 80)}---\n${service("x", 82)}`),
    ];
    const { world, diagnostics } = mergeItems(both, new Map());
    assert.equal(world.mesh.services[0]?.ports[0]?.port, 80);
    assert.equal(diagnostics.length, 2);
  });
});

describe("raw resources", () => {
  it("are read one by one and in lists", () => {
    const one = items("a.yaml", `{ ${CLUSTER}, name: one }`);
    const list = items(
      "b.yaml",
      `override: true\nfor: { node.cluster: web }\nresources:\n- { ${CLUSTER}, name: two }\n- { ${CLUSTER}, name: three }`,
    );
    assert.deepEqual(
      [...one, ...list].map(
        (item) => item.kind === "raw" && [item.name, item.override, item.nodes.cluster, item.typeName],
      ),
      [
        ["one", false, undefined, "envoy.config.cluster.v3.Cluster"],
        ["two", true, "web", "envoy.config.cluster.v3.Cluster"],
        ["three", true, "web", "envoy.config.cluster.v3.Cluster"],
      ],
    );
  });

  it("with faults are reported all at once, each with its place", () => {
    const { items: read, diagnostics } = readFileText(
      "f.yaml",
      `resources:
  - { ${CLUSTER}, name: a, conect_timeout: 1s, type: STATIK }
  - { ${CLUSTER}, name: "" }
  - { "@type": type.googleapis.com/envoy.config.core.v3.Node, id: x }
  - just text
  - { ${CLUSTER}, name: good }
overide: true
for: { cluster: web }
`,
      parseResource,
    );
    assert.deepEqual(
      diagnostics.map(({ line, column, path }) => `${line}:${column} ${path}`),
      [
        "2:78 resources[0].conect_timeout",
        "2:98 resources[0].type",
        "3:69 resources[1].name",
        "4:7 resources[2].@type",
        "5:5 resources[3]",
        "7:1 overide",
        "8:8 for.cluster",
      ],
    );
    assert.deepEqual(
      read.map((item) => item.kind === "raw" && item.name),
      ["good"],
    );
    assert.ok(hasErrors({ diagnostics }));
  });

  it("with the name of a generated resource are errors, unless they say that they take its place", () => {
    const raw = (override: boolean): readonly SourceItem[] =>
      items(
        "r.yaml",
        `override: ${override}\nresources:\n- { ${CLUSTER}, name: outbound/80/a.default }\n- { ${CLUSTER}, name: other }`,
      );
    const merged = (override: boolean) =>
      mergeItems([...items("a.yaml", service("a")), ...raw(override)], new Map()).world;
    assert.deepEqual(messages(checkGeneratedNames(merged(true))), []);
    assert.deepEqual(messages(checkGeneratedNames(merged(false))), [
      'error r.yaml:3: "outbound/80/a.default" is the name of what is generated of the Service "a" in a.yaml:1, which serves; give it another name, or say "override: true"',
    ]);
  });
});

function items(file: string, yaml: string): readonly SourceItem[] {
  const read = readFileText(file, yaml, parseResource);
  assert.deepEqual(read.diagnostics, []);
  return read.items;
}

function messages(diagnostics: readonly Diagnostic[]): readonly string[] {
  return diagnostics.map(({ severity, file, line, message }) => `${severity} ${file}:${line}: ${message}`);
}
