import assert from "node:assert/strict";
import { test } from "node:test";
import type { DownstreamInfo } from "@heddle/filter";
import { HeaderMap, RequestHead } from "@heddle/http";
import { type ForwardedOptions, readForwarded } from "./forwarded-headers.ts";

const PEER: DownstreamInfo = {
  directRemoteAddress: "192.0.2.1",
  remoteAddress: "192.0.2.1",
  remotePort: 40000,
  localAddress: "192.0.2.2",
  localPort: 80,
  connectionId: 1,
  listener: "l",
  filterChain: "",
};

const INSIDE: ForwardedOptions = { useRemoteAddress: false, xffNumTrustedHops: 0, skipXffAppend: false };
const EDGE: ForwardedOptions = { ...INSIDE, useRemoteAddress: true };

/** The client's address, then x-forwarded-for and x-forwarded-proto as they go on. */
function read(options: ForwardedOptions, headers: Readonly<Record<string, string>>) {
  const head = new RequestHead("GET", "http", "a", "/", HeaderMap.from(headers));
  const downstream = readForwarded(head, options, PEER);
  return [downstream.remoteAddress, head.headers.get("x-forwarded-for"), head.headers.get("x-forwarded-proto")];
}

test("inside, the last address that the hop before has written is the client", () => {
  assert.deepEqual(read(INSIDE, {}), ["192.0.2.1", undefined, "http"]);
  assert.deepEqual(read(INSIDE, { "x-forwarded-for": "1.1.1.1, 2.2.2.2", "x-forwarded-proto": "https" }), [
    "2.2.2.2",
    "1.1.1.1, 2.2.2.2",
    "https",
  ]);
  assert.equal(read({ ...INSIDE, xffNumTrustedHops: 1 }, { "x-forwarded-for": "1.1.1.1, 2.2.2.2" })[0], "1.1.1.1");
});

test("at the edge the peer is the client, and what it claims is only passed on", () => {
  assert.deepEqual(read(EDGE, { "x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "https" }), [
    "192.0.2.1",
    "6.6.6.6,192.0.2.1",
    "http",
  ]);
  assert.deepEqual(read({ ...EDGE, skipXffAppend: true }, {}), ["192.0.2.1", undefined, "http"]);
});

test("with trusted hops before the edge the address that the outermost has written is the client", () => {
  const options = { ...EDGE, xffNumTrustedHops: 1 };
  assert.deepEqual(read(options, { "x-forwarded-for": "6.6.6.6, 3.3.3.3", "x-forwarded-proto": "https" }), [
    "3.3.3.3",
    "6.6.6.6, 3.3.3.3,192.0.2.1",
    "https",
  ]);
  assert.equal(read({ ...EDGE, xffNumTrustedHops: 3 }, { "x-forwarded-for": "3.3.3.3" })[0], "192.0.2.1");
});

test("what is no address is not believed", () => {
  for (const value of ["unknown", "_hidden", "1.1.1.1:80", "", "a, b", "<script>"]) {
    assert.equal(read(INSIDE, { "x-forwarded-for": value })[0], "192.0.2.1", value);
  }
  assert.equal(read(INSIDE, { "x-forwarded-for": "2001:db8::1" })[0], "2001:db8::1");
});

test("headers that steer a proxy are taken from everybody, those that describe a caller at the edge", () => {
  const names = [
    "x-envoy-retry-on",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-downstream-service-cluster",
    "x-envoy-other",
  ];
  const left = (options: ForwardedOptions): string[] => {
    const headers = new HeaderMap(names.flatMap((name) => [name, "1"]));
    readForwarded(new RequestHead("GET", "http", "a", "/", headers), { ...options, skipXffAppend: true }, PEER);
    return names.filter((name) => headers.has(name));
  };
  assert.deepEqual(left(EDGE), ["x-envoy-other"]);
  assert.deepEqual(left(INSIDE), ["x-envoy-downstream-service-cluster", "x-envoy-other"]);
});
