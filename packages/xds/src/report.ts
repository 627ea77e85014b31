import type { Result } from "@heddle/base";
import {
  decodeMessage,
  durationFromMs,
  durationToMs,
  encodeMessage,
  flagOf,
  type Message,
  messageOf,
  messagesOf,
  numberOf,
  textOf,
  textsOf,
  timestampFromMs,
  timestampToMs,
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
  /** Undefined: it has none. What it says of itself: nobody decides by it. */
  readonly identity?: ReportedIdentity | undefined;
}

export interface ReportedIdentity {
  /** "": none yet, or it has expired. */
  readonly spiffeId: string;
  readonly expiresMs: number | undefined;
  /** "none", "valid", "renewing" or "expired". */
  readonly state: string;
  readonly lastError: string;
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
    ...(report.identity && { identity: identityMessage(report.identity) }),
  });
}

export function decodeSidecarReport(bytes: Uint8Array): Result<SidecarReport, string> {
  const decoded = decodeMessage(REPORT, bytes);
  if (!decoded.ok) return decoded;
  const message = decoded.value;
  const health = messageOf(message, "health") ?? {};
  const identity = messageOf(message, "identity");
  return {
    ok: true,
    value: {
      nodeId: textOf(message, "node_id"),
      nodeCluster: textOf(message, "node_cluster"),
      timeMs: timestampToMs(messageOf(message, "time") ?? {}),
      version: textOf(message, "version"),
      uptimeMs: durationToMs(messageOf(message, "uptime") ?? {}),
      resources: messagesOf(message, "resources").map(resourceFrom),
      health: {
        ready: flagOf(health, "ready"),
        workers: numberOf(health, "workers"),
        downstreamConnections: numberOf(health, "downstream_connections"),
        upstreamConnections: numberOf(health, "upstream_connections"),
        requests: numberOf(health, "requests"),
        requests5xx: numberOf(health, "requests_5xx"),
        workerRestarts: numberOf(health, "worker_restarts"),
        residentBytes: numberOf(health, "resident_bytes"),
      },
      ...(identity && { identity: identityFrom(identity) }),
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
  const interval = decoded.ok ? durationToMs(messageOf(decoded.value, "report_interval") ?? {}) : 0;
  return interval > 0 ? interval : undefined;
}

function identityMessage({ spiffeId, expiresMs, state, lastError }: ReportedIdentity): Message {
  const expires = expiresMs === undefined ? {} : { expires: timestampFromMs(expiresMs) };
  return { spiffe_id: spiffeId, state, last_error: lastError, ...expires };
}

function identityFrom(message: Message): ReportedIdentity {
  const expires = messageOf(message, "expires");
  return {
    spiffeId: textOf(message, "spiffe_id"),
    expiresMs: expires && timestampToMs(expires),
    state: textOf(message, "state"),
    lastError: textOf(message, "last_error"),
  };
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
  const updated = messageOf(message, "last_updated");
  return {
    typeUrl: textOf(message, "type_url"),
    name: textOf(message, "name"),
    version: textOf(message, "version"),
    // A state that is newer than this server is shown as unspecified.
    state: STATES[numberOf(message, "state")] ?? "UNSPECIFIED",
    errors: textsOf(message, "errors"),
    rejectedVersion: textOf(message, "rejected_version"),
    unhonoured: messagesOf(message, "unhonoured").map((field) => ({
      path: textOf(field, "path"),
      note: textOf(field, "note"),
    })),
    waitsFor: textsOf(message, "waits_for"),
    updatedAtMs: updated && timestampToMs(updated),
  };
}
