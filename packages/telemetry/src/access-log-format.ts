import { err, type Json, type JsonObject, ok, type Result } from "@heddle/base";
import { compileCommand, truncated, whyUnfilled } from "./access-log-command.ts";
import type { LogCommand, LogValue } from "./access-log-command-type.ts";
import type { AccessLogSource } from "./access-log-source.ts";
import { escapeControls } from "./escape-controls.ts";

/** `envoy.config.core.v3.SubstitutionFormatString`: a text with commands, or JSON with such texts as its values. */
export type SubstitutionFormat =
  | { readonly type: "text"; readonly text: string; readonly omitEmptyValues: boolean }
  | { readonly type: "json"; readonly json: { readonly [key: string]: Json }; readonly omitEmptyValues: boolean };

/** Makes the line of an exchange, with whatever ends it. */
export type AccessLogFormat = (source: AccessLogSource) => string;

/** Envoy's default (source/common/formatter/substitution_formatter.cc), letter by letter. */
export const DEFAULT_ACCESS_LOG_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ' +
  "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% " +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

/** What becomes of the text: a line of a log, in which nothing may end the line, or a body, in which everything may stand. */
export type FormatUse = "log" | "body";

/**
 * Compiles a format.
 *
 * Text: commands such as `%REQ(X?Y):10%`; `%%` is a percent sign; a missing value is "-", or nothing with
 * `omitEmptyValues`. In a log what came from outside has its control characters escaped, so that nobody can forge a line.
 *
 * JSON: one object a line, keys sorted. A value that is a single command keeps its type (numbers stay numbers, what is
 * missing is null, or left out with `omitEmptyValues`; no response flag is "-", as in Envoy). Objects and lists nest; other
 * values stand as they are.
 */
export function compileFormat(format: SubstitutionFormat, use: FormatUse = "log"): Result<AccessLogFormat, string> {
  const { omitEmptyValues } = format;
  const options: Options = { missing: omitEmptyValues ? "" : "-", omitEmptyValues, use };
  if (format.type === "text") return compileText(format.text, options);
  const value = compileValue(format.json, options);
  if (!value.ok) return value;
  const write = value.value;
  return ok((source) => `${write(source) ?? "{}"}\n`);
}

/** The commands of a format that Envoy has and that are always empty here, each once: "%NAME% is always empty: why". */
export function unfilledCommands(format: SubstitutionFormat): readonly string[] {
  const notes = new Set<string>();
  const texts = format.type === "text" ? [format.text] : textsOf(format.json);
  for (const text of texts) {
    for (const [, name = "", argument = ""] of text.matchAll(/%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::\d+)?%/g)) {
      const why = whyUnfilled(name, argument);
      if (why !== undefined) notes.add(`%${name}% is always empty: ${why}`);
    }
  }
  return [...notes];
}

/** The parts of a format string: texts as they stand, and commands. */
export function parseFormat(format: string): Result<readonly (string | LogCommand)[], string> {
  const parts: (string | LogCommand)[] = [];
  let at = 0;
  while (at < format.length) {
    const percent = format.indexOf("%", at);
    const end = percent < 0 ? format.length : percent;
    if (end > at) parts.push(format.slice(at, end));
    if (percent < 0) break;
    if (format[percent + 1] === "%") {
      parts.push("%");
      at = percent + 2;
      continue;
    }
    // The argument of START_TIME has percent signs of its own, so parentheses are read as a whole.
    COMMAND.lastIndex = percent;
    const match = COMMAND.exec(format);
    if (match === null) return err(`at character ${percent}: "%" begins no command; write "%%" for a percent sign`);
    const [whole, name = "", argument, most] = match;
    const command = compileCommand(name, argument);
    if (!command.ok) return err(`%${name}% ${command.error}`);
    parts.push(most === undefined ? command.value : truncated(command.value, Number(most)));
    at = percent + whole.length;
  }
  return ok(parts);
}

const COMMAND = /%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d+))?%/y;

interface Options {
  /** What stands for a missing value in text. */
  readonly missing: string;
  readonly omitEmptyValues: boolean;
  readonly use: FormatUse;
}

function compileText(format: string, { missing, use }: Options): Result<AccessLogFormat, string> {
  const parts = parseFormat(format);
  if (!parts.ok) return parts;
  const compiled = parts.value;
  const write = use === "log" ? clean : readable;
  return ok((source) => {
    let line = "";
    for (const part of compiled) line += typeof part === "string" ? part : textOf(part(source), missing, write);
    return line;
  });
}

/** JSON of a value, or undefined: there is none. */
type JsonWriter = (source: AccessLogSource) => string | undefined;

function compileValue(value: Json, options: Options): Result<JsonWriter, string> {
  if (typeof value === "string") return compileString(value, options);
  if (typeof value !== "object" || value === null) {
    const text = JSON.stringify(value);
    return ok(() => text);
  }
  return Array.isArray(value) ? compileList(value, options) : compileObject(value as JsonObject, options);
}

function compileObject(object: JsonObject, options: Options): Result<JsonWriter, string> {
  const fields: { readonly key: string; readonly write: JsonWriter }[] = [];
  for (const key of Object.keys(object).sort()) {
    const value = compileValue(object[key]!, options); // a key of its own
    if (!value.ok) return err(`${key}: ${value.error}`);
    fields.push({ key: `${JSON.stringify(key)}:`, write: value.value });
  }
  const { omitEmptyValues } = options;
  return ok((source) => {
    let text = "";
    for (const { key, write } of fields) {
      const value = write(source);
      if (value === undefined && omitEmptyValues) continue;
      text += `${text === "" ? "" : ","}${key}${value ?? "null"}`;
    }
    return text === "" && omitEmptyValues ? undefined : `{${text}}`;
  });
}

function compileList(items: readonly Json[], options: Options): Result<JsonWriter, string> {
  const writers: JsonWriter[] = [];
  for (const [index, item] of items.entries()) {
    const value = compileValue(item, options);
    if (!value.ok) return err(`[${index}]: ${value.error}`);
    writers.push(value.value);
  }
  // A place in a list means something, so nothing is left out of it.
  return ok((source) => `[${writers.map((write) => write(source) ?? "null").join(",")}]`);
}

function compileString(text: string, options: Options): Result<JsonWriter, string> {
  const parts = parseFormat(text);
  if (!parts.ok) return parts;
  const compiled = parts.value;
  const [only] = compiled;
  if (typeof only === "function" && compiled.length === 1) return ok((source) => jsonOf(only(source)));
  const { missing } = options;
  return ok((source) => {
    let mixed = "";
    // JSON escapes what could end a line.
    for (const part of compiled) mixed += typeof part === "string" ? part : textOf(part(source), missing, readable);
    return JSON.stringify(mixed);
  });
}

function textsOf(value: Json): readonly string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap((part) => textsOf(part)) : [];
}

function textOf(value: LogValue | undefined, missing: string, write: (text: string) => string): string {
  if (value === undefined || value === null) return missing;
  if (typeof value === "string") return write(value);
  return typeof value === "object" ? write(safeJson(value)) : String(value);
}

function jsonOf(value: LogValue | undefined): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : undefined;
  return typeof value === "string" ? JSON.stringify(readable(value)) : safeJson(value);
}

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch {
    return '"[no JSON]"'; // a filter left something circular
  }
}

const PLAIN_ASCII = /^[\x20-\x7e]*$/;
const BEYOND_LATIN1 = /[\u0100-\uffff]/;

function clean(value: string): string {
  return PLAIN_ASCII.test(value) ? value : escapeControls(readable(value));
}

/** Header values are bytes, one a character. Where those are UTF-8 they are shown as the text that they spell. */
function readable(value: string): string {
  if (PLAIN_ASCII.test(value) || BEYOND_LATIN1.test(value)) return value;
  const decoded = Buffer.from(value, "latin1").toString("utf8");
  return decoded.includes("\ufffd") ? value : decoded;
}
