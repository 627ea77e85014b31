import { readFileSync } from "node:fs";
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { type Clock, type Result, StopReason, systemClock } from "@heddle/base";
import { forbidCoreDumps } from "@heddle/net";
import { type Log, MetricsRegistry, programLog, SharedMetrics, unblockStandardStreams } from "@heddle/telemetry";
import type { ProgramFlags } from "./program-flags.ts";
import { StartError } from "./serve/address.ts";
import { StoreError } from "./store/store-error.ts";

/** What a command line asks for. */
export type FlagsReading<Flags> =
  | { readonly type: "run"; readonly flags: Flags }
  | { readonly type: "print"; readonly what: "help" | "version" };

/** What every part of a program is given. */
export interface ProgramParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: SharedMetrics;
  readonly collectMetrics: () => ReturnType<MetricsRegistry["collect"]>;
}

/** `heddle control-plane` or `heddle injector`. */
export interface Program<Flags extends ProgramFlags> {
  readonly name: string;
  readonly help: string;
  readonly reading: Result<FlagsReading<Flags>, readonly string[]>;
  /**
   * Starts, serves until it is told to stop, and ends everything that it has begun. Rejects with a `StartError` or a `StoreError` where it cannot start.
   * @param onStop is to be called once: from then on reasons to stop are told.
   */
  readonly serve: (flags: Flags, parts: ProgramParts, onStop: OnStop) => Promise<void>;
}

/** Tells of each reason to stop; there may be a second one, of whoever cannot wait. */
export type OnStop = (listener: (reason: string) => void) => void;

const STDERR = 2;

/** Runs a program by its flags. Its exit code: 0 when it was asked to end, 1 when it cannot start, 2 when the command line is wrong. */
export async function runProgram<Flags extends ProgramFlags>(program: Program<Flags>): Promise<void> {
  const { name, help, reading } = program;
  if (!reading.ok) {
    process.stderr.write(`${reading.error.map((fault) => `heddle ${name}: ${fault}\n`).join("")}see --help\n`);
    process.exitCode = 2;
  } else if (reading.value.type === "print") {
    process.stdout.write(`${reading.value.what === "help" ? help : `heddle ${name} ${version()}`}\n`);
  } else {
    await serve(program, reading.value.flags);
  }
}

async function serve<Flags extends ProgramFlags>(program: Program<Flags>, flags: Flags): Promise<void> {
  setLogVerbosity(logVerbosity.NONE); // what gRPC would print comes back to us as errors, and then into our own log
  const clock = systemClock;
  unblockStandardStreams();
  const { log, close: closeLog } = programLog(STDERR, { level: flags.logLevel, format: flags.logFormat, clock });
  if (!(await forbidCoreDumps())) log.debug("core dumps are as the system has them");
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(0, message));
  const told: string[] = [];
  let listener = (reason: string): void => void told.push(reason);
  const reasons = StopReason.ofProcess(flags.exitWithParent, clock, (reason) => listener(reason));
  const onStop: OnStop = (next) => {
    listener = next;
    for (const reason of told.splice(0)) next(reason);
  };
  try {
    await program.serve(flags, { clock, log, metrics, collectMetrics: () => registry.collect() }, onStop);
  } catch (error) {
    if (!(error instanceof StartError || error instanceof StoreError)) throw error;
    log.error(error.message);
    process.exitCode = 1;
  }
  reasons.close();
  closeLog();
  // Standard input and signal handlers would keep the process; everything that it owned has been ended.
  process.exit();
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  return manifest.version;
}
