import { type Server, type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { Clock, Inspectable, Json, Result } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { addMetric, type MetricSum, metricLoads } from "@heddle/traffic";
import { byteMethod } from "../byte-method.ts";
import { checkNode } from "../request-limits.ts";
import { statusDetails } from "../status-details.ts";
import type { NodeClaim, PeerOf, TransportPeer } from "../transport-peer.ts";
import {
  type ClusterLoadReport,
  decodeLoadStatsRequest,
  type EndpointLoadReport,
  encodeLoadStatsResponse,
  LOAD_REPORT_PATH,
  type LoadStatsRequest,
} from "./load-report.ts";

export interface LoadReportServerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** How often clients report; 10 s unless said. */
  readonly intervalMs?: number;
  /** Ask for figures by endpoint as well. Left out: by locality alone. */
  readonly byEndpoint?: boolean;
  /**
   * How many clusters, localities, endpoints and metrics of theirs, taken together, are kept of one stream; 100,000 unless said. What was not reported
   * for longest goes first: pods come and go, and whoever invents places does not get our memory.
   */
  readonly maxRows?: number;
  /** X2: why that node is not who it says. */
  readonly denialOf?: (node: NodeClaim) => string | undefined;
}

/** What a client has told since it connected. */
export interface NodeLoad {
  readonly nodeId: string;
  /** Wall clock, of its last report. */
  readonly reportedAtMs: number;
  readonly reports: number;
  /** The sums of all reports; `inProgress` as the last one said. */
  readonly clusters: readonly ClusterLoadReport[];
}

const DEFAULT_INTERVAL_MS = 10_000;

/** At the same time. */
const MAX_STREAMS = 20_000;
const DEFAULT_MAX_ROWS = 100_000;
/** Of a cluster, and of one of its localities. */
const MAX_LOCALITIES = 256;
const MAX_ENDPOINTS = 1000;

/** Takes load reports (LRS) and adds them up, by node, for as long as its stream is open. */
export class LoadReportServer implements Inspectable {
  readonly name = "load-reports";
  readonly #options: LoadReportServerOptions;
  readonly #calls: Map<ServerDuplexStream<Buffer, Buffer>, LoadOfNode | undefined> = new Map();

  constructor(options: LoadReportServerOptions) {
    this.#options = options;
  }

  /** @param peerOf where every client has to show who it is */
  addTo(server: Server, peerOf?: PeerOf): void {
    server.addService(
      { load: byteMethod(LOAD_REPORT_PATH, true, true) },
      { load: (call: ServerDuplexStream<Buffer, Buffer>) => this.#open(call, peerOf?.(call)) },
    );
  }

  loads(): NodeLoad[] {
    return [...this.#calls.values()].flatMap((load) => (load === undefined ? [] : [load.now()]));
  }

  inspect(): Json {
    return this.loads().map(({ nodeId, reportedAtMs, reports, clusters }) => ({
      id: nodeId,
      reportedAt: new Date(reportedAtMs).toISOString(),
      reports,
      clusters: clusters.map((cluster) => ({
        ...cluster,
        localities: cluster.localities.map((locality) => toJson(locality)),
      })),
    }));
  }

  /** Ends every stream; clients try again later. */
  close(): void {
    for (const call of this.#calls.keys()) this.#refuse(call, status.UNAVAILABLE, "the control plane is shutting down");
  }

  #open(call: ServerDuplexStream<Buffer, Buffer>, transportPeer: Result<TransportPeer, string> | undefined): void {
    const identity = transportPeer?.ok === true ? transportPeer.value.identity : undefined;
    this.#calls.set(call, undefined);
    call.on("data", (bytes: Buffer) => this.#receive(call, bytes, identity));
    call.on("end", () => {
      call.end();
      this.#calls.delete(call);
    });
    call.on("cancelled", () => this.#calls.delete(call));
    call.on("error", () => this.#calls.delete(call));
    if (transportPeer?.ok === false) this.#refuse(call, status.UNAUTHENTICATED, transportPeer.error);
    else if (this.#calls.size > MAX_STREAMS)
      this.#refuse(call, status.RESOURCE_EXHAUSTED, "too many load report streams");
  }

  #receive(
    call: ServerDuplexStream<Buffer, Buffer>,
    bytes: Buffer,
    identity: TransportPeer["identity"] | undefined,
  ): void {
    if (!this.#calls.has(call)) return;
    const decoded = decodeLoadStatsRequest(bytes);
    if (!decoded.ok) {
      this.#refuse(call, status.INVALID_ARGUMENT, decoded.error);
      return;
    }
    const known = this.#calls.get(call);
    if (known !== undefined) known.add(decoded.value, this.#options.clock.wallNow());
    else this.#introduce(call, decoded.value, identity);
  }

  #introduce(
    call: ServerDuplexStream<Buffer, Buffer>,
    { node }: LoadStatsRequest,
    identity: TransportPeer["identity"] | undefined,
  ): void {
    const problem = checkNode(node);
    if (problem !== undefined || node === undefined) {
      this.#refuse(call, problem?.code ?? status.INVALID_ARGUMENT, problem?.details ?? "the first request has no node");
      return;
    }
    const denied = this.#options.denialOf?.(identity === undefined ? node : { ...node, identity });
    if (denied !== undefined) {
      this.#refuse(call, status.PERMISSION_DENIED, denied);
      return;
    }
    const { clock, intervalMs = DEFAULT_INTERVAL_MS, byEndpoint = false, maxRows = DEFAULT_MAX_ROWS } = this.#options;
    this.#calls.set(call, new LoadOfNode(node.id, clock.wallNow(), maxRows));
    call.write(Buffer.from(encodeLoadStatsResponse({ clusters: "all", intervalMs, byEndpoint })));
  }

  #refuse(call: ServerDuplexStream<Buffer, Buffer>, code: status, details: string): void {
    this.#options.log.debug("load report stream refused", { peer: call.getPeer(), details });
    call.emit("error", { code, details: statusDetails(details) });
    this.#calls.delete(call);
  }
}

function toJson({ endpoints, ...locality }: ClusterLoadReport["localities"][number]): Json {
  if (endpoints === undefined) return { ...locality };
  return {
    ...locality,
    endpoints: endpoints.map(({ address, ...counts }) => ({ address: textOf(address), ...counts })),
  };
}

function textOf(address: EndpointLoadReport["address"]): string {
  if (address.type === "pipe") return address.path;
  return address.address.includes(":") ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

class LoadOfNode {
  readonly #nodeId: string;
  #reportedAtMs: number;
  #reports = 0;
  /** What was reported last stands last. */
  readonly #clusters: Map<string, ClusterLoadReport> = new Map();
  readonly #maxRows: number;
  #rows = 0;

  constructor(nodeId: string, nowMs: number, maxRows: number) {
    this.#maxRows = maxRows;
    this.#nodeId = nodeId;
    this.#reportedAtMs = nowMs;
  }

  add({ clusters }: LoadStatsRequest, nowMs: number): void {
    this.#reportedAtMs = nowMs;
    this.#reports += 1;
    for (const report of clusters) {
      const sum = sumOf(this.#clusters.get(report.cluster) ?? NOTHING, report);
      this.#forget(report.cluster);
      this.#clusters.set(report.cluster, sum);
      this.#rows += rowsOf(sum);
      for (const oldest of this.#clusters.keys()) {
        if (this.#rows <= this.#maxRows) break;
        this.#forget(oldest);
      }
    }
  }

  #forget(cluster: string): void {
    const known = this.#clusters.get(cluster);
    if (known === undefined) return;
    this.#clusters.delete(cluster);
    this.#rows -= rowsOf(known);
  }

  now(): NodeLoad {
    const clusters = [...this.#clusters.values()];
    return { nodeId: this.#nodeId, reportedAtMs: this.#reportedAtMs, reports: this.#reports, clusters };
  }
}

const NOTHING: Pick<ClusterLoadReport, "localities" | "dropped" | "intervalMs"> = {
  localities: [],
  dropped: 0,
  intervalMs: 0,
};

function rowsOf({ localities }: ClusterLoadReport): number {
  return localities.reduce(
    (sum, { metrics = [], endpoints = [] }) => sum + metrics.length + rowsOfEndpoints(endpoints),
    1 + localities.length,
  );
}

function rowsOfEndpoints(endpoints: readonly EndpointLoadReport[]): number {
  return endpoints.reduce((sum, { metrics = [] }) => sum + metrics.length, endpoints.length);
}

function sumOf(before: typeof NOTHING, report: ClusterLoadReport): ClusterLoadReport {
  const localities = new Map(
    before.localities.map((one) => [keyOf(one), { ...one, inProgress: 0, ...sumOfEndpoints(one.endpoints, []) }]),
  );
  for (const one of report.localities) {
    const key = keyOf(one);
    const sum = localities.get(key);
    localities.delete(key);
    localities.set(key, {
      ...one,
      ...sumOfCounts(one, sum),
      ...sumOfEndpoints(sum?.endpoints, one.endpoints),
    });
  }
  return {
    ...report,
    localities: [...localities.values()].slice(-MAX_LOCALITIES),
    dropped: before.dropped + report.dropped,
    intervalMs: before.intervalMs + report.intervalMs,
  };
}

/** With nothing in progress at those that the last report has not. */
function sumOfEndpoints(
  before: readonly EndpointLoadReport[] = [],
  last: readonly EndpointLoadReport[] = [],
): { readonly endpoints?: readonly EndpointLoadReport[] } {
  const sums = new Map(before.map((one) => [JSON.stringify(one.address), { ...one, inProgress: 0 }]));
  for (const one of last) {
    const key = JSON.stringify(one.address);
    const sum = sums.get(key);
    sums.delete(key);
    sums.set(key, {
      ...one,
      ...sumOfCounts(one, sum),
    });
  }
  return sums.size === 0 ? {} : { endpoints: [...sums.values()].slice(-MAX_ENDPOINTS) };
}

type Counts = Pick<EndpointLoadReport, "issued" | "succeeded" | "failed" | "metrics">;

function sumOfCounts(one: Counts, before: Counts | undefined): Counts {
  return {
    issued: one.issued + (before?.issued ?? 0),
    succeeded: one.succeeded + (before?.succeeded ?? 0),
    failed: one.failed + (before?.failed ?? 0),
    ...sumOfMetrics(one.metrics, before?.metrics),
  };
}

/** A client that invents names has the first ones kept. */
function sumOfMetrics(last: Counts["metrics"] = [], before: Counts["metrics"] = []): Pick<Counts, "metrics"> {
  const sums = new Map<string, MetricSum>();
  for (const { name, requests, total } of [...before, ...last]) addMetric(sums, name, requests, total);
  return sums.size === 0 ? {} : { metrics: metricLoads(sums) };
}

function keyOf({ region, zone, subZone, priority }: ClusterLoadReport["localities"][number]): string {
  return JSON.stringify([region, zone, subZone, priority]);
}
