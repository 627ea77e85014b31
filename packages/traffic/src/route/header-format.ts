import { err, ok, type Result } from "@heddle/base";
import { type AccessLogSource, type LogCommand, parseFormat } from "@heddle/telemetry";
import { asBytes } from "../match/bytes.ts";

/** What a value of a header mutation may be made of. The sidecar's exchange is one. */
export interface HeaderFormatContext {
  /** Shows the exchange to commands; good until another exchange asks. */
  readonly logSource: AccessLogSource;
}

/**
 * The value of a `HeaderValueOption`, compiled: text with the commands of access logs. What is missing is nothing here.
 * Whoever writes the head makes characters that no field may have into spaces.
 */
export class HeaderFormat {
  readonly #parts: readonly (string | LogCommand)[];
  readonly #constant: string | undefined;

  constructor(parts: readonly (string | LogCommand)[]) {
    this.#parts = parts;
    this.#constant = parts.every((part) => typeof part === "string") ? parts.join("") : undefined;
  }

  /** Nothing of the exchange is in it. */
  get isConstant(): boolean {
    return this.#constant !== undefined;
  }

  format(context: HeaderFormatContext): string {
    if (this.#constant !== undefined) return this.#constant;
    const source = context.logSource;
    let result = "";
    for (const part of this.#parts) result += typeof part === "string" ? part : valueText(part, source);
    return result;
  }
}

/** Reads a format. The error names the command that is unknown or malformed. */
export function compileHeaderFormat(text: string): Result<HeaderFormat, string> {
  const parts = parseFormat(text);
  if (!parts.ok) return err(`"${text}": ${parts.error}`);
  return ok(new HeaderFormat(parts.value.map((part) => (typeof part === "string" ? asBytes(part) : part))));
}

const BEYOND_LATIN1 = /[\u0100-\uffff]/;

/** Header values are bytes, one a character, and are taken as they are; metadata is text. */
function valueText(command: LogCommand, source: AccessLogSource): string {
  const value = command(source);
  if (value === undefined || value === null) return "";
  if (typeof value === "object") return asBytes(JSON.stringify(value));
  const text = String(value);
  return BEYOND_LATIN1.test(text) ? asBytes(text) : text;
}
