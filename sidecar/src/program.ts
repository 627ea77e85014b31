import { openSync, writeFileSync } from "node:fs";
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { StopReason, systemClock } from "@heddle/base";
import { forbidCoreDumps, knowsOriginalDestination, memoryReleaser, NameResolver, socketOpener } from "@heddle/net";
import { LogLevels, programLog, unblockStandardStreams } from "@heddle/telemetry";
import { systemDataReader } from "@heddle/xds";
import { sidecarBootstrap } from "./bootstrap.ts";
import { notDisabled, sidecarResourceTypes } from "./check.ts";
import { commandLineOptions } from "./command-line-options.ts";
import { complain } from "./complain.ts";
import { addressText } from "./control/admin/address-form.ts";
import { OWN_SECRETS, type OwnIdentity } from "./control/identity/own-identity.ts";
import { MemoryRelease } from "./control/memory-release.ts";
import { runtimeLimits } from "./control/overload/runtime-limits.ts";
import { WorkerSupervisor, type WorkerSupervisorOptions } from "./control/workers/worker-supervisor.ts";
import type { SidecarFlags } from "./flags.ts";
import { identitySettings } from "./identity-settings.ts";
import { podIps } from "./pod-environment.ts";
import { type SidecarOptions, startSidecar } from "./sidecar.ts";

/** Of the process; Envoy has no limit by default, and then ends by running out of descriptors. */
const MAX_DOWNSTREAM_CONNECTIONS = 50_000;
const STDERR = 2;

/** For a start that is under way when it is told to stop. A thread that hangs while it loads would otherwise have signals mean nothing. */
const START_ENDS_WITHIN_MS = 5000;

/** What the program's entry has done before this was loaded. */
export interface ProgramStart {
  readonly flags: SidecarFlags;
  /** From which relative paths of filters are taken. */
  readonly filterFolder: string;
  readonly openThread: WorkerSupervisorOptions["openThread"];
  /** Of the process. */
  readonly env: NodeJS.ProcessEnv;
}

/** Runs the sidecar until it is told to stop. Resolves with the exit code. 2: the bootstrap is wrong; 1: it cannot start. */
export async function runProgram({ flags, filterFolder, openThread, env }: ProgramStart): Promise<number> {
  setLogVerbosity(logVerbosity.NONE); // what gRPC would print comes back to us as errors, and then into our own log
  const clock = systemClock;
  const random = Math.random;
  const { logFormat, drainTimeMs, drain, concurrency } = flags;
  unblockStandardStreams();
  let logDescriptor = STDERR;
  try {
    if (flags.logPath !== undefined) logDescriptor = openSync(flags.logPath, "a");
  } catch (error) {
    complain([`--log-path: ${(error as Error).message}`]);
    return 1;
  }
  const logLevels = new LogLevels(flags.logLevel);
  for (const [logger, level] of flags.componentLevels) logLevels.set(logger, level);
  const programsLog = programLog(logDescriptor, { level: logLevels, format: logFormat, clock });
  const { log, close: closeLog } = programsLog;

  if (!(await forbidCoreDumps())) log.debug("core dumps are as the system has them");
  const data = systemDataReader(env);
  const types = sidecarResourceTypes(filterFolder, flags.disabledExtensions, data, !(await knowsOriginalDestination()));
  const hasBootstrap = flags.configPath !== undefined || flags.configYaml !== undefined;
  const settings = identitySettings(flags.identity, env, hasBootstrap);
  if (!settings.ok) {
    complain(settings.error);
    return 2;
  }
  if (settings.value !== undefined) types.secret.setOwn(OWN_SECRETS);
  const controlPlane = env["HEDDLE_CONTROL_PLANE"];
  const start = sidecarBootstrap(flags, controlPlane, types, env, settings.value !== undefined);
  if (!start.ok) {
    complain(start.error);
    return 2;
  }
  for (const note of flags.withoutEffect) log.warn("a flag without effect", { note });
  for (const name of notDisabled(flags.disabledExtensions))
    log.warn("a flag without effect", { note: `--disable-extensions: ${name} is no HTTP filter of this sidecar` });

  let identity: OwnIdentity | undefined;
  if (settings.value !== undefined) {
    const server = start.value.bootstrap.discovery.ads?.servers[0];
    // Loaded where it is configured: it costs memory and start-up time.
    const { openIdentity } = await import("./control/identity/open-identity.ts");
    const opened = await openIdentity({
      settings: settings.value,
      controlPlane: server?.byIdentity === true && server.target.type === "address" ? server.target.address : undefined,
      secretType: types.secret,
      clock,
      log: log.with({ part: "identity" }),
      random,
    });
    if (!opened.ok) {
      complain([opened.error]);
      return 1;
    }
    identity = opened.value;
  }

  const stop = Promise.withResolvers<string>();
  const giveUp = Promise.withResolvers<undefined>();
  let askedToStop = (reason: string): void => {
    stop.resolve(reason);
    askedToStop = () => giveUp.resolve(undefined);
  };
  void stop.promise.then(() => clock.after(START_ENDS_WITHIN_MS, () => giveUp.resolve(undefined), true));
  const reasons = StopReason.ofProcess(flags.exitWithParent, clock, (reason) => askedToStop(reason));

  const { overload, watchdog, runtimeLayers } = start.value.bootstrap;
  const limits = runtimeLimits(runtimeLayers);
  const resolver = new NameResolver();
  const opener = await socketOpener();
  const starting = startSidecar({
    start: start.value,
    types,
    drainTimeMs,
    commandLine: commandLineOptions(flags),
    statsTags: flags.statsTags,
    clock,
    log,
    logLevels,
    random,
    resolve: (name, family) => resolver.resolve(name, family),
    makeWorkers: ({ lanes, registry, metrics, tracing, onSpans, onDemand, onJwks, onWorkerGone }) => {
      programsLog.countIn(metrics.counter("log.dropped"));
      return new WorkerSupervisor({
        openThread,
        concurrency,
        opener,
        clock,
        log,
        logLevel: logLevels.levelOf("traffic"),
        logFormat,
        logDescriptor,
        metrics,
        registry,
        lanes,
        tracing,
        onSpans,
        onDemand,
        onJwks,
        onWorkerGone,
        filterFolder,
        accessLogFlush: flags.accessLogFlush,
        drain,
        maxDownstreamConnections: limits.connections ?? MAX_DOWNSTREAM_CONNECTIONS,
        listenerLimits: limits.listeners,
        ...(overload && { overload }),
        ...(watchdog && { watchdog }),
        random,
      });
    },
    onReady: () => {
      if (flags.mode === "init_only") stop.resolve("--mode init_only");
    },
    onQuit: () => stop.resolve("/quitquitquit"),
    identity,
    openPodPorts: podPortsOpener(flags, env),
  });
  const sidecar = await Promise.race([starting, giveUp.promise]);
  if (sidecar === undefined) {
    log.error("a start that does not end is given up", { reason: await stop.promise });
    reasons.close();
    return 1;
  }
  if (!sidecar.ok) {
    log.error(sidecar.error);
    reasons.close();
    return 1;
  }
  if (flags.adminAddressPath !== undefined && sidecar.value.admin !== undefined) {
    try {
      writeFileSync(flags.adminAddressPath, addressText(sidecar.value.admin));
    } catch (error) {
      log.error("the address of admin cannot be written", { path: flags.adminAddressPath, error });
    }
  }

  const release = await memoryReleaser();
  const memory = release && new MemoryRelease(clock, { residentBytes: () => process.memoryUsage.rss(), release });
  process.on("SIGUSR1", () => sidecar.value.reopenLogs()); // Envoy's signal; Node's debugger would take it otherwise
  log.info("stopping", { reason: await stop.promise, drainTimeMs });
  askedToStop = () => void sidecar.value.stop(0); // asked twice: no more patience
  await sidecar.value.stop();
  memory?.stop();
  reasons.close();
  closeLog();
  return 0;
}

/** Loaded where it is configured, in a pod. */
function podPortsOpener(
  { healthAddress, metricsAddress }: SidecarFlags,
  env: NodeJS.ProcessEnv,
): SidecarOptions["openPodPorts"] {
  if (healthAddress === undefined && metricsAddress === undefined) return undefined;
  return async (subjects) => {
    const { openPodPorts } = await import("./control/pod/pod-ports.ts");
    const { HEDDLE_APP_PROBES: probes, HEDDLE_CAPTURE: capture = "none" } = env;
    const podIp = podIps(env)[0] ?? "127.0.0.1";
    const isCaptured = capture !== "none" && capture !== "";
    return openPodPorts({ health: healthAddress, metrics: metricsAddress, probes, podIp, isCaptured }, subjects);
  };
}
