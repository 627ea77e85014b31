import assert from "node:assert/strict";
import { test } from "node:test";
import { parseYamlDocuments } from "@heddle/config";
import { readObjects } from "./read-objects.ts";

function faults(
  kind: "HTTPRoute" | "GRPCRoute",
  parents: number,
  matches: number,
  characters: number,
): readonly string[] {
  const version = "gateway.networking.k8s.io/v1";
  const value = "x".repeat(characters);
  const match = kind === "HTTPRoute" ? { path: { value: "/a" } } : { method: { service: "a" } };
  const change = { type: "RequestHeaderModifier", requestHeaderModifier: { set: [{ name: "a", value }] } };
  const route = {
    apiVersion: version,
    kind,
    metadata: { name: "r" },
    spec: {
      parentRefs: Array.from({ length: parents }, (_, i) => ({ group: "", kind: "Service", name: `s${i}` })),
      rules: [{ matches: Array.from({ length: matches }, () => match), filters: [change] }],
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
    assert.match(fault ?? "", /^spec\.rules: becomes 977 MiB, .*allowed: 16 MiB$/);
  });
}
