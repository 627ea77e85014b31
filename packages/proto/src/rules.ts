import { Buffer } from "node:buffer";
import { type Message, toNumber } from "./message.ts";
import { durationToMs } from "./well-known.ts";

/*
 * One field's `validate.rules` (protoc-gen-validate, the form that Envoy's API uses) against one value. Every rule that
 * occurs in a compiled message is here; a test reads the descriptors and fails on one that is not.
 */

/** `{ string: { min_len: 1 } }`: the kind of value, then the rules of that kind. */
export type Rules = { readonly [kind: string]: { readonly [rule: string]: unknown } };

/** What a value that is set does wrong, as a phrase that says what was found and what is allowed. */
export type RuleCheck = (value: unknown) => string | undefined;

/** The rules as checks, made once for a field. */
export function compileRules(rules: Rules | undefined): readonly RuleCheck[] {
  return Object.entries(rules ?? {}).flatMap(([kind, bounds]) => {
    const checks = compileKind(kind, bounds);
    if (bounds["ignore_empty"] !== true) return checks;
    return checks.map(
      (check): RuleCheck =>
        (value) =>
          isEmpty(value) ? undefined : check(value),
    );
  });
}

function compileKind(kind: string, bounds: Rules[string]): RuleCheck[] {
  if (kind === "duration") {
    const range = readRange(bounds, (bound) => durationToMs(bound as Message));
    return range === undefined ? [] : [(value) => checkRange(durationToMs(value as Message), range, "s")];
  }
  if (NUMBERS.has(kind)) {
    const range = readRange(bounds, toNumber);
    return range === undefined ? [] : [(value) => checkRange(toNumber(value), range, "")];
  }
  return Object.entries(bounds).flatMap(([rule, bound]): RuleCheck[] => {
    const check = CHECKS[kind]?.[rule];
    return check === undefined ? [] : [(value) => check(value, bound)];
  });
}

/** Whether a message-typed field must be set. */
export function isRequired(rules: Rules | undefined): boolean {
  return rules !== undefined && Object.values(rules).some((bounds) => bounds["required"] === true);
}

/** Whether a rule of that kind is implemented; for the test that reads the descriptors. */
export function isKnownRule(kind: string, rule: string): boolean {
  if (rule === "ignore_empty" || rule === "required") return true;
  if (NUMBERS.has(kind) || kind === "duration") return RANGE.includes(rule);
  if (rule === "strict") return kind === "string";
  return CHECKS[kind]?.[rule] !== undefined || (NESTED[kind]?.includes(rule) ?? false);
}

const NUMBERS = new Set(["double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64"]);
const RANGE = ["gt", "gte", "lt", "lte"];
/** Rules that `validate` follows itself, since they hold rules of their own. */
const NESTED: { readonly [kind: string]: readonly string[] } = { repeated: ["items"], map: ["keys", "values"] };

type Check = (value: unknown, bound: unknown) => string | undefined;

const CHECKS: { readonly [kind: string]: { readonly [rule: string]: Check } } = {
  string: {
    // Characters, not UTF-16 units: counted only where the units leave it open.
    min_len: (value, bound) =>
      (value as string).length >= 2 * (bound as number)
        ? undefined
        : atLeast(Array.from(value as string).length, bound, "character"),
    max_len: (value, bound) => atMost(Array.from(value as string).length, bound, "character"),
    max_bytes: (value, bound) => atMost(Buffer.byteLength(value as string), bound, "byte"),
    in: (value, bound) =>
      toList(bound).includes(value)
        ? undefined
        : `found ${quote(value)}, allowed are ${toList(bound).map(quote).join(", ")}`,
    // Constants of Envoy's own files, none of which means anything else in V8 than in RE2.
    pattern: (value, bound) =>
      new RegExp(bound as string).test(value as string)
        ? undefined
        : `found ${quote(value)}, allowed is what matches ${String(bound)}`,
    well_known_regex: (value, bound) => checkHeaderText(value as string, bound as string),
  },
  bytes: {
    min_len: (value, bound) => atLeast((value as Uint8Array).length, bound, "byte"),
    max_len: (value, bound) => atMost((value as Uint8Array).length, bound, "byte"),
  },
  bool: {
    const: (value, bound) => (value === bound ? undefined : `found ${String(value)}, allowed is only ${String(bound)}`),
  },
  repeated: {
    min_items: (value, bound) => atLeast((value as unknown[]).length, bound, "element"),
    max_items: (value, bound) => atMost((value as unknown[]).length, bound, "element"),
    unique: (value, bound) =>
      bound === true && new Set(value as unknown[]).size < (value as unknown[]).length
        ? "holds an element twice"
        : undefined,
  },
  map: {
    min_pairs: (value, bound) => atLeast(Object.keys(value as object).length, bound, "entry"),
  },
  enum: {
    defined_only: () => undefined, // `validate` knows the enum's values
    not_in: (value, bound) =>
      toList(bound).includes(value) ? `found ${String(value)}, which is not allowed here` : undefined,
  },
};

interface Bounds {
  readonly gt?: number;
  readonly gte?: number;
  readonly lt?: number;
  readonly lte?: number;
}

// Where the lower bound lies above the upper one, allowed is what lies outside (protoc-gen-validate's exclusive range).
function checkRange(value: number, bounds: Bounds, unit: "" | "s"): string | undefined {
  const low = bounds.gt ?? bounds.gte;
  const high = bounds.lt ?? bounds.lte;
  const aboveLow = low === undefined || (bounds.gt !== undefined ? value > low : value >= low);
  const belowHigh = high === undefined || (bounds.lt !== undefined ? value < high : value <= high);
  const outside = low !== undefined && high !== undefined && low > high;
  if (outside ? aboveLow || belowHigh : aboveLow && belowHigh) return undefined;

  const show = (x: number) => (unit === "s" ? `${x / 1000}s` : String(x));
  const lowText = low === undefined ? undefined : `${bounds.gt !== undefined ? "above" : "at least"} ${show(low)}`;
  const highText = high === undefined ? undefined : `${bounds.lt !== undefined ? "below" : "at most"} ${show(high)}`;
  const allowed = [lowText, highText].filter((text) => text !== undefined).join(outside ? " or " : " and ");
  return `found ${show(value)}, allowed is ${allowed}`;
}

function readRange(bounds: Rules[string], toBound: (bound: unknown) => number): Bounds | undefined {
  const entries = RANGE.filter((rule) => bounds[rule] !== undefined).map((rule) => [rule, toBound(bounds[rule])]);
  return entries.length === 0 ? undefined : (Object.fromEntries(entries) as Bounds);
}

// RFC 9110 §5.1 and §5.5. `strict: false` in Envoy's API takes everything but NUL, CR and LF. A name or a value that a
// codec would refuse is refused here already, whatever the strictness.
function checkHeaderText(value: string, which: string): string | undefined {
  const isName = which === "HTTP_HEADER_NAME";
  if (isName ? HEADER_NAME.test(value) : isHeaderValue(value)) return undefined;
  return `found ${quote(value)}, which is no header ${isName ? "name" : "value"}`;
}

/** A token; ":path" and the like stand for parts of the head. Whether it may be empty is another rule's matter. */
const HEADER_NAME = /^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]*$/;

function isHeaderValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return false;
  }
  return true;
}

function atLeast(count: number, bound: unknown, what: string): string | undefined {
  if (count >= toNumber(bound)) return undefined;
  if (count === 0) return `is empty, allowed is at least ${amount(bound, what)}`;
  return `found ${amount(count, what)}, allowed is at least ${toNumber(bound)}`;
}

function atMost(count: number, bound: unknown, what: string): string | undefined {
  return count <= toNumber(bound) ? undefined : `found ${amount(count, what)}, allowed is at most ${toNumber(bound)}`;
}

function amount(count: unknown, what: string): string {
  const number = toNumber(count);
  return number === 1 ? `1 ${what}` : `${number} ${what === "entry" ? "entrie" : what}s`;
}

function toList(bound: unknown): readonly unknown[] {
  return Array.isArray(bound) ? bound : [bound];
}

function quote(value: unknown): string {
  return JSON.stringify(value);
}

function isEmpty(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return value === "" || value === 0 || value === false;
}
