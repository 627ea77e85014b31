import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { resourceFromJson } from "./resource-from-json.ts";
import type { ResourceType } from "./resource-type.ts";
import { makeResourceTypes } from "./resource-types.ts";
import { httpFilters } from "./testing.ts";

/* The static resources of Envoy's own example bootstraps: what people write. Most ask for more than there is yet. */

const named = process.env["HEDDLE_VECTORS"];
const folder = join(resolve(import.meta.dirname, "../../../..", named ?? "../shared/vectors"), "envoy-bootstraps");
const skip = existsSync(folder) || named !== undefined ? false : "no test vectors: HEDDLE_VECTORS is not set";

interface Outcome {
  readonly file: string;
  readonly accepted: boolean;
  readonly reasons: readonly string[];
}

function outcomes(): Outcome[] {
  const types = makeResourceTypes({ httpFilters });
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".yaml"));
  return files.flatMap((file) => {
    const resources = parse(readFileSync(join(folder, file), "utf8"))?.static_resources ?? {};
    return [
      ...(resources.listeners ?? []).map((json: object) => outcome(file, types.listener, { name: "unnamed", ...json })),
      ...(resources.clusters ?? []).map((json: object) => outcome(file, types.cluster, json)),
    ];
  });
}

function outcome<Config>(file: string, type: ResourceType<Config>, json: object): Outcome {
  const raw = resourceFromJson({ "@type": type.typeUrl, ...json });
  if (!raw.ok) return { file, accepted: false, reasons: raw.error.map((issue) => `${issue.path}: ${issue.message}`) };
  const decoded = type.decode(raw.value.bytes);
  if (!decoded.ok) return { file, accepted: false, reasons: decoded.error };
  const again = type.decode(type.encode(decoded.value.config));
  assert.ok(again.ok, file);
  assert.deepEqual(again.value.config, decoded.value.config, file);
  return { file, accepted: true, reasons: [] };
}

test("every example resource is accepted and survives being encoded, or is refused by path and reason", {
  skip,
}, () => {
  const all = outcomes();
  assert.ok(all.length > 200, `${all.length} resources`);
  for (const { file, reasons } of all) {
    for (const reason of reasons) assert.match(reason, /^[^: ]\S*: \S/, file);
  }
  const accepted = all.filter((one) => one.accepted).length;
  assert.ok(accepted > 0.6 * all.length, `${accepted} of ${all.length} are accepted`);
});
