import type { StringMatcherConfig } from "@heddle/traffic";
import { type LooseJsonObject, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";

/** `envoy.type.matcher.v3.StringMatcher`. */
export function decodeStringMatcher(fields: Fields): StringMatcherConfig {
  const ignoreCase = fields.flag("ignore_case");
  const regex = fields.message("safe_regex");
  if (regex !== undefined) {
    if (ignoreCase) fields.fail("ignore_case", 'has no effect on a regex; write "(?i)" before it');
    return { type: "safe-regex", regex: decodeRegex(regex) };
  }
  for (const type of ["prefix", "suffix", "contains"] as const) {
    if (fields.has(type)) return { type, value: fields.text(type), ignoreCase };
  }
  return { type: "exact", value: fields.text("exact"), ignoreCase };
}

export function encodeStringMatcher(matcher: StringMatcherConfig): LooseJsonObject {
  if (matcher.type === "safe-regex") return { safe_regex: { regex: matcher.regex } };
  return { [matcher.type]: matcher.value, ignore_case: unless(false, matcher.ignoreCase) };
}

/** `envoy.type.matcher.v3.RegexMatcher`: the pattern. Whether RE2 accepts it is asked of the whole configuration. */
export function decodeRegex(fields: Fields): string {
  fields.message("google_re2"); // reports what is set in it
  return fields.text("regex");
}

/** `envoy.type.matcher.v3.RegexMatchAndSubstitute`. */
export function decodeRegexRewrite(fields: Fields): { readonly regex: string; readonly substitution: string } {
  const pattern = fields.message("pattern");
  return { regex: pattern === undefined ? "" : decodeRegex(pattern), substitution: fields.text("substitution") };
}

export function encodeRegexRewrite(rewrite: {
  readonly regex: string;
  readonly substitution: string;
}): LooseJsonObject {
  return { pattern: { regex: rewrite.regex }, substitution: rewrite.substitution };
}
