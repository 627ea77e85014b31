import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkReferences } from "../check/check-references.ts";
import { grantYaml, meshOf, objectsOf, routeYaml, serviceYaml } from "../model/testing.ts";
import type { Workload } from "../model/workload.ts";
import { inboundCluster, outboundCluster } from "./clusters.ts";
import { serviceEndpoints } from "./endpoints.ts";
import { inboundListener } from "./inbound-listener.ts";
import { outboundListener } from "./listeners.ts";
import { parseOutboundClusterName, parseServiceHost } from "./names.ts";
import { reachable } from "./scope.ts";

describe("endpoints", () => {
  it("are the public ports of the workloads that the service selects, grouped by locality", () => {
    const mesh = meshOf(
      serviceYaml("orders"),
      workloadYaml("b", "{ app: orders }", "[127.0.0.1]", 8002),
      workloadYaml(
        "a",
        "{ app: orders, version: v1 }",
        "[127.0.0.1, '::1']",
        8001,
        "locality: { region: eu, zone: eu-1 }",
      ),
      workloadYaml("c", "{ app: other }", "[127.0.0.1]", 8003),
      workloadYaml("d", "{ app: orders }", "[127.0.0.1]", 8004).replace("name: d", "name: d, namespace: elsewhere"),
    );
    const service = mesh.service("default", "orders");
    assert.ok(service?.ports[0] !== undefined);
    const endpoints = serviceEndpoints(service, service.ports[0], mesh.workloadsOf(service));
    assert.equal(endpoints.clusterName, "outbound/80/orders.default");
    assert.deepEqual(
      endpoints.localities.map(({ locality, loadBalancingWeight, priority, endpoints: list }) => [
        locality.zone,
        loadBalancingWeight,
        priority,
        list.map(({ address }) => address.type === "socket" && `${address.address} ${address.port}`),
      ]),
      [
        ["", 1, 0, ["127.0.0.1 8002"]],
        ["eu-1", 2, 0, ["127.0.0.1 8001", "::1 8001"]],
      ],
    );
  });

  for (const [target, ports, expected] of [
    ["", "[{ name: http, port: 1001 }, { name: b, port: 80 }]", 1001],
    ["", "[{ name: x, port: 1001 }, { name: b, port: 80 }]", 80],
    ["", "[{ name: x, port: 1001 }]", 1001],
    ["", "[{ name: x, port: 1001 }, { name: y, port: 1002 }]", undefined],
    ["targetPort: web", "[{ name: http, port: 1001 }, { name: web, port: 1002 }]", 1002],
    ["targetPort: web", "[{ name: http, port: 1001 }]", undefined],
    [
      "targetPort: 8080",
      "[{ name: a, port: 8080, applicationPort: 7 }, { name: b, port: 1002, applicationPort: 8080 }]",
      1002,
    ],
    ["targetPort: 8080", "[{ name: a, port: 8080 }]", 8080],
  ] as const) {
    it(`of a service port 80 named http with "${target}" among ${ports} are at ${expected}`, () => {
      const yaml = serviceYaml("s").replace("port: 80", `port: 80, ${target}`);
      const workload = workloadYaml("w", "{ app: s }", "[10.0.0.1]", 1).replace(/ports: .*/, `ports: ${ports}`);
      const mesh = meshOf(yaml, workload);
      const service = mesh.service("default", "s");
      assert.ok(service?.ports[0] !== undefined);
      const [locality] = serviceEndpoints(service, service.ports[0], mesh.workloadsOf(service)).localities;
      const address = locality?.endpoints[0]?.address;
      assert.equal(address?.type === "socket" ? address.port : undefined, expected);
    });
  }

  for (const [port, metadata] of [
    ["{ name: http, port: 80, applicationPort: 8080 }", { heddle: { h2: true } }],
    ["{ name: http, port: 80, protocol: grpc, applicationPort: 8080 }", { heddle: { h2: true } }],
    ["{ name: http, port: 80, protocol: tcp, applicationPort: 8080 }", {}],
    ["{ name: http, port: 80 }", {}],
  ] as const) {
    it(`tell that a sidecar stands there where one takes HTTP: ${port}`, () => {
      const workload = workloadYaml("w", "{ app: s }", "[10.0.0.1]", 1).replace(/ports: .*/, `ports: [${port}]`);
      const mesh = meshOf(serviceYaml("s"), workload);
      const service = mesh.service("default", "s");
      assert.ok(service?.ports[0] !== undefined);
      const [locality] = serviceEndpoints(service, service.ports[0], mesh.workloadsOf(service)).localities;
      assert.deepEqual(locality?.endpoints[0]?.metadata, metadata);
    });
  }

  it("a service without selector has none, rather than everybody", () => {
    const mesh = meshOf(
      serviceYaml("s").replace("selector: { app: s }, ", ""),
      workloadYaml("w", "{}", "[10.0.0.1]", 1),
    );
    const service = mesh.service("default", "s");
    assert.ok(service !== undefined);
    assert.deepEqual(mesh.workloadsOf(service), []);
  });
});

describe("clusters", () => {
  it("of a service take their endpoints by EDS under their own name", () => {
    const service = meshOf(serviceYaml("orders", ", { name: grpc, port: 9000 }")).service("default", "orders");
    assert.ok(service !== undefined);
    const [http, grpc] = service.ports.map((port) => outboundCluster(service, port));
    assert.deepEqual(http?.discovery, { type: "EDS", serviceName: "outbound/80/orders.default" });
    assert.deepEqual([http?.upstreamProtocol, grpc?.upstreamProtocol], ["unset", "http2"]);
  });

  it("of an application are its own port on loopback", () => {
    const cluster = inboundCluster(
      { name: "http", protocol: "http", detect: false, port: 8001, applicationPort: 9001 },
      9001,
    );
    assert.equal(cluster.name, "inbound/8001");
    assert.ok(cluster.discovery.type === "STATIC");
    assert.deepEqual(cluster.discovery.loadAssignment.localities[0]?.endpoints[0]?.address, {
      type: "socket",
      address: "127.0.0.1",
      port: 9001,
    });
  });
});

describe("listeners", () => {
  it("outbound: on loopback, routed by RDS", () => {
    const listener = outboundListener({ port: 15_001, accessLog: "off" });
    assert.deepEqual(
      [listener.name, listener.address],
      ["outbound", { type: "socket", address: "127.0.0.1", port: 15_001 }],
    );
    const [filter] = listener.filterChains[0]?.filters ?? [];
    assert.ok(filter?.type === "http-connection-manager");
    assert.deepEqual(filter.config.routes, { type: "rds", routeConfigName: "outbound" });
    assert.deepEqual(filter.config.accessLog, []);
    assert.deepEqual(
      filter.config.httpFilters.map(({ name }) => name),
      ["envoy.filters.http.on_demand", "envoy.filters.http.router"],
    );
  });

  for (const [addresses, expected] of [
    ["[127.0.0.1]", ["127.0.0.1"]],
    ["[127.0.0.2, '::1']", ["127.0.0.2", "::1"]],
    ["[10.0.0.1]", ["0.0.0.0"]],
    ["[10.0.0.1, 10.0.0.2, 'fd00::1', 127.0.0.1]", ["0.0.0.0", "::"]],
  ] as const) {
    it(`inbound: a workload at ${addresses} listens at ${expected.join(" and ")}`, () => {
      const [workload] = objectsOf(workloadYaml("w", "{}", addresses, 8001)) as readonly Workload[];
      assert.ok(workload?.ports[0] !== undefined);
      const listener = inboundListener(workload, workload.ports[0]);
      assert.ok(listener !== undefined);
      assert.equal(listener.name, "inbound/8001");
      assert.deepEqual(
        [listener.address, ...listener.additionalAddresses].map((one) => one.type === "socket" && one.address),
        expected,
      );
    });
  }

  it("write an access log when the workload asks for it", () => {
    const { filterChains } = outboundListener({ port: 1, accessLog: "json" });
    const [filter] = filterChains[0]?.filters ?? [];
    assert.ok(filter?.type === "http-connection-manager");
    assert.deepEqual(
      [filter.config.accessLog[0]?.sink.type, filter.config.accessLog[0]?.format.type],
      ["stdout", "json"],
    );
  });
});

describe("scope", () => {
  const yaml =
    serviceYaml("a") +
    serviceYaml("b") +
    serviceYaml("c.other") +
    serviceYaml("d.other", ", { name: db, port: 5432, appProtocol: tcp }") +
    routeYaml(
      "r",
      `{ group: "", kind: Service, name: a }`,
      "[{ backendRefs: [{ name: c, namespace: other, port: 80 }, { name: d, namespace: other, port: 80 }] }]",
    ) +
    grantYaml("to-c.other", "HTTPRoute", "c");
  for (const [what, egress, demanded, called, behind] of [
    ["its own namespace, and what its routes may lead to", undefined, [], ["a", "b"], ["c"]],
    ["the services that it names", [{ namespace: "default", service: "b" }], [], ["b"], []],
    [
      "a namespace that it names, without what carries no HTTP",
      [{ namespace: "other", service: undefined }],
      [],
      ["c", "d"],
      [],
    ],
    ["everything", [{ namespace: undefined, service: undefined }], [], ["a", "b", "c", "d"], []],
    ["nothing", [], [], [], []],
    ["what it has asked for besides", [], [{ namespace: "other", name: "d", port: undefined }], ["d"], []],
  ] as const) {
    it(`of a node is ${what}`, () => {
      const found = reachable(meshOf(yaml), { namespace: "default", egress, onDemand: true, demanded });
      assert.deepEqual(
        found.called.map(({ service }) => service.name),
        called,
      );
      assert.deepEqual(
        found.behind.map(({ service }) => service.name),
        behind,
      );
    });
  }
});

describe("names", () => {
  it("of services are read as they are written", () => {
    const read = (host: string): unknown => {
      const found = parseServiceHost(host, "mine");
      return found && [found.name, found.namespace, found.port];
    };
    assert.deepEqual(read("orders"), ["orders", "mine", undefined]);
    assert.deepEqual(read("orders:80"), ["orders", "mine", 80]);
    assert.deepEqual(read("orders.shop:80"), ["orders", "shop", 80]);
    assert.deepEqual(read("orders.shop.svc"), ["orders", "shop", undefined]);
    assert.deepEqual(read("orders.shop.svc.cluster.local:80"), ["orders", "shop", 80]);
    for (const other of ["", "inbound/80", "a.b.c", "orders:x", "*"]) assert.equal(read(other), undefined, other);
    assert.deepEqual(parseOutboundClusterName("outbound/80/orders.shop"), {
      name: "orders",
      namespace: "shop",
      port: 80,
    });
    assert.equal(parseOutboundClusterName("inbound/80"), undefined);
  });
});

describe("references", () => {
  it("to what is not there are warnings at their place", () => {
    const mesh = meshOf(
      serviceYaml("a") +
        routeYaml(
          "r",
          `{ group: "", kind: Service, name: a, port: 81 }`,
          "[{ backendRefs: [{ name: gone, port: 80 }, { name: a, port: 80 }] }]",
        ),
    );
    assert.deepEqual(
      checkReferences(mesh).map(({ severity, line, path, message }) => [severity, line, path, message]),
      [
        ["warning", 11, "spec.parentRefs[0]", 'the Service "a" has no port 81; it has 80'],
        ["warning", 12, "spec.rules[0].backendRefs[0]", 'there is no Service "gone" in the namespace "default"'],
      ],
    );
  });
});

function workloadYaml(name: string, labels: string, addresses: string, port: number, more = ""): string {
  return `
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: ${name}, labels: ${labels} }
spec:
  addresses: ${addresses}
  ports: [{ name: http, port: ${port}, applicationPort: ${port + 1000} }]
  ${more}
---`;
}
