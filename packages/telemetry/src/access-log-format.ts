import { err, ok, type Result } from "@heddle/base";
import { compileCommand, type LogCommand, type LogValue } from "./access-log-command.ts";
import type { AccessLogSource } from "./access-log-source.ts";
import { escapeControls } from "./escape-controls.ts";

/** Makes the line of an exchange that has ended, with whatever ends it. */
export type AccessLogFormat = (source: AccessLogSource) => string;

/** Envoy's default (source/common/formatter/substitution_formatter.cc), letter by letter. */
export const DEFAULT_ACCESS_LOG_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ' +
  "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% " +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

/**
 * Compiles a format string of Envoy: text with commands such as `%REQ(X?Y):10%`; `%%` is a percent sign. A value that is
 * missing is "-". What came from outside has its control characters escaped, so that nobody can forge a line.
 */
export function compileTextFormat(format: string, hostname: string): Result<AccessLogFormat, string> {
  const parts = parse(format, hostname);
  if (!parts.ok) return parts;
  const compiled = parts.value;
  return ok((source) => {
    let line = "";
    for (const part of compiled) line += typeof part === "string" ? part : textOf(part(source));
    return line;
  });
}

/**
 * Compiles a JSON format: each value a format string. One that is a single command keeps its type (numbers stay numbers,
 * what is missing is null; no response flag is "-", as in Envoy). One object a line.
 */
export function compileJsonFormat(
  format: { readonly [key: string]: string },
  hostname: string,
): Result<AccessLogFormat, string> {
  const fields: { readonly start: string; readonly value: LogCommand }[] = [];
  for (const [key, text] of Object.entries(format)) {
    const parts = parse(text, hostname);
    if (!parts.ok) return err(`${key}: ${parts.error}`);
    const [only, ...more] = parts.value;
    const single = typeof only === "function" && more.length === 0 ? only : undefined;
    const compiled = parts.value;
    const value: LogCommand =
      single ??
      ((source) =>
        compiled.reduce<string>((sum, part) => sum + (typeof part === "string" ? part : textOf(part(source))), ""));
    fields.push({ start: `${fields.length === 0 ? "" : ","}${JSON.stringify(key)}:`, value });
  }
  return ok((source) => {
    let line = "{";
    for (const { start, value } of fields) line += start + jsonOf(value(source));
    return `${line}}\n`;
  });
}

type Part = string | LogCommand;

function parse(format: string, hostname: string): Result<Part[], string> {
  const parts: Part[] = [];
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
    const command = compileCommand(name, argument, hostname);
    if (!command.ok) return err(`%${name}% ${command.error}`);
    parts.push(most === undefined ? command.value : cut(command.value, Number(most)));
    at = percent + whole.length;
  }
  return ok(parts);
}

const COMMAND = /%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d+))?%/y;

function cut(command: LogCommand, most: number): LogCommand {
  return (source) => {
    const value = command(source);
    return typeof value === "string" ? value.slice(0, most) : value;
  };
}

function textOf(value: LogValue | undefined): string {
  if (value === undefined || value === null || value === "") return "-";
  if (typeof value === "string") return clean(value);
  return typeof value === "object" ? escapeControls(safeJson(value)) : String(value);
}

function jsonOf(value: LogValue | undefined): string {
  if (value === undefined || value === "") return "null";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "null";
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
