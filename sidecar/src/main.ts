import { dirname, resolve } from "node:path";
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { StopReason, systemClock } from "@heddle/base";
import { NameResolver, socketOpener } from "@heddle/net";
import { programLog, unblockStandardStreams } from "@heddle/telemetry";
import { httpFilterRegistry, makeResourceTypes } from "@heddle/xds";
import { sidecarBootstrap } from "./bootstrap.ts";
import { WorkerSupervisor } from "./control/workers/worker-supervisor.ts";
import { parseSidecarFlags, type SidecarFlags, sidecarHelp } from "./flags.ts";
import { startSidecar } from "./sidecar.ts";
import { builtInFilters } from "./traffic/filter/built-in-filters.ts";
import { FilterModules } from "./traffic/filter/filter-modules.ts";
import { VERSION } from "./version.ts";

/* The sidecar's program: flags and environment in, exit code out. 2: the command line or the bootstrap is wrong; 1: it cannot start. */

/** Of the process; Envoy has no limit by default, and then ends by running out of descriptors. */
const MAX_DOWNSTREAM_CONNECTIONS = 50_000;
const STDERR = 2;

const reading = parseSidecarFlags(process.argv.slice(2));
if (!reading.ok) {
  complain([...reading.error, "see --help"]);
  process.exitCode = 2;
} else if (reading.value.type === "print") {
  process.stdout.write(`${reading.value.what === "help" ? sidecarHelp() : `heddle sidecar ${VERSION}`}\n`);
} else {
  // Standard input, signal handlers and what gRPC keeps would hold the process; all that it owned has been ended.
  process.exit(await run(reading.value.flags));
}

async function run(flags: SidecarFlags): Promise<number> {
  setLogVerbosity(logVerbosity.NONE); // what gRPC would print comes back to us as errors, and then into our own log
  const clock = systemClock;
  const random = Math.random;
  const { logLevel, logFormat, drainTimeMs, drain, concurrency } = flags;
  unblockStandardStreams();
  const { log, close: closeLog } = programLog(STDERR, { level: logLevel, format: logFormat, clock });

  const filterFolder = resolve(flags.config?.type === "file" ? dirname(flags.config.path) : ".");
  const modules = new FilterModules(filterFolder, { loadOnParse: true });
  const types = makeResourceTypes({ httpFilters: httpFilterRegistry(builtInFilters(modules)) });
  const start = sidecarBootstrap(flags, process.env["HEDDLE_CONTROL_PLANE"], types, process.env);
  if (!start.ok) {
    complain(start.error);
    return 2;
  }

  const stop = Promise.withResolvers<string>();
  let askedToStop = (reason: string): void => stop.resolve(reason);
  const reasons = StopReason.ofProcess(flags.exitWithParent, clock, (reason) => askedToStop(reason));

  const resolver = new NameResolver();
  const opener = await socketOpener();
  const sidecar = await startSidecar({
    start: start.value,
    types,
    drainTimeMs,
    commandLine: { concurrency, log_level: logLevel, drain_time: `${drainTimeMs / 1000}s` },
    clock,
    log,
    random,
    resolve: (name, family) => resolver.resolve(name, family),
    makeWorkers: ({ lanes, registry, metrics, tracing, onSpans }) =>
      new WorkerSupervisor({
        entry: new URL(import.meta.resolve("#traffic-worker")),
        concurrency,
        opener,
        clock,
        log,
        logLevel,
        logFormat,
        metrics,
        registry,
        lanes,
        tracing,
        onSpans,
        filterFolder,
        accessLogFlush: flags.accessLogFlush,
        drain,
        maxDownstreamConnections: MAX_DOWNSTREAM_CONNECTIONS,
        random,
      }),
    onQuit: () => stop.resolve("/quitquitquit"),
  });
  if (!sidecar.ok) {
    log.error(sidecar.error);
    reasons.close();
    return 1;
  }

  process.on("SIGUSR1", () => sidecar.value.reopenLogs()); // Envoy's signal; Node's debugger would take it otherwise
  log.info("stopping", { reason: await stop.promise, drainTimeMs });
  askedToStop = () => void sidecar.value.stop(0); // asked twice: no more patience
  await sidecar.value.stop();
  reasons.close();
  closeLog();
  return 0;
}

function complain(faults: readonly string[]): void {
  process.stderr.write(faults.map((fault) => `heddle sidecar: ${fault}\n`).join(""));
}
