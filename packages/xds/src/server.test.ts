import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, test } from "node:test";
import { Client, type ClientDuplexStream, credentials, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import {
  decodeDeltaDiscoveryResponse,
  decodeDiscoveryResponse,
  encodeDeltaDiscoveryRequest,
  encodeDiscoveryRequest,
} from "@heddle/proto";
import { CLUSTER_TYPE_URL, ENDPOINTS_TYPE_URL, LISTENER_TYPE_URL } from "./protocol/type-urls.ts";
import type { DeltaDiscoveryRequest, DiscoveryRequest, DiscoveryResponse } from "./protocol/wire.ts";
import { XdsServer, xdsServerOptions } from "./server.ts";
import {
  eventually,
  quietLog,
  quietMetrics,
  SettableSource,
  type TextWorld,
  testNode,
  textSnapshot,
} from "./testing.ts";

const ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const DELTA_ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const CDS = "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters";

test("statement 1: serves the aggregated stream, state of the world", async () => {
  const server = await start({ cluster: { a: "1" } });
  const stream = server.open(ADS);
  stream.write(sotw({ typeUrl: CLUSTER_TYPE_URL }));
  const response = await stream.next(decodeDiscoveryResponse);
  assert.equal(response.resources.length, 1);
  assert.equal(response.typeUrl, CLUSTER_TYPE_URL);
  assert.equal(response.controlPlaneIdentifier, "test-replica");
});

test("statement 1: serves the aggregated stream, delta", async () => {
  const server = await start({ cluster: { a: "1" } });
  const stream = server.open(DELTA_ADS);
  stream.write(delta({ typeUrl: CLUSTER_TYPE_URL }));
  const response = await stream.next(decodeDeltaDiscoveryResponse);
  assert.deepEqual(
    response.resources.map(({ name }) => name),
    ["a"],
  );
});

test("statement 1: serves each type on a stream of its own", async () => {
  const server = await start({
    cluster: { x: "1" },
    endpoints: { x: "1" },
    listener: { x: "1" },
    "route-configuration": { x: "1" },
    secret: { x: "1" },
    runtime: { x: "1" },
    "extension-config": { x: "1" },
  });
  for (const [service, method] of [
    ["listener.v3.Listener", "Listeners"],
    ["route.v3.Route", "Routes"],
    ["cluster.v3.Cluster", "Clusters"],
    ["endpoint.v3.Endpoint", "Endpoints"],
    ["secret.v3.Secret", "Secrets"],
    ["runtime.v3.Runtime", "Runtime"],
    ["extension.v3.ExtensionConfig", "ExtensionConfigs"],
  ]) {
    const stream = server.open(`/envoy.service.${service}DiscoveryService/Stream${method}`);
    stream.write(sotw({ resourceNames: ["x"] }));
    assert.equal((await stream.next(decodeDiscoveryResponse)).resources.length, 1);
    const deltas = server.open(`/envoy.service.${service}DiscoveryService/Delta${method}`);
    deltas.write(delta({ resourceNamesSubscribe: ["x"] }));
    assert.equal((await deltas.next(decodeDeltaDiscoveryResponse)).resources.length, 1);
  }
});

test("statement 1: virtual hosts are served by delta alone", async () => {
  const server = await start({ "virtual-host": { "routes/a": "1" } });
  const service = "/envoy.service.route.v3.VirtualHostDiscoveryService";
  const deltas = server.open(`${service}/DeltaVirtualHosts`);
  deltas.write(delta({ resourceNamesSubscribe: ["routes/a"] }));
  assert.equal((await deltas.next(decodeDeltaDiscoveryResponse)).resources[0]?.name, "routes/a");
  const stream = server.open(`${service}/StreamVirtualHosts`);
  stream.write(sotw({ resourceNames: ["routes/a"] }));
  assert.equal((await stream.failure()).code, status.UNIMPLEMENTED);
});

test("statement 3: only the first request needs to carry the node", async () => {
  const server = await start({ cluster: { a: "1" }, endpoints: { a: "1" } });
  const stream = server.open(ADS);
  stream.write(sotw({ typeUrl: CLUSTER_TYPE_URL }));
  await stream.next(decodeDiscoveryResponse);
  stream.write(sotw({ typeUrl: ENDPOINTS_TYPE_URL, resourceNames: ["a"], node: undefined }));
  assert.equal((await stream.next(decodeDiscoveryResponse)).typeUrl, ENDPOINTS_TYPE_URL);
});

test("statement 4: a stream whose first request has no node id is refused", async () => {
  const server = await start({});
  for (const node of [undefined, testNode("")]) {
    const stream = server.open(ADS);
    stream.write(sotw({ typeUrl: CLUSTER_TYPE_URL, node }));
    const { code, details } = await stream.failure();
    assert.deepEqual([code, details], [status.INVALID_ARGUMENT, "the first request of a stream must carry node.id"]);
  }
});

test("statement 6: the type is required on the aggregated stream", async () => {
  const server = await start({});
  const stream = server.open(ADS);
  stream.write(sotw({ typeUrl: "" }));
  assert.equal((await stream.failure()).code, status.INVALID_ARGUMENT);
});

test("statement 6: on a stream of one type another type is refused", async () => {
  const server = await start({});
  const stream = server.open(CDS);
  stream.write(sotw({ typeUrl: ENDPOINTS_TYPE_URL }));
  assert.equal((await stream.failure()).code, status.INVALID_ARGUMENT);
});

test("bytes that are no request end the stream and nothing else", async () => {
  const server = await start({ cluster: { a: "1" } });
  const good = server.open(ADS);
  good.write(sotw({ typeUrl: CLUSTER_TYPE_URL }));
  good.write(ackOf(await good.next(decodeDiscoveryResponse)));
  const bad = server.open(ADS);
  bad.write(Buffer.from([0x0a, 0xff]));
  assert.equal((await bad.failure()).code, status.INVALID_ARGUMENT);
  server.source.set(textSnapshot({ cluster: { a: "2" } }));
  assert.equal((await good.next(decodeDiscoveryResponse)).resources.length, 1);
});

test("a node whose metadata is very large is refused", async () => {
  const server = await start({});
  const stream = server.open(ADS);
  const node = { ...testNode(), metadata: { much: "x".repeat(300_000) } };
  stream.write(sotw({ typeUrl: CLUSTER_TYPE_URL, node }));
  assert.equal((await stream.failure()).code, status.RESOURCE_EXHAUSTED);
});

test("statement 12: of two streams of a node, the end of the old one leaves the new one served", async () => {
  const server = await start({ cluster: { a: "1" } });
  const old = server.open(ADS);
  old.write(sotw({ typeUrl: CLUSTER_TYPE_URL }));
  await old.next(decodeDiscoveryResponse);
  const fresh = server.open(ADS);
  fresh.write(sotw({ typeUrl: CLUSTER_TYPE_URL }));
  fresh.write(ackOf(await fresh.next(decodeDiscoveryResponse)));
  assert.deepEqual(
    server.xds.nodes().map(({ node, streams }) => [node.id, streams]),
    [["default/web/1", 2]],
  );
  old.cancel();
  await server.until(() => server.source.watchers === 1);
  assert.equal(server.xds.nodes()[0]?.streams, 1);
  server.source.set(textSnapshot({ cluster: { a: "2" } }));
  await fresh.next(decodeDiscoveryResponse);
});

test("statement 81: after an updated cluster its endpoints are sent again, on whatever stream of the node they come", async () => {
  const world = (text: string) => ({ cluster: { a: text, b: "1" }, endpoints: { a: "1", b: "1" } });
  const server = await start(world("1"));
  const clusters = server.open("/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters");
  clusters.write(sotw({}));
  const first = await clusters.next(decodeDiscoveryResponse);
  const endpoints = server.open(ADS);
  const names = { typeUrl: ENDPOINTS_TYPE_URL, resourceNames: ["a", "b"] };
  endpoints.write(sotw(names));
  const answer = await endpoints.next(decodeDiscoveryResponse);
  assert.equal(answer.resources.length, 2);
  const inDelta = server.open(DELTA_ADS);
  inDelta.write(delta({ typeUrl: ENDPOINTS_TYPE_URL, resourceNamesSubscribe: ["a", "b"] }));
  const answerInDelta = await inDelta.next(decodeDeltaDiscoveryResponse);
  const stranger = server.open(ADS);
  stranger.write(sotw({ ...names, node: testNode("default/other/1") }));
  const theirs = await stranger.next(decodeDiscoveryResponse);

  endpoints.write(sotw({ ...names, responseNonce: answer.nonce, versionInfo: answer.versionInfo }));
  inDelta.write(delta({ typeUrl: ENDPOINTS_TYPE_URL, responseNonce: answerInDelta.nonce }));
  stranger.write(sotw({ ...names, responseNonce: theirs.nonce, versionInfo: theirs.versionInfo }));
  clusters.write(ackOf(first)); // whoever held nothing waits for no endpoints that it has not asked for
  server.source.set(textSnapshot(world("2")));
  const update = await clusters.next(decodeDiscoveryResponse);
  const settled = () => server.xds.nodes().every(({ types }) => types.every(({ outstanding }) => !outstanding));
  assert.equal(settled(), false, "the verdict on the update is open");
  clusters.write(ackOf(update));
  const again = await endpoints.next(decodeDiscoveryResponse);
  assert.equal(again.resources.length, 1);
  assert.equal(again.nonce, "2", "the second response of its stream");
  const againInDelta = await inDelta.next(decodeDeltaDiscoveryResponse);
  assert.deepEqual(
    againInDelta.resources.map(({ name }) => name),
    ["a"],
  );
  assert.equal(againInDelta.nonce, "2");

  // Another node has not been told of it: the next that it hears is its next response.
  server.source.set(textSnapshot({ ...world("2"), endpoints: { a: "2", b: "1" } }));
  assert.equal((await stranger.next(decodeDiscoveryResponse)).nonce, "2");
});

test("statement 20: a rejection is seen with the node, its type and every reason", async () => {
  const server = await start({ cluster: { a: "bad" } });
  const stream = server.open(ADS);
  stream.write(sotw({ typeUrl: CLUSTER_TYPE_URL }));
  const response = await stream.next(decodeDiscoveryResponse);
  stream.write(nackOf(response, "cluster a: one\ncluster a: two"));
  await server.until(() => server.xds.nodes()[0]?.types[0]?.rejected !== undefined);
  const [node] = server.xds.nodes();
  assert.deepEqual(node?.types[0]?.rejected, {
    version: response.versionInfo,
    message: "cluster a: one\ncluster a: two",
  });
  assert.equal(node?.types[0]?.ackedVersion, "");
});

test("names that the snapshot does not have are asked of the source", async () => {
  const server = await start({ cluster: { a: "1" } });
  const stream = server.open(ADS);
  stream.write(sotw({ typeUrl: CLUSTER_TYPE_URL, resourceNames: ["a", "b"] }));
  await stream.next(decodeDiscoveryResponse);
  assert.deepEqual(server.source.requested, [`${CLUSTER_TYPE_URL} b`]);
});

test("what the source makes at once for a name that was asked for is in the first answer", async () => {
  const server = await start({});
  const { source } = server;
  const watch = source.watch.bind(source);
  source.watch = (node, onChange) => {
    const inner = watch(node, onChange);
    return {
      get current() {
        return inner.current;
      },
      request: () => source.set(textSnapshot({ listener: { "orders.default:80": "1" } })),
      close: () => inner.close(),
    };
  };
  const stream = server.open(DELTA_ADS);
  stream.write(delta({ typeUrl: LISTENER_TYPE_URL, resourceNamesSubscribe: ["orders.default:80"] }));
  const response = await stream.next(decodeDeltaDiscoveryResponse);
  assert.deepEqual([response.resources.length, response.removedResources], [1, []]);
});

test("a client that does not read gets the newest state when it does, and the server keeps no queue", async () => {
  const server = await start({ endpoints: { a: "0" } });
  const stream = server.open(DELTA_ADS);
  stream.write(delta({ typeUrl: ENDPOINTS_TYPE_URL, resourceNamesSubscribe: ["a"] }));
  const first = await stream.next(decodeDeltaDiscoveryResponse);
  for (let i = 1; i <= 200; i += 1) server.source.set(textSnapshot({ endpoints: { a: String(i) } }));
  stream.write(delta({ typeUrl: ENDPOINTS_TYPE_URL, responseNonce: first.nonce }));
  const second = await stream.next(decodeDeltaDiscoveryResponse);
  assert.equal(Buffer.from(second.resources[0]!.resource!.value).toString().slice(-3), "200");
  assert.equal(second.nonce, "2", "two responses for two hundred changes");
});

test("a server that closes tells its clients to try again", async () => {
  const server = await start({ cluster: { a: "1" } });
  const stream = server.open(ADS);
  stream.write(sotw({ typeUrl: CLUSTER_TYPE_URL }));
  await stream.next(decodeDiscoveryResponse);
  server.xds.close();
  assert.equal((await stream.failure()).code, status.UNAVAILABLE);
  assert.equal(server.source.watchers, 0);
});

test("a client that ends its side ends the stream, and nothing is left of it", async () => {
  const server = await start({ cluster: { a: "1" } });
  const stream = server.open(ADS);
  stream.write(sotw({ typeUrl: CLUSTER_TYPE_URL }));
  await stream.next(decodeDiscoveryResponse);
  stream.end();
  await server.until(() => server.xds.nodes().length === 0);
  assert.equal(server.source.watchers, 0);
});

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(world: TextWorld) {
  const source = new SettableSource(textSnapshot(world));
  const xds = new XdsServer({
    source,
    log: quietLog,
    metrics: quietMetrics,
    clock: systemClock,
    identifier: "test-replica",
  });
  const server = new Server(xdsServerOptions);
  xds.addTo(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  cleanups.push(async () => {
    client.close();
    xds.close();
    await new Promise<void>((resolve, reject) => server.tryShutdown((error) => (error ? reject(error) : resolve())));
    assert.equal(source.watchers, 0, "every stream has let go of the source");
  });
  return { source, xds, until: eventually, open: (path: string) => new TestStream(client, path) };
}

/** A client's side of a stream, read one message at a time. */
class TestStream {
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  readonly #failed: Promise<{ code: status; details: string }>;

  constructor(client: Client, path: string) {
    this.#call = client.makeBidiStreamRequest(path, asIs, asIs);
    this.#call.pause();
    this.#failed = new Promise((resolve) => {
      this.#call.on("error", (error: Error & { code: status; details: string }) => resolve(error));
    });
    cleanups.push(() => this.#call.cancel());
  }

  write(bytes: Uint8Array): void {
    this.#call.write(Buffer.from(bytes));
  }

  async next<T>(decode: (bytes: Uint8Array) => T): Promise<T> {
    for (;;) {
      const bytes: Buffer | null = this.#call.read();
      if (bytes !== null) return decode(bytes);
      await once(this.#call, "readable");
    }
  }

  failure(): Promise<{ code: status; details: string }> {
    this.#call.resume();
    return this.#failed;
  }

  cancel(): void {
    this.#call.cancel();
  }

  end(): void {
    this.#call.end();
  }
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function sotw(request: Partial<DiscoveryRequest>): Uint8Array {
  return encodeDiscoveryRequest({
    versionInfo: "",
    node: testNode(),
    resourceNames: [],
    typeUrl: "",
    responseNonce: "",
    errorDetail: undefined,
    ...request,
  });
}

function delta(request: Partial<DeltaDiscoveryRequest>): Uint8Array {
  return encodeDeltaDiscoveryRequest({
    node: testNode(),
    typeUrl: "",
    resourceNamesSubscribe: [],
    resourceNamesUnsubscribe: [],
    initialResourceVersions: new Map(),
    responseNonce: "",
    errorDetail: undefined,
    ...request,
  });
}

function ackOf(response: DiscoveryResponse): Uint8Array {
  return sotw({ typeUrl: response.typeUrl, responseNonce: response.nonce, versionInfo: response.versionInfo });
}

function nackOf(response: DiscoveryResponse, message: string): Uint8Array {
  return sotw({ typeUrl: response.typeUrl, responseNonce: response.nonce, errorDetail: { code: 3, message } });
}
