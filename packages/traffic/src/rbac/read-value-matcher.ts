import type { Json } from "@heddle/base";
import type { ValueMatcherConfig } from "../access-log/access-log-config.ts";
import { readStringMatcher } from "../match/read-string-matcher.ts";
import { below, type RuleReader } from "./rule-reader.ts";

/** `envoy.type.matcher.v3.ValueMatcher` out of proto JSON. Undefined: it cannot be read, and an issue says so. */
export function readValueMatcher(
  json: Json | undefined,
  path: string,
  reader: RuleReader,
): ValueMatcherConfig | undefined {
  const fields = reader.object(json, path);
  const kind = reader.choice(fields, path, KINDS);
  if (kind === undefined) return undefined;
  const value = fields[kind];
  const at = below(path, kind);
  switch (kind) {
    case "nullMatch":
      return { type: "null" };
    case "boolMatch":
      return { type: "boolean", value: value === true };
    case "presentMatch":
      return { type: "present", present: value === true };
    case "stringMatch": {
      const matcher = readStringMatcher(value);
      return matcher.ok ? { type: "string", matcher: matcher.value } : reader.fail(at, matcher.error, undefined);
    }
    case "doubleMatch": {
      const { range, exact = 0 } = reader.object(value, at);
      if (range === undefined) return { type: "exact-number", value: Number(exact) };
      const { start = 0, end = 0 } = reader.object(range, below(at, "range"));
      return { type: "number-range", start: Number(start), end: Number(end) };
    }
    case "listMatch": {
      const { oneOf } = reader.object(value, at);
      const matcher = reader.deeper(at, undefined, () => readValueMatcher(oneOf, below(at, "oneOf"), reader));
      return matcher && { type: "one-of", matcher };
    }
    default: {
      const list = reader.list(reader.object(value, at)["valueMatchers"], below(at, "valueMatchers"), 2);
      const matchers = list.flatMap(
        (item, index) =>
          reader.deeper(at, undefined, () =>
            readValueMatcher(item, `${below(at, "valueMatchers")}[${index}]`, reader),
          ) ?? [],
      );
      return { type: "or", matchers };
    }
  }
}

const KINDS = ["nullMatch", "doubleMatch", "stringMatch", "boolMatch", "presentMatch", "listMatch", "orMatch"] as const;
