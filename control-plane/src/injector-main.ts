import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { type Clock, StopReason, systemClock } from "@heddle/base";
import { forbidCoreDumps } from "@heddle/net";
import { MetricsRegistry, programLog, SharedMetrics, unblockStandardStreams } from "@heddle/telemetry";
import { type InjectorOptions, startInjector } from "./injector.ts";
import { INJECTOR_HELP, type InjectorFlags, parseInjectorFlags } from "./injector-flags.ts";
import { SYSTEM_NAMESPACE } from "./kubernetes/kubernetes-options.ts";
import { formatHostPort, StartError } from "./serve/address.ts";

/* The injector's program: flags in, exit code out. */

const STDERR = 2;
/** Between being told to stop and no longer listening: by then Kubernetes sends nobody here any more. */
const DRAIN_MS = 3000;

const reading = parseInjectorFlags(process.argv.slice(2));
if (!reading.ok) {
  process.stderr.write(`${reading.error.map((fault) => `heddle injector: ${fault}\n`).join("")}see --help\n`);
  process.exitCode = 2;
} else if (reading.value.type === "print") {
  process.stdout.write(`${reading.value.what === "help" ? INJECTOR_HELP : version()}\n`);
} else {
  await run(reading.value.flags);
}

async function run(flags: InjectorFlags): Promise<void> {
  setLogVerbosity(logVerbosity.NONE); // what gRPC would print comes back to us as errors, and then into our own log
  const clock = systemClock;
  unblockStandardStreams();
  const { log, close: closeLog } = programLog(STDERR, { level: flags.logLevel, format: flags.logFormat, clock });
  if (!(await forbidCoreDumps())) log.debug("core dumps are as the system has them");
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(0, message));

  const stopped = Promise.withResolvers<string>();
  const again = Promise.withResolvers<void>();
  let isStopping = false;
  const reasons = StopReason.ofProcess(flags.exitWithParent, clock, (reason) => {
    if (isStopping) again.resolve();
    isStopping = true;
    stopped.resolve(reason);
  });
  try {
    const injector = await startInjector({
      ...flags,
      kubernetes: await accessOf(flags, clock),
      identifier: hostname(),
      clock,
      log,
      metrics,
      collectMetrics: () => registry.collect(),
    });
    log.info("injector is up", {
      webhooks: `https://${formatHostPort(injector.webhookAddress)}`,
      metrics: `http://${formatHostPort(injector.adminAddress)}/metrics`,
    });
    const reason = await stopped.promise;
    log.info("injector stops", { reason });
    injector.drain();
    clock.after(flags.exitWithParent ? 0 : DRAIN_MS, again.resolve);
    await again.promise;
    await injector.stop();
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    log.error(error.message);
    process.exitCode = 1;
  }
  reasons.close();
  closeLog();
  // Standard input and signal handlers would keep the process; everything that it owned has been ended.
  process.exit();
}

/** Loaded where there is a cluster. Rejects with a `StartError` where nobody says how to get to it. */
async function accessOf({ kubernetes }: InjectorFlags, clock: Clock): Promise<InjectorOptions["kubernetes"]> {
  if (kubernetes === undefined) return undefined;
  if (kubernetes.type === "in-cluster") {
    const { inClusterAccess } = await import("./kubernetes/in-cluster.ts");
    const access = await inClusterAccess({ environment: process.env, clock });
    return { access, namespace: access.namespace };
  }
  const { kubeconfigAccess } = await import("./kubernetes/kubeconfig.ts");
  return { access: await kubeconfigAccess({ ...kubernetes, clock }), namespace: SYSTEM_NAMESPACE };
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  return `heddle injector ${manifest.version}`;
}
