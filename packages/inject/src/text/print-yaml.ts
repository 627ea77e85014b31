import { isJsonObject, type Json } from "@heddle/base";

/** A value on one line, JSON and YAML alike: `{"a": [1, "b"]}`. */
export function flowText(value: Json): string {
  if (Array.isArray(value)) return `[${value.map((item: Json) => flowText(item)).join(", ")}]`;
  if (!isJsonObject(value)) return typeof value === "string" ? quoted(value) : JSON.stringify(value);
  const members = Object.entries(value).map(([key, member]) => `${quoted(key)}: ${flowText(member)}`);
  return `{${members.join(", ")}}`;
}

/** A value as lines of block YAML, without indentation of its own; a list's items begin in the column of its key. */
export function blockLines(value: Json): string[] {
  if (Array.isArray(value) && value.length > 0) return value.flatMap((item: Json) => itemLines(item));
  if (isJsonObject(value) && Object.keys(value).length > 0)
    return Object.entries(value).flatMap(([key, member]) => pairLines(key, member));
  return [scalarText(value)];
}

/** `key: value`, or the key and its value's lines below it. */
export function pairLines(key: string, value: Json): string[] {
  const name = plainOrQuoted(key);
  if (!hasLines(value)) return [`${name}: ${scalarText(value)}`];
  const indent = Array.isArray(value) ? "" : "  ";
  return [`${name}:`, ...blockLines(value).map((line) => indent + line)];
}

/** `- item`, its further lines below. */
export function itemLines(item: Json): string[] {
  return blockLines(item).map((line, index) => (index === 0 ? "- " : "  ") + line);
}

/** What has no lines of its own: a scalar, an empty list, an empty map. */
export function scalarText(value: Json): string {
  return typeof value === "string" ? plainOrQuoted(value) : flowText(value);
}

function hasLines(value: Json): boolean {
  return Array.isArray(value) ? value.length > 0 : isJsonObject(value) && Object.keys(value).length > 0;
}

/** Texts that no reader of YAML, 1.1 or 1.2, takes for anything else. */
const PLAIN = /^[A-Za-z/][A-Za-z0-9/._-]*(?:[:=][A-Za-z0-9/._-]+)*$/;
/** Booleans and nulls of YAML 1.1. */
const WORDS = /^(?:y|n|yes|no|on|off|true|false|null)$/i;

function plainOrQuoted(text: string): string {
  if (PLAIN.test(text) && !WORDS.test(text)) return text;
  // JSON in a text is easier to read without a backslash before each of its quotation marks.
  return text.includes('"') && /^[\x20-\x7e]+$/.test(text) ? `'${text.replaceAll("'", "''")}'` : quoted(text);
}

/** Quoted for JSON and YAML. Readers of YAML 1.1 take some characters outside of ASCII for ends of lines. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u00a0\u2028\u2029\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
