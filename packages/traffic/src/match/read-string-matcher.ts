import { err, isJsonObject, type Json, ok, type Result } from "@heddle/base";
import { compileSafeRegex } from "./safe-regex.ts";
import type { StringMatcherConfig } from "./string-matcher.ts";

/**
 * An `envoy.type.matcher.v3.StringMatcher` out of a filter's configuration, which filters get as proto JSON. The error says what
 * is wrong, without the place.
 */
export function readStringMatcher(json: Json | undefined): Result<StringMatcherConfig, string> {
  const fields = isJsonObject(json) ? json : {};
  const ignoreCase = fields["ignoreCase"] === true;
  for (const type of ["exact", "prefix", "suffix", "contains"] as const) {
    const value = fields[type];
    if (typeof value === "string") return ok({ type, value, ignoreCase });
  }
  const pattern = fields["safeRegex"];
  const regex = isJsonObject(pattern) ? (pattern["regex"] ?? "") : undefined;
  if (typeof regex !== "string") return err("what the value has to be is missing");
  const compiled = compileSafeRegex(regex);
  return compiled.ok ? ok({ type: "safe-regex", regex }) : compiled;
}
