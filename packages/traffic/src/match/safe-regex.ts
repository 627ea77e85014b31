import { Buffer } from "node:buffer";
import { createRequire } from "node:module";
import { err, ok, type Result } from "@heddle/base";
import type * as Re2 from "re2js";
import { asBytes, isAscii } from "./bytes.ts";

/**
 * A regular expression in RE2 syntax (`envoy.type.matcher.v3.RegexMatcher`), run by a linear-time engine on bytes, as RE2's
 * Latin-1 mode does: `.` is one byte, and a character beyond ASCII in a pattern is the bytes of its UTF-8 form. Were values
 * read as UTF-8, a client could add one byte that is none, and what a rule denies would match nothing (CVE-2026-73552).
 *
 * The user's string never reaches `new RegExp`: V8 backtracks, and it reads several RE2 patterns with another meaning
 * (`\A`, `[[:alpha:]]`, `\Q`, `\s`), which in an access rule is a bypass.
 *
 * V8's own linear engine (`l` flag) is not used, although it would be safe for a subset: measured on Node 24 it takes 1.2
 * to 1.7 µs for path-like patterns where RE2JS, with its DFA, takes 0.3 to 0.4 µs.
 */
export class SafeRegex {
  readonly source: string;
  readonly #program: Re2.RE2JS;

  constructor(source: string, program: Re2.RE2JS) {
    this.source = source;
    this.#program = program;
  }

  /** Whether the whole of `value`, bytes as latin1 (so heads carry them), matches. */
  test(value: string): boolean {
    return this.#program.testExact(value);
  }

  /**
   * Replaces every match as RE2's GlobalReplace does; `\1` in the substitution is a group, `\0` the whole match. Both
   * `value` and the result hold bytes as latin1.
   */
  replaceAll(value: string, substitution: RegexSubstitution): string {
    const matcher = this.#program.matcher(value);
    let result = "";
    let end = 0;
    for (let isFirst = true; matcher.find(); isFirst = false) {
      if (!isFirst && matcher.end() === end) continue; // nothing, right behind a match: RE2 does not take it for another one
      result += value.slice(end, matcher.start()) + substitution.expand((group) => matcher.group(group) ?? "");
      end = matcher.end();
    }
    return result + value.slice(end);
  }

  /** The groups of the first match anywhere in the text, the whole match as group 0. Not of bytes: plain text. */
  find(text: string): readonly (string | undefined)[] | undefined {
    const matcher = this.#program.matcher(asBytes(text));
    if (!matcher.find()) return undefined;
    return Array.from({ length: this.groupCount + 1 }, (_, group) => textOf(matcher.group(group) ?? undefined));
  }

  /** Number of capturing groups, for checking a substitution. */
  get groupCount(): number {
    return this.#program.groupCount();
  }

  toString(): string {
    return `regex ${this.source}`;
  }
}

/** Loaded with a thread's first pattern, which most never see: 2.6 MB and 15 ms. (`#re2js`: a sidecar's bundle has it as a file of its own.) */
let library: typeof Re2 | undefined;

/** Compiles a pattern in RE2 syntax. The error says what is wrong with it and where. */
export function compileSafeRegex(source: string): Result<SafeRegex, string> {
  library ??= createRequire(import.meta.url)("#re2js") as typeof Re2;
  const { RE2JS, RE2JSException } = library;
  try {
    return ok(new SafeRegex(source, RE2JS.compile(asBytes(source))));
  } catch (error) {
    if (error instanceof RE2JSException) return err(`"${source}" is not a regular expression of RE2: ${error.message}`);
    throw error;
  }
}

/** A substitution in RE2's form (`regex_rewrite.substitution`), read once: literal pieces, as bytes, and group numbers. */
export class RegexSubstitution {
  readonly #parts: readonly (string | number)[];

  constructor(parts: readonly (string | number)[]) {
    this.#parts = parts;
  }

  expand(group: (index: number) => string): string {
    let result = "";
    for (const part of this.#parts) result += typeof part === "string" ? part : group(part);
    return result;
  }
}

/** Reads `\0` to `\9` and `\\`. Any other backslash, and a group that the pattern does not have, is an error. */
export function compileSubstitution(text: string, groupCount: number): Result<RegexSubstitution, string> {
  const parts: (string | number)[] = [];
  let literal = "";
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char !== "\\") {
      literal += char;
      continue;
    }
    const next = text[++i];
    if (next === "\\") {
      literal += "\\";
    } else if (next !== undefined && next >= "0" && next <= "9") {
      if (Number(next) > groupCount) return err(`"\\${next}": the regex has only ${groupCount} groups`);
      if (literal !== "") parts.push(asBytes(literal));
      literal = "";
      parts.push(Number(next));
    } else {
      return err(`"\\${next ?? ""}" in the substitution: a backslash stands before a digit or another backslash`);
    }
  }
  if (literal !== "") parts.push(asBytes(literal));
  return ok(new RegexSubstitution(parts));
}

function textOf(bytes: string | undefined): string | undefined {
  return bytes === undefined || isAscii(bytes) ? bytes : Buffer.from(bytes, "latin1").toString("utf8");
}
