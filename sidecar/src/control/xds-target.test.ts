import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address, ClusterConfig } from "@heddle/traffic";
import { xdsTarget } from "./xds-target.ts";

test("a target is taken as it is", () => {
  assert.deepEqual(xdsTarget({ type: "address", address: "cp:15010" }, []), { ok: true, value: "cp:15010" });
});

test("a cluster's endpoints become gRPC's name for them, the first priority first", () => {
  assert.equal(target(ip("10.0.0.1")), "ipv4:10.0.0.1:18000");
  assert.equal(target(ip("10.0.0.2"), ip("10.0.0.1")), "ipv4:10.0.0.1:18000,10.0.0.2:18000");
  assert.equal(target(ip("::1")), "ipv6:[::1]:18000");
  assert.equal(target(ip("cp.test")), "dns:///cp.test:18000");
  assert.equal(target({ type: "pipe", path: "/run/cp.sock", mode: undefined }), "unix:/run/cp.sock");
});

test("what gRPC has no name for is refused", () => {
  assert.match(target(), /has no endpoints/);
  assert.match(target(ip("10.0.0.1"), ip("cp.test")), /besides a host name/);
  assert.match(target(ip("::1"), ip("10.0.0.1")), /of one family/);
  const eds = { name: "xds", discovery: { type: "EDS", serviceName: "x" } } as ClusterConfig;
  const server = { type: "cluster", name: "xds" } as const;
  assert.ok(!xdsTarget(server, [eds]).ok);
  assert.ok(!xdsTarget(server, []).ok);
});

function ip(address: string): Address {
  return { type: "socket", address, port: 18_000 };
}

/** The target, or why there is none. Endpoints are given last priority first. */
function target(...addresses: Address[]): string {
  const localities = addresses.map((address, index) => ({
    priority: addresses.length - index,
    endpoints: [{ address }],
  }));
  const cluster = { name: "xds", discovery: { type: "STATIC", loadAssignment: { localities } } };
  const result = xdsTarget({ type: "cluster", name: "xds" }, [cluster as unknown as ClusterConfig]);
  return result.ok ? result.value : result.error;
}
