import { readFileSync } from "node:fs";
import { type Diagnostic, formatDiagnostic } from "@heddle/config/yaml";
import { UsageError } from "./command.ts";
import type { Paint } from "./paint.ts";
import { unifiedDiff } from "./resources/unified-diff.ts";

const STDIN = 0;

/** A file, or "-" for standard input: what it is called in messages, and its text. Throws a `UsageError` where it cannot be read. */
export function readText(path: string): readonly [name: string, text: string] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path === "-" ? STDIN : path);
  } catch (error) {
    throw new UsageError(`${path}: cannot be read: ${(error as Error).message}`);
  }
  const name = path === "-" ? "standard input" : path;
  const text = bytes.toString("utf8");
  // Replaced characters would come out as other bytes than went in.
  if (!bytes.equals(Buffer.from(text))) throw new UsageError(`${name}: is no UTF-8`);
  return [name, text];
}

/** Prints a stream as it is now, or how it differs from before. Gives the exit code. */
export function printStream(before: string, after: string, asDiff: boolean, paint: Paint): number {
  if (!asDiff) {
    process.stdout.write(after);
    return 0;
  }
  for (const line of unifiedDiff(before, after))
    console.log(line.startsWith("-") ? paint("red", line) : line.startsWith("+") ? paint("green", line) : line);
  return before === after ? 0 : 1;
}

/** Tells what is wrong, and gives the exit code. */
export function tellFaults(faults: readonly Diagnostic[], exitCode: number): number {
  for (const fault of faults) console.error(`error: ${formatDiagnostic(fault)}`);
  return exitCode;
}
