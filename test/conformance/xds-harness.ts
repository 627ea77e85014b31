import assert from "node:assert/strict";
import { Client, type ClientDuplexStream, credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import {
  decodeDeltaDiscoveryResponse,
  decodeDiscoveryResponse,
  encodeDeltaDiscoveryRequest,
  encodeDiscoveryRequest,
} from "@heddle/proto";
import type { ResourceKind } from "@heddle/xds";
import { XdsServer, xdsServerOptions } from "@heddle/xds/server";
import { quietLog, quietMetrics, SettableSource, testNode, textSnapshot } from "@heddle/xds/testing";

/*
 * What the features of xds-test-harness need: our server over gRPC with resources that are set by hand, and a client that
 * knows nothing of our protocol code. A resource's text is the "version" that a feature gives it.
 */

export interface HarnessVariant {
  readonly name: string;
  readonly delta: boolean;
  readonly aggregated: boolean;
}

interface Service {
  readonly kind: ResourceKind;
  readonly typeUrl: string;
  readonly path: string;
  readonly method: string;
}

const SERVICES: Readonly<Record<string, Service>> = {
  LDS: service("listener", "listener.v3.Listener", "Listeners", "config.listener.v3.Listener"),
  CDS: service("cluster", "cluster.v3.Cluster", "Clusters", "config.cluster.v3.Cluster"),
  RDS: service("route-configuration", "route.v3.Route", "Routes", "config.route.v3.RouteConfiguration"),
  EDS: service("endpoints", "endpoint.v3.Endpoint", "Endpoints", "config.endpoint.v3.ClusterLoadAssignment"),
};

const MARKER = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService";

/** A response, as far as a feature looks at it. */
export interface Received {
  readonly service: string;
  readonly nonce: string;
  /** By name, the text. */
  readonly resources: ReadonlyMap<string, string>;
  readonly versions: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
}

export class XdsHarness {
  readonly responses: Received[] = [];
  /** How many of them a feature has expected so far. */
  expected = 0;
  readonly #variant: HarnessVariant;
  readonly #world: { [kind in ResourceKind]?: { [name: string]: string } } = { secret: { marker: "1" } };
  readonly #source = new SettableSource();
  readonly #xds = new XdsServer({
    source: this.#source,
    log: quietLog,
    metrics: quietMetrics,
    clock: systemClock,
    identifier: "",
  });
  readonly #server = new Server(xdsServerOptions);
  #client: Client | undefined;
  readonly #streams: Map<string, ClientDuplexStream<Buffer, Buffer>> = new Map();
  readonly #names: Map<string, readonly string[]> = new Map();
  readonly #wildcards: Set<string> = new Set();
  #markers = 0;

  constructor(variant: HarnessVariant) {
    this.#variant = variant;
  }

  async start(): Promise<void> {
    this.#xds.addTo(this.#server);
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
    });
    const marker = this.#open("marker", `${ADS}/DeltaAggregatedResources`, (bytes) => {
      if (decodeDeltaDiscoveryResponse(bytes).typeUrl === MARKER) this.#markers += 1;
    });
    this.#streams.set("marker", marker);
  }

  async stop(): Promise<void> {
    for (const stream of this.#streams.values()) stream.cancel();
    this.#client?.close();
    this.#xds.close();
    await new Promise<void>((resolve) => {
      this.#server.tryShutdown(() => resolve());
      this.#server.forceShutdown();
    });
  }

  /** Sets one resource of the service to that version, or takes it away. */
  change(serviceName: string, name: string, version: string | undefined): void {
    const { kind } = serviceOf(serviceName);
    const resources = (this.#world[kind] ??= {});
    if (version === undefined) delete resources[name];
    else resources[name] = version;
    this.#source.set(textSnapshot(this.#world));
  }

  /** State of the world: asks for exactly these. Delta: for these too. */
  subscribe(serviceName: string, names: readonly string[]): void {
    if (this.#variant.delta) this.#askDelta(serviceName, names, []);
    else {
      this.#names.set(serviceName, names);
      this.#askSotw(serviceName, this.#lastNonce(serviceName));
    }
  }

  wildcard(serviceName: string): void {
    this.#wildcards.add(serviceName);
    if (this.#variant.delta) this.#askDelta(serviceName, ["*"], []);
    else this.#askSotw(serviceName, "");
  }

  unsubscribe(serviceName: string, names: readonly string[]): void {
    this.#askDelta(serviceName, [], names);
  }

  /** Until everything that was sent has been handled and every answer to it has come. */
  async settle(): Promise<void> {
    for (let round = 0, seen = -1; round < 2 || seen !== this.responses.length; round += 1) {
      seen = this.responses.length;
      const before = this.#markers;
      this.#streams.get("marker")?.write(
        Buffer.from(
          encodeDeltaDiscoveryRequest({
            node: testNode("marker"),
            typeUrl: MARKER,
            resourceNamesSubscribe: ["marker"],
            resourceNamesUnsubscribe: [],
            initialResourceVersions: new Map(),
            responseNonce: "",
            errorDetail: undefined,
          }),
        ),
      );
      const deadline = performance.now() + 10_000;
      while (this.#markers === before) {
        assert.ok(performance.now() < deadline, "the server does not answer");
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    }
  }

  #stream(serviceName: string): ClientDuplexStream<Buffer, Buffer> {
    const { delta, aggregated } = this.#variant;
    const key = aggregated ? "" : serviceName;
    let stream = this.#streams.get(key);
    if (stream === undefined) {
      const { path, method } = serviceOf(serviceName);
      const kind = delta ? "Delta" : "Stream";
      const full = aggregated ? `${ADS}/${kind}AggregatedResources` : `${path}/${kind}${method}`;
      stream = this.#open(key, full, (bytes) => this.#receive(bytes));
      this.#streams.set(key, stream);
    }
    return stream;
  }

  #open(what: string, path: string, onData: (bytes: Buffer) => void): ClientDuplexStream<Buffer, Buffer> {
    assert.ok(this.#client !== undefined);
    const stream = this.#client.makeBidiStreamRequest<Buffer, Buffer>(path, asIs, asIs);
    stream.on("data", onData);
    stream.on("error", (error) => {
      if (!/cancel/i.test(error.message)) throw new Error(`stream ${what} broke`, { cause: error });
    });
    return stream;
  }

  /** Takes it in, and acknowledges it. */
  #receive(bytes: Buffer): void {
    if (this.#variant.delta) {
      const { typeUrl, nonce, resources, removedResources } = decodeDeltaDiscoveryResponse(bytes);
      const name = serviceNamed(typeUrl);
      this.responses.push({
        service: name,
        nonce,
        resources: new Map(resources.map((one) => readText(one.resource?.value))),
        versions: new Map(resources.map((one) => [one.name, one.version])),
        removed: removedResources,
      });
      this.#askDelta(name, [], [], nonce);
      return;
    }
    const { typeUrl, nonce, versionInfo, resources } = decodeDiscoveryResponse(bytes);
    const name = serviceNamed(typeUrl);
    const texts = new Map(resources.map(({ value }) => readText(value)));
    const versions = new Map([...texts.keys()].map((key) => [key, versionInfo]));
    this.responses.push({ service: name, nonce, resources: texts, versions, removed: [] });
    this.#askSotw(name, nonce, versionInfo);
  }

  #askSotw(serviceName: string, responseNonce: string, versionInfo = ""): void {
    const request = {
      node: testNode("client"),
      typeUrl: serviceOf(serviceName).typeUrl,
      resourceNames: this.#wildcards.has(serviceName) ? [] : (this.#names.get(serviceName) ?? []),
      versionInfo,
      responseNonce,
      errorDetail: undefined,
    };
    this.#stream(serviceName).write(Buffer.from(encodeDiscoveryRequest(request)));
  }

  #askDelta(serviceName: string, subscribe: readonly string[], unsubscribe: readonly string[], nonce = ""): void {
    const request = {
      node: testNode("client"),
      typeUrl: serviceOf(serviceName).typeUrl,
      resourceNamesSubscribe: subscribe,
      resourceNamesUnsubscribe: unsubscribe,
      initialResourceVersions: new Map<string, string>(),
      responseNonce: nonce,
      errorDetail: undefined,
    };
    this.#stream(serviceName).write(Buffer.from(encodeDeltaDiscoveryRequest(request)));
  }

  #lastNonce(serviceName: string): string {
    return this.responses.findLast((one) => one.service === serviceName)?.nonce ?? "";
  }
}

function service(kind: ResourceKind, path: string, method: string, type: string): Service {
  const typeUrl = `type.googleapis.com/envoy.${type}`;
  return { kind, typeUrl, path: `/envoy.service.${path}DiscoveryService`, method };
}

function serviceOf(name: string): Service {
  const found = SERVICES[name];
  assert.ok(found !== undefined, `no service ${name}`);
  return found;
}

function serviceNamed(typeUrl: string): string {
  const found = Object.keys(SERVICES).find((name) => SERVICES[name]?.typeUrl === typeUrl);
  assert.ok(found !== undefined, `no service has ${typeUrl}`);
  return found;
}

/** Name (field 1) and text (field 2) of a text resource. */
function readText(bytes: Uint8Array | undefined): [string, string] {
  assert.ok(bytes !== undefined);
  const nameEnd = 2 + (bytes[1] ?? 0);
  return [Buffer.from(bytes.subarray(2, nameEnd)).toString(), Buffer.from(bytes.subarray(nameEnd + 2)).toString()];
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
