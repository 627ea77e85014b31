import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { EndpointsConfig } from "@heddle/traffic";
import fc from "fast-check";
import {
  canonicalJson,
  contentHash,
  decodeLane,
  EndpointLaneReader,
  encodeLane,
  laneEntry,
  laneKey,
  PackedUpdateReader,
  packUpdate,
  parseLaneKey,
} from "./lanes.ts";

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const text = fc.string({ unit: "grapheme", maxLength: 12 });
const metadata = fc.dictionary(
  text.filter((key) => key !== "__proto__"),
  fc.constant({ "heddle.h2": true }),
  { maxKeys: 2 },
);
const address = fc.oneof(
  fc.record({ type: fc.constant("socket" as const), address: text, port: fc.integer({ min: 0, max: 65_535 }) }),
  fc.record({
    type: fc.constant("pipe" as const),
    path: text,
    mode: fc.option(fc.integer({ min: 0, max: 0o777 }), { nil: undefined }),
  }),
);
const endpoints: fc.Arbitrary<EndpointsConfig> = fc.record({
  clusterName: text,
  overprovisioningFactorPercent: u32,
  dropOverloads: fc.array(fc.record({ category: text, numerator: u32, denominator: u32 }), { maxLength: 2 }),
  localities: fc.array(
    fc.record({
      locality: fc.record({ region: text, zone: text, subZone: text }),
      loadBalancingWeight: fc.option(u32, { nil: undefined }),
      priority: fc.integer({ min: 0, max: 128 }),
      endpoints: fc.array(
        fc.record({
          address,
          hostname: text,
          healthStatus: fc.constantFrom(
            ...(["UNKNOWN", "HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT", "DEGRADED"] as const),
          ),
          loadBalancingWeight: u32,
          metadata,
        }),
        { maxLength: 20 },
      ),
    }),
    { maxLength: 4 },
  ),
});

/** fast-check makes records without a prototype; a strict comparison minds. */
const plain = <T>(value: T): T => structuredClone(value);

test("endpoints cross as columns and come back equal, whatever they hold", () => {
  fc.assert(
    fc.property(endpoints, (config) => {
      assert.deepEqual(decodeLane("endpoints/x", encodeLane("endpoints/x", config)), plain(config));
    }),
    { seed: 1, numRuns: 200 },
  );
});

test("endpoints are read in slices that end when their time is up", () => {
  const config = manyEndpoints(1000);
  const reader = new EndpointLaneReader(encodeLane("endpoints/x", config));
  const clock = new ManualClock();
  assert.throws(() => reader.result, /not been read to its end/);
  let slices = 1;
  while (!reader.step(0, clock)) slices += 1;
  assert.equal(slices, Math.ceil(1000 / 64));
  assert.deepEqual(reader.result, config);
});

test("endpoints with equal metadata share one object after reading", () => {
  const result = decodeLane("endpoints/x", encodeLane("endpoints/x", manyEndpoints(2))) as EndpointsConfig;
  const [first, second] = result.localities[0]!.endpoints;
  assert.equal(first!.metadata, second!.metadata);
});

test("bytes that are no endpoint lane are refused", () => {
  const bytes = encodeLane("endpoints/x", manyEndpoints(3));
  assert.throws(() => new EndpointLaneReader(bytes.subarray(0, bytes.byteLength - 1)), /no endpoint lane/);
  bytes[0] = 0;
  assert.throws(() => new EndpointLaneReader(bytes), /no endpoint lane/);
});

test("a step crosses in one block of shared memory, and its entries are read from there", () => {
  const config = manyEndpoints(5);
  const changed = [laneEntry("endpoints/x", config), laneEntry("route-configuration/é/x", { name: "é" })];
  const packed = packUpdate({ generation: 7, changed, removed: ["cluster/ü", "listener/b"] });
  const reader = new PackedUpdateReader(packed);
  assert.throws(() => reader.result, /not been read to its end/);
  assert.ok(reader.step(1, new ManualClock()));
  const { generation, removed, changed: read } = reader.result;
  assert.deepEqual([generation, removed], [7, ["cluster/ü", "listener/b"]]);
  assert.deepEqual(
    read.map(({ key, hash }) => [key, hash]),
    changed.map(({ key, hash }) => [key, hash]),
  );
  assert.ok(read.every(({ bytes }) => bytes.buffer === packed.bytes));
  assert.deepEqual(
    read.map(({ key, bytes }) => decodeLane(key, bytes)),
    [config, { name: "é" }],
  );
});

test("a step is read in slices, and bytes that are none are refused", () => {
  const removed = Array.from({ length: 1000 }, (_, index) => `cluster/${index}`);
  const reader = new PackedUpdateReader(packUpdate({ generation: 1, changed: [], removed }));
  let slices = 1;
  while (!reader.step(0, new ManualClock())) slices += 1;
  assert.equal(slices, Math.ceil(1000 / 64));
  assert.deepEqual(reader.result.removed, removed);
  const nothing = new PackedUpdateReader(packUpdate({ generation: 2, changed: [], removed: [] }));
  assert.deepEqual(nothing.result, { generation: 2, changed: [], removed: [] });
  for (const bytes of [new SharedArrayBuffer(0), new SharedArrayBuffer(12)])
    assert.throws(() => new PackedUpdateReader({ generation: 1, bytes }), /no step of a configuration/);
});

test("equal configuration gives an equal hash, whatever the order of its fields; other configuration another", () => {
  const one = laneEntry("cluster/a", { name: "a", connectTimeoutMs: 1, idleTimeoutMs: undefined } as never);
  const same = laneEntry("cluster/a", { connectTimeoutMs: 1, name: "a" });
  const other = laneEntry("cluster/a", { name: "a", connectTimeoutMs: 2 });
  assert.equal(one.hash, same.hash);
  assert.notEqual(one.hash, other.hash);
  assert.match(one.hash, /^[\w-]{22}$/);
  assert.equal(laneEntry("endpoints/x", manyEndpoints(3)).hash, laneEntry("endpoints/x", manyEndpoints(3)).hash);
});

test("canonical JSON is JSON with sorted keys", () => {
  assert.equal(
    canonicalJson({ b: [1, undefined, { z: null, a: "é" }], a: undefined, "": false }),
    '{"":false,"b":[1,null,{"a":"é","z":null}]}',
  );
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.deepEqual(JSON.parse(canonicalJson(value)), JSON.parse(JSON.stringify(value)));
    }),
    { seed: 2, numRuns: 100 },
  );
});

test("keys hold a kind and a name that may contain slashes", () => {
  assert.deepEqual(parseLaneKey(laneKey("cluster", "outbound/80/a.b")), { kind: "cluster", name: "outbound/80/a.b" });
  assert.throws(() => parseLaneKey("secrets/x"), /no lane key/);
  assert.throws(() => parseLaneKey("cluster"), /no lane key/);
});

test("a content hash is 128 bits of SHA-256", () => {
  assert.equal(contentHash(new Uint8Array()), "47DEQpj8HBSa-_TImW-5JA"); // sha256("") begins e3b0c442
});

function manyEndpoints(count: number): EndpointsConfig {
  return {
    clusterName: "x",
    overprovisioningFactorPercent: 140,
    dropOverloads: [],
    localities: [
      {
        locality: { region: "r", zone: "z", subZone: "" },
        loadBalancingWeight: undefined,
        priority: 0,
        endpoints: Array.from({ length: count }, (_, index) => ({
          address: { type: "socket", address: `10.0.${index >> 8}.${index & 255}`, port: 80 },
          hostname: "",
          healthStatus: "HEALTHY",
          loadBalancingWeight: 1,
          metadata: { "envoy.lb": { canary: false } },
        })),
      },
    ],
  };
}
