import { err, isJsonObject, type Json, ok, type Result } from "@heddle/base";
import type { ValueMatcherConfig } from "../access-log/access-log-config.ts";
import { readStringMatcher } from "./read-string-matcher.ts";
import { compileValueMatcher } from "./value-matcher.ts";

/** `envoy.type.matcher.v3.MetadataMatcher`, decoded. */
export interface MetadataMatcherConfig {
  readonly namespace: string;
  /** Not empty. */
  readonly path: readonly string[];
  readonly value: ValueMatcherConfig;
  readonly invert: boolean;
}

/** Of the filters, or of a connection: namespace, key, JSON value. */
export type DynamicMetadata = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

/** Whether metadata has such a value. What is not there is seen as a value that is none. */
export function compileMetadataMatcher(
  config: MetadataMatcherConfig,
): (metadata: DynamicMetadata | undefined) => boolean {
  const { namespace, path, invert } = config;
  const matches = compileValueMatcher(config.value);
  const [first = "", ...deeper] = path;
  return (metadata) => {
    let value = metadata?.get(namespace)?.get(first);
    for (const key of deeper) value = isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
    return matches(value) !== invert;
  };
}

/** The same out of a filter's configuration, which filters get as proto JSON. The error says what is wrong, without the place. */
export function readMetadataMatcher(json: Json | undefined): Result<MetadataMatcherConfig, string> {
  const fields = isJsonObject(json) ? json : {};
  const { filter, path, value, invert } = fields;
  if (typeof filter !== "string" || filter === "") return err("filter is missing");
  const keys = Array.isArray(path)
    ? path.map((segment: Json) => (isJsonObject(segment) ? segment["key"] : undefined))
    : [];
  if (keys.length === 0 || !keys.every((key) => typeof key === "string" && key !== "")) return err("path needs keys");
  const matcher = readValueMatcher(value);
  return matcher.ok
    ? ok({ namespace: filter, path: keys as string[], value: matcher.value, invert: invert === true })
    : matcher;
}

/** An `envoy.type.matcher.v3.ValueMatcher` out of proto JSON. */
export function readValueMatcher(json: Json | undefined): Result<ValueMatcherConfig, string> {
  const fields = isJsonObject(json) ? json : {};
  const { nullMatch, doubleMatch, stringMatch, boolMatch, presentMatch, listMatch, orMatch } = fields;
  if (nullMatch !== undefined) return ok({ type: "null" });
  if (doubleMatch !== undefined) {
    const { range, exact } = isJsonObject(doubleMatch) ? doubleMatch : {};
    if (!isJsonObject(range)) return ok({ type: "exact-number", value: Number(exact ?? 0) });
    return ok({ type: "number-range", start: Number(range["start"] ?? 0), end: Number(range["end"] ?? 0) });
  }
  if (stringMatch !== undefined) {
    const matcher = readStringMatcher(stringMatch);
    return matcher.ok ? ok({ type: "string", matcher: matcher.value }) : matcher;
  }
  if (boolMatch !== undefined) return ok({ type: "boolean", value: boolMatch === true });
  if (presentMatch !== undefined) return ok({ type: "present", present: presentMatch === true });
  if (listMatch !== undefined) {
    const inner = readValueMatcher(isJsonObject(listMatch) ? listMatch["oneOf"] : undefined);
    return inner.ok ? ok({ type: "one-of", matcher: inner.value }) : inner;
  }
  const alternatives = isJsonObject(orMatch) ? orMatch["valueMatchers"] : undefined;
  if (!Array.isArray(alternatives)) return err("what the value has to be is missing");
  const matchers: ValueMatcherConfig[] = [];
  for (const alternative of alternatives as readonly Json[]) {
    const matcher = readValueMatcher(alternative);
    if (!matcher.ok) return matcher;
    matchers.push(matcher.value);
  }
  return ok({ type: "or", matchers });
}
