import { err, ok, type Result } from "@heddle/base";
import { WITH_ARGUMENT } from "./access-log-argument-commands.ts";
import type { LogCommand } from "./access-log-command-type.ts";
import { PLAIN, UNFILLED } from "./access-log-plain-commands.ts";

/**
 * The command of that name, from Envoy's list (config/advanced/substitution_formatter). `argument` is undefined without
 * parentheses. The error says what is wrong, without the name.
 */
export function compileCommand(name: string, argument: string | undefined): Result<LogCommand, string> {
  if (name === "COALESCE") return coalesce(argument ?? "");
  const plain = own(PLAIN, name);
  if (plain !== undefined) return argument === undefined ? ok(plain) : err("takes no argument");
  if (UNFILLED.has(name)) return ok(nothing);
  const made = own(WITH_ARGUMENT, name);
  if (made === undefined) return err(`is no command${nearest(name)}; docs/access-log.md lists them`);
  if (made.needsArgument && !argument) return err("needs an argument in parentheses");
  return made.make(argument ?? "");
}

/** Every command that a format may have. */
export const COMMAND_NAMES: readonly string[] = [
  ...Object.keys(PLAIN),
  ...Object.keys(WITH_ARGUMENT),
  ...UNFILLED.keys(),
  "COALESCE",
].sort();

/** Those of the same words, for whoever has mistyped one: there are too many to name them all. */
function nearest(name: string): string {
  const words = name.split("_").filter((word) => word.length > 2);
  const shared = (known: string): number => known.split("_").filter((word) => words.includes(word)).length;
  const near = COMMAND_NAMES.filter((known) => shared(known) > 0).sort((a, b) => shared(b) - shared(a));
  return near.length === 0 ? "" : `; there are ${near.slice(0, 5).join(", ")}`;
}

/** Why a command of Envoy's is always "-" here; undefined: it is not. */
export function whyUnfilled(name: string, argument: string): string | undefined {
  const [first = "", second = ""] = argument.split(":");
  if (name === "METADATA" && METADATA_NOT_COPIED.has(first)) return `metadata of ${first} is not copied`;
  const point = name === "COMMON_DURATION" ? [first, second].find((word) => POINTS_NOT_KEPT.has(word)) : undefined;
  return point === undefined ? UNFILLED.get(name) : `${point} is not recorded`;
}

const METADATA_NOT_COPIED: ReadonlySet<string> = new Set(["LISTENER", "LISTENER_FILTER_CHAIN", "VIRTUAL_HOST"]);
const POINTS_NOT_KEPT: ReadonlySet<string> = new Set(["US_CX_BEG", "US_CX_END", "US_HS_END", "US_RX_BODY_BEG"]);

const nothing: LogCommand = () => undefined;

/** `{"operators": ["NAME", {"command": "NAME", "param": "…", "max_length": 10}]}`: the first that is not empty. */
function coalesce(argument: string): Result<LogCommand, string> {
  const operators = operatorsOf(argument);
  if (operators === undefined) return err('needs JSON with a list "operators" that is not empty');
  const commands: LogCommand[] = [];
  for (const operator of operators) {
    const { command: name, param, max_length: most } = typeof operator === "string" ? { command: operator } : operator;
    if (typeof name !== "string" || (param !== undefined && typeof param !== "string"))
      return err('"operators" holds names, or objects with "command", "param" and "max_length"');
    const command = compileCommand(name, param);
    if (!command.ok) return err(`${name} ${command.error}`);
    commands.push(typeof most === "number" ? truncated(command.value, most) : command.value);
  }
  return ok((source) => {
    for (const command of commands) {
      const value = command(source);
      if (value !== undefined && value !== null && value !== "") return value;
    }
    return undefined;
  });
}

type Operator = string | { readonly command?: unknown; readonly param?: unknown; readonly max_length?: unknown };

function operatorsOf(argument: string): readonly Operator[] | undefined {
  try {
    const { operators } = JSON.parse(argument) as { operators?: unknown };
    const usable = Array.isArray(operators) && operators.length > 0;
    const good = usable && operators.every((o) => typeof o === "string" || (typeof o === "object" && o !== null));
    return good ? (operators as Operator[]) : undefined;
  } catch {
    return undefined;
  }
}

/** `:Z` behind a command: texts are cut, numbers and structures are not. */
export function truncated(command: LogCommand, most: number): LogCommand {
  return (source) => {
    const value = command(source);
    return typeof value === "string" ? value.slice(0, most) : value;
  };
}

function own<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
