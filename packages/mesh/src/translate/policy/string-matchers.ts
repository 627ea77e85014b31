import type { JsonObject } from "@heddle/base";
import { isPathTemplate, parsePathTemplate } from "../../model/path-template.ts";

/* `envoy.type.matcher.v3.StringMatcher` for the texts of policies: "text", "begin*", "*end", "*" for anything but nothing. */

export function globMatcher(value: string, options: { readonly ignoreCase?: true } = {}): JsonObject {
  if (value === "*") return regexMatcher("(?s).+"); // a claim may hold a line break: "." alone would let it pass a DENY
  if (value.startsWith("*")) return { suffix: value.slice(1), ...options };
  if (value.endsWith("*")) return { prefix: value.slice(0, -1), ...options };
  return { exact: value, ...options };
}

/** The whole text has to match. */
export function regexMatcher(regex: string): JsonObject {
  return { safeRegex: { regex } };
}

/** Of a path, which may be a template as well. */
export function pathMatcher(value: string): JsonObject {
  if (!isPathTemplate(value)) return globMatcher(value);
  const segments = parsePathTemplate(value);
  if (!segments.ok) throw new Error(segments.error); // it has been read
  const parts = segments.value.map((segment) =>
    segment.type === "literal" ? escapeRegex(segment.text) : OPERATORS[segment.type],
  );
  return regexMatcher(`/${parts.join("/")}`);
}

const OPERATORS = { one: "[^/]+", rest: ".*" };

/** Of RE2's syntax. */
export function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
