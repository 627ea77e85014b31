import { type Clock, err, type Inspectable, type Json, ok, type Result, type Timer } from "@heddle/base";
import { type AssembledResource, ConfigAssembler, LaneBook } from "@heddle/config";
import { type Labels, type Log, type LogLevels, MetricsRegistry, SharedMetrics } from "@heddle/telemetry";
import { type AdminAnswer, type AdminPage, AdminServer } from "@heddle/telemetry/admin";
import { type Address, type Demand, defaultTelemetry } from "@heddle/traffic";
import { authorityLookup, type ResourceTypes, type ResourceUpdate } from "@heddle/xds";
import {
  CLIENT_FEATURES,
  ReportClient,
  type ResourceStatus,
  type SidecarReport,
  type XdsChannel,
} from "@heddle/xds/client";
import type { SidecarStart } from "./bootstrap.ts";
import { addressText } from "./control/admin/address-form.ts";
import { CertificatesInUse } from "./control/admin/certificates-in-use.ts";
import { clustersPage } from "./control/admin/cluster-pages.ts";
import { configDumpPage } from "./control/admin/config-dump.ts";
import { lifecyclePages } from "./control/admin/lifecycle-pages.ts";
import { isOpenToOthers, listenAdmin } from "./control/admin/listen-admin.ts";
import { loggingPage } from "./control/admin/logging-page.ts";
import { type MemoryFigures, processPages } from "./control/admin/process-pages.ts";
import { serverGauges } from "./control/admin/server-gauges.ts";
import { type ServerState, serverPages } from "./control/admin/server-pages.ts";
import { statsPages } from "./control/admin/stats-pages.ts";
import { StatsView } from "./control/admin/stats-view.ts";
import { checkExtensionTypes } from "./control/check-extension-types.ts";
import { ConfigStats } from "./control/config-stats.ts";
import { DnsClusters, type Resolve } from "./control/dns-clusters.ts";
import { statsPresentation } from "./control/export/stats-presentation.ts";
import { TelemetryExports, tracingStart } from "./control/export/telemetry-exports.ts";
import { identityGauges } from "./control/identity/identity-gauges.ts";
import type { OwnIdentity } from "./control/identity/own-identity.ts";
import { JwksFetches } from "./control/jwks/jwks-fetches.ts";
import type { PodPorts, PodSubjects } from "./control/pod/pod-ports.ts";
import { sidecarReport } from "./control/report.ts";
import { SecretStats } from "./control/secret-stats.ts";
import { bootstrapSecrets } from "./control/source/bootstrap-secrets.ts";
import { openRuntimeFolders } from "./control/source/open-runtime-folders.ts";
import { openAds, openLoadReports, openSource, type SourceParts } from "./control/source/open-source.ts";
import { ResourceSources } from "./control/source/resource-sources.ts";
import { SecretFiles } from "./control/source/secret-files.ts";
import type { TrafficWorkers } from "./control/traffic-workers.ts";
import type { TracingStart } from "./traffic/http/tracing/tracing-env.ts";
import type { SpanBatch } from "./traffic/worker/span-sender.ts";
import type { JwksQuestion } from "./traffic/worker/worker-remote-keys.ts";
import { BUILD_VERSION, VERSION } from "./version.ts";

/** Between the assembler's word that all is there and the workers' that they serve it. */
const READY_LOOK_MS = 10;

/** What a sidecar is made of; everything that is not in here it makes itself. */
export interface SidecarOptions {
  readonly start: SidecarStart;
  /** The types that read resources: the same that have read the static ones. */
  readonly types: ResourceTypes;
  readonly drainTimeMs: number;
  /** For `/server_info`. */
  readonly commandLine: Json;
  /** Labels that every metric carries where Prometheus reads it. */
  readonly statsTags: Labels;
  readonly clock: Clock;
  readonly log: Log;
  /** Those that `log` heeds, for `/logging`. */
  readonly logLevels: LogLevels;
  /** 0 to below 1. */
  readonly random: () => number;
  readonly resolve: Resolve;
  readonly makeWorkers: (neighbours: WorkerNeighbours) => TrafficWorkers;
  /** Everything serves as configured, for the first time. */
  readonly onReady: () => void;
  /** Somebody asks the sidecar to end (`/quitquitquit`). */
  readonly onQuit: () => void;
  /** Who it is, where anybody tells it. */
  readonly identity?: OwnIdentity | undefined;
  /** Opens the ports that the kubelet and Prometheus ask, where there are any. */
  readonly openPodPorts?: ((subjects: PodSubjects) => Promise<Result<PodPorts, string>>) | undefined;
}

/** What the traffic workers get of the control thread. */
export interface WorkerNeighbours {
  /** Everything, for a worker that begins with nothing. */
  readonly lanes: LaneBook;
  /** Takes the workers' metrics; thread 0 is the control thread. */
  readonly registry: MetricsRegistry;
  readonly metrics: SharedMetrics;
  readonly tracing: TracingStart;
  readonly onSpans: (batches: readonly SpanBatch[]) => void;
  readonly onDemand: (demand: Demand) => void;
  readonly onJwks: (worker: number, question: JwksQuestion) => void;
  readonly onWorkerGone: (worker: number) => void;
}

/** A sidecar that runs. */
export interface Sidecar {
  /** Where admin listens; undefined without one. */
  readonly admin: Address | undefined;
  readonly state: ServerState;
  /** Opens the files of access logs anew. */
  reopenLogs(): void;
  /** Drains and ends everything. A second call drains no longer. */
  stop(drainTimeMs?: number): Promise<void>;
}

/**
 * Joins a sidecar: control plane > assembler > lanes > traffic workers, with DNS beside the assembler and admin looking at
 * all of them. The identity, without which the control plane cannot be dialled, and the control plane, without which there is no
 * identity, know each other here alone. Resolves when everything runs (which is before it is ready), or with the reason why it cannot.
 */
export async function startSidecar(options: SidecarOptions): Promise<Result<Sidecar, string>> {
  const { clock, log, identity } = options;
  const types = checkExtensionTypes(options.types, (name, type) => assembler.refusesExtension(name, type));
  const { bootstrap, warnings } = options.start;
  for (const warning of warnings) log.warn("configuration without effect", { field: warning });

  const startedMs = clock.now();
  const telemetry = bootstrap.telemetry ?? defaultTelemetry;
  const presentation = statsPresentation(telemetry.stats);
  const registry = new MetricsRegistry(presentation.accepts);
  const metrics = new SharedMetrics((message) => registry.receive(0, message));
  const configStats = new ConfigStats(metrics, () => clock.wallNow(), bootstrap.runtimeLayers.length);
  const secretStats = new SecretStats(metrics, () => clock.wallNow());
  const lanes = new LaneBook();
  const workers = options.makeWorkers({
    lanes,
    registry,
    metrics,
    tracing: tracingStart(telemetry, bootstrap.node),
    onSpans: (batches) => exports.receiveSpans(batches),
    onDemand: (demand) => assembler.demand(demand),
    onJwks: (worker, question) => jwks.asked(worker, question),
    onWorkerGone: (worker) => jwks.workerGone(worker),
  });
  const jwks = new JwksFetches({
    clock,
    log: log.with({ part: "jwks" }),
    random: options.random,
    async fetch(source) {
      const { fetchJwks } = await import("./control/jwks/fetch-jwks.ts");
      return fetchJwks(source, { config: () => assembler.current(), clock, random: options.random });
    },
    tell: (worker, news) => workers.tellJwks?.(worker, news),
  });

  // Configuration. They know each other only through these callbacks, and nobody calls before `assembler.start`.
  const { ads, listenerDiscovery, clusterDiscovery, loadReports } = bootstrap.discovery;
  const parts: SourceParts = {
    directory: {
      clusters: bootstrap.clusters,
      secrets: bootstrapSecrets(bootstrap, types.secret, identity),
      wallNow: () => clock.wallNow(),
      identity,
    },
    types,
    node: { ...bootstrap.node, userAgentName: "heddle", userAgentVersion: VERSION, clientFeatures: CLIENT_FEATURES },
    clock,
    log,
    metrics,
    random: options.random,
    onUpdate: receive,
  };
  const client = ads === undefined ? ok(undefined) : openAds(ads, parts, { onStatus, onConnected });
  if (!client.ok) return client;
  const reports = new ReportClient({ report, clock, log: log.with({ part: "report" }) });
  const dns = new DnsClusters({
    ...options,
    onResolved: (config, endpoints) => assembler.resolved(config, endpoints),
    onLookup: (cluster, outcome) => configStats.resolved(cluster, outcome),
  });
  const sources = new ResourceSources({
    ads: client.value,
    open: (kind, origin) => openSource(kind, origin, parts),
    log,
  });
  const secretFiles = new SecretFiles({
    type: types.secret,
    clock,
    log,
    onUpdate: receive,
    onFailed: (name) => secretStats.rotationFailed(name),
  });
  const assembler = new ConfigAssembler({
    clock,
    staticListeners: bootstrap.listeners,
    staticClusters: bootstrap.clusters,
    staticSecrets: bootstrap.secrets,
    listenerDiscovery,
    clusterDiscovery,
    runtimeLayers: bootstrap.runtimeLayers,
    authorityOf: authorityLookup(bootstrap.discovery),
    subscriber: sources,
    onDnsClusters: (clusters) => dns.update(clusters),
    onConfig(delta) {
      configStats.applied(delta);
      if (secretStats.applied(delta, () => assembler.current())) secretFiles.follow(assembler.resources());
      const update = lanes.apply(delta);
      if (update !== undefined) workers.apply(update);
      reports.changed();
    },
    onDemandsAnswered: (demands) => workers.answerDemands(demands, lanes.generation),
    onReady() {
      readyGeneration = lanes.generation;
      lookWhetherReady();
    },
  });

  const loads =
    loadReports === undefined
      ? ok(undefined)
      : openLoadReports(loadReports, parts, { workers, config: () => assembler.current() });
  if (!loads.ok) return loads;

  const certificates = new CertificatesInUse(
    () => assembler.current(),
    () => clock.wallNow(),
  );
  const gauges = serverGauges(metrics, {
    clock,
    state: () => state(),
    version: VERSION,
    concurrency: () => workers.running,
    connections: () => registry.sum("listener.downstream_cx_active"),
    daysUntilFirstCertExpires: () => certificates.daysUntilFirstExpires(),
  });
  const lookAtIdentity = identity && identityGauges(metrics, identity, clock);
  const lookAtGauges = function* (): Generator<undefined, void> {
    gauges();
    lookAtIdentity?.();
    yield;
    yield* configStats.look(assembler.current(), assembler.resources(), (name) => workers.breakerCounts?.(name) ?? []);
  };
  const exports = new TelemetryExports({
    telemetry,
    presentation,
    node: bootstrap.node,
    version: VERSION,
    clock,
    log,
    metrics,
    config: () => assembler.current(),
    *walk() {
      yield* lookAtGauges();
      yield* registry.walk("name");
    },
  });

  /** What the workers have to serve for the sidecar to be ready. */
  let readyGeneration = Number.POSITIVE_INFINITY;
  let workersRun = false;
  let stopping: Promise<void> | undefined;
  const state = (): ServerState => {
    if (stopping !== undefined) return "DRAINING";
    if (!workersRun) return "PRE_INITIALIZING";
    if (workers.acknowledged < readyGeneration) return "INITIALIZING";
    return workers.healthCheckFailed ? "DRAINING" : "LIVE"; // as Envoy says it after /healthcheck/fail
  };

  let nextLook: Timer | undefined;
  const lookWhetherReady = (): void => {
    if (state().endsWith("INITIALIZING")) nextLook = clock.after(READY_LOOK_MS, lookWhetherReady, true);
    if (state() !== "LIVE") return;
    log.info("ready", { afterMs: Math.round(clock.now() - startedMs), listeners: workers.listeners.length });
    reports.changed();
    options.onReady();
  };

  const stats = statsPages(new StatsView(registry, lookAtGauges), { ...presentation, tags: options.statsTags });
  const admin = new AdminServer(adminPages(), log);
  const listening = bootstrap.admin === undefined ? ok(undefined) : await listenAdmin(admin, bootstrap.admin);
  if (!listening.ok) return err(listening.error);
  if (listening.value !== undefined) {
    log.info("admin is up", { address: addressText(listening.value) });
    if (isOpenToOthers(listening.value))
      log.warn("admin is not on loopback: whoever reaches it can read the configuration and end the sidecar");
  }

  const ports = await options.openPodPorts?.({ state, log, prometheus: () => prometheusPage(stats) });
  if (ports?.ok === false) {
    await admin.close();
    return ports;
  }

  const runtimeFolders = await openRuntimeFolders(bootstrap.runtimeLayers, bootstrap.node.cluster, {
    clock,
    log,
    onValues: (layer, values) => assembler.runtimeOnDisk(layer, values),
    onFailed: () => configStats.runtimeFailed(),
  });

  const stop = async (drainTimeMs = options.drainTimeMs): Promise<void> => {
    nextLook?.cancel();
    reports.close();
    identity?.close();
    loads.value?.close();
    client.value?.close();
    sources.close();
    secretFiles.close();
    runtimeFolders.close();
    assembler.close();
    dns.close();
    jwks.close();
    await workers.stop(drainTimeMs);
    await exports.close();
    await ports?.value.close();
    await admin.close();
  };

  const started = workers.start();
  assembler.start(); // meanwhile: what it finds is there when the workers are
  identity?.start({
    onSecret: (secret, version) => assembler.ownSecret(secret, version),
    onWithdrawn: (name) => assembler.withdrawSecret(name),
    onRenewed: () => {
      if (client.ok) client.value?.redial();
      reports.changed();
    },
  });
  try {
    await started;
    workersRun = true;
    loads.value?.start();
  } catch (error) {
    await stop(0);
    return err(`the traffic workers cannot start: ${error instanceof Error ? error.message : String(error)}`);
  }
  return ok({
    admin: listening.value,
    get state() {
      return state();
    },
    reopenLogs: () => workers.reopenLogs(),
    async stop(drainTimeMs) {
      if (stopping !== undefined) void workers.stop(0); // asked twice: no more patience
      stopping ??= stop(drainTimeMs);
      await stopping;
    },
  });

  function onStatus(): void {
    reports.changed();
  }

  function onConnected(channel: XdsChannel): void {
    reports.attach(channel);
    identity?.connected(channel);
  }

  function receive(update: ResourceUpdate): void {
    configStats.received(update);
    secretStats.received(update);
    assembler.update(update);
  }

  function report(): SidecarReport {
    return sidecarReport({
      node: bootstrap.node,
      version: VERSION,
      wallNowMs: clock.wallNow(),
      uptimeMs: clock.now() - startedMs,
      statuses: statuses(),
      resources: assembler.resources(),
      registry,
      identity,
      health: {
        ready: state() === "LIVE",
        workers: workers.running,
        workerRestarts: workers.restarts,
        residentBytes: process.memoryUsage.rss(),
      },
    });
  }

  function statuses(): readonly ResourceStatus[] {
    return [...(client.ok ? (client.value?.statuses() ?? []) : []), ...sources.statuses()];
  }

  function adminPages(): AdminPage[] {
    const resources = (): readonly AssembledResource[] => assembler.resources();
    const { logLevels } = options;
    const parts: Inspectable[] = [workers, dns, sources, jwks];
    if (client.ok && client.value !== undefined) parts.push(client.value);
    if (identity !== undefined) parts.push(identity);
    return [
      ...serverPages({
        version: BUILD_VERSION,
        node: bootstrap.node,
        commandLine: options.commandLine,
        clock,
        state,
        listeners: () => workers.listeners,
        parts,
      }),
      ...lifecyclePages({
        quit: options.onQuit,
        failHealthChecks: (failing) => workers.setHealthCheckFailed(failing),
        drainListeners: (drain) => workers.drainListeners(drain),
        reopenLogs: () => workers.reopenLogs(),
      }),
      loggingPage(logLevels, () => workers.setLogLevel(logLevels.levelOf("traffic"))),
      ...processPages({
        memory: memoryFigures,
        resources,
        runtimeLayers: () => assembler.runtimeLayers(),
        modifyRuntime: (changes) => assembler.modifyRuntime(changes),
      }),
      certificates.page(),
      configDumpPage({
        bootstrap,
        startedWallMs: clock.wallNow(),
        resources,
        current: () => assembler.current(),
        statuses,
        typeOf: (kind) => types[kind as keyof typeof types] as never,
      }),
      clustersPage(() => assembler.current(), resources, workers),
      ...stats,
    ];
  }
}

/** What admin shows a scraper. */
function prometheusPage(stats: readonly AdminPage[]): AdminAnswer | Promise<AdminAnswer> {
  const page = stats.find(({ path }) => path === "/stats/prometheus");
  if (page === undefined) throw new Error("admin has no page for Prometheus");
  return page.answer(new URLSearchParams());
}

function memoryFigures(): MemoryFigures {
  const { heapUsed, heapTotal, external, rss } = process.memoryUsage();
  return { usedBytes: heapUsed + external, heapBytes: heapTotal + external, residentBytes: rss };
}
