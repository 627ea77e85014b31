import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EndpointHints } from "../model/endpoint-slice.ts";
import { ANYWHERE, type Place, relevantPlace } from "../model/place.ts";
import { meshOf } from "../model/testing.ts";
import { type Placed, prioritiesFor } from "./closeness.ts";
import { endpointsBehind } from "./endpoints.ts";

describe("who is close to a caller", () => {
  it("is whoever hints say, where all endpoints have them and one is for the caller's zone (KEP-2433)", () => {
    const all = [at("a", "n1", zones("a")), at("a", "n2", zones("b")), at("b", "n3", zones("b"))];
    assert.deepEqual(to(all, { zone: "a", node: "n9" }), [0, 1, 1]);
    assert.deepEqual(to(all, { zone: "b", node: "n9" }), [1, 0, 0], "a hint counts, and not where the endpoint is");
    for (const [what, endpoints, place] of [
      ["none is for its zone", all, { zone: "c", node: "n9" }],
      ["nobody knows where it is", all, ANYWHERE],
      ["one endpoint says nothing", [...all, at("a", "n1")], { zone: "a", node: "n9" }],
      ["there are no hints", [at("a", "n1"), at("b", "n2")], { zone: "a", node: "n1" }],
    ] as const)
      assert.deepEqual(new Set(to(endpoints, place)), new Set([0]), what);
    assert.deepEqual(to([at("a", "n1", zones("a"))], { zone: "a", node: "" }), [0], "there is no gap below it");
  });

  it("is first whoever is for its node, then for its zone, then all others (KEP-3015)", () => {
    const all = [at("a", "n1", both("a", "n1")), at("a", "n2", both("a", "n2")), at("b", "n3", both("b", "n3"))];
    assert.deepEqual(to(all, { zone: "a", node: "n1" }), [0, 1, 2]);
    assert.deepEqual(to(all, { zone: "a", node: "n9" }), [0, 0, 1]);
    assert.deepEqual(to(all, { zone: "c", node: "n3" }), [1, 1, 0]);
    assert.deepEqual(to(all, { zone: "c", node: "n9" }), [0, 0, 0]);
    const mixed = [at("a", "n1", both("a", "n1")), at("a", "n2", zones("a"))];
    assert.deepEqual(to(mixed, { zone: "a", node: "n1" }), [0, 0], "of hints of nodes all endpoints need some");
  });

  it("is what Kubernetes would hint, where the Service prefers and nobody has made hints", () => {
    const all = [at("a", "n1"), at("a", "n2"), at("b", "n3")];
    assert.deepEqual(to(all, { zone: "a", node: "n1" }, "same-zone"), [0, 0, 1]);
    assert.deepEqual(to(all, { zone: "a", node: "n1" }, "same-node"), [0, 1, 2]);
    assert.deepEqual(to(all, { zone: "c", node: "n9" }, "same-node"), [0, 0, 0]);
    assert.deepEqual(to([...all, at("", "n4")], { zone: "a", node: "n9" }, "same-zone"), [0, 0, 0, 0]);
    const hinted = [at("a", "n1", zones("b")), at("b", "n2", zones("b"))];
    assert.deepEqual(to(hinted, { zone: "a", node: "n1" }, "same-zone"), [0, 0], "hints that there are come first");
  });

  it("with internalTrafficPolicy Local is nobody but the endpoints of its node, and with none of them nobody", () => {
    const { services } = meshOf(serviceOf("internalTrafficPolicy: Local, trafficDistribution: PreferClose"));
    const all = [at("a", "n1"), at("a", "n2")];
    const local = (node: string) => prioritiesFor(services[0]!, all, { zone: "a", node });
    assert.deepEqual(local("n1"), [0, undefined]);
    assert.deepEqual(local("n9"), [undefined, undefined]);
    assert.deepEqual(local(""), [0, 0], "a caller on no Node has no node's endpoints");
  });
});

describe("endpoints for callers at a place", () => {
  const slice = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: a, labels: { kubernetes.io/service-name: orders } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints:
  - { addresses: [10.0.0.1], zone: a, nodeName: n1, hints: { forZones: [{ name: a }], forNodes: [{ name: n1 }] } }
  - { addresses: [10.0.0.2], zone: a, nodeName: n2, hints: { forZones: [{ name: a }], forNodes: [{ name: n2 }] } }
  - { addresses: [10.0.0.3], zone: b, nodeName: n3, hints: { forZones: [{ name: b }], forNodes: [{ name: n3 }] } }
---`;

  it("are grouped by priority and locality", () => {
    const mesh = meshOf(serviceOf("type: ClusterIP"), slice);
    const [service] = mesh.services;
    assert.ok(service !== undefined);
    const backing = { slices: mesh.slicesOf(service), workloads: mesh.workloadsBehind(service) };
    const groups = (place: Place): readonly string[] =>
      endpointsBehind(service, service.ports[0]!, backing, undefined, place).localities.map(
        ({ priority, locality, endpoints }) => `${priority} ${locality.zone} ${endpoints.length}`,
      );
    assert.deepEqual(groups({ zone: "a", node: "n1" }), ["0 a 1", "1 a 1", "2 b 1"]);
    assert.deepEqual(groups({ zone: "b", node: "n9" }), ["0 b 1", "1 a 2"]);
    assert.deepEqual(groups(ANYWHERE), ["0 a 2", "0 b 1"]);
  });

  it("are shared by places that nothing is at, or for", () => {
    const mesh = meshOf(serviceOf("type: ClusterIP"), slice, serviceOf("internalTrafficPolicy: Local", "local"));
    const [local, orders] = mesh.services;
    assert.ok(local !== undefined && orders !== undefined);
    const relevant = (place: Place) => relevantPlace(orders, mesh.slicesOf(orders), [], place);
    assert.deepEqual(relevant({ zone: "a", node: "n9" }), { zone: "a", node: "" });
    assert.deepEqual(relevant({ zone: "c", node: "n3" }), { zone: "", node: "n3" });
    assert.deepEqual(relevant({ zone: "c", node: "n9" }), ANYWHERE);
    const none = relevantPlace(local, [], [], { zone: "a", node: "n9" });
    assert.equal(none.node, relevantPlace(local, [], [], { zone: "b", node: "n8" }).node);
    assert.notEqual(none.node, "", "whoever has none of its node's has none");
    assert.deepEqual(mesh.sensitivity, { zone: true, node: true });
    assert.deepEqual(meshOf(serviceOf("type: ClusterIP")).sensitivity, { zone: false, node: false });
  });
});

function serviceOf(more: string, name = "orders"): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }], ${more} }
---`;
}

function at(zone: string, node: string, hints?: EndpointHints): Placed {
  return { zone, node, hints };
}

function zones(...names: readonly string[]): EndpointHints {
  return { zones: names, nodes: [] };
}

function both(zone: string, node: string): EndpointHints {
  return { zones: [zone], nodes: [node] };
}

function to(endpoints: readonly Placed[], place: Place, prefers?: "same-zone" | "same-node") {
  const { services } = meshOf(serviceOf("type: ClusterIP"));
  return prioritiesFor({ ...services[0]!, ...(prefers !== undefined && { prefers }) }, endpoints, place);
}
