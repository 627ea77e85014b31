import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeDiscoveryResponse } from "@heddle/proto";
import fc from "fast-check";
import { textResource } from "../testing.ts";
import { peekName, readResourceErrors } from "./wire-reader.ts";

test("the name of a resource is read from its bytes alone", () => {
  assert.equal(peekName(textResource("outbound/80/orders.default", "1").bytes), "outbound/80/orders.default");
});

test("bytes that are cut short have no name", () => {
  const { bytes } = textResource("orders", "text");
  for (let length = 0; length < bytes.length; length += 1) {
    const name = peekName(bytes.subarray(0, length));
    assert.ok(name === undefined || length === 8, `${length} bytes gave "${name}"`);
  }
});

test("no bytes make the reader fail", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      peekName(bytes);
      readResourceErrors(bytes, 7);
    }),
    { seed: 7, numRuns: 500 },
  );
});

test("statement 74: errors by resource are read although our descriptors are older than the field", () => {
  const plain = encodeDiscoveryResponse({
    versionInfo: "1",
    resources: [],
    typeUrl: "t",
    nonce: "n",
    controlPlaneIdentifier: "cp",
  });
  // resource_errors { resource_name { name: "a" } error_detail { code: 5 message: "gone" } }
  const error = Buffer.from([0x0a, 3, 0x0a, 1, 97, 0x12, 8, 0x08, 5, 0x12, 4, 103, 111, 110, 101]);
  const bytes = Buffer.concat([plain, Buffer.from([(7 << 3) | 2, error.length]), error]);
  assert.deepEqual(readResourceErrors(bytes, 7), [{ name: "a", status: { code: 5, message: "gone" } }]);
  assert.deepEqual(readResourceErrors(plain, 7), []);
});
