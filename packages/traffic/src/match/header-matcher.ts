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
  toString(): string;
}

/**
 * Compiles a decoded header matcher. A repeated field is matched as its values joined by a comma: matching only the
 * first would let a client hide a value behind it (CVE-2020-25017).
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
  if (name.charCodeAt(0) !== COLON) return name === "host" ? head.authority : head.headers.joined(name);
  switch (name) {
    case ":method":
      return head.method;
    case ":path":
      return head.path === "" ? undefined : head.path; // CONNECT has none
    case ":authority":
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
  const isField = name.charCodeAt(0) !== COLON && name !== "host";
  return isField ? head.headers.get(name) : headerValue(head, name);
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

  toString(): string {
    return `${this.name} is ${this.#wanted ? "present" : "absent"}`;
  }
}

class ValueMatcher implements HeaderMatcher {
  readonly name: string;
  readonly #test: StringMatcher;
  readonly #invert: boolean;
  readonly #missing: string | undefined;

  constructor(config: HeaderMatcherConfig, test: StringMatcher) {
    this.name = config.name;
    this.#test = test;
    this.#invert = config.invert;
    this.#missing = config.treatMissingHeaderAsEmpty ? "" : undefined;
  }

  matches(head: RequestHead): boolean {
    return this.test(headerValue(head, this.name));
  }

  test(found: string | undefined): boolean {
    const value = found ?? this.#missing;
    // A missing field matches neither the condition nor its inversion (Envoy, header_utility.cc).
    return value !== undefined && this.#test.test(value) !== this.#invert;
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
