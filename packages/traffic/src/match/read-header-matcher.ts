import { err, type Json, ok, type Result } from "@heddle/base";
import type { HeaderMatcherConfig } from "../route/route-config.ts";
import { readStringMatcher } from "./read-string-matcher.ts";

/**
 * An `envoy.config.route.v3.HeaderMatcher` out of a filter's configuration, which filters get as proto JSON. The error says
 * what is wrong, without the place.
 */
export function readHeaderMatcher(json: Json): Result<HeaderMatcherConfig, string> {
  const fields = asObject(json);
  const { name } = fields;
  if (typeof name !== "string" || name === "") return err("name is missing");
  const match = readMatch(fields);
  if (!match.ok) return match;
  return ok({
    name: name.toLowerCase(),
    match: match.value,
    invert: fields["invertMatch"] === true,
    treatMissingHeaderAsEmpty: fields["treatMissingHeaderAsEmpty"] === true,
  });
}

function readMatch(fields: JsonObject): Result<HeaderMatcherConfig["match"], string> {
  const { presentMatch, rangeMatch, stringMatch, exactMatch, prefixMatch, suffixMatch, containsMatch, safeRegexMatch } =
    fields;
  if (rangeMatch !== undefined) {
    const { start, end } = asObject(rangeMatch);
    return ok({ type: "range", start: Number(start ?? 0), end: Number(end ?? 0) });
  }
  // The forms of before v3.19 are string matchers.
  const old = {
    ...(exactMatch !== undefined && { exact: exactMatch }),
    ...(prefixMatch !== undefined && { prefix: prefixMatch }),
    ...(suffixMatch !== undefined && { suffix: suffixMatch }),
    ...(containsMatch !== undefined && { contains: containsMatch }),
    ...(safeRegexMatch !== undefined && { safeRegex: safeRegexMatch }),
  };
  const string = stringMatch ?? (Object.keys(old).length > 0 ? old : undefined);
  // As in Envoy a matcher that says nothing wants the field to be there.
  if (string === undefined) return ok({ type: "present", present: presentMatch !== false });
  const matcher = readStringMatcher(string);
  return matcher.ok ? ok({ type: "string", matcher: matcher.value }) : matcher;
}

type JsonObject = { readonly [name: string]: Json | undefined };

function asObject(json: Json | undefined): JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json) ? (json as JsonObject) : {};
}
