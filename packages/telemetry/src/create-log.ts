import type { Clock } from "@heddle/base";
import { escapeControls } from "./escape-controls.ts";
import type { Log, LogFields, LogLevel } from "./log.ts";
import { LogLevels } from "./log-levels.ts";

export interface LogOptions {
  /** One level for good, or levels that may change. */
  readonly level: LogLevel | LogLevels;
  /** Of its logger, where `part` names none: "main" where left out. */
  readonly name?: string;
  readonly format: "json" | "text";
  readonly clock: Clock;
  /** Gets whole lines, each with its newline. */
  readonly write: (line: string) => void;
}

const SEVERITY: Readonly<Record<LogLevel, number>> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, off: 5 };

/** A level given by a user, or undefined if there is no such level. Envoy's "warning" and "critical" are understood. */
export function parseLogLevel(text: string): LogLevel | undefined {
  const name = text.toLowerCase();
  if (name === "warning") return "warn";
  if (name === "critical") return "error";
  return Object.hasOwn(SEVERITY, name) ? (name as LogLevel) : undefined;
}

/**
 * Writes one line for each call.
 *
 *     json  {"time":"2026-01-01T00:00:00.000Z","level":"warn","message":"update refused","type":"Cluster"}
 *     text  2026-01-01T00:00:00.000Z warn update refused type=Cluster
 *
 * Errors among the fields are shown with their stack. Control characters are escaped, so a line is always one line.
 */
export function createLog(options: LogOptions): Log {
  return new LineLog(options, {});
}

class LineLog implements Log {
  readonly #options: LogOptions;
  readonly #levels: LogLevels;
  readonly #logger: string;
  readonly #fields: LogFields;

  constructor(options: LogOptions, fields: LogFields) {
    const { level, name = "main" } = options;
    this.#options = options;
    this.#levels = typeof level === "string" ? new LogLevels(level) : level;
    this.#logger = typeof fields["part"] === "string" ? fields["part"] : name;
    this.#fields = fields;
  }

  trace(message: string, fields?: LogFields): void {
    this.#line("trace", message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.#line("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#line("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#line("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#line("error", message, fields);
  }

  with(fields: LogFields): Log {
    return new LineLog(this.#options, { ...this.#fields, ...fields });
  }

  enabled(level: LogLevel): boolean {
    return level !== "off" && SEVERITY[level] >= SEVERITY[this.#levels.levelOf(this.#logger)];
  }

  #line(level: Exclude<LogLevel, "off">, message: string, fields: LogFields | undefined): void {
    if (!this.enabled(level)) return;
    const { format, clock, write } = this.#options;
    const time = new Date(clock.wallNow()).toISOString();
    const all = fields === undefined ? this.#fields : { ...this.#fields, ...fields };
    write(format === "json" ? jsonLine(time, level, message, all) : textLine(time, level, message, all));
  }
}

function jsonLine(time: string, level: string, message: string, fields: LogFields): string {
  const line: Record<string, unknown> = { time, level, message };
  for (const [name, value] of Object.entries(fields)) line[name in line ? `field.${name}` : name] = plain(value);
  return `${JSON.stringify(line).replace(LEFT_BY_JSON, unicodeEscape)}\n`;
}

/** Controls above those of ASCII, DEL, ends of line: JSON lets them stand, and a terminal takes U+009B for "ESC [". */
const LEFT_BY_JSON = /[\x7f-\x9f\u2028\u2029]/g;

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function textLine(time: string, level: string, message: string, fields: LogFields): string {
  let line = `${time} ${level} ${escapeControls(message)}`;
  for (const [name, value] of Object.entries(fields)) {
    const shown = plain(value);
    const text = typeof shown === "string" ? shown : (JSON.stringify(shown) ?? "undefined");
    line += ` ${escapeControls(name)}=${escapeControls(/[\s"=]/.test(text) || text === "" ? JSON.stringify(text) : text)}`;
  }
  return `${line}\n`;
}

/** What JSON can show of the value. Logging must not fail, whatever it is given. */
function plain(value: unknown): unknown {
  if (value instanceof Error) return value.stack ?? String(value);
  if (typeof value === "bigint" || typeof value === "symbol" || typeof value === "function") return String(value);
  if (typeof value !== "object" || value === null) return value;
  try {
    return JSON.parse(JSON.stringify(value));
  } catch {
    return "[not shown: it is no JSON]";
  }
}
