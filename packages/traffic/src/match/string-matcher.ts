import { asBytes } from "./bytes.ts";
import { compileSafeRegex } from "./safe-regex.ts";

/**
 * `envoy.type.matcher.v3.StringMatcher`, decoded. `ignoreCase` is never true for `safe-regex` (the proto forbids it).
 * The regex is RE2 syntax; it has been checked when it was decoded and never reaches `new RegExp` as it stands.
 */
export type StringMatcherConfig =
  | { readonly type: "exact"; readonly value: string; readonly ignoreCase: boolean }
  | { readonly type: "prefix"; readonly value: string; readonly ignoreCase: boolean }
  | { readonly type: "suffix"; readonly value: string; readonly ignoreCase: boolean }
  | { readonly type: "contains"; readonly value: string; readonly ignoreCase: boolean }
  | { readonly type: "safe-regex"; readonly regex: string };

/** Decides about one string. `toString` says what it asks for, so that `explain` can tell why something did not match. */
export interface StringMatcher {
  test(value: string): boolean;
  toString(): string;
}

/**
 * Compiles a decoded matcher. Values are compared as bytes (latin1 strings); a pattern's non-ASCII characters are taken
 * as their UTF-8 bytes, which is how they stand in a head. Throws if a regex is not RE2 syntax: decoding has checked it.
 */
export function compileStringMatcher(config: StringMatcherConfig): StringMatcher {
  if (config.type === "safe-regex") {
    const regex = compileSafeRegex(config.regex);
    if (!regex.ok) throw new Error(regex.error);
    return regex.value;
  }
  const bytes = asBytes(config.value);
  const value = config.ignoreCase ? asciiLower(bytes) : bytes;
  return new LiteralMatcher(config.type, value, config.ignoreCase, LITERAL_TESTS[config.type]);
}

/**
 * Lower case of ASCII letters alone: other bytes are not letters here, as in Envoy (`absl::AsciiStrToLower`). Text that
 * is lower case already, as nearly all hosts are, comes back as it is.
 */
export function asciiLower(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= UPPER_A && code <= UPPER_Z) return text.replace(ASCII_UPPER_RUN, (letters) => letters.toLowerCase());
  }
  return text;
}

const UPPER_A = 0x41;
const UPPER_Z = 0x5a;
const ASCII_UPPER_RUN = /[A-Z]+/g;

type LiteralTest = (value: string, pattern: string) => boolean;

const LITERAL_TESTS: Readonly<Record<"exact" | "prefix" | "suffix" | "contains", LiteralTest>> = {
  exact: (value, pattern) => value === pattern,
  prefix: (value, pattern) => value.startsWith(pattern),
  suffix: (value, pattern) => value.endsWith(pattern),
  contains: (value, pattern) => value.includes(pattern),
};

class LiteralMatcher implements StringMatcher {
  readonly #type: string;
  readonly #pattern: string;
  readonly #ignoreCase: boolean;
  readonly #test: LiteralTest;

  constructor(type: string, pattern: string, ignoreCase: boolean, test: LiteralTest) {
    this.#type = type;
    this.#pattern = pattern;
    this.#ignoreCase = ignoreCase;
    this.#test = test;
  }

  test(value: string): boolean {
    return this.#test(this.#ignoreCase ? asciiLower(value) : value, this.#pattern);
  }

  toString(): string {
    return `${this.#type} "${this.#pattern}"${this.#ignoreCase ? " (any case)" : ""}`;
  }
}
