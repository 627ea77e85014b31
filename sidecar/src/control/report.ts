import type { AssembledResource, NodeIdentity } from "@heddle/config";
import type { MetricsRegistry } from "@heddle/telemetry";
import type {
  ReportedIdentity,
  ResourceReport,
  ResourceStatus,
  SidecarHealth,
  SidecarReport,
} from "@heddle/xds/client";
import type { OwnIdentity } from "./identity/own-identity.ts";

/** What a report tells of. */
export interface ReportSubjects {
  readonly node: NodeIdentity;
  readonly version: string;
  readonly wallNowMs: number;
  readonly uptimeMs: number;
  readonly statuses: readonly ResourceStatus[];
  readonly resources: readonly AssembledResource[];
  readonly registry: MetricsRegistry;
  readonly identity: OwnIdentity | undefined;
  readonly health: Pick<SidecarHealth, "ready" | "workers" | "workerRestarts" | "residentBytes">;
}

/** What this sidecar holds and refuses, and how it fares, for its control plane and for `heddle status`. */
export function sidecarReport(subjects: ReportSubjects): SidecarReport {
  return {
    nodeId: subjects.node.id,
    nodeCluster: subjects.node.cluster,
    timeMs: subjects.wallNowMs,
    version: subjects.version,
    uptimeMs: subjects.uptimeMs,
    resources: resourceReports(subjects.statuses, subjects.resources),
    health: { ...subjects.health, ...trafficFigures(subjects.registry) },
    identity: subjects.identity && reportedIdentity(subjects.identity),
  };
}

function reportedIdentity({ current: { svid }, state }: OwnIdentity): ReportedIdentity {
  return { spiffeId: svid?.id ?? "", expiresMs: svid?.validToMs, state: state.state, lastError: state.lastError };
}

/**
 * What became of everything that the control plane was asked for, ordered by type and name: what the client accepted or
 * refused, and, of what it accepted, what the assembler still keeps back.
 */
export function resourceReports(
  statuses: readonly ResourceStatus[],
  resources: readonly AssembledResource[],
): readonly ResourceReport[] {
  const warming = new Map<string, AssembledResource>();
  for (const resource of resources)
    if (resource.source === "dynamic" && resource.warming !== undefined)
      warming.set(`${resource.kind}/${resource.name}`, resource);
  return statuses
    .map((status) => toReport(status, warming.get(`${status.kind}/${status.name}`)))
    .toSorted((a, b) => compare(a.typeUrl, b.typeUrl) || compare(a.name, b.name));
}

function toReport(status: ResourceStatus, warming: AssembledResource | undefined): ResourceReport {
  const { typeUrl, name, errors, rejectedVersion, unhonoured, updatedAtMs } = status;
  // A refused version is the more important news; the version before it may be warming all the same.
  const isWarming = warming !== undefined && status.state === "SYNCED";
  return {
    typeUrl,
    name,
    version: warming === undefined ? status.version : (warming.active?.version ?? ""),
    state: isWarming ? "WARMING" : status.state,
    errors,
    rejectedVersion,
    unhonoured,
    waitsFor: warming?.waitingFor ?? [],
    updatedAtMs,
  };
}

/** Which series make up which figure, whatever their labels. */
const FIGURES = {
  downstreamConnections: "http.downstream_cx_active",
  upstreamConnections: "cluster.upstream_cx_active",
  requests: "http.downstream_rq_total",
  requests5xx: "http.downstream_rq_5xx",
} as const satisfies { readonly [figure in keyof SidecarHealth]?: string };

function trafficFigures(registry: MetricsRegistry): { [figure in keyof typeof FIGURES]: number } {
  return {
    downstreamConnections: registry.sum(FIGURES.downstreamConnections),
    upstreamConnections: registry.sum(FIGURES.upstreamConnections),
    requests: registry.sum(FIGURES.requests),
    requests5xx: registry.sum(FIGURES.requests5xx),
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
