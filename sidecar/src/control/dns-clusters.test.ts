import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { Resolution } from "@heddle/net";
import type { Log } from "@heddle/telemetry";
import type { ClusterConfig, EndpointConfig } from "@heddle/traffic";
import { DnsClusters } from "./dns-clusters.ts";

/** A DNS whose answers are given by hand. */
class World {
  readonly clock = new ManualClock();
  readonly asked: string[] = [];
  readonly warnings: string[] = [];
  /** "cluster: addresses" for each time something was told. */
  readonly told: string[] = [];
  endpoints: readonly EndpointConfig[] = [];
  #answers: ((resolution: Resolution) => void)[] = [];
  readonly dns = new DnsClusters({
    clock: this.clock,
    random: () => 0.5,
    log: { warn: (message: string) => this.warnings.push(message) } as unknown as Log,
    resolve: (name, family) => {
      this.asked.push(`${name} ${family}`);
      return new Promise((resolve) => this.#answers.push(resolve));
    },
    onResolved: (config, { localities }) => {
      this.endpoints = localities.flatMap((locality) => locality.endpoints);
      const addresses = this.endpoints.map(({ address }) => (address.type === "socket" ? address.address : ""));
      this.told.push(`${config.name}: ${addresses.join(" ")}`);
    },
  });

  update(...clusters: ClusterConfig[]): void {
    this.dns.update(new Map(clusters.map((cluster) => [cluster.name, cluster])));
  }

  async answer(...addresses: string[]): Promise<void> {
    await this.#say({ type: "found", addresses, ttlMs: 30_000 });
  }

  async fail(): Promise<void> {
    await this.#say({ type: "failed", detail: "SERVFAIL" });
  }

  async notFound(): Promise<void> {
    await this.#say({ type: "not-found" });
  }

  async #say(resolution: Resolution): Promise<void> {
    this.#answers.shift()?.(resolution);
    await settled();
  }
}

/** Past the callbacks of promises that are settled. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("STRICT_DNS has an endpoint for every address, whatever their order", async () => {
  const world = new World();
  world.update(cluster("a", ["one.test"]));
  await world.answer("10.0.0.2", "10.0.0.1");
  assert.deepEqual(world.told, ["a: 10.0.0.1 10.0.0.2"]);
  assert.equal(world.endpoints[0]?.hostname, "one.test");
  world.clock.advance(5250); // 5 s and half of the jitter
  await world.answer("10.0.0.1", "10.0.0.2");
  assert.equal(world.told.length, 1, "the same set is no news");
  world.dns.close();
  assert.equal(world.clock.pending, 0);
});

test("LOGICAL_DNS has one endpoint: the first address", async () => {
  const world = new World();
  world.update(cluster("a", ["one.test"], "LOGICAL_DNS"));
  await world.answer("10.0.0.2", "10.0.0.1");
  assert.deepEqual(world.told, ["a: 10.0.0.2"]);
  world.dns.close();
});

test("a cluster is told of once all its names were answered or failed", async () => {
  const world = new World();
  world.update(cluster("a", ["one.test", "10.9.9.9", "two.test", "one.test"]));
  assert.deepEqual(world.asked, ["one.test AUTO", "two.test AUTO"], "an address is not asked for, a name once");
  await world.answer("10.0.0.1");
  assert.deepEqual(world.told, []);
  await world.fail();
  assert.deepEqual(world.told, ["a: 10.0.0.1 10.9.9.9 10.0.0.1"]);
  world.dns.close();
});

test("a cluster of addresses alone is told of at once", () => {
  const world = new World();
  world.update(cluster("a", ["10.0.0.1"]));
  assert.deepEqual(world.told, ["a: 10.0.0.1"]);
  assert.equal(world.clock.pending, 0);
});

test("a failure keeps the last good addresses, warns once, and asks again", async () => {
  const world = new World();
  world.update(cluster("a", ["one.test"]));
  await world.answer("10.0.0.1");
  for (let time = 0; time < 2; time++) {
    world.clock.advance(5250);
    await world.fail();
  }
  assert.equal(world.told.length, 1);
  assert.equal(world.warnings.length, 1);
  assert.deepEqual(world.dns.inspect(), {
    a: [{ name: "one.test", addresses: ["10.0.0.1"], failure: "SERVFAIL" }],
  });
  world.clock.advance(5250);
  await world.answer("10.0.0.3");
  assert.deepEqual(world.told, ["a: 10.0.0.1", "a: 10.0.0.3"]);
  world.dns.close();
});

test("a name that does not exist any more has no endpoints, as in Envoy", async () => {
  const world = new World();
  world.update(cluster("a", ["one.test"]));
  await world.answer("10.0.0.1");
  world.clock.advance(5250);
  await world.notFound();
  assert.deepEqual(world.told, ["a: 10.0.0.1", "a: "]);
  world.dns.close();
});

test("an updated cluster is asked for anew and falls back to what its name had", async () => {
  const world = new World();
  world.update(cluster("a", ["one.test"]));
  await world.answer("10.0.0.1");
  world.update(cluster("a", ["one.test"]));
  await world.fail();
  assert.deepEqual(world.told, ["a: 10.0.0.1", "a: 10.0.0.1"]);
  assert.equal(world.clock.pending, 1);
  world.dns.close();
});

test("an answer for a cluster that is gone is dropped, and so is what was known of its names", async () => {
  const world = new World();
  world.update(cluster("a", ["one.test"]));
  world.update();
  await world.answer("10.0.0.1");
  assert.deepEqual(world.told, []);
  assert.equal(world.clock.pending, 0);
});

test("the time to the next question follows the TTL where it is to be respected, and never drops below a second", async () => {
  const world = new World();
  world.update(cluster("a", ["one.test"], "STRICT_DNS", { respectTtl: true }));
  await world.answer("10.0.0.1"); // TTL 30 s
  world.clock.advance(31_499);
  assert.equal(world.asked.length, 1);
  world.clock.advance(1);
  assert.equal(world.asked.length, 2);
  world.update(cluster("b", ["b.test"], "STRICT_DNS", { refreshRateMs: 1 }));
  await world.answer(); // of a, which is gone
  await world.answer("10.0.0.1");
  world.clock.advance(1049);
  assert.equal(world.asked.length, 3);
  world.clock.advance(1);
  assert.equal(world.asked.length, 4);
  world.dns.close();
});

function cluster(
  name: string,
  hosts: readonly string[],
  type: "STRICT_DNS" | "LOGICAL_DNS" = "STRICT_DNS",
  dns: object = {},
): ClusterConfig {
  const endpoints = hosts.map((host) => ({ address: { type: "socket", address: host, port: 80 }, hostname: "" }));
  return {
    name,
    discovery: {
      type,
      loadAssignment: { clusterName: name, localities: [{ endpoints }] },
      dns: { refreshRateMs: 5000, respectTtl: false, lookupFamily: "AUTO", ...dns },
    },
  } as unknown as ClusterConfig;
}
