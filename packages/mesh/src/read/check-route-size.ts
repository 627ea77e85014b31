import { isJsonObject } from "@heddle/base";
import type { Field } from "./field.ts";

/** In characters of JSON. A rule of 500 with 64 matches at 32 Services has one million. */
const MAX_CHARACTERS = 16 * 1024 * 1024;
/** Of matches and parents together; so many make nothing of a route that its document could not have been. */
const FEW = 16;

/**
 * Each parent of a route of requests has each match of a rule, with all that stands beside it in the rule: filters, backends and
 * statuses to try again after. A document of 1 MB could so become gigabytes of every sidecar that calls these Services, and of the
 * control plane.
 */
export function checkRouteSize(rules: Field, parents: number): void {
  if (!Array.isArray(rules.value)) return; // whoever reads them says so
  let characters = 0;
  for (const rule of rules.value) {
    if (!isJsonObject(rule)) continue;
    const { matches = null, filters = null, backendRefs = null, retry = null } = rule;
    const copies = (Array.isArray(matches) ? matches.length : 1) * parents;
    if (copies <= FEW) continue;
    characters += copies * JSON.stringify([filters, backendRefs, retry]).length;
    characters += parents * JSON.stringify(matches).length;
  }
  if (characters <= MAX_CHARACTERS) return;
  const megabytes = Math.ceil(characters / 1024 / 1024);
  rules.error(
    `becomes ${megabytes} MiB, since each of its parents has each match with all else of its rule; allowed: ${MAX_CHARACTERS / 1024 / 1024} MiB`,
  );
}
