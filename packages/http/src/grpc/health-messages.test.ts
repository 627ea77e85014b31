import assert from "node:assert/strict";
import { test } from "node:test";
import { healthCheckResponse, readHealthCheckRequest, ServingStatus } from "./health-messages.ts";

test("a request names a service, or none", () => {
  assert.equal(readHealthCheckRequest(new Uint8Array(0)), "");
  assert.equal(readHealthCheckRequest(Buffer.from("\x0a\x04shop")), "shop");
  assert.equal(readHealthCheckRequest(Buffer.from("\x0a\x01a\x0a\x01b")), "b");
  assert.equal(readHealthCheckRequest(Buffer.from("\x0a\x00")), "");
});

test("fields that it does not have are passed over", () => {
  const others = Buffer.from([0x10, 0x96, 0x01, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4, 0x32, 2, 0x61, 0x62]);
  assert.equal(readHealthCheckRequest(Buffer.concat([others, Buffer.from("\x0a\x01x"), others])), "x");
});

test("what is no message is told from one", () => {
  for (const bytes of [
    [0x0a],
    [0x0a, 5, 0x61],
    [0x10],
    [0x10, 0x80],
    [0x19, 1],
    [0x25, 1],
    [0x0b],
    [0x0c],
    [0x0f],
    [0x02, 0],
    [0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    [0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f],
    Array<number>(12).fill(0x80).with(0, 0x10),
  ]) {
    // biome-ignore format: a table
    assert.equal(readHealthCheckRequest(Uint8Array.from(bytes)), undefined, String(bytes));
  }
});

test("a response is its status", () => {
  assert.deepEqual(healthCheckResponse(ServingStatus.NotServing), Uint8Array.of(8, 2));
});
