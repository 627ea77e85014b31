import type { RequestHead } from "@heddle/http";
import type { HeaderMatcherConfig } from "../route/route-config.ts";
import { compileStringMatcher, type StringMatcher } from "./string-matcher.ts";

/** One condition on a request's head (`envoy.config.route.v3.HeaderMatcher`), compiled. */
export interface HeaderMatcher {
  /** What it looks at. */
  readonly name: string;
  matches(head: RequestHead): boolean;
  /** The same for a value that was looked up elsewhere; undefined: there is none. */
  test(value: string | undefined): boolean;
  /** The same for all values of a field; none: there is no such field. */
  testAll(values: readonly string[]): boolean;
  toString(): string;
}

/**
 * Compiles a decoded header matcher. The values of a repeated field are matched one by one, and one is enough; an inverted
 * matcher matches where none does. Matching the first alone would let a client hide a value behind it (CVE-2020-25017), joined
 * they would be a value that nobody has named (CVE-2026-26308; Envoy: `match_headers_individually`).
 */
export function compileHeaderMatcher(config: HeaderMatcherConfig): HeaderMatcher {
  const { match } = config;
  switch (match.type) {
    case "present":
      return new PresenceMatcher(config.name, match.present !== config.invert, config.treatMissingHeaderAsEmpty);
    case "string":
      return new ValueMatcher(config, compileStringMatcher(match.matcher));
    case "range":
      return new ValueMatcher(config, new RangeTest(match.start, match.end));
    default:
      throw new Error(`unknown header match ${JSON.stringify(match satisfies never)}`);
  }
}

/** The value that a matcher of that name looks at: a field, or the part of the head that the pseudo-header stands for. */
export function headerValue(head: RequestHead, name: string): string | undefined {
  if (isField(name)) return head.headers.joined(name);
  switch (name) {
    case ":method":
      return head.method;
    case ":path":
      return head.path === "" ? undefined : head.path; // CONNECT has none
    case ":authority":
    case "host":
      return head.authority;
    case ":scheme":
      return head.scheme;
    case ":protocol":
      return head.method === "CONNECT" ? head.upgrade : undefined; // RFC 8441 §4
    default:
      return undefined;
  }
}

/** The same, but of a repeated field the first value: for names that must be one (cluster, host). */
export function firstHeaderValue(head: RequestHead, name: string): string | undefined {
  return isField(name) ? head.headers.get(name) : headerValue(head, name);
}

/** All values that a matcher of that name looks at; see `headerValue`. */
export function headerValues(head: RequestHead, name: string): readonly string[] {
  if (isField(name)) return head.headers.getAll(name);
  const value = headerValue(head, name);
  return value === undefined ? [] : [value];
}

/** Not a part of the head that has a place of its own. */
function isField(name: string): boolean {
  return name.charCodeAt(0) !== COLON && name !== "host";
}

const COLON = 0x3a;

class PresenceMatcher implements HeaderMatcher {
  readonly name: string;
  readonly #wanted: boolean;
  readonly #missingIsEmpty: boolean;

  constructor(name: string, wanted: boolean, missingIsEmpty: boolean) {
    this.name = name;
    this.#wanted = wanted;
    this.#missingIsEmpty = missingIsEmpty;
  }

  matches(head: RequestHead): boolean {
    // An empty value is present, so a field that counts as empty when it is missing is present always.
    return this.test(headerValue(head, this.name));
  }

  test(value: string | undefined): boolean {
    return (this.#missingIsEmpty || value !== undefined) === this.#wanted;
  }

  testAll(values: readonly string[]): boolean {
    return this.test(values[0]);
  }

  toString(): string {
    return `${this.name} is ${this.#wanted ? "present" : "absent"}`;
  }
}

class ValueMatcher implements HeaderMatcher {
  readonly name: string;
  readonly #test: StringMatcher;
  readonly #invert: boolean;
  readonly #missing: string | undefined;
  readonly #isField: boolean;

  constructor(config: HeaderMatcherConfig, test: StringMatcher) {
    this.name = config.name;
    this.#test = test;
    this.#invert = config.invert;
    this.#missing = config.treatMissingHeaderAsEmpty ? "" : undefined;
    this.#isField = isField(config.name);
  }

  matches(head: RequestHead): boolean {
    const { name } = this;
    if (!this.#isField) return this.test(headerValue(head, name));
    const { fields } = head.headers;
    let found = false;
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] !== name) continue;
      found = true;
      if (this.#test.test(fields[i + 1]!)) return !this.#invert; // values stand at odd places
    }
    return found ? this.#invert : this.test(undefined);
  }

  test(found: string | undefined): boolean {
    const value = found ?? this.#missing;
    // A missing field matches neither the condition nor its inversion (Envoy, header_utility.cc).
    return value !== undefined && this.#test.test(value) !== this.#invert;
  }

  testAll(values: readonly string[]): boolean {
    if (values.length === 0) return this.test(undefined);
    return values.some((value) => this.#test.test(value)) !== this.#invert;
  }

  toString(): string {
    return `${this.name} ${this.#invert ? "not " : ""}${this.#test.toString()}`;
  }
}

/** `start <= value < end` for a value that is a decimal integer and nothing else. */
class RangeTest implements StringMatcher {
  readonly #start: number;
  readonly #end: number;

  constructor(start: number, end: number) {
    this.#start = start;
    this.#end = end;
  }

  test(value: string): boolean {
    if (!INTEGER.test(value)) return false;
    const number = Number(value);
    return number >= this.#start && number < this.#end;
  }

  toString(): string {
    return `in [${this.#start}, ${this.#end})`;
  }
}

const INTEGER = /^[+-]?[0-9]+$/;
