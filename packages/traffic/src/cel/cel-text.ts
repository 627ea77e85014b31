import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";

/**
 * A CEL expression that came as a syntax tree (`google.api.expr.v1alpha1.Expr`, proto JSON), as text. What macros have been expanded to
 * becomes the macro again; a loop that is none of them is an error, and so is every function but those of the language's
 * standard.
 */
export function celText(expr: Json | undefined): Result<string, string> {
  try {
    return ok(write(expr, 0));
  } catch (error) {
    if (error instanceof Unwritable) return err(error.message);
    throw error;
  }
}

class Unwritable extends Error {}

function fail(message: string): never {
  throw new Unwritable(message);
}

/** As deep as the parser of the text goes, which counts otherwise. */
const MAX_DEPTH = 64;

function write(json: Json | undefined, depth: number): string {
  if (depth > MAX_DEPTH) fail(`lies deeper than ${MAX_DEPTH} levels`);
  const expr = isJsonObject(json) ? json : {};
  const inner = (child: Json | undefined): string => write(child, depth + 1);
  const { constExpr, identExpr, selectExpr, callExpr, listExpr, structExpr, comprehensionExpr } = expr;
  if (constExpr !== undefined) return writeConstant(constExpr);
  if (identExpr !== undefined) return identifier(isJsonObject(identExpr) ? identExpr["name"] : undefined);
  if (isJsonObject(selectExpr)) {
    const { operand, field, testOnly } = selectExpr;
    const selected = `${inner(operand)}.${identifier(field)}`;
    return testOnly === true ? `has(${selected})` : selected;
  }
  if (isJsonObject(callExpr)) return writeCall(callExpr, inner);
  if (isJsonObject(listExpr)) return `[${items(listExpr["elements"]).map(inner).join(", ")}]`;
  if (isJsonObject(structExpr)) return writeMap(structExpr, inner);
  if (isJsonObject(comprehensionExpr)) return writeMacro(comprehensionExpr, inner);
  return fail("holds an expression of a kind that is not known");
}

type Write = (child: Json | undefined) => string;

function items(json: Json | undefined): readonly Json[] {
  return Array.isArray(json) ? json : [];
}

/** Names of the language; what generated trees name otherwise ("@result") is no variable of ours. */
function identifier(name: Json | undefined): string {
  if (typeof name === "string" && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return name;
  return fail(`found ${JSON.stringify(name ?? "")}, needed is a name`);
}

function writeConstant(json: Json): string {
  const constant = isJsonObject(json) ? json : {};
  const [kind] = Object.keys(constant);
  const value = kind === undefined ? undefined : constant[kind];
  switch (kind) {
    case "nullValue":
      return "null";
    case "boolValue":
      return String(value === true);
    case "int64Value":
      return `(${digits(value)})`;
    case "uint64Value":
      return `${digits(value)}u`;
    case "doubleValue":
      return double(value);
    case "stringValue":
      return JSON.stringify(value);
    case "bytesValue":
      return bytes(value);
    case "durationValue":
      return `duration(${JSON.stringify(value)})`;
    case "timestampValue":
      return `timestamp(${JSON.stringify(value)})`;
    default:
      return fail(`a constant of kind ${kind ?? "none"}`);
  }
}

function digits(value: Json | undefined): string {
  const text = typeof value === "string" || typeof value === "number" ? String(value) : "";
  return /^-?\d+$/.test(text) ? text : fail(`found ${JSON.stringify(value ?? "")}, needed is an integer`);
}

function double(value: Json | undefined): string {
  if (typeof value !== "number") return fail(`found ${JSON.stringify(value ?? "")}, needed is a finite number`);
  const text = String(value);
  return `(${/[.e]/.test(text) ? text : `${text}.0`})`;
}

function bytes(value: Json | undefined): string {
  const hex = Buffer.from(typeof value === "string" ? value : "", "base64").toString("hex");
  return `b"${hex.replace(/../g, "\\x$&")}"`;
}

const BINARY: Readonly<Record<string, string>> = {
  __proto__: null as never,
  "_&&_": "&&",
  "_||_": "||",
  "_==_": "==",
  "_!=_": "!=",
  "_<_": "<",
  "_<=_": "<=",
  "_>_": ">",
  "_>=_": ">=",
  "_+_": "+",
  "_-_": "-",
  "_*_": "*",
  "_/_": "/",
  "_%_": "%",
  "@in": "in",
  _in_: "in",
  in: "in",
};

function writeCall({ function: name, target, args }: JsonObject, inner: Write): string {
  const given = items(args);
  const [a, b, c] = given;
  if (typeof name !== "string") return fail("a call without a function");
  const operator = BINARY[name];
  if (target === undefined) {
    if (operator !== undefined && given.length === 2) return `(${inner(a)} ${operator} ${inner(b)})`;
    if (name === "!_" && given.length === 1) return `(!${inner(a)})`;
    if (name === "-_" && given.length === 1) return `(-${inner(a)})`;
    if (name === "_?_:_" && given.length === 3) return `(${inner(a)} ? ${inner(b)} : ${inner(c)})`;
    if (name === "_[_]" && given.length === 2) return `${inner(a)}[${inner(b)}]`;
  }
  const list = given.map(inner).join(", ");
  return target === undefined ? `${identifier(name)}(${list})` : `${inner(target)}.${identifier(name)}(${list})`;
}

function writeMap({ messageName, entries }: JsonObject, inner: Write): string {
  if (messageName !== undefined && messageName !== "") fail("messages cannot be made");
  const pairs = items(entries).map((entry) => {
    const { mapKey, value } = isJsonObject(entry) ? entry : {};
    return `${inner(mapKey)}: ${inner(value)}`;
  });
  return `{${pairs.join(", ")}}`;
}

/** The standard macros, by what they are expanded to (cel-spec, doc/langdef.md "Macros"). */
function writeMacro(loop: JsonObject, inner: Write): string {
  const { iterVar, iterRange, accuVar, accuInit, loopStep, result } = loop;
  const variable = identifier(iterVar);
  const over = (macro: string, ...bodies: (Json | undefined)[]): string =>
    `${inner(iterRange)}.${macro}(${[variable, ...bodies.map(inner)].join(", ")})`;
  const isAccu = (json: Json | undefined): boolean => nameOf(json) === accuVar;
  const step = call(loopStep);
  if (isAccu(result)) {
    const initial = constantOf(accuInit);
    if (initial?.["boolValue"] === true && step?.name === "_&&_" && isAccu(step.args[0]))
      return over("all", step.args[1]);
    if (initial?.["boolValue"] === false && step?.name === "_||_" && isAccu(step.args[0]))
      return over("exists", step.args[1]);
    const isChoice = step?.name === "_?_:_" && isAccu(step.args[2]);
    const added = appended(isChoice ? step.args[1] : loopStep, isAccu);
    if (isEmptyList(accuInit) && added !== undefined) {
      if (!isChoice) return over("map", added);
      return nameOf(added) === variable ? over("filter", step.args[0]) : over("map", step.args[0], added);
    }
  }
  const end = call(result);
  if (end?.name === "_==_" && isAccu(end.args[0]) && step?.name === "_?_:_" && isAccu(step.args[2]))
    return over("exists_one", step.args[0]);
  return fail("a loop that is none of the standard macros");
}

function nameOf(json: Json | undefined): Json | undefined {
  const ident = isJsonObject(json) ? json["identExpr"] : undefined;
  return isJsonObject(ident) ? ident["name"] : undefined;
}

function constantOf(json: Json | undefined): JsonObject | undefined {
  const constant = isJsonObject(json) ? json["constExpr"] : undefined;
  return isJsonObject(constant) ? constant : undefined;
}

function isEmptyList(json: Json | undefined): boolean {
  const list = isJsonObject(json) ? json["listExpr"] : undefined;
  return isJsonObject(list) && items(list["elements"]).length === 0;
}

function call(json: Json | undefined): { readonly name: string; readonly args: readonly Json[] } | undefined {
  const expr = isJsonObject(json) ? json["callExpr"] : undefined;
  if (!isJsonObject(expr) || typeof expr["function"] !== "string") return undefined;
  return { name: expr["function"], args: items(expr["args"]) };
}

/** Of `accu + [item]` the item. */
function appended(json: Json | undefined, isAccu: (json: Json | undefined) => boolean): Json | undefined {
  const sum = call(json);
  if (sum?.name !== "_+_" || !isAccu(sum.args[0])) return undefined;
  const list = isJsonObject(sum.args[1]) ? sum.args[1]["listExpr"] : undefined;
  const elements = isJsonObject(list) ? items(list["elements"]) : [];
  return elements.length === 1 ? elements[0] : undefined;
}
