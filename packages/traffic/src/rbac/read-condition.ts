import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import { celText } from "../cel/cel-text.ts";
import { compileCel } from "../cel/compile-cel.ts";
import { type AccessTest, NEVER } from "./access-tests.ts";
import { below, type RuleReader } from "./rule-reader.ts";

/** The CEL condition of a policy: `condition` or `checked_condition`. Undefined: it has none. */
export function readCondition(fields: JsonObject, path: string, reader: RuleReader): AccessTest | undefined {
  const { condition, checkedCondition } = fields;
  if (condition !== undefined && checkedCondition !== undefined)
    return reader.fail(path, "found condition and checkedCondition, needed is one of them", NEVER);
  if (condition !== undefined) return fromTree(condition, below(path, "condition"), reader);
  if (checkedCondition === undefined) return undefined;
  return fromTree(treeIn(checkedCondition), below(path, "checkedCondition"), reader);
}

/** `xds.type.matcher.v3.CelMatcher` */
export function readCelMatcher(fields: JsonObject, path: string, reader: RuleReader): AccessTest {
  const at = below(path, "exprMatch");
  const expression = reader.object(fields["exprMatch"], at);
  const kind = reader.choice(expression, at, KINDS);
  if (kind === undefined) return NEVER;
  const value = expression[kind];
  if (kind === "celExprString") return fromText(reader.text(value, below(at, kind)), below(at, kind), reader);
  return fromTree(treeIn(value), below(at, kind), reader);
}

/** `ParsedExpr` and `CheckedExpr` say more of the expression than what it is. */
function treeIn(json: Json | undefined): Json | undefined {
  return isJsonObject(json) ? json["expr"] : undefined;
}

function fromTree(json: Json | undefined, path: string, reader: RuleReader): AccessTest {
  const text = celText(json);
  return text.ok ? fromText(text.value, path, reader) : reader.fail(path, text.error, NEVER);
}

function fromText(text: string, path: string, reader: RuleReader): AccessTest {
  const compiled = compileCel(text, reader.scope);
  return compiled.ok ? compiled.value : reader.fail(path, compiled.error, NEVER);
}

const KINDS = ["parsedExpr", "checkedExpr", "celExprParsed", "celExprChecked", "celExprString"] as const;
