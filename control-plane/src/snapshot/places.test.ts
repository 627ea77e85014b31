import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EndpointsConfig } from "@heddle/traffic";
import type { SnapshotWatch } from "@heddle/xds";
import { changes, find, node, service, TestMesh } from "./testing.ts";

const ORDERS = service("orders").replace("spec: {", "spec: { trafficDistribution: PreferClose,");
const STOCK = service("stock");
const CALLERS = ["web-a", "shop-a", "web-b"].map((name) => at(name, name.slice(-1), "127.0.0.1"));
const BEHIND = [
  at("orders-1", "a", "10.0.0.1", "orders"),
  at("orders-2", "b", "10.0.0.2", "orders"),
  at("stock-1", "a", "10.0.1.1", "stock"),
  at("stock-2", "b", "10.0.1.2", "stock"),
];

describe("nodes at different places", () => {
  it("get each the endpoints that are close to it first, of a Service that prefers those", () => {
    const { watches } = watchAll(ORDERS, ...BEHIND);
    assert.deepEqual(groups(watches["web-a"], "orders"), ["0 a", "1 b"]);
    assert.deepEqual(groups(watches["web-b"], "orders"), ["0 b", "1 a"]);
    assert.deepEqual(groups(watches["foreign"], "orders"), ["0 a", "1 b"], "a node without workload is where it says");
    assert.deepEqual(groups(watches["nowhere"], "orders"), ["0 a", "0 b"]);
    assert.deepEqual(groups(watches["web-a"], "stock"), ["0 a", "0 b"]);
  });

  it("cost nothing where no Service asks where they are", () => {
    const { mesh, watches, put } = watchAll(service("orders"), ...BEHIND);
    const [web, shop] = [watches["web-a"], watches["web-b"]];
    const before = [web?.current, shop?.current];
    const cost = mesh.cost();
    put(service("orders"), at("orders-1", "a", "10.0.0.9", "orders"), ...BEHIND.slice(1));
    assert.deepEqual(cost(), { endpoints: 1 });
    for (const [index, watch] of [web, shop].entries())
      assert.deepEqual(changes(before[index], watch?.current), ["endpoints outbound/80/orders.default"]);
  });

  it("share what is made for a zone; a change is made once for each zone, and once for a Service that does not ask", () => {
    const { mesh, watches, put } = watchAll(ORDERS, ...BEHIND);
    let cost = mesh.cost();
    put(ORDERS, at("orders-1", "a", "10.0.0.9", "orders"), ...BEHIND.slice(1));
    assert.deepEqual(cost(), { endpoints: 1, "placed-endpoints": 2 });
    const before = watches["web-a"]?.current;
    cost = mesh.cost();
    put(
      ORDERS,
      at("orders-1", "a", "10.0.0.9", "orders"),
      BEHIND[1]!,
      at("stock-1", "a", "10.0.1.9", "stock"),
      BEHIND[3]!,
    );
    assert.deepEqual(cost(), { endpoints: 1 });
    assert.deepEqual(changes(before, watches["web-a"]?.current), ["endpoints outbound/80/stock.default"]);
  });

  it("that move, or hear that their place matters, get that Service's endpoints anew and nothing else", () => {
    const { mesh, watches, put } = watchAll(service("orders"), ...BEHIND);
    const told = (...texts: readonly string[]): readonly (readonly string[])[] => {
      const before = [watches["web-a"]?.current, watches["nowhere"]?.current];
      put(...texts);
      return [changes(before[0], watches["web-a"]?.current), changes(before[1], watches["nowhere"]?.current)];
    };
    const orders = ["endpoints outbound/80/orders.default"];
    assert.deepEqual(told(ORDERS, ...BEHIND), [orders, []]);
    const cost = mesh.cost();
    const moved = [at("web-a", "b", "127.0.0.1"), ...CALLERS.slice(1)];
    const before = watches["web-a"]?.current;
    mesh.put(ORDERS, STOCK, ...moved, ...BEHIND);
    assert.deepEqual(changes(before, watches["web-a"]?.current), orders);
    assert.deepEqual(cost(), { inbound: 1 }, "the zone's endpoints are there already");
    assert.deepEqual(groups(watches["web-a"], "orders"), ["0 b", "1 a"]);
    mesh.put(ORDERS, STOCK, ...CALLERS, ...BEHIND);
    assert.deepEqual(told(service("orders"), ...BEHIND), [orders, []]);
    assert.deepEqual(groups(watches["web-a"], "orders"), ["0 a", "0 b"]);
  });

  it("hear of hints that change, though no endpoint does", () => {
    const slice = (zone: string): string =>
      `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: o, labels: { kubernetes.io/service-name: orders } }\naddressType: IPv4\nports: [{ name: http, port: 80 }]\nendpoints:\n  - { addresses: [10.9.0.1], zone: a, hints: { forZones: [{ name: ${zone} }] } }\n  - { addresses: [10.9.0.2], zone: b, hints: { forZones: [{ name: b }] } }\n`;
    const { watches, put } = watchAll(service("orders"), slice("a"), ...BEHIND);
    assert.deepEqual(groups(watches["web-a"], "orders"), ["0 a", "1 b"]);
    put(service("orders"), slice("b"), ...BEHIND);
    assert.deepEqual(groups(watches["web-a"], "orders"), ["0 a", "0 b"]);
    assert.deepEqual(groups(watches["web-b"], "orders"), ["0 a", "0 b"]);
  });
});

function watchAll(...texts: readonly string[]) {
  const mesh = new TestMesh();
  const put = (...more: readonly string[]): void => mesh.put(STOCK, ...CALLERS, ...more);
  put(...texts);
  const foreign = { ...node("foreign"), locality: { region: "", zone: "a", subZone: "" } };
  const watches: Readonly<Record<string, SnapshotWatch>> = {
    "web-a": mesh.watch(node("web-a")),
    "shop-a": mesh.watch(node("shop-a")),
    "web-b": mesh.watch(node("web-b")),
    foreign: mesh.watch(foreign),
    nowhere: mesh.watch(node("nowhere")),
  };
  return { mesh, watches, put };
}

/** "0 a": the priorities and zones of what a node finds behind a service. */
function groups(watch: SnapshotWatch | undefined, name: string): readonly string[] {
  const config = find<EndpointsConfig>(watch?.current, "endpoints", `outbound/80/${name}.default`);
  return config?.localities.map(({ priority, locality }) => `${priority} ${locality.zone}`) ?? [];
}

function at(name: string, zone: string, address: string, app = name): string {
  return `apiVersion: heddle.dev/v1\nkind: Workload\nmetadata: { name: ${name}, labels: { app: ${app} } }\nspec:\n  addresses: [${address}]\n  ports: [{ name: http, port: 80${address === "127.0.0.1" ? "80, applicationPort: 9080" : ""} }]\n  locality: { zone: ${zone} }\n`;
}
