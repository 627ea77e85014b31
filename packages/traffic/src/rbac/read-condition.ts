import type { JsonObject } from "@heddle/base";
import { type AccessTest, NEVER } from "./access-tests.ts";
import { below, type RuleReader } from "./rule-reader.ts";

/** The CEL condition of a policy (`condition`, `checked_condition`). Undefined: it has none. */
export function readCondition(fields: JsonObject, path: string, reader: RuleReader): AccessTest | undefined {
  for (const name of ["condition", "checkedCondition"]) {
    if (fields[name] !== undefined) return reader.fail(below(path, name), "CEL is not supported yet", NEVER);
  }
  return undefined;
}

/** `xds.type.matcher.v3.CelMatcher` */
export function readCelMatcher(_fields: JsonObject, path: string, reader: RuleReader): AccessTest {
  return reader.fail(path, "CEL is not supported yet", NEVER);
}
