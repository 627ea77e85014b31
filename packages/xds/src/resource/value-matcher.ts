import type { ValueMatcherConfig } from "@heddle/traffic";
import type { LooseJsonObject } from "./encode.ts";
import type { Fields } from "./fields.ts";
import { decodeStringMatcher, encodeStringMatcher } from "./string-matcher.ts";

/** `envoy.type.matcher.v3.ValueMatcher`. Undefined: none is set. */
export function decodeValueMatcher(fields: Fields | undefined): ValueMatcherConfig | undefined {
  if (fields === undefined) return undefined;
  if (fields.message("null_match") !== undefined) return { type: "null" };
  const double = fields.message("double_match");
  if (double !== undefined) {
    const range = double.message("range");
    if (range === undefined) return { type: "exact-number", value: double.number("exact") };
    return { type: "number-range", start: range.number("start"), end: range.number("end") };
  }
  const string = fields.message("string_match");
  if (string !== undefined) return { type: "string", matcher: decodeStringMatcher(string) };
  if (fields.has("bool_match")) return { type: "boolean", value: fields.flag("bool_match") };
  if (fields.has("present_match")) return { type: "present", present: fields.flag("present_match") };
  const item = decodeValueMatcher(fields.message("list_match")?.message("one_of"));
  if (item !== undefined) return { type: "one-of", matcher: item };
  const alternatives = fields.message("or_match")?.messages("value_matchers");
  return alternatives && { type: "or", matchers: alternatives.flatMap((one) => decodeValueMatcher(one) ?? []) };
}

export function encodeValueMatcher(matcher: ValueMatcherConfig): LooseJsonObject {
  switch (matcher.type) {
    case "null":
      return { null_match: {} };
    case "exact-number":
      return { double_match: { exact: matcher.value } };
    case "number-range":
      return { double_match: { range: { start: matcher.start, end: matcher.end } } };
    case "string":
      return { string_match: encodeStringMatcher(matcher.matcher) };
    case "boolean":
      return { bool_match: matcher.value };
    case "present":
      return { present_match: matcher.present };
    case "one-of":
      return { list_match: { one_of: encodeValueMatcher(matcher.matcher) } };
    case "or":
      return { or_match: { value_matchers: matcher.matchers.map(encodeValueMatcher) } };
  }
}
