import type { ValueMatcherConfig } from "../access-log/access-log-config.ts";
import { asBytes } from "./bytes.ts";
import { compileStringMatcher } from "./string-matcher.ts";

/** Decides about one JSON value; undefined is one that is not there. */
export type ValueMatcher = (value: unknown) => boolean;

/** Compiles `envoy.type.matcher.v3.ValueMatcher`, decoded. A value of another type than the matcher's does not match. */
export function compileValueMatcher(config: ValueMatcherConfig): ValueMatcher {
  switch (config.type) {
    case "null":
      return (value) => value === null;
    case "exact-number":
      return (value) => value === config.value;
    case "number-range":
      return (value) => typeof value === "number" && value >= config.start && value < config.end;
    case "string": {
      const matcher = compileStringMatcher(config.matcher);
      return (value) => typeof value === "string" && matcher.test(asBytes(value)); // which is what matchers compare
    }
    case "boolean":
      return (value) => value === config.value;
    case "present":
      return (value) => (value !== undefined && value !== null) === config.present;
    case "one-of": {
      const matcher = compileValueMatcher(config.matcher);
      return (value) => Array.isArray(value) && value.some(matcher);
    }
    case "or": {
      const matchers = config.matchers.map(compileValueMatcher);
      return (value) => matchers.some((matcher) => matcher(value));
    }
    default:
      throw new Error(`unknown value matcher ${JSON.stringify(config satisfies never)}`);
  }
}
