import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HeaderMap, RequestHead } from "@heddle/http";
import { compileRouteConfiguration, type ListenerConfig, type RouteTable } from "@heddle/traffic";
import { checkReferences } from "../check/check-references.ts";
import type { Mesh } from "../model/mesh.ts";
import { isStreamRoute } from "../model/route.ts";
import { grantYaml, meshOf, routeYaml, serviceYaml, streamRouteYaml } from "../model/testing.ts";
import { routesFor } from "./attached-routes.ts";
import { serviceListener } from "./captured-listeners.ts";
import { grpcEntries } from "./grpc-entries.ts";
import { outboundRouteConfiguration, serviceVirtualHost } from "./routes.ts";
import { capturedReach, reachable } from "./scope.ts";

const STOCK = `{ group: "", kind: Service, name: stock }`;
const TO_B = "rules: [{ backendRefs: [{ name: b, port: 80 }] }]";

describe("a GRPCRoute", () => {
  it("leads calls by service and method: the longer service first, then the longer method, then more headers", () => {
    const table = tableOf(
      grpcYaml(
        "g",
        `[{ matches: [{ headers: [{ name: x, value: "1" }] }], backendRefs: [{ name: b, port: 80 }] },
          { matches: [{ method: { type: RegularExpression, service: "shop[.].*", method: "Get.*" } }], backendRefs: [{ name: c, port: 80 }] },
          { matches: [{ method: { service: shop.Stock } }], backendRefs: [{ name: d, port: 80 }] },
          { matches: [{ method: { service: shop.Stock, method: Get } }], backendRefs: [{ name: e, port: 80 }] }]`,
      ),
    );
    assert.equal(cluster(table, "/shop.Stock/Get", { x: "1" }), "outbound/80/e.default");
    assert.equal(cluster(table, "/shop.Stock/GetAll"), "outbound/80/d.default", "names come before patterns");
    assert.equal(cluster(table, "/shop.Orders/GetAll"), "outbound/80/c.default");
    assert.equal(cluster(table, "/shop.Orders/Put", { x: "1" }), "outbound/80/b.default");
    for (const path of ["/shop.Orders/Put", "/shop.StockX/Put", "/Shop.Stock/Get"])
      assert.equal(cluster(table, path), undefined, path);
  });

  it("answers UNAVAILABLE where no backend may take the call, and for the share of one that is not there", () => {
    const table = tableOf(
      grpcYaml(
        "g",
        `[{ matches: [{ method: { service: none } }] },
          { matches: [{ method: { service: gone } }], backendRefs: [{ name: gone, port: 80 }] }]`,
      ),
    );
    for (const [path, cluster] of [
      ["/none/A", "refused"], // no direct response: clients of gRPC take none
      ["/gone/A", "outbound/80/gone.default"],
    ] as const) {
      const { action } = find(table, path)?.entry ?? assert.fail();
      assert.ok(action.type === "forward");
      assert.deepEqual(action.forward.cluster, { type: "cluster", name: cluster });
      assert.equal(action.forward.clusterNotFoundResponseCode, 503);
    }
  });

  it("with headers changes requests and answers as an HTTPRoute does", () => {
    const change = (type: string, name: string): string =>
      `{ type: ${type}, ${name}: { set: [{ name: x-a, value: "1" }], remove: [x-b] } }`;
    const filters = [
      change("RequestHeaderModifier", "requestHeaderModifier"),
      change("ResponseHeaderModifier", "responseHeaderModifier"),
    ];
    const table = tableOf(grpcYaml("g", `[{ filters: [${filters.join()}], backendRefs: [{ name: b, port: 80 }] }]`));
    const { entry } = find(table, "/a/B") ?? assert.fail();
    assert.deepEqual(
      [entry.requestHeadersToAdd, entry.responseHeadersToAdd].map((added) => added.map(({ name }) => name)),
      [["x-a"], ["x-a"]],
    );
    assert.deepEqual([entry.requestHeadersToRemove, entry.responseHeadersToRemove], [["x-b"], ["x-b"]]);
  });
});

describe("for clients of gRPC", () => {
  it("a prefix of whole elements is a path and a prefix, and what has no backend a cluster that is not there", () => {
    const mesh = meshOf(
      serviceYaml("stock"),
      routeYaml(
        "r",
        STOCK,
        `[{ matches: [{ path: { value: /a } }], backendRefs: [{ name: b, port: 80 }] },
          { matches: [{ path: { value: /b } }], filters: [{ type: RequestRedirect, requestRedirect: { port: 81 } }] },
          { matches: [{ path: { type: Exact, value: /c } }] }]`,
      ),
    );
    const [{ service, port, routes } = assert.fail()] = reachable(mesh, RULES).called;
    const host = serviceVirtualHost(service, port, routes, "default");
    const entries = host.routes.flatMap(grpcEntries);
    assert.ok(
      entries.every(({ action, match }) => action.type === "forward" && match.path.type !== "path-separated-prefix"),
    );
    const table = compileRouteConfiguration(outboundRouteConfiguration([{ ...host, routes: entries }], true));
    assert.deepEqual(
      ["/c", "/a", "/a/x", "/ab", "/b/x"].map((path) => cluster(table, path)),
      ["refused", "outbound/80/b.default", "outbound/80/b.default", undefined, "refused"],
    );
  });
});

describe("of routes of several kinds at one port", () => {
  const http = routeYaml("h", STOCK, "[{ backendRefs: [{ name: b, port: 80 }] }]");
  const grpc = grpcYaml("g", "[{ backendRefs: [{ name: c, port: 80 }] }]");
  const tls = streamRouteYaml("TLSRoute", "tls", `{ parentRefs: [${STOCK}], hostnames: [a.example], ${TO_B} }`);
  const tcp = streamRouteYaml("TCPRoute", "tcp", `{ parentRefs: [${STOCK}], ${TO_B} }`);

  it("GRPCRoutes decide, else HTTPRoutes, else TLSRoutes, else TCPRoutes, whatever their age", () => {
    const kinds = (...routes: readonly string[]): readonly string[] => {
      const mesh = meshOf(serviceYaml("stock"), ...routes);
      const [service] = mesh.services;
      assert.ok(service !== undefined);
      return routesFor(service, service.ports[0]!, mesh.routesOf(service), "default").map(({ kind }) => kind);
    };
    assert.deepEqual(kinds(tcp, tls, http, grpc), ["grpc-route"]);
    assert.deepEqual(kinds(tcp, tls, http), ["http-route"]);
    assert.deepEqual(kinds(tcp, tls), ["tls-route"]);
    assert.deepEqual(kinds(tcp), ["tcp-route"]);
  });

  it("at a port of bytes routes of requests have no say", () => {
    const mesh = meshOf(
      serviceYaml("stock", ", { name: db, port: 5432, appProtocol: tcp }") + serviceYaml("b"),
      http,
      tcp,
      routeYaml("late", `{ group: "", kind: Service, name: stock, port: 5432 }`, "[{}]"),
    );
    const service = mesh.service("default", "stock") ?? assert.fail();
    const kinds = service.ports.map((port) =>
      routesFor(service, port, mesh.routesOf(service), "default").map(({ name }) => name),
    );
    assert.deepEqual(kinds, [["h"], ["tcp"]]);
    assert.deepEqual(messages(mesh).slice(0, 1), ["the Service default/stock carries bytes at port 5432"]);
  });

  it("it is said where a route decides nothing, and to whom it has lost", () => {
    assert.deepEqual(messages(meshOf(serviceYaml("stock"), serviceYaml("b"), serviceYaml("c"), grpc, http)), [
      "decides nothing at port 80 of the Service default/stock: of routes of different kinds one decides, and the GRPCRoute default/g in test.yaml:2 comes first",
    ]);
  });

  it("of several TCPRoutes the younger one decides nothing, and says so", () => {
    const second = streamRouteYaml("TCPRoute", "u", `{ parentRefs: [${STOCK}], ${TO_B} }`);
    assert.deepEqual(messages(meshOf(serviceYaml("stock"), serviceYaml("b"), second, tcp)), [
      "decides nothing at port 80 of the Service default/stock: of several TCPRoutes one decides, and the TCPRoute default/tcp in test.yaml:2 comes first",
    ]);
  });

  it("a consumer's routes conflict with none of the producer's", () => {
    const elsewhere = grpcYaml("g.mine", "[{}]", `{ group: "", kind: Service, name: stock, namespace: default }`);
    const mesh = meshOf(serviceYaml("stock"), serviceYaml("b"), http, elsewhere);
    const service = mesh.service("default", "stock") ?? assert.fail();
    const names = (namespace: string): readonly string[] =>
      routesFor(service, service.ports[0]!, mesh.routesOf(service), namespace).map(({ name }) => name);
    assert.deepEqual([names("default"), names("mine"), names("other")], [["h"], ["g"], ["h"]]);
    assert.deepEqual(messages(mesh), []);
  });
});

describe("a ReferenceGrant", () => {
  const others = serviceYaml("stock") + serviceYaml("b") + serviceYaml("vault.pay");
  const TO_VAULT = "{ name: vault, namespace: pay, port: 80 }";
  const refusal = `no ReferenceGrant in the namespace "pay" allows HTTPRoutes of the namespace "default" to lead to the Service "vault": nothing is sent there`;

  it("lets a route lead to another namespace; without one its share is answered 500, and its callers never hear of it", () => {
    const route = routeYaml("r", STOCK, `[{ backendRefs: [{ name: b, port: 80 }, ${TO_VAULT}] }]`);
    const clusters = (mesh: Mesh): readonly string[] => {
      const action = find(tableIn(mesh), "/")?.entry.action;
      assert.ok(action?.type === "forward" && action.forward.cluster.type === "weighted");
      assert.equal(action.forward.clusterNotFoundResponseCode, 500);
      return action.forward.cluster.clusters.map(({ name, weight }) => `${name} ${weight}`);
    };
    const without = meshOf(others, route);
    assert.deepEqual(clusters(without), ["outbound/80/b.default 1", "refused 1"]);
    assert.deepEqual(reachable(without, RULES).behind, []);
    assert.deepEqual(messages(without), [refusal]);
    const granted = meshOf(others, route, grantYaml("g.pay", "HTTPRoute", "vault"));
    assert.deepEqual(clusters(granted), ["outbound/80/b.default 1", "outbound/80/vault.pay 1"]);
    assert.deepEqual(
      reachable(granted, RULES).behind.map(({ service }) => service.name),
      ["vault"],
    );
    assert.deepEqual(messages(granted), []);
    const alone = meshOf(others, routeYaml("r", STOCK, `[{ backendRefs: [${TO_VAULT}] }]`));
    assert.deepEqual(find(tableIn(alone), "/")?.entry.action, { type: "direct-response", status: 500, body: "" });
  });

  it("counts for its own namespace, for the kind, the namespace and the name that it says", () => {
    const route = routeYaml("r", STOCK, `[{ backendRefs: [${TO_VAULT}] }]`);
    for (const other of [
      grantYaml("g.pay", "GRPCRoute", "vault"),
      grantYaml("g.pay", "HTTPRoute", "other"),
      grantYaml("g.default", "HTTPRoute", "vault"),
      grantYaml("g.pay", "HTTPRoute", "vault").replace("namespace: default", "namespace: elsewhere"),
      grantYaml("g.pay", "HTTPRoute", "vault").replace("group: gateway.networking.k8s.io", "group: example.com"),
      grantYaml("g.pay", "HTTPRoute", "vault").replace("kind: Service", "kind: Secret"),
    ])
      assert.deepEqual(messages(meshOf(others, route, other)), [refusal], other);
    const all = grantYaml("g.pay", "HTTPRoute", "vault").replace(", name: vault", "");
    assert.deepEqual(messages(meshOf(others, route, all)), []);
  });

  it("is not asked for by a consumer's route, which leads nobody but its own namespace", () => {
    const route = routeYaml(
      "r.mine",
      `{ group: "", kind: Service, name: vault, namespace: pay }`,
      "[{ backendRefs: [{ name: b, namespace: default, port: 80 }] }]",
    );
    const mesh = meshOf(others, route);
    assert.deepEqual(messages(mesh), []);
    const rules = { ...RULES, namespace: "mine", egress: [{ namespace: "pay", service: "vault" }] };
    const { called, behind } = reachable(mesh, rules);
    assert.deepEqual(
      behind.map(({ service }) => service.name),
      ["b"],
    );
    const [{ service, port, routes } = assert.fail()] = called;
    const table = compileRouteConfiguration(
      outboundRouteConfiguration([serviceVirtualHost(service, port, routes, "mine")], true),
    );
    assert.equal(
      table.match(new RequestHead("GET", "http", "vault.pay", "/", HeaderMap.from({})), 0)?.cluster,
      "outbound/80/b.default",
    );
  });

  it("that comes or goes makes another route of the one, and the same one of the same", () => {
    const route = routeYaml("r", STOCK, `[{ backendRefs: [${TO_VAULT}] }]`);
    const objects = [...meshOf(others).services];
    const [raw] = meshOf(route).routes;
    assert.ok(raw !== undefined);
    const without = meshOf(others, route);
    assert.equal(without.granted(raw), without.granted(raw));
    assert.notEqual(without.granted(raw), meshOf(others, route, grantYaml("g.pay", "HTTPRoute", "vault")).granted(raw));
    assert.equal(objects.length, 3);
  });
});

describe("what a route names and nobody here knows", () => {
  const IMPORT = "{ group: multicluster.x-k8s.io, kind: ServiceImport, name: b, port: 80 }";
  const GUARD = "{ type: ExtensionRef, extensionRef: { group: example.com, kind: RateLimit, name: r } }";
  const FAILED = { type: "direct-response", status: 500, body: "" } as const;
  const actionAt = (rules: string, path: string) =>
    find(tableIn(meshOf(serviceYaml("stock") + serviceYaml("b"), routeYaml("r", STOCK, rules))), path)?.entry.action;

  it("as a backend gets nothing: its share fails, and what the route says beside has its effect", () => {
    const rules = `[{ matches: [{ path: { value: /a } }], backendRefs: [${IMPORT}] },
      { matches: [{ path: { value: /b } }], backendRefs: [{ name: b, port: 80 }, ${IMPORT}] },
      { backendRefs: [{ name: b, port: 80 }] }]`;
    assert.deepEqual(actionAt(rules, "/a"), FAILED);
    const shared = actionAt(rules, "/b");
    assert.ok(shared?.type === "forward" && shared.forward.cluster.type === "weighted");
    assert.deepEqual(
      shared.forward.cluster.clusters.map(({ name }) => name),
      ["outbound/80/b.default", "refused"],
    );
    assert.equal(shared.forward.clusterNotFoundResponseCode, 500);
    const known = actionAt(rules, "/c");
    assert.deepEqual(known?.type === "forward" && known.forward.cluster, {
      type: "cluster",
      name: "outbound/80/b.default",
    });
    const tcp = `{ parentRefs: [${STOCK}], rules: [{ backendRefs: [${IMPORT}] }] }`;
    const mesh = meshOf(serviceYaml("stock") + serviceYaml("b"), streamRouteYaml("TCPRoute", "t", tcp));
    assert.deepEqual(targets(listenerOf(mesh, 80).filterChains), [["default/t", ["blackhole 1"]]]);
    assert.deepEqual(messages(mesh), [], "the reader has said it");
  });

  it("as a filter is not passed over: what it is for fails", () => {
    const redirect = "{ type: RequestRedirect, requestRedirect: { port: 81 } }";
    for (const rule of [
      `filters: [${GUARD}], backendRefs: [{ name: b, port: 80 }]`,
      `filters: [${redirect}, ${GUARD}]`,
      `backendRefs: [{ name: b, port: 80, filters: [${GUARD}] }]`,
    ])
      assert.deepEqual(actionAt(`[{ ${rule} }]`, "/"), FAILED, rule);
    const grpc = tableOf(grpcYaml("g", `[{ filters: [${GUARD}], backendRefs: [{ name: b, port: 80 }] }]`));
    assert.equal(cluster(grpc, "/a/B"), "refused");
  });
});

it("a parent may name a port of the Service: the route decides there alone", () => {
  const parent = `{ group: "", kind: Service, name: stock, sectionName: api }`;
  const mesh = meshOf(
    serviceYaml("stock", ", { name: api, port: 81 }"),
    routeYaml("r", parent, "[{}]"),
    routeYaml("none", parent.replace("api", "apx"), "[{}]"),
  );
  const [service] = mesh.services;
  assert.ok(service !== undefined);
  const names = service.ports.map((port) =>
    routesFor(service, port, mesh.routesOf(service), "default").map(({ name }) => name),
  );
  assert.deepEqual(names, [[], ["r"]]);
  assert.deepEqual(messages(mesh), ['the Service default/stock has no port "apx"']);
});

describe("routes of connections", () => {
  const backends = "rules: [{ backendRefs: [{ name: b, port: 80, weight: 9 }, { name: c, port: 81 }] }]";
  const more = ", { name: tls, port: 443, appProtocol: tls }";
  const services = serviceYaml("stock", more) + serviceYaml("b") + serviceYaml("c", ", { name: db, port: 81 }");

  it("a TCPRoute divides the connections of captured callers, at whatever port it is attached to", () => {
    const mesh = meshOf(services, streamRouteYaml("TCPRoute", "t", `{ parentRefs: [${STOCK}], ${backends} }`));
    for (const port of [80, 443]) {
      const { filterChains, listenerFilters, bindToPort } = listenerOf(mesh, port);
      assert.deepEqual([listenerFilters, bindToPort], [[], false], "nobody waits for first bytes");
      assert.deepEqual(targets(filterChains), [["default/t", ["outbound/80/b.default 9", "outbound/81/c.default 1"]]]);
    }
    const { routed, listened, served } = capturedReach(mesh, CAPTURED);
    assert.deepEqual(
      [...routed.keys()],
      [80, 81].filter((port) => routed.has(port)),
    );
    assert.equal(
      routed.get(80)?.some(({ service }) => service.name === "stock"),
      false,
      "no request of it is routed",
    );
    assert.deepEqual(
      listened.filter(({ service }) => service.name === "stock").map(({ port }) => port.port),
      [80, 443],
    );
    assert.ok(served.some(({ service, port }) => service.name === "c" && port.port === 81));
  });

  it("a TLSRoute tells connections by SNI; what it does not name, and what is no TLS, is closed", () => {
    const parent = `{ group: "", kind: Service, name: stock, port: 443 }`;
    const route = (name: string, created: string, hosts: string, to: string): string =>
      streamRouteYaml(
        "TLSRoute",
        name,
        `{ parentRefs: [${parent}], hostnames: ${hosts}, rules: [{ backendRefs: [{ name: ${to}, port: 80 }] }] }`,
      ).replace("namespace: default }", `namespace: default, creationTimestamp: "${created}" }`);
    const mesh = meshOf(
      services,
      route("young", "2026-01-02T00:00:00Z", '["*.example.com", a.example.com, "*.example.com"]', "c"),
      route("old", "2026-01-01T00:00:00Z", "[a.example.com]", "b"),
    );
    const { filterChains, defaultFilterChain, listenerFilters } = listenerOf(mesh, 443);
    assert.deepEqual(
      filterChains.map(({ match, name }) => [name, match?.transportProtocol, match?.serverNames]),
      [
        ["default/old", "tls", ["a.example.com"]],
        ["default/young", "tls", ["*.example.com"]],
      ],
    );
    assert.deepEqual(targets(filterChains), [
      ["default/old", ["outbound/80/b.default 1"]],
      ["default/young", ["outbound/80/c.default 1"]],
    ]);
    assert.deepEqual(targets([defaultFilterChain!]), [["unmatched", ["blackhole 1"]]]);
    assert.deepEqual(
      listenerFilters.map(({ type }) => type),
      ["tls-inspector"],
    );
    assert.deepEqual(targets(listenerOf(mesh, 80).filterChains).length, 1, "its other port is what it was");
  });

  it("have no say at a Service without an address of its own, and leave it as it was", () => {
    for (const more of ["clusterIP: None", "type: ExternalName, externalName: db.example"]) {
      const stock = serviceYaml("stock").replace("spec: {", `spec: { ${more},`);
      const hosts = "hostnames: [a.example]";
      const mesh = meshOf(stock, streamRouteYaml("TLSRoute", "t", `{ parentRefs: [${STOCK}], ${hosts}, rules: [{}] }`));
      assert.deepEqual(messages(mesh), [
        "the Service default/stock has no address of its own, by which its connections are known",
      ]);
      assert.equal(find(tableIn(mesh), "/any")?.cluster, "outbound/80/stock.default");
      assert.equal(capturedReach(mesh, CAPTURED).headless.length, more.startsWith("clusterIP") ? 1 : 0);
    }
  });

  it("a backend of another namespace without a grant, and no backend at all, close their share", () => {
    const mesh = meshOf(
      services,
      serviceYaml("vault.pay"),
      streamRouteYaml(
        "TCPRoute",
        "t",
        `{ parentRefs: [${STOCK}], rules: [{ backendRefs: [{ name: vault, namespace: pay, port: 80 }, { name: b, port: 80 }, { name: c, port: 80, weight: 0 }] }] }`,
      ),
    );
    assert.deepEqual(targets(listenerOf(mesh, 80).filterChains), [
      ["default/t", ["blackhole 1", "outbound/80/b.default 1"]],
    ]);
    assert.equal(
      capturedReach(mesh, CAPTURED).behind.some(({ name }) => name === "vault"),
      false,
    );
    const none = meshOf(services, streamRouteYaml("TCPRoute", "t", `{ parentRefs: [${STOCK}], rules: [{}] }`));
    assert.deepEqual(targets(listenerOf(none, 80).filterChains), [["default/t", ["blackhole 1"]]]);
  });

  it("where callers have a proxy of HTTP alone, a TCPRoute divides their requests, and a TLSRoute has none", () => {
    const tcp = tableIn(meshOf(services, streamRouteYaml("TCPRoute", "t", `{ parentRefs: [${STOCK}], ${backends} }`)));
    const counts = [0, 1, 9].map((draw) => find(tcp, "/any", {}, draw)?.cluster);
    assert.deepEqual(counts, ["outbound/80/b.default", "outbound/80/b.default", "outbound/81/c.default"]);
    const hosts = "hostnames: [a.example]";
    const tls = streamRouteYaml("TLSRoute", "t", `{ parentRefs: [${STOCK}], ${hosts}, ${backends} }`);
    assert.equal(find(tableIn(meshOf(services, tls)), "/any"), undefined);
  });
});

const RULES = { namespace: "default", egress: undefined, demanded: [], onDemand: true };
const CAPTURED_RULES = { accessLog: "off", ipv4: true, ipv6: false, unknown: "passthrough" } as const;
const CAPTURED = { ...RULES, captured: CAPTURED_RULES };

function grpcYaml(name: string, rules: string, parent = STOCK): string {
  return routeYaml(name, parent, rules).replace("HTTPRoute", "GRPCRoute");
}

function tableOf(route: string): RouteTable {
  return tableIn(meshOf(serviceYaml("stock"), route));
}

function tableIn(mesh: Mesh): RouteTable {
  const hosts = reachable(mesh, RULES).called.map(({ service, port, routes }) =>
    serviceVirtualHost(service, port, routes, "default"),
  );
  return compileRouteConfiguration(outboundRouteConfiguration(hosts, true));
}

function find(table: RouteTable, path: string, headers: Readonly<Record<string, string>> = {}, draw = 0) {
  return table.match(new RequestHead("POST", "http", "stock", path, HeaderMap.from(headers)), draw);
}

function cluster(table: RouteTable, path: string, headers: Readonly<Record<string, string>> = {}): string | undefined {
  return find(table, path, headers)?.cluster;
}

function messages(mesh: Mesh): readonly string[] {
  return checkReferences(mesh).map(({ message }) => message);
}

function listenerOf(mesh: Mesh, number: number): ListenerConfig {
  const service = mesh.service("default", "stock") ?? assert.fail();
  const port = service.ports.find(({ port: one }) => one === number) ?? assert.fail();
  const streams = routesFor(service, port, mesh.routesOf(service), "default").filter(isStreamRoute);
  return serviceListener(service, port, ["10.0.0.1"], CAPTURED_RULES, streams);
}

/** Where connections of each chain go, and by what weight. */
function targets(chains: ListenerConfig["filterChains"]): readonly (readonly [string, readonly string[]])[] {
  return chains.map(({ name, filters }) => {
    const [filter] = filters;
    return [
      name,
      filter?.type === "tcp-proxy" ? filter.config.clusters.map((one) => `${one.name} ${one.weight}`) : ["http"],
    ];
  });
}
