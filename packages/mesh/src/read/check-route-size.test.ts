import assert from "node:assert/strict";
import { test } from "node:test";
import { parseYamlDocuments } from "@heddle/config";
import { readObjects } from "./read-objects.ts";

type Kind = "HTTPRoute" | "GRPCRoute";

function faults(kind: Kind, parents: number, matches: number, characters: number): readonly string[] {
  const set = Array.from({ length: characters / 5000 }, (_, i) => ({ name: `a${i}`, value: "x".repeat(5000) }));
  const match = kind === "HTTPRoute" ? { path: { value: "/a" } } : { method: { service: "a" } };
  const change = { type: "RequestHeaderModifier", requestHeaderModifier: { set } };
  return faultsOf(kind, parents, { matches: Array.from({ length: matches }, () => match), filters: [change] });
}

function faultsOf(kind: Kind, parents: number, rule: object): readonly string[] {
  const version = "gateway.networking.k8s.io/v1";
  const route = {
    apiVersion: version,
    kind,
    metadata: { name: "r" },
    spec: {
      parentRefs: Array.from({ length: parents }, (_, i) => ({ group: "", kind: "Service", name: `s${i}` })),
      rules: [rule],
    },
  };
  const read = parseYamlDocuments("f.yaml", JSON.stringify(route));
  const [document] = read.ok ? read.value : [];
  assert.ok(document !== undefined);
  return readObjects(document).diagnostics.map(({ path, message }) => `${path}: ${message}`);
}

for (const kind of ["HTTPRoute", "GRPCRoute"] as const) {
  test(`a ${kind} that becomes much more than its document is refused`, () => {
    assert.deepEqual(faults(kind, 32, 64, 5000), []);
    assert.deepEqual(faults(kind, 1, 1, 500_000), []);
    const [fault, ...more] = faults(kind, 32, 64, 500_000);
    assert.deepEqual(more, []);
    assert.match(fault ?? "", /^spec\.rules: becomes 982 MiB, .*allowed: 16 MiB$/);
  });
}

test("what else each parent has of a rule counts too: what to try again after, and the matches themselves", () => {
  const matches = Array.from({ length: 64 }, (_, i) => ({ path: { value: `/${i}` } }));
  const retry = (count: number): object => ({ codes: Array.from({ length: count }, (_, i) => 400 + (i % 200)) });
  assert.deepEqual(faultsOf("HTTPRoute", 32, { matches, retry: retry(200) }), []);
  assert.match(faultsOf("HTTPRoute", 32, { matches, retry: retry(50_000) })[0] ?? "", /^spec\.rules: becomes 391 MiB/);
  const long = [{ path: { value: `/${"x".repeat(300_000)}` } }];
  assert.deepEqual(faultsOf("HTTPRoute", 32, { matches: long }), []);
  assert.match(faultsOf("HTTPRoute", 3000, { matches: long })[0] ?? "", /^spec\.rules: becomes 859 MiB/);
});
