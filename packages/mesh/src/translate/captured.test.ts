import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseIp } from "@heddle/base";
import {
  compileFilterChainMatch,
  type EndpointConfig,
  type FilterChainConfig,
  type ListenerConfig,
} from "@heddle/traffic";
import { meshOf } from "../model/testing.ts";
import { capturedInboundListener } from "./captured-inbound.ts";
import {
  type CapturedRules,
  carriageOf,
  namedPortListener,
  podsListener,
  podsPlaces,
  serverNameChains,
  serviceListener,
  virtualOutboundListener,
} from "./captured-listeners.ts";
import { capturedInboundCluster, passthroughCluster } from "./clusters.ts";
import { dnsListener, dnsTcpListener } from "./dns-listeners.ts";
import { outboundListener } from "./listeners.ts";
import { capturedRouteConfiguration, capturedVirtualHost } from "./routes.ts";
import { capturedReach } from "./scope.ts";

const RULES: CapturedRules = { accessLog: "off", ipv4: true, ipv6: true, unknown: "passthrough" };
const TRUST = { trustDomain: "mesh.test" };
const MESH_SNI = "8080.orders.default.heddle.internal";

const WORKLOAD = `
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: orders, labels: { app: orders } }
spec:
  addresses: [10.1.0.1]
  capture: redirect
  ports:
    - { name: http, protocol: http, port: 8080 }
    - { name: db, protocol: tcp, port: 5432 }
    - { name: any, port: 9000 }
---`;

const peer = (spec: string): string =>
  `\napiVersion: heddle.dev/v1\nkind: PeerAuthentication\nmetadata: { name: p }\nspec: { selector: { matchLabels: { app: orders } }, ${spec} }\n---`;

interface Caller {
  readonly port: number;
  readonly tls?: string;
  readonly alpn?: readonly string[];
  readonly says?: string;
}

/** The chain that takes such a connection; undefined: it is closed. */
function chainOf(listener: ListenerConfig, { port, tls, alpn = [], says }: Caller): FilterChainConfig | undefined {
  const table = compileFilterChainMatch(
    listener.filterChains.map((chain) => ({ name: chain.name, match: chain.match, chain })),
    listener.defaultFilterChain,
  );
  assert.ok(table.ok, JSON.stringify(table));
  return table.value.find({
    destinationAddress: parseIp("10.1.0.1"),
    destinationPort: port,
    serverName: tls ?? "",
    transportProtocol: tls === undefined ? "raw_buffer" : "tls",
    applicationProtocols: tls === undefined ? (says === undefined ? [] : [says]) : alpn,
    sourceAddress: parseIp("10.1.0.9"),
    sourcePort: 1,
    directSourceAddress: parseIp("10.1.0.9"),
  });
}

/** "mtls http", "plaintext tcp": what becomes of such a connection. */
function treatment(listener: ListenerConfig, caller: Caller): string {
  const chain = chainOf(listener, caller);
  if (chain === undefined) return "closed";
  const last = chain.filters.at(-1);
  assert.ok(last !== undefined);
  if (last.type === "tcp-proxy" && last.config.clusters[0]?.name === "blackhole") return "closed";
  return `${chain.tls === undefined ? "plaintext" : "mtls"} ${last.type === "tcp-proxy" ? "tcp" : "http"}`;
}

function inbound(hasIdentity: boolean, ...policies: readonly string[]): ListenerConfig {
  const mesh = meshOf(WORKLOAD, ...policies);
  const workload = mesh.workload("default", "orders");
  assert.ok(workload !== undefined);
  return capturedInboundListener(
    workload,
    { policies: mesh.policiesOf(workload), trust: TRUST, hasIdentity },
    "redirect",
  );
}

describe("what is sent to a captured pod", () => {
  const http = { port: 8080, says: "http/1.1" };
  const httpMesh = { port: 8080, tls: MESH_SNI, alpn: ["h2"] };
  const bytes = { port: 5432 };
  const bytesMesh = { port: 5432, tls: "5432.db.default.heddle.internal" };
  const ownTls = { port: 5432, tls: "db.example.com" };
  const any = { port: 9000 };
  const anyHttp = { port: 9000, says: "http/1.1" };
  const anyHttpMesh = { port: 9000, tls: MESH_SNI, alpn: ["h2", "http/1.1"] };
  const anyMesh = { port: 9000, tls: MESH_SNI };
  const anyOwnTls = { port: 9000, tls: "x.example.com", alpn: ["h2"] };
  const other = { port: 4711 };
  const otherMesh = { port: 4711, tls: MESH_SNI };
  const itself = { port: 15_006 };
  const callers = {
    http,
    httpMesh,
    bytes,
    bytesMesh,
    ownTls,
    any,
    anyHttp,
    anyHttpMesh,
    anyMesh,
    anyOwnTls,
    other,
    otherMesh,
    itself,
  };

  for (const [mode, hasIdentity, expected] of [
    [
      "PERMISSIVE",
      true,
      {
        http: "plaintext http",
        httpMesh: "mtls http",
        bytes: "plaintext tcp",
        bytesMesh: "mtls tcp",
        ownTls: "plaintext tcp",
        any: "plaintext tcp",
        anyHttp: "plaintext http",
        anyHttpMesh: "mtls http",
        anyMesh: "mtls tcp",
        anyOwnTls: "plaintext tcp",
        other: "plaintext tcp",
        otherMesh: "mtls tcp",
        itself: "closed",
      },
    ],
    [
      "STRICT",
      true,
      {
        http: "mtls http", // where the handshake fails
        httpMesh: "mtls http",
        bytes: "mtls tcp",
        bytesMesh: "mtls tcp",
        ownTls: "mtls tcp",
        any: "closed",
        anyHttp: "closed",
        anyHttpMesh: "mtls http",
        anyMesh: "mtls tcp",
        anyOwnTls: "closed",
        other: "mtls tcp",
        otherMesh: "mtls tcp",
        itself: "closed",
      },
    ],
    ["STRICT", false, Object.fromEntries(Object.keys(callers).map((who) => [who, "closed"]))],
    [
      "DISABLE",
      true,
      {
        http: "plaintext http",
        httpMesh: "plaintext http",
        bytes: "plaintext tcp",
        bytesMesh: "plaintext tcp",
        ownTls: "plaintext tcp",
        any: "plaintext tcp",
        anyHttp: "plaintext http",
        anyHttpMesh: "plaintext tcp",
        anyMesh: "plaintext tcp",
        anyOwnTls: "plaintext tcp",
        other: "plaintext tcp",
        otherMesh: "plaintext tcp",
        itself: "closed",
      },
    ],
  ] as const) {
    it(`is taken as ${mode} says${hasIdentity ? "" : ", and where the sidecar has no identity refused"}, on every port`, () => {
      const listener = inbound(hasIdentity, peer(`mtls: { mode: ${mode} }`));
      const found = Object.fromEntries(
        Object.entries(callers).map(([who, caller]) => [who, treatment(listener, caller)]),
      );
      assert.deepEqual(found, expected);
      assert.equal(listener.defaultFilterChain, undefined, "nothing gets past the chains");
    });
  }

  it("is taken as a policy says of a port that nobody has declared", () => {
    const listener = inbound(true, peer("mtls: { mode: STRICT }, portLevelMtls: { 4711: { mode: DISABLE } }"));
    assert.equal(treatment(listener, other), "plaintext tcp");
    assert.equal(treatment(listener, { port: 4712 }), "mtls tcp");
  });

  it("has no way to the port of all that is captured, whatever a policy or a Service says of it", () => {
    const policy = peer("mtls: { mode: STRICT }, portLevelMtls: { 15006: { mode: DISABLE } }");
    const mesh = meshOf(WORKLOAD.replace("port: 9000 }", "port: 9000 }\n    - { name: own, port: 15006 }"), policy);
    const workload = mesh.workload("default", "orders") ?? assert.fail();
    const security = { policies: mesh.policiesOf(workload), trust: TRUST, hasIdentity: true };
    // Two chains with one match would be refused, and with them the listener.
    for (const listener of [inbound(true, policy), capturedInboundListener(workload, security, "redirect")])
      assert.equal(treatment(listener, itself), "closed");
  });

  it("is authorized on every port, declared or not", () => {
    const allow =
      "apiVersion: heddle.dev/v1\nkind: AuthorizationPolicy\nmetadata: { name: a }\nspec: { selector: { matchLabels: { app: orders } }, rules: [{ from: [{ source: { serviceAccounts: [web] } }] }] }\n---";
    const listener = inbound(true, allow);
    for (const chain of listener.filterChains) {
      const guarded = chain.filters.some(
        (filter) =>
          (filter.type === "extension" && filter.config.type.endsWith(".RBAC")) ||
          (filter.type === "http-connection-manager" &&
            filter.config.httpFilters.some(({ config }) => config.type.endsWith(".RBAC"))),
      );
      assert.equal(guarded, chain.name !== "itself", chain.name);
    }
  });

  it("goes to the application at the pod's own address, from one that is not captured; with TPROXY from the caller's", () => {
    const redirected = capturedInboundCluster(undefined, "redirect");
    assert.deepEqual(
      redirected.upstreamBindConfig?.sourceAddresses.map(({ address }) => address),
      ["127.0.0.6", "::6"],
    );
    assert.equal(capturedInboundCluster(undefined, "tproxy").upstreamBindConfig, undefined);
    const mesh = meshOf(WORKLOAD.replace("redirect", "tproxy"));
    const workload = mesh.workload("default", "orders");
    assert.ok(workload !== undefined);
    const security = { policies: mesh.policiesOf(workload), trust: TRUST, hasIdentity: true };
    const listener = capturedInboundListener(workload, security, "tproxy");
    assert.equal(listener.transparent, true);
    assert.ok(listener.listenerFilters.some(({ type }) => type === "original-src"));
  });

  it("is not waited for at ports of bytes that take plaintext alone, where the server may speak first", () => {
    const passedOver = (...args: Parameters<typeof inbound>): readonly unknown[] =>
      inbound(...args).listenerFilters.map(({ type, disabled }) => (type === "original-dst" ? type : disabled));
    const db = { type: "destination-port", start: 5432, end: 5433 };
    const disabled = peer("mtls: { mode: PERMISSIVE }, portLevelMtls: { 5432: { mode: DISABLE } }");
    assert.deepEqual(passedOver(true, disabled), ["original-dst", db, db]);
    assert.deepEqual(passedOver(false), ["original-dst", db, db]);
    const undeclared = peer("portLevelMtls: { 5432: { mode: DISABLE }, 3306: { mode: DISABLE } }");
    const both = { type: "or", rules: [db, { type: "destination-port", start: 3306, end: 3307 }] };
    assert.deepEqual(passedOver(true, undeclared), ["original-dst", both, both]);
    assert.deepEqual(passedOver(true), ["original-dst", undefined, undefined]);
  });

  it("may be as many connections as without a sidecar: an application of 5,000 clients is not cut off at the 1,025th", () => {
    const mesh = meshOf(WORKLOAD);
    const ports = mesh.workload("default", "orders")?.ports ?? [];
    const clusters = [undefined, ...ports].map((port) => capturedInboundCluster(port, "redirect"));
    for (const { name, circuitBreakers } of [...clusters, passthroughCluster()]) {
      const { maxConnections, maxPendingRequests, maxRequests } = circuitBreakers.default;
      assert.ok(Math.min(maxConnections, maxPendingRequests, maxRequests) > 1_000_000, name);
    }
  });

  it("may name a host with its final dot, as what the application sends may", () => {
    const listeners = [
      inbound(true),
      namedPortListener(80, RULES),
      outboundListener({ port: 15_001, accessLog: "off" }),
    ];
    const managers = listeners.flatMap(({ filterChains }) =>
      filterChains.flatMap(({ filters }) => filters.filter(({ type }) => type === "http-connection-manager")),
    );
    assert.ok(managers.length >= 5);
    for (const one of managers)
      assert.ok(one.type === "http-connection-manager" && one.config.manners.stripTrailingHostDot);
  });

  it("comes by the families that the pod has", () => {
    const addresses = (text: string): unknown => {
      const mesh = meshOf(WORKLOAD.replace("[10.1.0.1]", text));
      const workload = mesh.workload("default", "orders");
      assert.ok(workload !== undefined);
      const security = { policies: mesh.policiesOf(workload), trust: TRUST, hasIdentity: true };
      const { address, additionalAddresses } = capturedInboundListener(workload, security, "redirect");
      return [address, ...additionalAddresses].map((one) => one.type === "socket" && one.address);
    };
    assert.deepEqual(addresses("[10.1.0.1]"), ["0.0.0.0"]);
    assert.deepEqual(addresses("['fd00::1']"), ["::"]);
    assert.deepEqual(addresses("[10.1.0.1, 'fd00::1']"), ["0.0.0.0", "::"]);
  });
});

const SERVICES = `
apiVersion: v1
kind: Service
metadata: { name: orders }
spec: { selector: { app: orders }, clusterIPs: [10.96.0.1, "fd00::1"], clusterIP: 10.96.0.1, ports: [{ name: http, port: 8080 }, { name: tcp-db, port: 5432 }, { name: x, port: 9000 }, { name: y, port: 3306 }] }
---
apiVersion: v1
kind: Service
metadata: { name: stock, namespace: shop }
spec: { selector: { app: stock }, ports: [{ name: http, port: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: pods }
spec: { selector: { app: stock }, clusterIP: None, ports: [{ name: http, port: 8080 }] }
---`;

describe("what a captured application sends", () => {
  const mesh = meshOf(SERVICES);
  const orders = mesh.service("default", "orders");
  const [http, db, any, mysql] = orders?.ports ?? [];
  assert.ok(orders !== undefined && http !== undefined && db !== undefined && any !== undefined && mysql !== undefined);

  it("is carried as the port says, else as its first bytes say, and those of servers that speak first are not waited for", () => {
    assert.deepEqual([http, db, any, mysql].map(carriageOf), ["http", "tcp", "sniffed", "tcp"]);
    assert.equal(carriageOf({ ...http, port: 15_001 }), "none");
  });

  it("goes by Host within its port, and where it is no HTTP where it was meant to go", () => {
    const listener = namedPortListener(8080, RULES);
    assert.equal(listener.bindToPort, false);
    assert.equal(treatment(listener, { port: 8080, says: "http/1.1" }), "plaintext http");
    assert.equal(treatment(listener, { port: 8080, says: "h2c" }), "plaintext http");
    assert.equal(treatment(listener, { port: 8080 }), "plaintext tcp");
    assert.equal(treatment(listener, { port: 8080, tls: "x" }), "plaintext tcp");
    const refusing = namedPortListener(8080, { ...RULES, unknown: "blackhole" });
    assert.equal(treatment(refusing, { port: 8080 }), "closed");
  });

  it("is bytes at the address of a service of bytes, without waiting for any", () => {
    const listener = serviceListener(orders, db, mesh.addressesOf(orders), RULES);
    assert.equal(listener.name, "outbound/5432/10.96.0.1");
    assert.deepEqual(
      [listener.address, ...listener.additionalAddresses].map(
        (one) => one.type === "socket" && `${one.address} ${one.port}`,
      ),
      ["10.96.0.1 5432", "fd00::1 5432"],
    );
    assert.deepEqual(listener.listenerFilters, []);
  });

  it("is HTTP or bytes at the address of a service of which nobody says what it speaks", () => {
    const listener = serviceListener(orders, any, mesh.addressesOf(orders), RULES);
    assert.equal(treatment(listener, { port: 9000, says: "http/1.1" }), "plaintext http");
    assert.equal(treatment(listener, { port: 9000 }), "plaintext tcp");
    assert.ok(listener.continueOnListenerFiltersTimeout && listener.listenerFiltersTimeoutMs < 100);
  });

  it("is never handed to the port of all that is captured by itself", () => {
    const listener = virtualOutboundListener(RULES);
    assert.equal(treatment(listener, { port: 15_001 }), "closed");
    assert.equal(treatment(listener, { port: 443, tls: "example.com" }), "plaintext tcp");
    assert.equal(treatment(virtualOutboundListener({ ...RULES, unknown: "blackhole" }), { port: 443 }), "closed");
  });

  it("finds a service by all its names and addresses, with and without the port; another host by where it is", () => {
    const host = capturedVirtualHost(orders, http, [], "default", mesh.addressesOf(orders));
    assert.deepEqual(host.domains, [
      "orders",
      "orders:8080",
      "orders.default",
      "orders.default:8080",
      "orders.default.svc",
      "orders.default.svc:8080",
      "orders.default.svc.cluster.local",
      "orders.default.svc.cluster.local:8080",
      "10.96.0.1",
      "10.96.0.1:8080",
      "[fd00::1]",
      "[fd00::1]:8080",
    ]);
    const actionFor = (unknown: "passthrough" | "blackhole"): unknown => {
      const config = capturedRouteConfiguration(8080, [host], unknown);
      const action = config.virtualHosts.find(({ domains }) => domains.includes("*"))?.routes[0]?.action;
      return action?.type === "forward" ? action.forward.cluster : action?.type === "direct-response" && action.status;
    };
    assert.deepEqual(actionFor("passthrough"), { type: "cluster", name: "passthrough" });
    assert.equal(actionFor("blackhole"), 502);
  });

  it("reaches all services by name, and those of its egress alone where there is one", () => {
    const scope = { namespace: "default", demanded: [], onDemand: true, captured: RULES };
    const all = capturedReach(mesh, { ...scope, egress: undefined });
    assert.deepEqual([...all.routed.keys()].sort(), [8080, 9000]);
    assert.deepEqual(
      all.routed.get(8080)?.map(({ service }) => service.name),
      ["orders", "pods", "stock"],
    );
    assert.deepEqual(
      all.listened.map(({ port }) => port.port),
      [5432, 9000, 3306],
    );
    const some = capturedReach(mesh, { ...scope, egress: [{ namespace: "shop", service: "stock" }] });
    assert.deepEqual(
      some.named.map(({ name }) => name),
      ["stock"],
    );
  });
});

const OUTSIDE = `
apiVersion: v1
kind: Service
metadata: { name: api }
spec: { type: ExternalName, externalName: API.example.com., ports: [{ name: https, port: 443 }, { name: https-alt, port: 8443 }, { name: http, port: 80 }, { name: tcp-db, port: 3306 }, { name: any, port: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: same, namespace: away }
spec: { type: ExternalName, externalName: api.example.com, ports: [{ name: https, port: 443 }] }
---
apiVersion: v1
kind: Service
metadata: { name: db }
spec: { selector: { app: db }, clusterIP: None, ports: [{ name: tls, port: 443 }] }
---`;

describe("TLS of a captured application", () => {
  const mesh = meshOf(SERVICES, OUTSIDE);
  const rules = (unknown: CapturedRules["unknown"], namespace = "default") => ({
    namespace,
    egress: undefined,
    demanded: [],
    onDemand: true,
    captured: { ...RULES, unknown },
  });
  /** The listener of one port at any address. */
  const at = (port: number, unknown: CapturedRules["unknown"] = "passthrough", namespace?: string): ListenerConfig => {
    const { byServerName, httpPorts } = capturedReach(mesh, rules(unknown, namespace));
    const named = serverNameChains(byServerName.get(port) ?? [], namespace ?? "default");
    return namedPortListener(port, { ...RULES, unknown }, named, httpPorts.includes(port));
  };
  const clusterOf = (listener: ListenerConfig, caller: Caller): string => {
    const filter = chainOf(listener, caller)?.filters.at(-1);
    return filter?.type === "tcp-proxy" ? (filter.config.clusters[0]?.name ?? "") : (filter?.type ?? "closed");
  };

  it("goes to a name for something outside by the server name that it asks for, and else where it was meant to go", () => {
    for (const tls of ["api.example.com", "api", "api.default", "api.default.svc.cluster.local"])
      assert.equal(clusterOf(at(443), { port: 443, tls }), "outbound/443/api.default", tls);
    for (const tls of ["example.com", "www.api.example.com", "db.default", ""])
      assert.equal(clusterOf(at(443), { port: 443, tls }), "passthrough", tls);
    assert.equal(clusterOf(at(443), { port: 443 }), "passthrough", "plaintext");
    assert.equal(clusterOf(at(443), { port: 443, tls: "same.away" }), "outbound/443/same.away");
  });

  it("goes to the service of the caller's own namespace where several stand for one name", () => {
    const tls = "api.example.com";
    assert.equal(clusterOf(at(443), { port: 443, tls }), "outbound/443/api.default");
    // By name "away/same" is the first.
    for (const namespace of ["away", "shop"])
      assert.equal(clusterOf(at(443, "passthrough", namespace), { port: 443, tls }), "outbound/443/same.away");
  });

  it("goes by server name beside HTTP too, but not at ports of HTTP, and not where servers speak first", () => {
    const any = at(8080);
    assert.equal(clusterOf(any, { port: 8080, tls: "api.example.com" }), "outbound/8080/api.default");
    assert.equal(clusterOf(any, { port: 8080, says: "http/1.1" }), "http-connection-manager");
    assert.deepEqual([...capturedReach(mesh, rules("passthrough")).byServerName.keys()].sort(), [443, 8080, 8443]);
  });

  it("where what is unknown is refused, goes to headless services by their names, and nowhere by others", () => {
    const strict = at(443, "blackhole");
    assert.equal(clusterOf(strict, { port: 443, tls: "db.default.svc.cluster.local" }), "outbound/443/db.default");
    assert.equal(clusterOf(strict, { port: 443, tls: "api.example.com" }), "outbound/443/api.default");
    assert.equal(clusterOf(strict, { port: 443, tls: "example.com" }), "blackhole");
    assert.equal(clusterOf(strict, { port: 443 }), "blackhole");
  });
});

describe("the pods of a headless service", () => {
  const mesh = meshOf(OUTSIDE);
  const db = mesh.service("default", "db");
  assert.ok(db !== undefined);
  const [port] = db.ports;
  const address = (n: number) => ({ type: "socket", address: `10.1.0.${n}`, port: 443 }) as const;
  const endpoint = (n: number, metadata: object = {}) =>
    ({
      address: address(n),
      hostname: "",
      healthStatus: "UNKNOWN",
      loadBalancingWeight: 1,
      metadata,
    }) as EndpointConfig;
  const endpoints = {
    clusterName: "c",
    localities: [
      {
        locality: { region: "", zone: "", subZone: "" },
        loadBalancingWeight: 2,
        priority: 0,
        endpoints: [endpoint(2), endpoint(1, { "envoy.transport_socket_match": {} })],
      },
    ],
    overprovisioningFactorPercent: 140,
    dropOverloads: [],
  };
  const listened = (which?: "mtls" | "plaintext" | "all"): readonly unknown[] => {
    const listener = podsListener(db, port!, podsPlaces(endpoints, which ?? "mtls"), RULES, which);
    const { name, address: first, additionalAddresses, filterChains } = listener;
    const filter = filterChains[0]?.filters[0];
    const addresses = [first, ...additionalAddresses].map((one) => one.type === "socket" && one.address);
    return [name, addresses, filter?.type === "tcp-proxy" && filter.config.clusters[0]?.name];
  };

  it("are called by their own addresses, by mutual TLS or in plaintext as each takes it", () => {
    const pods = "outbound/443/db.default/pods";
    assert.deepEqual(listened(), [pods, ["10.1.0.1"], pods]);
    assert.deepEqual(listened("plaintext"), [`${pods}/plaintext`, ["10.1.0.2"], "passthrough"]);
    assert.deepEqual(listened("all"), [`${pods}/plaintext`, ["10.1.0.1", "10.1.0.2"], "passthrough"]);
    assert.deepEqual(podsPlaces({ ...endpoints, localities: [] }, "all"), []);
  });
});

describe("what a captured application asks of DNS", () => {
  const mesh = meshOf(SERVICES);
  const named = mesh.services.map((service) => ({ service, addresses: mesh.addressesOf(service) }));
  const domains = (families: { ipv4: boolean; ipv6: boolean }): readonly string[] =>
    dnsListener(named, "default", families).udp?.dns?.domains.map(
      ({ name, addresses, cluster, services }) =>
        `${name} ${addresses?.length ?? cluster ?? services?.map((one) => `${one.name}:${one.targets[0]?.port}`).join()}`,
    ) ?? [];

  it("is known of services with addresses or pods, by every name that callers of the namespace have for them, and of ports by theirs", () => {
    assert.deepEqual(domains({ ipv4: true, ipv6: true }), [
      "orders 2",
      "orders.default 2",
      "orders.default.svc 2",
      "orders.default.svc.cluster.local 2",
      "orders.default.svc.cluster.local http:8080,tcp-db:5432,x:9000,y:3306",
      "pods outbound/8080/pods.default",
      "pods.default outbound/8080/pods.default",
      "pods.default.svc outbound/8080/pods.default",
      "pods.default.svc.cluster.local outbound/8080/pods.default",
      "stock.shop 2",
      "stock.shop.svc 2",
      "stock.shop.svc.cluster.local 2",
      "stock.shop.svc.cluster.local http:8080",
    ]);
    assert.equal(domains({ ipv4: true, ipv6: false })[0], "orders 1", "of families that it has itself");
  });

  it("is taken on loopback, by UDP and TCP", () => {
    for (const listener of [dnsListener(named, "default", RULES), dnsTcpListener(RULES)])
      assert.deepEqual(
        [listener.address, ...listener.additionalAddresses].map(
          (one) => one.type === "socket" && `${one.address} ${one.port}`,
        ),
        ["127.0.0.1 15053", "::1 15053"],
      );
  });
});
