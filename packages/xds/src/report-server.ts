import { type Server, type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { Clock, Inspectable, Json, Result } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { byteMethod } from "./byte-method.ts";
import { shortTypeName } from "./protocol/type-urls.ts";
import { decodeSidecarReport, encodeReportResponse, REPORT_PATH, type SidecarReport } from "./report.ts";
import { statusDetails } from "./status-details.ts";
import { type NodeClaim, nodeKey, type PeerOf, type ShownNode, type TransportPeer } from "./transport-peer.ts";

export interface ReportServerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** How often a sidecar reports when nothing changes; 30 s unless said. */
  readonly reportIntervalMs?: number;
  /** X2: why that node is not who it says. */
  readonly denialOf?: (node: NodeClaim) => string | undefined;
}

/** The latest word of a sidecar whose report stream is open. */
export interface SidecarState {
  readonly report: SidecarReport;
  /** Wall clock. */
  readonly receivedAtMs: number;
  readonly peer: string;
}

/** Kept of one report; what is beyond is left out of status. */
const MAX_RESOURCES = 20_000;

/** Streams that report at the same time. */
const MAX_SIDECARS = 20_000;

/** Takes sidecars' reports, and keeps the latest of each for as long as its stream is open. */
export class ReportServer implements Inspectable {
  readonly name = "sidecar-reports";
  readonly #options: ReportServerOptions;
  /** Each open stream with the node that it speaks for; its id is empty until its first report. */
  readonly #calls: Map<ServerDuplexStream<Buffer, Buffer>, ShownNode> = new Map();
  /**
   * By `nodeKey`, so that nobody who has shown nothing speaks for one who has; with the stream that said it, since a
   * reconnecting sidecar has two for a moment.
   */
  readonly #latest: Map<string, { readonly call: ServerDuplexStream<Buffer, Buffer>; readonly state: SidecarState }> =
    new Map();
  readonly #watchers: Set<() => void> = new Set();

  constructor(options: ReportServerOptions) {
    this.#options = options;
  }

  /**
   * Adds the report service to a gRPC server.
   *
   * @param peerOf where every sidecar has to show who it is
   */
  addTo(server: Server, peerOf?: PeerOf): void {
    server.addService(
      { reports: byteMethod(REPORT_PATH, true, true) },
      { reports: (call: ServerDuplexStream<Buffer, Buffer>) => this.#open(call, peerOf?.(call)) },
    );
  }

  /** The latest report of that sidecar; undefined while it has none open. */
  stateOf(node: ShownNode): SidecarState | undefined {
    return this.#latest.get(nodeKey(node))?.state;
  }

  states(): SidecarState[] {
    return [...this.#latest.values()].map(({ state }) => state);
  }

  /** Calls back after each report and each end, until the returned function is called. */
  onChange(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => {
      this.#watchers.delete(watcher);
    };
  }

  inspect(): Json {
    return this.states().map(({ report, receivedAtMs, peer }) => ({
      id: report.nodeId,
      cluster: report.nodeCluster,
      version: report.version,
      peer,
      receivedAt: new Date(receivedAtMs).toISOString(),
      uptimeMs: report.uptimeMs,
      health: { ...report.health },
      resources: report.resources.map(({ typeUrl, unhonoured, updatedAtMs, ...resource }) => ({
        ...resource,
        type: shortTypeName(typeUrl),
        unhonoured: unhonoured.map((field) => ({ ...field })),
        updatedAt: updatedAtMs === undefined ? null : new Date(updatedAtMs).toISOString(),
      })),
    }));
  }

  /** Ends every stream; sidecars try again later. */
  close(): void {
    for (const call of this.#calls.keys()) this.#refuse(call, status.UNAVAILABLE, "the control plane is shutting down");
  }

  #open(call: ServerDuplexStream<Buffer, Buffer>, transportPeer: Result<TransportPeer, string> | undefined): void {
    const identity = transportPeer?.ok === true ? transportPeer.value.identity : undefined;
    this.#calls.set(call, { id: "", identity });
    call.on("data", (bytes: Buffer) => this.#receive(call, bytes));
    call.on("end", () => {
      call.end();
      this.#forget(call);
    });
    call.on("cancelled", () => this.#forget(call));
    call.on("error", () => this.#forget(call));
    if (transportPeer?.ok === false) this.#refuse(call, status.UNAUTHENTICATED, transportPeer.error);
    else if (this.#calls.size > MAX_SIDECARS) this.#refuse(call, status.RESOURCE_EXHAUSTED, "too many report streams");
    else call.write(Buffer.from(encodeReportResponse(this.#options.reportIntervalMs ?? 30_000)));
  }

  #receive(call: ServerDuplexStream<Buffer, Buffer>, bytes: Buffer): void {
    const known = this.#calls.get(call);
    if (known === undefined) return;
    const { id: knownAs, identity } = known;
    const decoded = decodeSidecarReport(bytes);
    if (!decoded.ok || decoded.value.nodeId === "") {
      this.#refuse(call, status.INVALID_ARGUMENT, decoded.ok ? "node_id is empty" : decoded.error);
      return;
    }
    const { value } = decoded;
    const report = { ...value, resources: value.resources.slice(0, MAX_RESOURCES) };
    const state = { report, receivedAtMs: this.#options.clock.wallNow(), peer: call.getPeer() };
    if (knownAs !== "" && knownAs !== report.nodeId) {
      this.#refuse(call, status.INVALID_ARGUMENT, `node_id was ${knownAs} before`);
      return;
    }
    const denied = this.#options.denialOf?.({ id: report.nodeId, metadata: {}, ...(identity && { identity }) });
    if (denied !== undefined) {
      this.#refuse(call, status.PERMISSION_DENIED, denied);
      return;
    }
    const reporter: ShownNode = { id: report.nodeId, identity };
    this.#calls.set(call, reporter);
    this.#latest.set(nodeKey(reporter), { call, state });
    this.#tell();
  }

  #refuse(call: ServerDuplexStream<Buffer, Buffer>, code: status, details: string): void {
    this.#options.log.debug("report stream refused", { peer: call.getPeer(), details });
    call.emit("error", { code, details: statusDetails(details) });
    this.#forget(call);
  }

  #forget(call: ServerDuplexStream<Buffer, Buffer>): void {
    const reporter = this.#calls.get(call);
    if (reporter === undefined) return;
    this.#calls.delete(call);
    if (this.#latest.get(nodeKey(reporter))?.call === call) this.#latest.delete(nodeKey(reporter));
    this.#tell();
  }

  #tell(): void {
    for (const watcher of Array.from(this.#watchers)) watcher();
  }
}
