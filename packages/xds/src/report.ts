import type { Result } from "@heddle/base";
import {
  decodeMessage,
  durationFromMs,
  durationToMs,
  encodeMessage,
  fieldOf,
  type Message,
  timestampFromMs,
  timestampToMs,
  toNumber,
} from "@heddle/proto";

/*
 * What a sidecar tells its control plane about itself (proto/heddle/report/v1/report.proto), as plain objects, and as bytes.
 * Times are wall clock in milliseconds.
 */

export interface SidecarReport {
  /** `node.id` of its xDS streams. */
  readonly nodeId: string;
  /** `node.cluster`: the workload. */
  readonly nodeCluster: string;
  readonly timeMs: number;
  readonly version: string;
  readonly uptimeMs: number;
  readonly resources: readonly ResourceReport[];
  readonly health: SidecarHealth;
}

/** One resource as it stands in one sidecar. */
export interface ResourceReport {
  readonly typeUrl: string;
  readonly name: string;
  /** In force; empty if none is. */
  readonly version: string;
  readonly state: ReportedState;
  /** Why the last version was refused: every reason. */
  readonly errors: readonly string[];
  readonly rejectedVersion: string;
  readonly unhonoured: readonly { readonly path: string; readonly note: string }[];
  /** "<kind>/<name>" of what is missing for it to be used. */
  readonly waitsFor: readonly string[];
  readonly updatedAtMs: number | undefined;
}

export type ReportedState = "UNSPECIFIED" | "REQUESTED" | "SYNCED" | "NACKED" | "DOES_NOT_EXIST" | "WARMING";

/** How a sidecar fares: the whole process. */
export interface SidecarHealth {
  readonly ready: boolean;
  readonly workers: number;
  /** Open now. */
  readonly downstreamConnections: number;
  readonly upstreamConnections: number;
  /** Since the process began. */
  readonly requests: number;
  readonly requests5xx: number;
  readonly workerRestarts: number;
  readonly residentBytes: number;
}

export const REPORT_PATH = "/heddle.report.v1.SidecarReportService/StreamReports";

const REPORT = "heddle.report.v1.SidecarReport";
const RESPONSE = "heddle.report.v1.SidecarReportResponse";

/** In the order of the enum's numbers. */
const STATES: readonly ReportedState[] = ["UNSPECIFIED", "REQUESTED", "SYNCED", "NACKED", "DOES_NOT_EXIST", "WARMING"];

export function encodeSidecarReport(report: SidecarReport): Uint8Array {
  const { health } = report;
  return encodeMessage(REPORT, {
    node_id: report.nodeId,
    node_cluster: report.nodeCluster,
    time: timestampFromMs(report.timeMs),
    version: report.version,
    uptime: durationFromMs(report.uptimeMs),
    resources: report.resources.map(resourceMessage),
    health: {
      ready: health.ready,
      workers: health.workers,
      downstream_connections: health.downstreamConnections,
      upstream_connections: health.upstreamConnections,
      requests: health.requests,
      requests_5xx: health.requests5xx,
      worker_restarts: health.workerRestarts,
      resident_bytes: health.residentBytes,
    },
  });
}

export function decodeSidecarReport(bytes: Uint8Array): Result<SidecarReport, string> {
  const decoded = decodeMessage(REPORT, bytes);
  if (!decoded.ok) return decoded;
  const message = decoded.value;
  const health = child(message, "health");
  return {
    ok: true,
    value: {
      nodeId: text(message, "node_id"),
      nodeCluster: text(message, "node_cluster"),
      timeMs: timestampToMs(child(message, "time")),
      version: text(message, "version"),
      uptimeMs: durationToMs(child(message, "uptime")),
      resources: children(message, "resources").map(resourceFrom),
      health: {
        ready: fieldOf(health, "ready") === true,
        workers: number(health, "workers"),
        downstreamConnections: number(health, "downstream_connections"),
        upstreamConnections: number(health, "upstream_connections"),
        requests: number(health, "requests"),
        requests5xx: number(health, "requests_5xx"),
        workerRestarts: number(health, "worker_restarts"),
        residentBytes: number(health, "resident_bytes"),
      },
    },
  };
}

/** `reportIntervalMs`: how often to report when nothing changes. */
export function encodeReportResponse(reportIntervalMs: number): Uint8Array {
  return encodeMessage(RESPONSE, { report_interval: durationFromMs(reportIntervalMs) });
}

/** The interval in milliseconds; undefined when the server leaves it open, or sent something else. */
export function decodeReportInterval(bytes: Uint8Array): number | undefined {
  const decoded = decodeMessage(RESPONSE, bytes);
  const interval = decoded.ok ? durationToMs(child(decoded.value, "report_interval")) : 0;
  return interval > 0 ? interval : undefined;
}

function resourceMessage(resource: ResourceReport): Message {
  return {
    type_url: resource.typeUrl,
    name: resource.name,
    version: resource.version,
    state: STATES.indexOf(resource.state),
    errors: resource.errors,
    rejected_version: resource.rejectedVersion,
    unhonoured: resource.unhonoured.map(({ path, note }) => ({ path, note })),
    waits_for: resource.waitsFor,
    ...(resource.updatedAtMs !== undefined && { last_updated: timestampFromMs(resource.updatedAtMs) }),
  };
}

function resourceFrom(message: Message): ResourceReport {
  const updated = fieldOf(message, "last_updated") as Message | undefined;
  return {
    typeUrl: text(message, "type_url"),
    name: text(message, "name"),
    version: text(message, "version"),
    // A state that is newer than this server is shown as unspecified.
    state: STATES[number(message, "state")] ?? "UNSPECIFIED",
    errors: texts(message, "errors"),
    rejectedVersion: text(message, "rejected_version"),
    unhonoured: children(message, "unhonoured").map((field) => ({
      path: text(field, "path"),
      note: text(field, "note"),
    })),
    waitsFor: texts(message, "waits_for"),
    updatedAtMs: updated && timestampToMs(updated),
  };
}

function text(message: Message, name: string): string {
  return (fieldOf(message, name) ?? "") as string;
}

function texts(message: Message, name: string): readonly string[] {
  return (fieldOf(message, name) ?? []) as readonly string[];
}

function number(message: Message, name: string): number {
  return toNumber(fieldOf(message, name) ?? 0);
}

function child(message: Message, name: string): Message {
  return (fieldOf(message, name) ?? {}) as Message;
}

function children(message: Message, name: string): readonly Message[] {
  return (fieldOf(message, name) ?? []) as readonly Message[];
}
