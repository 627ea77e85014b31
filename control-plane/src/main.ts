import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { StopReason, systemClock } from "@heddle/base";
import { forbidCoreDumps } from "@heddle/net";
import { MetricsRegistry, programLog, SharedMetrics, unblockStandardStreams } from "@heddle/telemetry";
import { adminUrl } from "./admin/serve-admin.ts";
import { startControlPlane } from "./control-plane.ts";
import { type Flags, HELP, parseFlags } from "./flags.ts";
import { formatHostPort, StartError } from "./serve/address.ts";
import { openStore } from "./store/open-store.ts";
import type { Store } from "./store/store.ts";
import { StoreError } from "./store/store-error.ts";

/* The control plane's program: flags in, exit code out. */

const STDERR = 2;

const reading = parseFlags(process.argv.slice(2));
if (!reading.ok) {
  process.stderr.write(`${reading.error.map((fault) => `heddle control-plane: ${fault}\n`).join("")}see --help\n`);
  process.exitCode = 2;
} else if (reading.value.type === "print") {
  process.stdout.write(`${reading.value.what === "help" ? HELP : version()}\n`);
} else {
  await run(reading.value.flags);
}

async function run(flags: Flags): Promise<void> {
  setLogVerbosity(logVerbosity.NONE); // what gRPC would print comes back to us as errors, and then into our own log
  const clock = systemClock;
  unblockStandardStreams();
  const { log, close: closeLog } = programLog(STDERR, { level: flags.logLevel, format: flags.logFormat, clock });
  if (!(await forbidCoreDumps())) log.debug("core dumps are as the system has them");
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(0, message));

  const stopped = Promise.withResolvers<string>();
  const reasons = StopReason.ofProcess(flags.exitWithParent, clock, stopped.resolve);
  let store: Store | undefined;
  try {
    store = await openStore({ ...flags, place: flags.storePlace, environment: process.env, clock, log });
    const controlPlane = await startControlPlane({
      ...flags,
      ...(store === undefined ? {} : { store }),
      kubernetes: flags.kubernetes && { ...flags.kubernetes, environment: process.env },
      identifier: flags.identifier ?? hostname(),
      hostName: hostname(),
      clock,
      log,
      metrics,
      collectMetrics: () => registry.collect(),
    });
    log.info("control plane is up", {
      xds: formatHostPort(controlPlane.xdsAddress),
      ...(controlPlane.xdsRestAddress !== undefined && { xdsRest: formatHostPort(controlPlane.xdsRestAddress) }),
      ...(controlPlane.xdsTlsAddress !== undefined && {
        xdsTls: formatHostPort(controlPlane.xdsTlsAddress),
        trustDomain: flags.ca?.trustDomain,
      }),
      admin: `${adminUrl(controlPlane.adminAddress)}/status`,
      config: flags.folders,
      ...(flags.kubernetes !== undefined && { kubernetes: flags.kubernetes.kubeconfig?.file ?? "in-cluster" }),
      store: store?.name ?? "none",
      ...(controlPlane.webhookAddress && { webhooks: `https://${formatHostPort(controlPlane.webhookAddress)}` }),
      ...(controlPlane.apiAddress && { api: formatHostPort(controlPlane.apiAddress) }),
    });
    const reason = await stopped.promise;
    log.info("control plane stops", { reason });
    await controlPlane.stop();
  } catch (error) {
    if (!(error instanceof StartError || error instanceof StoreError)) throw error;
    log.error(error.message);
    process.exitCode = 1;
  }
  await store?.close();
  reasons.close();
  closeLog();
  // Standard input and signal handlers would keep the process; everything that it owned has been ended.
  process.exit();
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  return `heddle control-plane ${manifest.version}`;
}
