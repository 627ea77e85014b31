import { Server, ServerCredentials, type ServerDuplexStream, type status } from "@grpc/grpc-js";
import type { World } from "./control-plane.ts";
import type { Json } from "./envoy-config.ts";
import { decodeForeign, encodeForeign } from "./foreign-protos.ts";
import type { Owner } from "./owner.ts";

/*
 * A control plane that shares no line with ours: plain grpc-js, Envoy's .proto files, and no more care than many have. It
 * sends everything anew at each change, to whoever has asked for the type. A test may send what it likes beside that.
 */

/** What every sidecar asks for. */
export const FOREIGN_KINDS = ["cluster", "endpoints", "listener", "routes"] as const;

export type ForeignKind = (typeof FOREIGN_KINDS)[number] | "secrets" | "extensions" | "runtime" | "virtualHosts";

const MESSAGES: Readonly<Record<ForeignKind, string>> = {
  cluster: "envoy.config.cluster.v3.Cluster",
  endpoints: "envoy.config.endpoint.v3.ClusterLoadAssignment",
  secrets: "envoy.extensions.transport_sockets.tls.v3.Secret",
  listener: "envoy.config.listener.v3.Listener",
  extensions: "envoy.config.core.v3.TypedExtensionConfig",
  routes: "envoy.config.route.v3.RouteConfiguration",
  virtualHosts: "envoy.config.route.v3.VirtualHost",
  runtime: "envoy.service.runtime.v3.Runtime",
};

const ALL_KINDS = Object.keys(MESSAGES) as readonly ForeignKind[];

export function foreignTypeUrl(kind: ForeignKind): string {
  return `type.googleapis.com/${MESSAGES[kind]}`;
}

export interface ForeignResource {
  readonly name: string;
  readonly typeUrl: string;
  readonly bytes: Buffer;
}

/**
 * @param json in Envoy's names.
 * @param name by default its own; that of a virtual host has its route configuration in front.
 */
export function foreignResource(kind: ForeignKind, json: Json, name = ownName(kind, json)): ForeignResource {
  return { name, typeUrl: foreignTypeUrl(kind), bytes: encodeForeign(MESSAGES[kind], json) };
}

function ownName(kind: ForeignKind, json: Json): string {
  return String(kind === "endpoints" ? json["cluster_name"] : json["name"]);
}

/** A response of either variant. */
export interface ForeignResponse {
  readonly typeUrl: string;
  readonly resources?: readonly ForeignResource[];
  /** Delta alone has it. */
  readonly removed?: readonly string[];
  /** By default another one each time. */
  readonly version?: string;
  readonly nonce?: string;
}

/** A request of either variant. */
export interface ForeignRequest {
  readonly typeUrl: string;
  /** All names in SotW, the new ones in delta. */
  readonly names: readonly string[];
  readonly dropped: readonly string[];
  /** Name to version: delta's `initial_resource_versions`. */
  readonly held: Readonly<Record<string, string>>;
  readonly version: string;
  readonly nonce: string;
  /** The reasons, where it is a NACK. */
  readonly error: string | undefined;
  readonly nodeId: string | undefined;
}

/** One stream, as long as it lasts. */
export class ForeignStream {
  readonly requests: ForeignRequest[] = [];
  /** What is wanted of each type URL; "*" is everything. */
  readonly wanted = new Map<string, Set<string>>();
  /** The nonce of the last response of each type. */
  readonly nonces = new Map<string, string>();
  ended = false;
  readonly #call: ServerDuplexStream<Buffer, Buffer>;
  readonly #variant: "sotw" | "delta";
  #count = 0;

  constructor(call: ServerDuplexStream<Buffer, Buffer>, variant: "sotw" | "delta") {
    this.#call = call;
    this.#variant = variant;
  }

  /** Resolves to false when the client takes no more for now. */
  send(response: ForeignResponse): boolean {
    this.#count += 1;
    const { nonce = `n${this.#count}`, version = `v${this.#count}` } = response;
    this.nonces.set(response.typeUrl, nonce);
    return this.sendBytes(this.encode({ ...response, nonce, version }));
  }

  encode({ typeUrl, resources = [], removed = [], version = "", nonce = "" }: ForeignResponse): Buffer {
    const any = ({ typeUrl: type_url, bytes }: ForeignResource): Json => ({ type_url, value: bytes });
    const common = { type_url: typeUrl, nonce, control_plane: { identifier: "foreign" } };
    return this.#variant === "sotw"
      ? encodeForeign("envoy.service.discovery.v3.DiscoveryResponse", {
          ...common,
          version_info: version,
          resources: resources.map(any),
        })
      : encodeForeign("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
          ...common,
          system_version_info: version,
          resources: resources.map((resource) => ({ name: resource.name, version, resource: any(resource) })),
          removed_resources: removed,
        });
  }

  /** Whatever they are, as one gRPC message. */
  sendBytes(bytes: Buffer): boolean {
    return this.ended ? false : this.#call.write(bytes);
  }

  end(code: status, details: string): void {
    if (!this.ended) this.#call.emit("error", { code, details });
  }
}

export interface ForeignControlPlaneOptions {
  readonly variant: "sotw" | "delta";
  readonly world?: World;
  /** Looked at before each request is answered: true where the test has answered it, or wants silence. */
  readonly intercept?: (request: ForeignRequest, stream: ForeignStream) => boolean;
  /** gRPC's: "unix:/run/xds.sock". By default a free port of loopback. */
  readonly address?: string;
}

export class ForeignControlPlane {
  readonly port: number;
  /** Every stream so far. */
  readonly streams: ForeignStream[] = [];
  intercept: ForeignControlPlaneOptions["intercept"];
  readonly #variant: "sotw" | "delta";
  readonly #server: Server;
  #resources: ReadonlyMap<string, readonly ForeignResource[]>;

  static async start(owner: Owner, options: ForeignControlPlaneOptions): Promise<ForeignControlPlane> {
    const server = new Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(options.address ?? "127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    const controlPlane = new ForeignControlPlane(server, port, options);
    owner.after(() => controlPlane.stop());
    return controlPlane;
  }

  private constructor(server: Server, port: number, { variant, world = {}, intercept }: ForeignControlPlaneOptions) {
    this.port = port;
    this.intercept = intercept;
    this.#variant = variant;
    this.#server = server;
    this.#resources = resourcesOf(world);
    const method = variant === "sotw" ? "StreamAggregatedResources" : "DeltaAggregatedResources";
    server.addService(
      { stream: bytesMethod(`/envoy.service.discovery.v3.AggregatedDiscoveryService/${method}`) },
      { stream: (call: ServerDuplexStream<Buffer, Buffer>) => this.#open(call) },
    );
  }

  /** The one that is open. */
  get stream(): ForeignStream {
    const open = this.streams.findLast(({ ended }) => !ended);
    if (open === undefined) throw new Error("nobody is connected");
    return open;
  }

  /** Requests of a type on all streams so far. */
  requests(kind: ForeignKind): readonly ForeignRequest[] {
    return this.streams.flatMap(({ requests }) => requests.filter(({ typeUrl }) => typeUrl === foreignTypeUrl(kind)));
  }

  /** Why the last response of a type was rejected; undefined where it was not. */
  rejection(kind: ForeignKind): string | undefined {
    return this.requests(kind).findLast(({ nonce }) => nonce !== "")?.error;
  }

  /** Whether the last response of each type has been answered on the open stream. */
  get settled(): boolean {
    const { requests, nonces } = this.stream;
    return [...nonces].every(([typeUrl, nonce]) =>
      requests.some((request) => request.typeUrl === typeUrl && request.nonce === nonce),
    );
  }

  /** Replaces everything and sends it. */
  set(world: World): void {
    const before = this.#resources;
    this.#resources = resourcesOf(world);
    for (const stream of this.streams.filter(({ ended }) => !ended)) {
      for (const kind of ALL_KINDS) {
        const typeUrl = foreignTypeUrl(kind);
        const stillThere = new Set(this.#of(typeUrl).map(({ name }) => name));
        const removed = (before.get(typeUrl) ?? []).map(({ name }) => name).filter((name) => !stillThere.has(name));
        if (stream.wanted.has(typeUrl)) this.#answer(stream, typeUrl, removed);
      }
    }
  }

  /** Knows nothing any more, as after a start without its data, and says so to the next stream. */
  forget(): void {
    this.#resources = resourcesOf({});
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #of(typeUrl: string): readonly ForeignResource[] {
    return this.#resources.get(typeUrl) ?? [];
  }

  #open(call: ServerDuplexStream<Buffer, Buffer>): void {
    const stream = new ForeignStream(call, this.#variant);
    this.streams.push(stream);
    const end = (): void => {
      stream.ended = true;
    };
    call.on("data", (bytes: Buffer) => this.#take(stream, readRequest(this.#variant, bytes)));
    call.on("end", () => {
      end();
      call.end();
    });
    call.on("cancelled", end);
    call.on("error", end);
  }

  #take(stream: ForeignStream, request: ForeignRequest): void {
    stream.requests.push(request);
    const { typeUrl, nonce } = request;
    const stale = nonce !== "" && nonce !== stream.nonces.get(typeUrl);
    const before = stream.wanted.get(typeUrl);
    // In SotW a stale request is passed over, since a later one says the same and more.
    if (!(stale && this.#variant === "sotw")) {
      const wanted = new Set(this.#variant === "sotw" ? request.names : [...(before ?? []), ...request.names]);
      for (const name of request.dropped) wanted.delete(name);
      // Naming nothing at first means everything.
      if (request.names.length === 0 && (before === undefined || before.has("*")) && isRoot(typeUrl)) wanted.add("*");
      stream.wanted.set(typeUrl, wanted);
    }
    if (this.intercept?.(request, stream) === true) return;
    const isNew = [...(stream.wanted.get(typeUrl) ?? [])].some((name) => before?.has(name) !== true);
    const gone = Object.keys(request.held).filter((name) => this.#of(typeUrl).every((one) => one.name !== name));
    if (isNew) this.#answer(stream, typeUrl, gone);
  }

  #answer(stream: ForeignStream, typeUrl: string, gone: readonly string[]): void {
    const wanted = stream.wanted.get(typeUrl) ?? new Set();
    const wants = (name: string): boolean => wanted.has("*") || wanted.has(name);
    const resources = this.#of(typeUrl).filter(({ name }) => wants(name));
    const found = new Set(resources.map(({ name }) => name));
    const absent = [...wanted].filter((name) => name !== "*" && !found.has(name));
    stream.send({ typeUrl, resources, removed: [...new Set([...gone.filter(wants), ...absent])] });
  }
}

function resourcesOf({ virtualHosts = {}, ...world }: World): ReadonlyMap<string, readonly ForeignResource[]> {
  const lists: Readonly<Record<Exclude<ForeignKind, "virtualHosts">, readonly Json[] | undefined>> = {
    listener: world.listeners,
    routes: world.routes,
    cluster: world.clusters,
    endpoints: world.endpoints,
    secrets: world.secrets,
    extensions: world.extensions,
    runtime: world.runtime,
  };
  const hosts = Object.entries(virtualHosts).map(([name, json]) => foreignResource("virtualHosts", json, name));
  return new Map(
    ALL_KINDS.map((kind) => [
      foreignTypeUrl(kind),
      kind === "virtualHosts" ? hosts : (lists[kind] ?? []).map((json) => foreignResource(kind, json)),
    ]),
  );
}

/** Of which a client may want all. */
function isRoot(typeUrl: string): boolean {
  return (["listener", "cluster", "virtualHosts"] as const).some((kind) => foreignTypeUrl(kind) === typeUrl);
}

interface WireRequest {
  readonly type_url: string;
  readonly resource_names?: readonly string[];
  readonly resource_names_subscribe?: readonly string[];
  readonly resource_names_unsubscribe?: readonly string[];
  readonly initial_resource_versions?: Readonly<Record<string, string>>;
  readonly version_info?: string;
  readonly response_nonce: string;
  readonly error_detail: { readonly message: string } | null;
  readonly node: { readonly id: string } | null;
}

function readRequest(variant: "sotw" | "delta", bytes: Buffer): ForeignRequest {
  const type = variant === "sotw" ? "DiscoveryRequest" : "DeltaDiscoveryRequest";
  const request = decodeForeign<WireRequest>(`envoy.service.discovery.v3.${type}`, bytes);
  return {
    typeUrl: request.type_url,
    names: request.resource_names ?? request.resource_names_subscribe ?? [],
    dropped: request.resource_names_unsubscribe ?? [],
    held: request.initial_resource_versions ?? {},
    version: request.version_info ?? "",
    nonce: request.response_nonce,
    error: request.error_detail?.message,
    nodeId: request.node?.id,
  };
}

function bytesMethod(path: string) {
  const asIs = (bytes: Buffer): Buffer => bytes;
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}
