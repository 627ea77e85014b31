import { dirname, resolve } from "node:path";
import { complain } from "./complain.ts";
import { cgroupMemoryLimit } from "./control/overload/resource-readers.ts";
import { workerHeapMb } from "./control/overload/worker-heap.ts";
import { WorkerThread } from "./control/workers/worker-thread.ts";
import { sidecarHelp } from "./flag-table.ts";
import { type FlagsReading, parseSidecarFlags, type SidecarFlags } from "./flags.ts";
import { BUILD_VERSION } from "./version.ts";

/*
 * The sidecar's program: flags and environment in, exit code out. 2: the command line or the bootstrap is wrong; 1: it cannot start.
 * Loading takes most of a start, for the control thread as for a worker, so both are loaded at once: what this file imports is little.
 */

const reading = parseSidecarFlags(process.argv.slice(2));
if (!reading.ok) {
  complain([...reading.error, "see --help"]);
  process.exitCode = 2;
} else if (reading.value.type === "print") {
  process.stdout.write(`${printed(reading.value.what)}\n`);
} else if (reading.value.flags.mode === "validate") {
  const { flags } = reading.value;
  const { validateConfig } = await import("./validate.ts");
  const { stdout, stderr, exitCode } = validateConfig(flags, filterFolderOf(flags), process.env);
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = exitCode;
} else {
  const { flags } = reading.value;
  const openThread = startThreads(flags.concurrency);
  const { runProgram } = await import("./program.ts");
  // Standard input, signal handlers and what gRPC keeps would hold the process; all that it owned has been ended.
  process.exit(await runProgram({ flags, filterFolder: filterFolderOf(flags), openThread, env: process.env }));
}

/** Starts the threads of the first workers. What it answers hands them out, and opens others for those that come later. */
function startThreads(concurrency: number): (worker: number) => WorkerThread {
  const entry = new URL(import.meta.resolve("#traffic-worker"));
  const heapMb = workerHeapMb(cgroupMemoryLimit(), concurrency);
  const open = (worker: number): WorkerThread => new WorkerThread(entry, worker, heapMb);
  const started = Array.from({ length: concurrency }, (_, index) => open(index + 1));
  return (worker) => (worker === started[0]?.id ? started.shift()! : open(worker));
}

function printed(what: Extract<FlagsReading, { type: "print" }>["what"]): string {
  switch (what) {
    case "help":
      return sidecarHelp();
    case "version":
      return `\nheddle  version: ${BUILD_VERSION}\n`; // Envoy's form, blank lines included: scripts cut it apart
    case "hot-restart-version":
      return "disabled";
    default:
      throw new Error(`unknown ${what satisfies never as string}`);
  }
}

/** From which relative paths of filters are taken. */
function filterFolderOf({ configPath }: SidecarFlags): string {
  return resolve(configPath === undefined ? "." : dirname(configPath));
}
