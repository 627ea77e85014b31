export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "off";

/** Structured log: a constant message for a person and grep, and fields. No secret ever goes into either. */
export interface Log {
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose lines carry these fields too. */
  with(fields: LogFields): Log;
  /** Whether a line of that level would be written, for those whose fields are dear. */
  enabled(level: LogLevel): boolean;
}

export type LogFields = Readonly<Record<string, unknown>>;
