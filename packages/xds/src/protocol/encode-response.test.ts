import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type DeltaResource,
  decodeDeltaDiscoveryResponse,
  decodeDiscoveryResponse,
  decodeWrappedResource,
} from "@heddle/proto";
import fc from "fast-check";
import type { EncodedResource } from "../snapshot.ts";
import { encodeDeltaResponse, encodeSotwResponse } from "./encode-response.ts";
import type { ServerResponse } from "./server-session.ts";
import { CLUSTER_TYPE_URL } from "./type-urls.ts";

const text = fc.string({ unit: "grapheme", maxLength: 200 });
const resource: fc.Arbitrary<EncodedResource> = fc.record({
  name: text,
  version: text,
  bytes: fc.uint8Array({ maxLength: 20_000 }),
});
const response: fc.Arbitrary<ServerResponse> = fc.record({
  typeUrl: fc.constant(CLUSTER_TYPE_URL),
  version: text,
  nonce: text,
  resources: fc.array(resource, { maxLength: 5 }),
  removed: fc.array(text, { maxLength: 5 }),
});
const seeded = { seed: 20261121, numRuns: 100 };

test("a state-of-the-world response put together by hand is read back as it was by the generated codec", () => {
  fc.assert(
    fc.property(response, text, (sent, identifier) => {
      const read = decodeDiscoveryResponse(encodeSotwResponse(sent, identifier));
      assert.equal(read.versionInfo, sent.version);
      assert.equal(read.nonce, sent.nonce);
      assert.equal(read.typeUrl, sent.typeUrl);
      assert.equal(read.controlPlaneIdentifier, identifier);
      assert.deepEqual(
        read.resources.map(plain),
        sent.resources.map((r) => [CLUSTER_TYPE_URL, [...r.bytes]]),
      );
    }),
    seeded,
  );
});

test("statement 7: a delta response put together by hand is read back as it was, each resource of the response's type", () => {
  fc.assert(
    fc.property(response, text, (sent, identifier) => {
      const read = decodeDeltaDiscoveryResponse(encodeDeltaResponse(sent, identifier));
      assert.equal(read.systemVersionInfo, sent.version);
      assert.equal(read.nonce, sent.nonce);
      assert.equal(read.controlPlaneIdentifier, identifier);
      assert.deepEqual(read.removedResources, sent.removed);
      assert.deepEqual(
        read.resources.map((r) => [r.name, r.version, ...plain(r.resource!)]),
        sent.resources.map((r) => [r.name, r.version, CLUSTER_TYPE_URL, [...r.bytes]]),
      );
    }),
    seeded,
  );
});

test("statement 69: times to live go to who can take them: in the delta envelope, or in one of its own", () => {
  const bytes = Buffer.from([10, 1, 97]);
  const sent: ServerResponse = {
    typeUrl: CLUSTER_TYPE_URL,
    version: "1",
    nonce: "n",
    resources: [
      { name: "a", version: "v", bytes, ttlMs: 1500 },
      { name: "b", version: "w", bytes, aliases: ["c"] },
    ],
    removed: [],
    bodiless: [{ name: "d", version: "x", ttlMs: 10 }],
    withTtl: true,
  };
  const resource = { typeUrl: CLUSTER_TYPE_URL, value: bytes };
  const [a, b, d] = [
    { name: "a", aliases: [], version: "v", resource, ttlMs: 1500 },
    { name: "b", aliases: ["c"], version: "w", resource },
    { name: "d", aliases: [], version: "x", resource: undefined, ttlMs: 10 },
  ];
  assert.deepEqual(decodeDeltaDiscoveryResponse(encodeDeltaResponse(sent, "")).resources.map(bare), [a, b, d]);
  const [first, second, third] = decodeDiscoveryResponse(encodeSotwResponse(sent, "")).resources;
  assert.deepEqual(bare(decodeWrappedResource(first!.value)), a);
  assert.deepEqual([second!.typeUrl, [...second!.value]], [CLUSTER_TYPE_URL, [...bytes]]);
  assert.deepEqual(decodeWrappedResource(third!.value), d);
  const plainly = decodeDeltaDiscoveryResponse(encodeDeltaResponse({ ...sent, withTtl: false, bodiless: [] }, ""));
  assert.deepEqual(
    plainly.resources.map(({ ttlMs }) => ttlMs),
    [undefined, undefined],
  );
});

/** With its bytes as a Buffer, to be compared. */
function bare(one: DeltaResource): DeltaResource {
  return { ...one, resource: one.resource && { ...one.resource, value: Buffer.from(one.resource.value) } };
}

function plain(any: { typeUrl: string; value: Uint8Array }): [string, number[]] {
  return [any.typeUrl, [...any.value]];
}
