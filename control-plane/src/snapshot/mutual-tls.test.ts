import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ListenerConfig } from "@heddle/traffic";
import type { SnapshotWatch } from "@heddle/xds";
import {
  changes,
  cluster,
  endpointMetadata,
  find,
  listener,
  node,
  policy,
  service,
  TestMesh,
  workload,
} from "./testing.ts";

const CLUSTER_NAME = "outbound/80/orders.default";

describe("mutual TLS without anybody configuring it", () => {
  it("a sidecar that has proved who it is takes both on one port, and calls by mutual TLS who takes it", () => {
    const mesh = new TestMesh();
    mesh.put(service("orders"), workload("orders-1", { account: "orders" }), workload("orders-2", { account: "old" }));
    const { current } = mesh.watch(node("orders-1", "orders"));
    const { filterChains, listenerFilters } = listener(current, "inbound/8001");
    assert.deepEqual(
      filterChains.map(({ match, tls }) => [match?.transportProtocol, tls?.requireClientCertificate]),
      [
        ["tls", true],
        ["raw_buffer", undefined],
      ],
    );
    assert.deepEqual(
      listenerFilters.map(({ type }) => type),
      ["tls-inspector"],
    );
    const common = filterChains[0]?.tls?.common;
    assert.deepEqual(common?.certificateSecrets, [{ from: "static", name: "default" }]);
    assert.deepEqual(common?.validationSecret, { from: "static", name: "ROOTCA" });
    assert.deepEqual(common?.alpnProtocols, ["h2", "http/1.1"]);
    const [mtls, plaintext] = cluster(current).transportSocketMatches ?? [];
    assert.deepEqual(mtls?.match, { tlsMode: "heddle" });
    assert.deepEqual(
      mtls?.tls?.common.validation?.sanMatchers.map(({ type, matcher }) => [type, matcher]),
      ["old", "orders"].map((account) => [
        "URI",
        { type: "exact", value: `spiffe://mesh.test/ns/default/sa/${account}`, ignoreCase: false },
      ]),
    );
    assert.equal(mtls?.tls?.sni, "80.orders.default.heddle.internal");
    assert.deepEqual(plaintext, { name: "plaintext", match: {} });
    assert.deepEqual(endpointMetadata(current), [
      {
        heddle: { h2: true, identity: "spiffe://mesh.test/ns/default/sa/orders" },
        "envoy.transport_socket_match": { tlsMode: "heddle" },
      },
      {
        heddle: { h2: true, identity: "spiffe://mesh.test/ns/default/sa/old" },
        "envoy.transport_socket_match": { tlsMode: "heddle" },
      },
    ]);
  });

  it("the application learns the caller's identity on the mutual chain, and on the other one nobody makes one up", () => {
    const mesh = new TestMesh();
    mesh.put(workload("orders-1"));
    const { filterChains } = listener(mesh.watch(node("orders-1", "default")).current, "inbound/8001");
    const details = filterChains.map(({ filters: [filter] }) => {
      assert.ok(filter?.type === "http-connection-manager");
      const { forwardClientCertDetails, currentClientCert } = filter.config.manners;
      return [forwardClientCertDetails, currentClientCert?.uri];
    });
    assert.deepEqual(details, [
      ["SANITIZE_SET", true],
      ["SANITIZE", undefined],
    ]);
  });

  it("X1: what a node says of itself gives it no identity; nor does a certificate where the mesh has no authority", () => {
    const boasting = {
      ...node("orders-1"),
      metadata: { identity: "spiffe://mesh.test/ns/default/sa/orders", heddle: { identity: "x" } },
    };
    for (const [who, trustDomain] of [
      [boasting, "mesh.test"],
      [node("orders-1", "default"), null],
      [{ ...node("orders-1", "default"), userAgentName: "gRPC C-core" }, "mesh.test"], // it would refuse the clusters
    ] as const) {
      const mesh = new TestMesh(trustDomain);
      mesh.put(service("orders"), workload("orders-1"));
      const { current } = mesh.watch(who);
      assert.deepEqual(
        listener(current, "inbound/8001").filterChains.map(({ match, tls }) => [match, tls]),
        [[undefined, undefined]],
      );
      assert.equal(cluster(current).transportSocketMatches, undefined);
    }
  });

  it("a service with nobody behind it is believed to be nobody", () => {
    const mesh = new TestMesh();
    mesh.put(service("orders"), workload("web-1", { app: "web" }));
    const [mtls] = cluster(mesh.watch(node("web-1", "default")).current).transportSocketMatches ?? [];
    const [matcher] = mtls?.tls?.common.validation?.sanMatchers ?? [];
    assert.deepEqual(matcher?.matcher, { type: "exact", value: "spiffe://mesh.test", ignoreCase: false });
  });

  for (const [mode, secured, plain, offered] of [
    ["STRICT", ["mtls"], undefined, true],
    ["PERMISSIVE", ["mtls", "plaintext"], [""], true],
    ["DISABLE", [""], [""], false],
  ] as const) {
    it(`${mode}: an HTTP port has the chains ${JSON.stringify(secured)}; without identity ${JSON.stringify(plain)}`, () => {
      for (const protocol of ["http", "tcp"]) {
        const mesh = new TestMesh();
        mesh.put(
          service("orders"),
          workload("orders-1", { protocol }),
          policy("PeerAuthentication", "default/p", `mtls: { mode: ${mode} }`),
        );
        const chains = (watch: SnapshotWatch): unknown =>
          find<ListenerConfig>(watch.current, "listener", "inbound/8001")?.filterChains.map(({ name }) => name);
        const watch = mesh.watch(node("orders-1", "default"));
        assert.deepEqual(chains(watch), secured, protocol);
        assert.deepEqual(chains(mesh.watch(node("orders-1"))), plain, protocol);
        const [metadata = {}] = endpointMetadata(watch.current);
        assert.equal("envoy.transport_socket_match" in metadata, offered);
      }
    });
  }

  it("of a TCP port TLS for a name of the mesh is the mesh's, and any other the application's", () => {
    const mesh = new TestMesh();
    mesh.put(workload("db-1", { protocol: "tcp" }));
    const config = listener(mesh.watch(node("db-1", "default")).current, "inbound/8001");
    const [mtls, plaintext] = config.filterChains;
    assert.deepEqual([mtls?.match?.serverNames, mtls?.match?.transportProtocol], [["*.heddle.internal"], "tls"]);
    assert.deepEqual(mtls?.tls?.common.alpnProtocols, []);
    assert.deepEqual(
      [plaintext?.match?.serverNames, plaintext?.match?.transportProtocol, plaintext?.tls],
      [[], "", undefined],
    );
    assert.equal(config.continueOnListenerFiltersTimeout, true);
    assert.deepEqual(
      config.filterChains.map(({ filters }) => filters.map(({ type }) => type)),
      [["tcp-proxy"], ["tcp-proxy"]],
    );
  });

  it("a port's mode is the port's", () => {
    const mesh = new TestMesh();
    const ports = "[{ name: a, port: 8001, applicationPort: 9001 }, { name: b, port: 8002, applicationPort: 9002 }]";
    mesh.put(
      workload("orders-1", { ports }),
      policy(
        "PeerAuthentication",
        "default/p",
        "selector: { matchLabels: { app: orders } }\n  portLevelMtls: { 8002: { mode: STRICT } }",
      ),
    );
    const { current } = mesh.watch(node("orders-1", "default"));
    assert.deepEqual(
      [8001, 8002].map((port) => listener(current, `inbound/${port}`).filterChains.map(({ name }) => name)),
      [["mtls", "plaintext"], ["mtls"]],
    );
  });
});

describe("what a change costs where nodes have an identity", () => {
  it("an endpoint: its endpoints alone, once for callers with and without an identity", () => {
    const mesh = new TestMesh();
    mesh.put(service("orders"), workload("orders-1"), workload("web-1", { app: "web" }));
    const watches = [mesh.watch(node("web-1", "default")), mesh.watch(node("web-1"))];
    const before = watches.map(({ current }) => current);
    const cost = mesh.cost();
    mesh.put(service("orders"), workload("orders-1"), workload("web-1", { app: "web" }), workload("orders-2"));
    assert.deepEqual(cost(), { endpoints: 1 });
    for (const [index, { current }] of watches.entries())
      assert.deepEqual(changes(before[index], current), [`endpoints ${CLUSTER_NAME}`]);
  });

  it("an account: the cluster and the endpoints, of callers with an identity; the endpoints of the others", () => {
    const mesh = new TestMesh();
    mesh.put(service("orders"), workload("orders-1"), workload("web-1", { app: "web" }));
    const watches = [mesh.watch(node("web-1", "default")), mesh.watch(node("web-1"))];
    const before = watches.map(({ current }) => current);
    const cost = mesh.cost();
    mesh.put(service("orders"), workload("orders-1", { account: "new" }), workload("web-1", { app: "web" }));
    assert.deepEqual(cost(), { endpoints: 1, "secured-cluster": 1 });
    assert.deepEqual(changes(before[0], watches[0]?.current), [`cluster ${CLUSTER_NAME}`, `endpoints ${CLUSTER_NAME}`]);
    assert.deepEqual(changes(before[1], watches[1]?.current), [`endpoints ${CLUSTER_NAME}`]);
  });

  it("a policy: the listeners of whom it selects, and their endpoints where callers have to call otherwise", () => {
    const mesh = new TestMesh();
    const rest = [service("orders"), service("web"), workload("orders-1"), workload("web-1", { app: "web" })];
    mesh.put(...rest);
    const [orders, web] = [mesh.watch(node("orders-1", "default")), mesh.watch(node("web-1", "default"))];
    const mtls = (mode: string): string =>
      policy(
        "PeerAuthentication",
        "default/p",
        `selector: { matchLabels: { app: orders } }\n  mtls: { mode: ${mode} }`,
      );
    for (const [mode, expected] of [
      ["STRICT", [[`listener inbound/8001`], []]],
      ["DISABLE", [[`endpoints ${CLUSTER_NAME}`, "listener inbound/8001"], [`endpoints ${CLUSTER_NAME}`]]],
    ] as const) {
      const before = [orders.current, web.current];
      const cost = mesh.cost();
      mesh.put(...rest, mtls(mode));
      assert.deepEqual([changes(before[0], orders.current), changes(before[1], web.current)], expected, mode);
      assert.deepEqual(cost(), { inbound: 1, ...(mode === "DISABLE" && { endpoints: 1 }) }, mode);
    }
  });
});
