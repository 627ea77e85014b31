import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { StaticResourceTypes } from "@heddle/config";
import { makeSecretType } from "@heddle/xds";
import { type SidecarStart, sidecarBootstrap } from "./bootstrap.ts";
import { parseSidecarFlags } from "./flags.ts";

/** These bootstraps hold no static resources; a reader of listeners or clusters that is asked is a fault. */
const types = { secret: makeSecretType() } as unknown as StaticResourceTypes;

function start(words: readonly string[], environment?: string): SidecarStart | readonly string[] {
  const flags = parseSidecarFlags(words);
  assert.ok(flags.ok && flags.value.type === "run");
  const result = sidecarBootstrap(flags.value.flags, environment, types);
  return result.ok ? result.value : result.error;
}

const ADS =
  "node: {id: n, cluster: c}\ndynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V3, " +
  "grpc_services: [{google_grpc: {target_uri: 'x:1', stat_prefix: x}}]}, cds_config: {ads: {}}}";

const ALL_BY_ADS = { source: { from: { type: "ads" }, initialFetchTimeoutMs: 15_000 }, names: ["*"] };

test("without a bootstrap everything comes from our control plane by delta ADS", () => {
  assert.deepEqual(start(["--node-id", "shop/orders/1", "--control-plane", "10.0.0.1:15010"], "ignored:1"), {
    bootstrap: {
      node: {
        id: "shop/orders/1",
        cluster: "orders",
        metadata: {},
        locality: { region: "", zone: "", subZone: "" },
      },
      listeners: [],
      clusters: [],
      secrets: [],
      discovery: {
        ads: {
          type: "api",
          apiType: "DELTA_GRPC",
          servers: [{ target: { type: "address", address: "10.0.0.1:15010" } }],
          refreshDelayMs: 0,
          requestTimeoutMs: 1000,
        },
        listenerDiscovery: ALL_BY_ADS,
        clusterDiscovery: ALL_BY_ADS,
      },
      admin: { type: "socket", address: "127.0.0.1", port: 15_000 },
      runtimeLayers: [],
      document: {},
    },
    warnings: [],
  });
});

test("the control plane is found by flag, else by environment, else on loopback", () => {
  const target = (environment?: string): unknown => {
    const started = start(["--node-id", "a/b/c"], environment) as SidecarStart;
    return started.bootstrap.discovery.ads?.servers[0]?.target;
  };
  assert.deepEqual(target("cp:15010"), { type: "address", address: "cp:15010" });
  assert.deepEqual(target(), { type: "address", address: "127.0.0.1:15010" });
});

test("without a bootstrap the node's id must have its three parts", () => {
  assert.deepEqual(start([]), ["name a bootstrap with -c, or this node with --node-id; see --help"]);
  assert.deepEqual(start(["--node-id", "orders"]), [
    '--node-id: found "orders", allowed is <namespace>/<workload>/<instance>',
  ]);
});

test("flags stand above what the bootstrap says of node and admin", () => {
  const started = start(["--config-yaml", ADS, "--node-id", "m", "--admin-address", "127.0.0.1:1"]) as SidecarStart;
  assert.equal(started.bootstrap.node.id, "m");
  assert.equal(started.bootstrap.node.cluster, "c");
  assert.deepEqual(started.bootstrap.admin, { type: "socket", address: "127.0.0.1", port: 1 });
});

test("a second text is merged over a file, and a zone over both", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-bootstrap-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "b.yaml");
  writeFileSync(file, ADS);
  const words = ["-c", file, "--config-yaml", "node: {cluster: d, locality: {region: r}}", "--service-zone", "z"];
  const { node } = (start(words) as SidecarStart).bootstrap;
  assert.deepEqual([node.id, node.cluster, node.locality], ["n", "d", { region: "r", zone: "z", subZone: "" }]);
  assert.match(
    (start(["-c", file, "--config-yaml", "nod: {}"]) as string[])[0]!,
    /^--config-yaml:1:1: nod: is no field/,
  );
  const allowed = start(["--config-yaml", "nod: {}", "--allow-unknown-static-fields"]) as SidecarStart;
  assert.match(allowed.warnings[0]!, /^--config-yaml:1:1: nod: is no field/);
});

test("a bootstrap without admin has none, and one with a control plane needs id and cluster", () => {
  assert.equal((start(["--config-yaml", "node: {}"]) as SidecarStart).bootstrap.admin, undefined);
  assert.deepEqual(start(["--config-yaml", ADS.replace("node: {id: n, cluster: c}\n", "")]), [
    "node.id is missing; write it into the bootstrap or give --node-id",
    "node.cluster is missing; write it into the bootstrap or give --node-cluster",
  ]);
});

test("a file that cannot be read and a bootstrap that is wrong are told by name and place", () => {
  assert.match((start(["-c", "/nowhere/b.yaml"]) as string[])[0]!, /^\/nowhere\/b\.yaml: cannot be read: ENOENT/);
  assert.match((start(["--config-yaml", "nod: {}"]) as string[])[0]!, /^--config-yaml:1:1: nod: is no field/);
});

test("with an identity our control plane is asked over TLS alone, at its own port", () => {
  const flags = parseSidecarFlags(["--node-id", "shop/orders/1"]);
  assert.ok(flags.ok && flags.value.type === "run");
  const result = sidecarBootstrap(flags.value.flags, undefined, types, {}, true);
  assert.ok(result.ok);
  assert.deepEqual(result.value.bootstrap.discovery.ads?.servers, [
    { target: { type: "address", address: "127.0.0.1:15012" }, byIdentity: true },
  ]);
});
