import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { type Server, status } from "@grpc/grpc-js";
import { ManualClock } from "@heddle/base";
import { encodeDeltaDiscoveryRequest, encodeDiscoveryRequest } from "@heddle/proto";
import type { MetricScope } from "@heddle/telemetry";
import { CLUSTER_TYPE_URL, ENDPOINTS_TYPE_URL } from "./protocol/type-urls.ts";
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "./protocol/wire.ts";
import type { XdsServerLimits } from "./request-limits.ts";
import { XdsServer } from "./server.ts";
import type { XdsNode } from "./snapshot.ts";
import { quietLog, quietMetrics, SettableSource, type TextWorld, testNode, textSnapshot } from "./testing.ts";

/* Attacks on the server's memory and patience (X8, X9): each ends one stream, with a counter that names the limit. */

const ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const DELTA_ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

test("X9: one address may have only so many streams open", () => {
  const s = server({ maxStreamsPerPeer: 2 });
  const [first, , third] = [s.open(ADS, "10.0.0.1:1"), s.open(ADS, "10.0.0.1:2"), s.open(ADS, "10.0.0.1:3")];
  assert.deepEqual([third.ended?.code, s.refused()], [status.RESOURCE_EXHAUSTED, { streams_per_peer: 1 }]);
  assert.equal(s.open(ADS, "10.0.0.2:1").ended, undefined, "another address may");
  first.emit("cancelled");
  assert.equal(s.open(ADS, "10.0.0.1:4").ended, undefined, "one that ended makes room");
});

test("X9: all clients together may have only so many streams open", () => {
  const s = server({ maxStreams: 1 });
  s.open(ADS, "10.0.0.1:1");
  assert.equal(s.open(ADS, "10.0.0.2:1").ended?.code, status.RESOURCE_EXHAUSTED);
  assert.deepEqual(s.refused(), { streams: 1 });
});

test("X9: one node may have only so many streams, whatever addresses it comes from", () => {
  const s = server({ maxStreamsPerNode: 1 });
  const [first, second] = [s.open(ADS, "10.0.0.1:1"), s.open(ADS, "10.0.0.2:1")];
  first.send(sotw({}));
  second.send(sotw({}));
  assert.deepEqual([first.ended, second.ended?.code], [undefined, status.RESOURCE_EXHAUSTED]);
  assert.deepEqual(s.refused(), { streams_per_node: 1 });
  first.emit("cancelled");
  const third = s.open(ADS, "10.0.0.3:1");
  third.send(sotw({}));
  assert.equal(third.ended, undefined);
});

test("a stream on which nobody says who it is ends", () => {
  const s = server({});
  const silent = s.open(ADS);
  const spoken = s.open(ADS);
  spoken.send(sotw({ typeUrl: ENDPOINTS_TYPE_URL, resourceNames: ["none"] }));
  s.clock.advance(15_000);
  assert.deepEqual([silent.ended?.code, spoken.ended], [status.DEADLINE_EXCEEDED, undefined]);
  assert.deepEqual(s.refused(), { first_request: 1 });
  spoken.emit("cancelled");
  assert.equal(s.clock.pending, 0);
});

test("X9: a client that does not read has one response under way, however much changes, and is given up", () => {
  const s = server({});
  const call = s.open(ADS);
  call.reads = false;
  call.send(sotw({}));
  for (let change = 0; change < 1000; change += 1) s.source.set(textSnapshot({ cluster: { a: String(change) } }));
  assert.equal(call.written, 1);
  s.clock.advance(120_000);
  assert.equal(call.ended?.code, status.DEADLINE_EXCEEDED);
  assert.deepEqual([s.refused(), s.source.watchers, s.clock.pending], [{ stalled: 1 }, 0, 0]);
});

for (const [what, node, reason] of [
  ["metadata of many bytes", { metadata: { x: "x".repeat(300_000) } }, "node_metadata"],
  ["metadata of many fields", { metadata: manyFields(5000) }, "node_metadata"],
  ["metadata of many fields far down", { metadata: { a: [{ b: manyFields(5000) }] } }, "node_metadata"],
  ["metadata of many levels", { metadata: { a: nested(41) } }, "node_metadata"],
  ["a long id", { id: "x".repeat(5000) }, "node"],
  ["a long cluster", { cluster: "x".repeat(5000) }, "node"],
  ["a long zone", { locality: { region: "", zone: "x".repeat(5000), subZone: "" } }, "node"],
  ["a long client feature", { clientFeatures: ["x".repeat(5000)] }, "node"],
  ["many client features", { clientFeatures: Array.from({ length: 5000 }, () => "x") }, "node"],
] as const) {
  test(`X8: a node with ${what} is refused`, () => {
    const s = server({});
    const call = s.open(ADS);
    call.send(sotw({ node: { ...testNode(), ...(node as Partial<XdsNode>) } }));
    assert.ok(call.ended !== undefined);
    assert.deepEqual(s.refused(), { [reason]: 1 });
    assert.equal(s.source.watchers, 0);
  });
}

test("X8: metadata nested however deeply ends its stream and nothing else", () => {
  for (const depth of [50, 500, 5000, 50_000]) {
    const s = server({});
    const call = s.open(ADS);
    call.send(nestedNode(depth));
    assert.ok(call.ended !== undefined || depth < 100, `depth ${depth}`);
    const healthy = s.open(ADS);
    healthy.send(sotw({}));
    assert.equal(healthy.written, 1);
  }
});

test("names are limited in one request, and over the requests of a stream", () => {
  const s = server({ maxNames: 10 });
  const many = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
  const atOnce = s.open(ADS);
  atOnce.send(sotw({ resourceNames: many("a", 11) }));
  assert.equal(atOnce.ended?.code, status.RESOURCE_EXHAUSTED);
  const slowly = s.open(DELTA_ADS);
  for (const prefix of ["a", "b", "c", "d"]) {
    slowly.send(delta({ typeUrl: ENDPOINTS_TYPE_URL, resourceNamesSubscribe: many(prefix, 5) }));
  }
  assert.equal(slowly.ended?.code, status.RESOURCE_EXHAUSTED);
  assert.deepEqual(s.refused(), { names: 2 });
});

test("long names, versions and type URLs are refused", () => {
  const long = "x".repeat(5000);
  const s = server({});
  const requests = [
    sotw({ resourceNames: [long] }),
    sotw({ versionInfo: long }),
    sotw({ typeUrl: long }),
    delta({ initialResourceVersions: new Map([["a", long]]) }),
    delta({ resourceNamesUnsubscribe: [long] }),
  ];
  for (const [index, request] of requests.entries()) {
    const call = s.open(index < 3 ? ADS : DELTA_ADS);
    call.send(request);
    assert.equal(call.ended?.code, status.INVALID_ARGUMENT);
  }
  assert.deepEqual(s.refused(), { name_length: 4, type_url: 1 });
});

test("a client that thinks of ever more types is stopped, and makes no counters of them", () => {
  const s = server({});
  const call = s.open(ADS);
  for (let index = 0; index < 40; index += 1) {
    const typeUrl = `type.googleapis.com/x.Y${index}`;
    call.send(sotw({ typeUrl, resourceNames: ["a"], errorDetail: { code: 3, message: "no" }, responseNonce: "1" }));
  }
  assert.equal(call.ended?.code, status.RESOURCE_EXHAUSTED);
  assert.deepEqual(s.refused(), { types: 1 });
  assert.deepEqual(
    [...s.counters.keys()].filter((key) => key.startsWith("rejections")),
    ['rejections{"type":"other"}'],
  );
});

test("of a client's long error a part is kept", () => {
  const s = server({});
  const call = s.open(ADS);
  call.send(sotw({}));
  call.send(sotw({ responseNonce: "1", errorDetail: { code: 3, message: "x".repeat(1_000_000) } }));
  assert.equal(s.xds.nodes()[0]?.types[0]?.rejected?.message.length, 16_384);
});

function server(limits: Partial<XdsServerLimits>, world: TextWorld = { cluster: { a: "1" } }) {
  const clock = new ManualClock();
  const source = new SettableSource(textSnapshot(world));
  const counters = new Map<string, number>();
  const xds = new XdsServer({ source, log: quietLog, metrics: counting(counters), clock, identifier: "", limits });
  const handlers = new Map<string, (call: unknown) => void>();
  const grpc = {
    addService(methods: Record<string, { path: string }>, handle: Record<string, (call: unknown) => void>) {
      for (const [name, { path }] of Object.entries(methods)) handlers.set(path, handle[name] ?? (() => undefined));
    },
  };
  xds.addTo(grpc as unknown as Server);
  return {
    clock,
    source,
    xds,
    counters,
    open(path: string, peer = "10.0.0.1:4711"): ScriptedCall {
      const call = new ScriptedCall(peer);
      handlers.get(path)?.(call);
      return call;
    },
    refused: () =>
      Object.fromEntries(
        [...counters].flatMap(([key, count]) => {
          const reason = /^refused\{"reason":"(\w+)"\}$/.exec(key)?.[1];
          return reason === undefined ? [] : [[reason, count]];
        }),
      ),
  };
}

/** A call as gRPC would hand it over. */
class ScriptedCall extends EventEmitter {
  readonly #peer: string;
  /** Whether what is written leaves. */
  reads = true;
  written = 0;
  ended: { readonly code: status } | undefined;

  constructor(peer: string) {
    super();
    this.#peer = peer;
    this.on("error", (error: { code: status }) => {
      this.ended ??= error;
    });
  }

  getPeer(): string {
    return this.#peer;
  }

  sendMetadata(): void {
    // Nobody looks at it.
  }

  write(_bytes: Buffer, done: () => void): void {
    this.written += 1;
    if (this.reads) done();
  }

  end(): void {
    this.ended ??= { code: status.OK };
  }

  send(bytes: Uint8Array): void {
    this.emit("data", Buffer.from(bytes));
  }
}

function counting(counters: Map<string, number>): MetricScope {
  const scope: MetricScope = {
    ...quietMetrics,
    counter: (name, labels) => {
      const key = `${name}${labels === undefined ? "" : JSON.stringify(labels)}`;
      return { add: (count = 1) => void counters.set(key, (counters.get(key) ?? 0) + count) };
    },
    scope: () => scope,
  };
  return scope;
}

/** A DiscoveryRequest whose node has `metadata: { a: { a: … } }`: heads from the inside outwards, then written once. */
function nestedNode(depth: number): Uint8Array {
  const heads: Buffer[] = [];
  let size = 0;
  const wrap = (field: number, before = Buffer.alloc(0)): void => {
    const head = Buffer.concat([blockHead(field, before.length + size), before]);
    heads.push(head);
    size += head.length;
  };
  for (let level = 0; level < depth; level += 1) {
    wrap(5); // Value.struct_value
    wrap(2, Buffer.concat([blockHead(1, 1), Buffer.from("a")])); // FieldsEntry.value, behind the key
    wrap(1); // Struct.fields
  }
  wrap(3); // Node.metadata
  wrap(2, Buffer.concat([blockHead(1, 2), Buffer.from("id")])); // DiscoveryRequest.node
  return Buffer.concat(heads.reverse());
}

function blockHead(field: number, size: number): Buffer {
  const bytes = [(field << 3) | 2];
  for (let rest = size; ; rest >>>= 7) {
    bytes.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) return Buffer.from(bytes);
  }
}

function nested(levels: number): unknown {
  return levels === 0 ? 1 : [nested(levels - 1)];
}

function manyFields(count: number): { readonly [field: string]: number } {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${index}`, index]));
}

function sotw(request: Partial<DiscoveryRequest>): Uint8Array {
  return encodeDiscoveryRequest({
    versionInfo: "",
    node: testNode(),
    resourceNames: [],
    typeUrl: CLUSTER_TYPE_URL,
    responseNonce: "",
    errorDetail: undefined,
    ...request,
  });
}

function delta(request: Partial<DeltaDiscoveryRequest>): Uint8Array {
  return encodeDeltaDiscoveryRequest({
    node: testNode(),
    typeUrl: CLUSTER_TYPE_URL,
    resourceNamesSubscribe: [],
    resourceNamesUnsubscribe: [],
    initialResourceVersions: new Map(),
    responseNonce: "",
    errorDetail: undefined,
    ...request,
  });
}
