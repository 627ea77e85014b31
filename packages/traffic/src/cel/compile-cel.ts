import { createRequire } from "node:module";
import { err, ok, type Result } from "@heddle/base";
import type * as Cel from "@marcbachmann/cel-js";
import { compileSafeRegex, type SafeRegex } from "../match/safe-regex.ts";
import type { AccessSubject } from "../rbac/access-subject.ts";
import { CelAttributes } from "./cel-attributes.ts";

/** Loaded with a thread's first expression, which most never see. (`#cel`: a sidecar's bundle has it as a file of its own.) */
let library: typeof Cel | undefined;

/**
 * Compiles a condition in CEL (https://github.com/google/cel-spec): true where it comes to true; an error of evaluation, such
 * as of an attribute that is not there, is no match, as in Envoy.
 *
 * What a client sends cannot make it slow: expressions are bounded in their size and in how loops lie in each other, there are
 * no functions that make long lists of texts, and `matches` is RE2's, of patterns that stand in the expression.
 */
export function compileCel(
  source: string,
  scope: "http" | "network",
): Result<(subject: AccessSubject) => boolean, string> {
  if (source.length > MAX_LENGTH) return err(`longer than ${MAX_LENGTH} characters`);
  library ??= createRequire(import.meta.url)("#cel") as typeof Cel;
  const { Environment, ParseError, serialize } = library;
  const patterns = new Map<string, SafeRegex>();
  const attributes = new CelAttributes();
  const environment = new Environment({ homogeneousAggregateLiterals: false, limits: LIMITS });
  environment.registerFunction(`${MATCHES}(string, string): bool`, (text: string, pattern: string) => {
    const regex = patterns.get(pattern);
    if (regex === undefined) throw new Error("a pattern that was not there before");
    return regex.find(text) !== undefined;
  });
  const variables = Object.entries(attributes.variables).filter(([name]) => scope === "http" || name !== "request");
  for (const [name] of variables) environment.registerVariable(name, "map");
  try {
    const { ast } = environment.parse(source);
    const problem = prepare(ast, patterns, 0);
    if (problem !== undefined) return err(problem);
    const program = environment.parse(serialize(ast));
    const checked = program.check();
    if (!checked.valid) return err(firstLine(checked.error?.message ?? "is not well typed"));
    if (checked.type !== "bool" && checked.type !== "dyn")
      return err(`comes to ${checked.type ?? "?"}, needed is a bool`);
    const context = Object.fromEntries(variables);
    return ok((subject) => {
      attributes.subject = subject;
      try {
        return program(context) === true;
      } catch {
        return false;
      } finally {
        attributes.forget();
      }
    });
  } catch (error) {
    if (error instanceof ParseError) return err(firstLine(error.message));
    throw error;
  }
}

const MAX_LENGTH = 16_384;
const LIMITS = { maxAstNodes: 1000, maxDepth: 100, maxListElements: 256, maxMapEntries: 256, maxCallArguments: 8 };
/** How deep loops may lie in each other. */
const MAX_LOOPS = 2;
/** What `matches` becomes: the library's own runs patterns on V8's engine, which backtracks. */
const MATCHES = "heddleMatches";

/** The language's standard functions (cel-spec, doc/langdef.md), of those the library has; and `lowerAscii`, `upperAscii`. */
const FUNCTIONS: ReadonlySet<string> = new Set([
  "bool",
  "bytes",
  "contains",
  "double",
  "duration",
  "dyn",
  "endsWith",
  "getDate",
  "getDayOfMonth",
  "getDayOfWeek",
  "getDayOfYear",
  "getFullYear",
  "getHours",
  "getMilliseconds",
  "getMinutes",
  "getMonth",
  "getSeconds",
  "has",
  "int",
  "lowerAscii",
  "size",
  "startsWith",
  "string",
  "timestamp",
  "type",
  "uint",
  "upperAscii",
]);

const LOOPS: ReadonlySet<string> = new Set(["all", "exists", "exists_one", "filter", "map"]);

/** A node of the library's tree, as far as it is looked at. */
interface Node {
  op: string;
  args: unknown;
}

/** Makes `matches` ours, and says what may not stand in an expression. */
function prepare(node: Node, patterns: Map<string, SafeRegex>, loops: number): string | undefined {
  let inLoops = loops;
  if (node.op === "call" || node.op === "rcall") {
    const name = (node.args as readonly unknown[])[0] as string;
    if (name === "matches") {
      const problem = prepareMatches(node, patterns);
      if (problem !== undefined) return problem;
    } else if (LOOPS.has(name) && node.op === "rcall") {
      inLoops++;
      if (inLoops > MAX_LOOPS) return `loops lie more than ${MAX_LOOPS} deep in each other`;
    } else if (!FUNCTIONS.has(name)) return `there is no function ${name}`;
  }
  for (const child of childrenOf(node.args)) {
    const problem = prepare(child, patterns, inLoops);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function prepareMatches(node: Node, patterns: Map<string, SafeRegex>): string | undefined {
  const [, ...rest] = node.args as readonly unknown[];
  const operands = rest.flat() as readonly Node[];
  const [text, pattern] = operands;
  if (text === undefined || operands.length !== 2 || pattern?.op !== "value" || typeof pattern.args !== "string")
    return "matches needs a text, and a pattern that stands in the expression";
  const regex = compileSafeRegex(pattern.args);
  if (!regex.ok) return regex.error;
  patterns.set(pattern.args, regex.value);
  node.op = "call";
  node.args = [MATCHES, [text, pattern]];
  return undefined;
}

function childrenOf(args: unknown): Node[] {
  if (Array.isArray(args)) return args.flatMap(childrenOf);
  return isNode(args) ? [args] : [];
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]!; // there is one
}
