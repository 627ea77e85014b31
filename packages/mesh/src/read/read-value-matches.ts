import { compileSafeRegex } from "@heddle/traffic";
import type { ValueMatch } from "../model/http-route.ts";
import type { Field } from "./field.ts";

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Envoy's of `QueryParameterMatcher.name`: a sidecar refuses all routes for one that is longer. */
const MAX_PARAMETER_BYTES = 1024;

/** Reads `headers` or `queryParams` of a match. */
export function readValueMatches(list: Field, what: "header" | "query parameter"): readonly ValueMatch[] {
  const matches: ValueMatch[] = [];
  for (const item of list.items()) {
    const fields = item.object("type", "name", "value");
    const type = fields.type.oneOf("Exact", "RegularExpression") ?? "Exact";
    const written = fields.name.requiredText();
    if (written !== "" && !TOKEN.test(written)) fields.name.error(`"${written}" is not the name of a ${what}`);
    else if (what === "query parameter") fields.name.limit(MAX_PARAMETER_BYTES);
    const name = what === "header" ? written.toLowerCase() : written;
    const value = fields.value.requiredText();
    if (type === "RegularExpression") checkRegex(fields.value, value);
    // "Only the first entry with an equivalent name MUST be considered" (HTTPHeaderMatch, HTTPQueryParamMatch).
    if (matches.some((other) => other.name === name))
      fields.name.warn(`"${written}" has been matched above; only the first counts`);
    else matches.push({ name, type: type === "Exact" ? "exact" : "regex", value });
  }
  return matches;
}

/** Regular expressions are RE2's, as in Envoy: they take linear time, whoever wrote them. */
export function checkRegex(field: Field, value: string): void {
  const compiled = compileSafeRegex(value);
  if (!compiled.ok) field.error(compiled.error);
}
