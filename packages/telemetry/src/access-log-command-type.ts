import type { Result } from "@heddle/base";
import type { AccessLogSource } from "./access-log-source.ts";

/** What a command gives for one exchange. Numbers stay numbers in JSON; undefined is "-" in text and null in JSON. */
export type LogValue = string | number | boolean | null | { readonly [key: string]: unknown } | readonly unknown[];
export type LogCommand = (source: AccessLogSource) => LogValue | undefined;

/** What formats take from the process rather than from an exchange. */
export interface FormatEnvironment {
  readonly hostname: string;
  /** A variable of the process's environment. */
  variable(name: string): string | undefined;
  /** Milliseconds since the Unix epoch. */
  wallNow(): number;
  uuid(): string;
}

/** For whoever only wants to know whether a format can be compiled. */
export const NO_ENVIRONMENT: FormatEnvironment = {
  hostname: "",
  variable: () => undefined,
  wallNow: () => 0,
  uuid: () => "",
};

/** Makes a command of its argument: "" without parentheses. The error says what is wrong with it, without the name. */
export type CommandMaker = (argument: string, environment: FormatEnvironment) => Result<LogCommand, string>;
