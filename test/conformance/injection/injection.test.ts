import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Json, JsonObject } from "@heddle/base";
import { DEFAULT_INJECTION_SETTINGS, injectPod, injectStream, uninjectStream } from "@heddle/inject";
import { type Document, parseAllDocuments } from "yaml";
import { goldens } from "../../harness/injection-goldens.ts";
import { schemaFaults } from "../../harness/kubernetes-schema.ts";

/* Manifests of many shapes. What one becomes is read by people in its golden; `scripts/print-injection-goldens.ts` writes them. */

for (const { name, input, injectedPath, inject } of goldens())
  test(`${name} becomes what its golden says, and comes back byte for byte`, async () => {
    const injected = inject(input);
    assert.equal(injected, readFileSync(injectedPath, "utf8"));
    assert.equal(inject(injected), injected);
    const restored = uninjectStream(name, injected);
    assert.ok(restored.ok);
    assert.equal(restored.value.text, input);
    for (const object of objects(injected)) assert.deepEqual(await schemaFaults(object), []);
  });

test("what text and what JSON becomes is the same, but for the status", () => {
  const input = readFileSync(new URL("goldens/lifecycle-and-sidecars.yaml", import.meta.url), "utf8");
  const fromText = injectStream("x", input, DEFAULT_INJECTION_SETTINGS);
  const fromJson = injectPod(objects(input)[0]!, DEFAULT_INJECTION_SETTINGS);
  assert.ok(fromText.ok && fromJson.ok);
  assert.deepEqual(withoutStatus(objects(fromText.value.text)[0]), withoutStatus(fromJson.value));
});

function withoutStatus(pod: unknown): unknown {
  const copy = structuredClone(pod) as { metadata: { annotations: Record<string, string> } };
  assert.ok(copy.metadata.annotations["heddle.dev/status"]);
  delete copy.metadata.annotations["heddle.dev/status"];
  return copy;
}

/** What a tool of Kubernetes would send of a stream. */
function objects(text: string): Json[] {
  return (parseAllDocuments(text, { merge: true }) as Document[])
    .map((document) => document.toJS() as JsonObject | null)
    .filter((object) => object !== null)
    .filter(({ apiVersion }) => apiVersion !== "example.com/v1");
}
