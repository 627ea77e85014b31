import type { Credentials } from "./credentials.ts";
import { type DeltaRequest, encodeDeltaRequest, readDeltaResponse } from "./delta-messages.ts";
import { GrpcCall } from "./grpc-call.ts";

const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const CLUSTERS = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const LISTENERS = "type.googleapis.com/envoy.config.listener.v3.Listener";
const ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
/** Holds nothing. That a name of it does not exist is answered once all that was asked before has been read. */
const BARRIER = "type.googleapis.com/heddle.bench.Barrier";

/** Thousands that connect at once may overflow the queue of a listening socket: the kernel resets some. */
const RETRY_MS = 500;
const MAX_LOSSES = 20;

/** What happens to the sidecars of a process, as they count it. */
export interface SidecarEvents {
  /** A response with these resources was accepted. */
  readonly onAck: (names: readonly string[], atMs: number) => void;
  /** One has everything that it wants. */
  readonly onSettled: (atMs: number) => void;
  readonly onLost: (reason: string) => void;
}

/**
 * A sidecar as its control plane sees it: one delta ADS stream, clusters and listeners under the wildcard, the endpoints
 * of its clusters and its routes by name, an ACK for each response, and after a cut the versions of all it holds.
 */
export class SimulatedSidecar {
  readonly #node: { readonly id: string; readonly cluster: string };
  readonly #port: number;
  readonly #credentials: Credentials | undefined;
  readonly #events: SidecarEvents;
  readonly #held = new Map<string, Map<string, string>>(
    [CLUSTERS, ENDPOINTS, LISTENERS, ROUTES].map((typeUrl) => [typeUrl, new Map()]),
  );
  #answered = new Set<string>();
  #call: GrpcCall | undefined;
  #settled = false;
  #losses = 0;

  constructor(
    node: { readonly id: string; readonly cluster: string },
    port: number,
    credentials: Credentials | undefined,
    events: SidecarEvents,
  ) {
    this.#node = node;
    this.#port = port;
    this.#credentials = credentials;
    this.#events = events;
  }

  holds(cluster: string): boolean {
    return this.#held.get(CLUSTERS)!.has(cluster);
  }

  /** Opens the stream. `returning`: it comes back after a cut, with what it holds. */
  connect(returning: boolean): void {
    this.#settled = false;
    this.#answered = new Set();
    this.#call = new GrpcCall(this.#port, PATH, this.#credentials, {
      onMessage: (message) => this.#receive(message),
      onEnd: (reason) => this.#lost(reason),
    });
    const [clusters, endpoints, listeners, routes] = [CLUSTERS, ENDPOINTS, LISTENERS, ROUTES].map(
      (typeUrl) => this.#held.get(typeUrl)!,
    );
    this.#send({ node: this.#node, typeUrl: CLUSTERS, subscribe: ["*"], initialVersions: clusters! });
    this.#send({ typeUrl: LISTENERS, subscribe: ["*"], initialVersions: listeners! });
    if (!returning) return;
    this.#send({ typeUrl: ENDPOINTS, subscribe: endpoints!.keys(), initialVersions: endpoints! });
    this.#send({ typeUrl: ROUTES, subscribe: routes!.keys(), initialVersions: routes! });
    this.#send({ typeUrl: BARRIER, subscribe: ["nothing"] });
  }

  /** As a sidecar does it: again, after a while of its own. */
  #lost(reason: string): void {
    this.#losses += 1;
    if (this.#losses > MAX_LOSSES) this.#events.onLost(`${this.#node.id}: ${reason}`);
    else setTimeout(() => this.connect(this.#settled), RETRY_MS * (1 + Math.random()));
  }

  cut(): void {
    this.#call?.cut();
  }

  #send(request: DeltaRequest): void {
    this.#call?.send(encodeDeltaRequest(request));
  }

  #receive(message: Buffer): void {
    const { typeUrl, nonce, resources, removed } = readDeltaResponse(message);
    const held = this.#held.get(typeUrl);
    const first = !this.#answered.has(typeUrl);
    this.#answered.add(typeUrl);
    for (const { name, version } of resources) held?.set(name, version);
    for (const name of removed) held?.delete(name);
    const names = resources.map(({ name }) => name);
    this.#send({ typeUrl, nonce });
    if (first && typeUrl === CLUSTERS && held !== undefined) this.#subscribe(ENDPOINTS, edsNames(names));
    if (first && typeUrl === LISTENERS && held !== undefined) this.#subscribe(ROUTES, ["outbound"]);
    const atMs = nowMs();
    this.#events.onAck(names, atMs);
    if (this.#settled || !this.#isSettled()) return;
    this.#settled = true;
    this.#events.onSettled(atMs);
  }

  #subscribe(typeUrl: string, names: readonly string[]): void {
    this.#send({ typeUrl, subscribe: names });
  }

  #isSettled(): boolean {
    if (this.#answered.has(BARRIER)) return true;
    const wanted = edsNames([...this.#held.get(CLUSTERS)!.keys()]);
    return this.#held.get(ROUTES)!.size > 0 && wanted.length > 0 && wanted.length <= this.#held.get(ENDPOINTS)!.size;
  }
}

function edsNames(clusters: readonly string[]): readonly string[] {
  return clusters.filter((name) => name.startsWith("outbound/"));
}

/** A clock that all processes of the machine share. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
