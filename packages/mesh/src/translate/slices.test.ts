import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Mesh } from "../model/mesh.ts";
import { meshOf, objectsOf } from "../model/testing.ts";
import type { Workload } from "../model/workload.ts";
import { podsPlaces } from "./captured-listeners.ts";
import { outboundCluster, securedOutboundCluster } from "./clusters.ts";
import { endpointsBehind } from "./endpoints.ts";

describe("endpoints of a service with slices", () => {
  it("are those that are ready, by the name of the port, grouped by zone", () => {
    const mesh = meshOf(
      serviceOf("{ name: http, port: 80 }, { name: rpc, port: 81 }"),
      sliceOf("a", "[{ name: http, port: 8080 }, { name: rpc, port: 9000 }]", [
        "addresses: [10.0.0.1], zone: eu-1",
        "addresses: [10.0.0.2], zone: eu-2",
        "addresses: [10.0.0.3], zone: eu-1, conditions: { ready: false }",
      ]),
      sliceOf("b", "[{ name: http, port: 8081 }]", ["addresses: [10.0.0.4], zone: eu-1"]),
    );
    assert.deepEqual(endpointsOf(mesh, 0), ["eu-1 10.0.0.1:8080", "eu-1 10.0.0.4:8081", "eu-2 10.0.0.2:8080"]);
    assert.deepEqual(endpointsOf(mesh, 1), ["eu-1 10.0.0.1:9000", "eu-2 10.0.0.2:9000"]);
  });

  it("are those that end and still serve, where none is ready (KEP-1669)", () => {
    const ending = "conditions: { ready: false, serving: true, terminating: true }";
    const ended = "conditions: { ready: false, serving: false, terminating: true }";
    const both = [`addresses: [10.0.0.1], ${ending}`, `addresses: [10.0.0.2], ${ended}`];
    const of = (more: readonly string[]) => meshOf(serviceOf(), sliceOf("a", PORTS, [...both, ...more]));
    assert.deepEqual(endpointsOf(of([])), [" 10.0.0.1:8080"]);
    assert.deepEqual(endpointsOf(of(["addresses: [10.0.0.3]"])), [" 10.0.0.3:8080"]);
  });

  it("are those of the service's first family, of the second where the first has none, each once", () => {
    const four = sliceOf("four", PORTS, ["addresses: [10.0.0.1]"]);
    const again = sliceOf("four-again", PORTS, ["addresses: [10.0.0.1]"]);
    const six = sliceOf("six", PORTS, ['addresses: ["fd00::1"]'], "IPv6");
    assert.deepEqual(endpointsOf(meshOf(serviceOf(), four, six, again)), [" 10.0.0.1:8080"]);
    assert.deepEqual(endpointsOf(meshOf(serviceOf(HTTP, "ipFamilies: [IPv6, IPv4],"), four, six)), [" fd00::1:8080"]);
    assert.deepEqual(endpointsOf(meshOf(serviceOf(HTTP, "clusterIPs: [10.0.0.9, 'fd00::9'],"), six)), [
      " fd00::1:8080",
    ]);
  });

  it("are plain where no workload of the mesh is behind them, and by identity where a pod with a sidecar is", () => {
    const objects = objectsOf(
      serviceOf() +
        sliceOf("a", PORTS, [
          "addresses: [10.0.0.1], targetRef: { kind: Pod, name: orders-1 }",
          "addresses: [10.0.0.2], targetRef: { kind: Pod, name: stranger }",
          "addresses: [10.0.0.3]",
          // Its address was another pod's before, which is not gone yet.
          "addresses: [10.0.0.4], targetRef: { kind: Pod, name: newcomer }",
        ]),
    );
    const mesh = new Mesh([
      ...objects,
      pod("orders-1", "10.0.0.1"),
      pod("orders-2", "10.0.0.3"),
      pod("old", "10.0.0.4"),
    ]);
    const service = mesh.services[0]!;
    assert.deepEqual(
      mesh.workloadsBehind(service).map(({ instance }) => instance),
      ["orders-1", "orders-2"],
    );
    const backing = { slices: mesh.slicesOf(service), workloads: mesh.workloadsBehind(service) };
    const { localities } = endpointsBehind(service, service.ports[0]!, backing, ({ instance }) => `id of ${instance}`);
    assert.deepEqual(
      localities[0]?.endpoints.map(({ metadata }) => (metadata["heddle"] as { identity?: string })?.identity),
      ["id of orders-1", undefined, "id of orders-2", undefined],
    );
  });
});

// Whoever may write slices may say of any address that its own pod is there; captured callers would then take what they mean for that
// address for their pod (`podsPlaces`), and get through to nobody.
it("an endpoint that names a pod at an address which is not the pod's is nobody of the mesh", () => {
  const stolen = "addresses: [192.0.2.7], targetRef: { kind: Pod, name: orders-1 }";
  const own = "addresses: [10.0.0.1], targetRef: { kind: Pod, name: orders-1 }";
  const objects = objectsOf(serviceOf(HTTP, "clusterIP: None,") + sliceOf("a", PORTS, [stolen, own]));
  const mesh = new Mesh([...objects, pod("orders-1", "10.0.0.1")]);
  const service = mesh.services[0]!;
  const backing = { slices: mesh.slicesOf(service), workloads: mesh.workloadsBehind(service) };
  const endpoints = endpointsBehind(service, service.ports[0]!, backing, () => "spiffe://a/ns/shop/sa/orders");
  assert.deepEqual(podsPlaces(endpoints, "mtls"), [{ type: "socket", address: "10.0.0.1", port: 8080 }]);
});

it("a Service without slices has what it selects, pods among them", () => {
  const objects = objectsOf(serviceOf());
  const mesh = new Mesh([...objects, pod("orders-2", "10.0.0.2"), pod("orders-1", "10.0.0.1")]);
  assert.deepEqual(endpointsOf(mesh), [" 10.0.0.1:8080", " 10.0.0.2:8080"]);
  assert.equal(mesh.workload("shop", "orders", "orders-2")?.addresses[0], "10.0.0.2");
  assert.equal(mesh.workload("shop", "orders", "orders-3"), undefined);
  // A pod that nobody owns: its sidecar was named when the pod had no name yet.
  assert.equal(mesh.workload("shop", "ord", "orders-1")?.addresses[0], "10.0.0.1");
  assert.equal(mesh.workload("other", "orders", "orders-1"), undefined);
  assert.equal(mesh.workload("shop", "orders"), undefined);
});

it("an ExternalName is asked of DNS, by whoever calls it, and without an identity", () => {
  const mesh = meshOf(serviceOf(HTTP, "type: ExternalName, externalName: api.example.com,"));
  const service = mesh.services[0]!;
  const cluster = outboundCluster(service, service.ports[0]!);
  assert.ok(cluster.discovery.type === "STRICT_DNS");
  const { address } = cluster.discovery.loadAssignment.localities[0]?.endpoints[0] ?? {};
  assert.deepEqual(address, { type: "socket", address: "api.example.com", port: 80 });
  assert.deepEqual(securedOutboundCluster(service, service.ports[0]!, [], { trustDomain: "a" }), cluster);
});

const HTTP = "{ name: http, port: 80 }";
const PORTS = "[{ name: http, port: 8080 }]";

function serviceOf(ports = HTTP, more = ""): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { selector: { app: orders }, ${more} ports: [${ports.replaceAll("port:", "targetPort: 8080, port:")}] }
---`;
}

function sliceOf(name: string, ports: string, endpoints: readonly string[], family = "IPv4"): string {
  return `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, namespace: shop, labels: { kubernetes.io/service-name: orders } }
addressType: ${family}
ports: ${ports}
endpoints: [${endpoints.map((one) => `{ ${one} }`).join(", ")}]
---`;
}

function pod(instance: string, address: string): Workload {
  return {
    kind: "workload",
    namespace: "shop",
    name: "orders",
    instance,
    labels: { app: "orders" },
    addresses: [address],
    ports: [{ name: "", protocol: "http", detect: false, port: 8080, applicationPort: 8080 }],
    serviceAccount: "orders",
    capture: "redirect",
    locality: { region: "", zone: "", subZone: "" },
    egress: undefined,
    outboundPort: 15_001,
    accessLog: "off",
    origin: { file: "", line: 0, column: 0, path: "" },
  };
}

function endpointsOf(mesh: Mesh, port = 0): readonly string[] {
  const service = mesh.services[0]!;
  const backing = { slices: mesh.slicesOf(service), workloads: mesh.workloadsBehind(service) };
  return endpointsBehind(service, service.ports[port]!, backing).localities.flatMap(({ locality, endpoints }) =>
    endpoints.map(({ address }) =>
      address.type === "socket" ? `${locality.zone} ${address.address}:${address.port}` : "another",
    ),
  );
}
