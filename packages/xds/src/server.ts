import { type Server, type ServerDuplexStream, type ServerOptions, status } from "@grpc/grpc-js";
import type { Clock, Inspectable, Json } from "@heddle/base";
import { decodeDeltaDiscoveryRequest, decodeDiscoveryRequest } from "@heddle/proto";
import type { Log, MetricScope } from "@heddle/telemetry";
import { byteMethod } from "./byte-method.ts";
import type { ClientStatus } from "./csds/client-status.ts";
import { LinePace } from "./line-pace.ts";
import { NodeStreams } from "./node-streams.ts";
import { SERVICES } from "./protocol/discovery-services.ts";
import { encodeDeltaResponse, encodeSotwResponse } from "./protocol/encode-response.ts";
import {
  deltaServer,
  type ServerResourceStatus,
  ServerSession,
  type ServerTypeStatus,
  sotwServer,
} from "./protocol/server-session.ts";
import { shortTypeName } from "./protocol/type-urls.ts";
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "./protocol/wire.ts";
import { DEFAULT_LIMITS, type XdsServerLimits } from "./request-limits.ts";
import { ServerMetrics } from "./server-metrics.ts";
import {
  type OpenStream,
  ServerStream,
  type StreamContext,
  type WireVariant,
  type XdsRequest,
} from "./server-stream.ts";
import type { SnapshotSource, XdsNode } from "./snapshot.ts";
import { StreamCounts } from "./stream-counts.ts";
import { nodeKey, type PeerOf } from "./transport-peer.ts";

export { byteMethod } from "./byte-method.ts";
export { ClientStatusServer, type StatusAsker, type StatusRights } from "./csds/client-status-server.ts";
export { LinePace } from "./line-pace.ts";
export { LoadReportServer, type LoadReportServerOptions, type NodeLoad } from "./load/load-report-server.ts";
export type { ServerTypeStatus } from "./protocol/server-session.ts";
export type { ReportedState, ResourceReport, SidecarHealth, SidecarReport } from "./report.ts";
export { ReportServer, type ReportServerOptions, type SidecarState } from "./report-server.ts";
export { DEFAULT_LIMITS, type XdsServerLimits } from "./request-limits.ts";
export { RestDiscovery, type RestDiscoveryOptions, type RestRequest } from "./rest-discovery.ts";
export { statusDetails } from "./status-details.ts";
export { type CallOfPeer, type NodeClaim, nodeKey, type PeerOf, type TransportPeer } from "./transport-peer.ts";

export interface XdsServerOptions {
  readonly source: SnapshotSource;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly clock: Clock;
  /** Sent as `control_plane.identifier`: which replica a client talks to. */
  readonly identifier: string;
  /** Where they differ from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<XdsServerLimits>;
  /**
   * A stream for secrets alone is refused where the client has not shown who it is (X3, X7); on one for all types it is the
   * source that leaves them out. Left out: secrets are like all else.
   */
  readonly secretsNeedIdentity?: boolean;
}

/** A node that has at least one stream open. */
export interface NodeStatus {
  readonly node: XdsNode;
  /** Wall clock, of its oldest open stream. */
  readonly connectedAtMs: number;
  readonly variant: "sotw" | "delta";
  readonly peer: string;
  readonly streams: number;
  readonly types: readonly ServerTypeStatus[];
}

/** For the `grpc.Server` that carries the streams: a client that holds much says so in one message. */
export const xdsServerOptions: ServerOptions = {
  "grpc.max_receive_message_length": 64 * 1024 * 1024,
  "grpc.max_send_message_length": -1,
  // Of one connection: an Envoy without ADS may have a stream for each cluster.
  "grpc.max_concurrent_streams": DEFAULT_LIMITS.maxStreamsPerNode,
  // A client that has vanished without a word is noticed within 40 s.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
};

/** Whoever reaches a port can be refused as often as it likes. */
const REFUSALS_LOGGED_PER_SECOND = 50;

const SOTW: WireVariant<DiscoveryRequest> = {
  variant: sotwServer,
  makeSession: () => new ServerSession(sotwServer),
  decode: decodeDiscoveryRequest,
  encode: encodeSotwResponse,
};

const DELTA: WireVariant<DeltaDiscoveryRequest> = {
  variant: deltaServer,
  makeSession: () => new ServerSession(deltaServer),
  decode: decodeDeltaDiscoveryRequest,
  encode: encodeDeltaResponse,
};

/**
 * Serves snapshots to xDS clients, state of the world and delta, on one stream for all types or one for each. Knows streams
 * and no configuration; the source knows configuration and no streams.
 */
export class XdsServer implements Inspectable {
  readonly name = "xds-server";
  readonly #context: StreamContext;
  readonly #streams: Set<OpenStream> = new Set();
  readonly #watchers: Set<() => void> = new Set();
  #closed = false;

  constructor(options: XdsServerOptions) {
    const { source, log, metrics, clock, identifier, limits: stated, secretsNeedIdentity = false } = options;
    const counters = new ServerMetrics(metrics);
    const limits: XdsServerLimits = { ...DEFAULT_LIMITS, ...stated };
    this.#context = {
      source,
      log,
      metrics: counters,
      clock,
      identifier,
      limits,
      secretsNeedIdentity,
      counts: new StreamCounts(limits),
      refusals: new LinePace(clock, REFUSALS_LOGGED_PER_SECOND),
      nodeStreams: new NodeStreams(),
      onChange: () => this.#tell(),
      onEnd: (stream) => {
        this.#streams.delete(stream);
        counters.streams.set(this.#streams.size);
        this.#tell();
      },
    };
  }

  /**
   * Adds the discovery services to a gRPC server, which should have been made with `xdsServerOptions`.
   *
   * @param peerOf where every client has to show who it is; what it says of itself makes it nobody (X1)
   */
  addTo(server: Server, peerOf?: PeerOf): void {
    for (const { service, method, typeUrl, deltaOnly } of SERVICES) {
      const path = `/envoy.service.${service}`;
      const open = <Request extends XdsRequest>(wire: WireVariant<Request>) => {
        return (call: ServerDuplexStream<Buffer, Buffer>) => this.#open(call, wire, typeUrl, peerOf);
      };
      server.addService({ delta: byteMethod(`${path}/Delta${method}`, true, true) }, { delta: open(DELTA) });
      if (deltaOnly !== true)
        server.addService({ stream: byteMethod(`${path}/Stream${method}`, true, true) }, { stream: open(SOTW) });
    }
  }

  /** Who is connected, and what each accepted and rejected. A node with several streams is one entry. */
  nodes(): NodeStatus[] {
    const byId = new Map<string, NodeStatus>();
    // Newest last: where an old stream of a node is still open beside its successor, the successor's word counts.
    for (const stream of this.#streams) {
      const { node } = stream;
      if (node !== undefined) byId.set(nodeKey(node), merge(byId.get(nodeKey(node)), node, stream));
    }
    return [...byId.values()];
  }

  /** Each client with every resource that it has, was sent, or asked for. Of several streams the newest says it. */
  clients(): ClientStatus[] {
    const byId = new Map<string, Map<string, ServerResourceStatus>>();
    const nodes = new Map<string, XdsNode>();
    for (const stream of this.#streams) {
      if (stream.node === undefined) continue;
      const key = nodeKey(stream.node);
      const resources = byId.get(key) ?? new Map<string, ServerResourceStatus>();
      for (const resource of stream.resources()) resources.set(`${resource.typeUrl}/${resource.name}`, resource);
      byId.set(key, resources);
      nodes.set(key, stream.node);
    }
    return [...nodes].map(([key, node]) => ({ node, resources: [...(byId.get(key)?.values() ?? [])] }));
  }

  /** Calls back after any change of what `nodes()` would say, until the returned function is called. */
  onNodesChange(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => {
      this.#watchers.delete(watcher);
    };
  }

  inspect(): Json {
    return this.nodes().map((status) => ({
      id: status.node.id,
      cluster: status.node.cluster,
      identity: status.node.identity === undefined ? null : spiffeId(status.node.identity),
      connectedAt: new Date(status.connectedAtMs).toISOString(),
      variant: status.variant,
      peer: status.peer,
      streams: status.streams,
      types: status.types.map((type) => ({
        type: shortTypeName(type.typeUrl),
        subscribed: type.subscribed,
        resources: type.resources,
        ackedVersion: type.ackedVersion,
        sentVersion: type.sentVersion,
        rejected: type.rejected === undefined ? null : { ...type.rejected },
      })),
    }));
  }

  /** Ends every stream, telling clients to try again, and takes no more. The gRPC server is its owner's to close. */
  close(): void {
    this.#closed = true;
    for (const stream of this.#streams) stream.close(status.UNAVAILABLE, "the control plane is shutting down");
  }

  #open<Request extends XdsRequest>(
    call: ServerDuplexStream<Buffer, Buffer>,
    wire: WireVariant<Request>,
    typeUrl: string,
    peerOf: PeerOf | undefined,
  ): void {
    const stream = new ServerStream(call, wire, typeUrl, peerOf?.(call), this.#context);
    if (stream.ended) return;
    this.#streams.add(stream);
    this.#context.metrics.streams.set(this.#streams.size);
    if (this.#closed) stream.close(status.UNAVAILABLE, "the control plane is shutting down");
  }

  #tell(): void {
    // A watcher may take itself off and put itself on again while it is called.
    for (const watcher of Array.from(this.#watchers)) watcher();
  }
}

function spiffeId({ trustDomain, path }: NonNullable<XdsNode["identity"]>): string {
  return `spiffe://${trustDomain}${path}`;
}

function merge(before: NodeStatus | undefined, node: XdsNode, stream: OpenStream): NodeStatus {
  const types = new Map(before?.types.map((type) => [type.typeUrl, type]));
  for (const type of stream.status()) types.set(type.typeUrl, type);
  return {
    node,
    connectedAtMs: before?.connectedAtMs ?? stream.openedAtMs,
    variant: stream.variant,
    peer: stream.peer,
    streams: (before?.streams ?? 0) + 1,
    types: [...types.values()],
  };
}
