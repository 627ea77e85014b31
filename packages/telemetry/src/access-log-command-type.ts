import type { Result } from "@heddle/base";
import type { AccessLogSource } from "./access-log-source.ts";

/** What a command gives for one exchange. Numbers stay numbers in JSON; undefined is "-" in text and null in JSON. */
export type LogValue = string | number | boolean | null | { readonly [key: string]: unknown } | readonly unknown[];
export type LogCommand = (source: AccessLogSource) => LogValue | undefined;

/** Makes a command of its argument: "" without parentheses. The error says what is wrong with it, without the name. */
export type CommandMaker = (argument: string) => Result<LogCommand, string>;
