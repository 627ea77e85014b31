import type { RequestHead } from "@heddle/http";
import { asBytes } from "../match/bytes.ts";
import { firstHeaderValue } from "../match/header-matcher.ts";
import { compileSafeRegex, compileSubstitution } from "../match/safe-regex.ts";
import { pathOnly } from "./path.ts";
import type { ForwardAction } from "./route-config.ts";

/** Gives the new request target. `matchedLength` characters of the path were matched by the route. */
export interface PathRewrite {
  rewrite(target: string, matchedLength: number): string;
}

/** Replaces what the route matched. Query and fragment stay. */
export class PrefixRewrite implements PathRewrite {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = asBytes(prefix);
  }

  rewrite(target: string, matchedLength: number): string {
    return this.#prefix + target.slice(matchedLength);
  }
}

/** Replaces every match of a regular expression in the path. Query and fragment are neither seen nor changed. */
export class RegexRewrite implements PathRewrite {
  readonly #rewrite: (path: string) => string;

  /** Throws on a pattern or substitution that is none: decoding has checked them. */
  constructor(regex: string, substitution: string) {
    const pattern = compileSafeRegex(regex);
    if (!pattern.ok) throw new Error(pattern.error);
    const replacement = compileSubstitution(substitution, pattern.value.groupCount);
    if (!replacement.ok) throw new Error(replacement.error);
    this.#rewrite = (path) => pattern.value.replaceAll(path, replacement.value);
  }

  rewrite(target: string): string {
    const path = pathOnly(target);
    return this.#rewrite(path) + target.slice(path.length);
  }
}

/** Undefined: the path stays. */
export function compilePathRewrite(forward: ForwardAction): PathRewrite | undefined {
  if (forward.prefixRewrite !== undefined && forward.prefixRewrite !== "")
    return new PrefixRewrite(forward.prefixRewrite);
  if (forward.regexRewrite === undefined) return undefined;
  return new RegexRewrite(forward.regexRewrite.regex, forward.regexRewrite.substitution);
}

/** The authority that the upstream shall see, as far as the request tells; a header's name is lower case. Undefined: it stays, or the endpoint decides. */
export function rewrittenHost(head: RequestHead, rewrite: ForwardAction["hostRewrite"]): string | undefined {
  switch (rewrite.type) {
    case "literal":
      return asBytes(rewrite.value);
    case "header": {
      const value = firstHeaderValue(head, rewrite.header);
      return value === "" ? undefined : value;
    }
    case "none":
    case "auto":
      return undefined;
    default:
      throw new Error(`unknown host rewrite ${JSON.stringify(rewrite satisfies never)}`);
  }
}

/**
 * Replaces the authority. With `appendForwarded` the old one goes to the end of `x-forwarded-host`, unless it stands there
 * already; with `keepOriginal` it goes to `x-envoy-original-host`.
 */
export function replaceAuthority(
  head: RequestHead,
  authority: string,
  appendForwarded: boolean,
  keepOriginal: boolean,
): void {
  const { authority: old, headers } = head;
  if (appendForwarded && old !== "") {
    const before = headers.joined("x-forwarded-host");
    if (before === undefined) headers.append("x-forwarded-host", old);
    else if (before.slice(before.lastIndexOf(",") + 1).trim() !== old) {
      headers.set("x-forwarded-host", `${before},${old}`);
    }
  }
  if (keepOriginal) headers.set("x-envoy-original-host", old);
  head.authority = authority;
}
