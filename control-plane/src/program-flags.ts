import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { err, ok } from "@heddle/base";
import { type LogLevel, parseLogLevel } from "@heddle/telemetry";

/** What the control plane and the injector are both told. */
export interface ProgramFlags {
  readonly logLevel: LogLevel;
  readonly logFormat: "text" | "json";
  readonly exitWithParent: boolean;
}

export const PROGRAM_OPTIONS = {
  "log-level": { type: "string" },
  "log-format": { type: "string" },
  "exit-with-parent": { type: "boolean" },
  version: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** The words of a command line by their options; there are no operands. The error says which word is none of them. */
export function parseWords<const Options extends ParseArgsOptionsConfig>(words: readonly string[], options: Options) {
  try {
    return ok(parseArgs({ args: [...words], options, strict: true, allowPositionals: false }));
  } catch (error) {
    // The sentences behind the first one speak of operands that begin with a dash; there are none.
    return err([(error as Error).message.split(". ")[0] ?? ""]);
  }
}

interface ProgramValues {
  readonly "log-level"?: string | undefined;
  readonly "log-format"?: string | undefined;
  readonly "exit-with-parent"?: boolean | undefined;
}

/** @param faults gets what is wrong; what is given back is then not to be used. */
export function readProgramFlags(values: ProgramValues, faults: string[]): ProgramFlags {
  const logLevel = parseLogLevel(values["log-level"] ?? "info");
  if (logLevel === undefined)
    faults.push(`--log-level: found "${values["log-level"]}", allowed: trace, debug, info, warn, error, off`);
  const logFormat = values["log-format"] ?? "text";
  if (logFormat !== "text" && logFormat !== "json")
    faults.push(`--log-format: found "${logFormat}", allowed: text, json`);
  return {
    logLevel: logLevel ?? "info",
    logFormat: logFormat === "json" ? "json" : "text",
    exitWithParent: values["exit-with-parent"] === true,
  };
}

interface ClusterValues {
  readonly kubernetes?: boolean | undefined;
  readonly kubeconfig?: string | undefined;
  readonly "kubernetes-context"?: string | undefined;
}

/** What is wrong with how a cluster is named. */
export function clusterFaults({ kubernetes, kubeconfig, "kubernetes-context": context }: ClusterValues): string[] {
  const faults: string[] = [];
  if (kubernetes === true && kubeconfig !== undefined)
    faults.push("--kubernetes and --kubeconfig exclude each other: the cluster of this pod, or that of the file");
  if (context !== undefined && kubeconfig === undefined) faults.push("--kubernetes-context: needs --kubeconfig");
  return faults;
}
