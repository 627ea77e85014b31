import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "@heddle/base";
import { formatResponseFlags } from "@heddle/filter";
import type { ListenerConfig, TcpProxyConfig } from "@heddle/traffic";
import { networkFilters } from "../build/network-filters.ts";
import { clusterConfig, Harness, MemoryConnection } from "../http/testing-harness.ts";
import { sniClusterType } from "./sni-cluster.ts";

const PROXY: TcpProxyConfig = {
  statPrefix: "t",
  clusters: [{ name: "app", weight: 1 }],
  idleTimeoutMs: 3_600_000,
  maxConnectAttempts: 1,
  maxDownstreamConnectionDurationMs: 0,
  accessLog: [{ name: "log", sink: { type: "stdout" }, format: { type: "default" }, filter: undefined }],
  accessLogFlushIntervalMs: 0,
  flushAccessLogOnConnected: false,
};

/** The cluster that a connection of a client is joined with which has asked for that name, and the flags of its log. */
function joined(serverName: string | undefined): readonly [cluster: string | undefined, flags: string] {
  const harness = new Harness({ clusters: [clusterConfig("app"), clusterConfig("orders.example")] });
  const gate = {
    type: "extension",
    name: "sni",
    config: { name: "sni", type: sniClusterType.configType, config: {} },
  } as const;
  const chain = {
    name: "",
    match: undefined,
    filters: [gate, { type: "tcp-proxy", name: "tcp", config: PROXY } as const],
    transportSocketConnectTimeoutMs: 0,
  };
  const filter = networkFilters(harness.env, () => undefined as ListenerConfig | undefined)(chain, "l");
  const client = new MemoryConnection();
  harness.clients.push(client);
  const { id, remoteAddress, remotePort, localAddress, localPort } = client;
  const addresses = { remoteAddress, remotePort, localAddress, localPort, directRemoteAddress: remoteAddress };
  const named = serverName === undefined ? {} : { serverName };
  filter.serve(client, { ...addresses, ...named, connectionId: id, listener: "l", filterChain: "" }, () => undefined);
  harness.run();
  client.break(failure("downstream-reset", "downstream", "ECONNRESET"));
  harness.run();
  const logged = harness.loggedConnections.at(-1);
  return [logged?.upstream?.cluster, formatResponseFlags(logged?.responseFlags ?? -1)];
}

test("a connection goes to the cluster that its client asks for by SNI, and where it asks for none, to the configured one", () => {
  assert.equal(joined("orders.example")[0], "orders.example");
  assert.equal(joined(undefined)[0], "app");
  assert.equal(joined("")[0], "app");
});

test("a name that no cluster has is refused, and not sent to the configured one", () => {
  assert.deepEqual(joined("other.example"), ["other.example", "NC"]);
});

test("its configuration has no fields", () => {
  assert.equal(sniClusterType.parse({}).ok, true);
  assert.equal(sniClusterType.parse({ cluster: "x" }).ok, false);
});
