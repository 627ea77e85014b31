import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SnapshotWatch } from "@heddle/xds";
import { changes, listener, node, TestMesh } from "./testing.ts";

const SERVICE = (name: string, ports: string, more = ""): string =>
  `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { selector: { app: ${name} }, ports: [${ports}]${more} }\n---\n`;
const WORKLOAD = (name: string, address: string, more = ""): string =>
  `apiVersion: heddle.dev/v1\nkind: Workload\nmetadata: { name: ${name}, labels: { app: ${name.replace(/-\d$/, "")} } }\nspec:\n  addresses: [${address}]\n  ports: [{ name: http, protocol: http, port: 8080 }]\n  ${more}\n---\n`;

const HTTP = "{ name: http, port: 8080 }";
const TCP = "{ name: tcp-db, port: 8080 }";
const WEB = WORKLOAD("web", "10.1.0.1", "capture: redirect");

/** What a captured node gets of a world, and what changes of it with the next. */
function captured(...texts: readonly string[]): {
  readonly mesh: TestMesh;
  readonly watch: SnapshotWatch;
  changed(...next: readonly string[]): readonly string[];
} {
  const mesh = new TestMesh();
  mesh.put(WEB, ...texts);
  const watch = mesh.watch(node("web"));
  return {
    mesh,
    watch,
    changed(...next) {
      const before = watch.current;
      mesh.put(WEB, ...next);
      return changes(before, watch.current);
    },
  };
}

function names(watch: SnapshotWatch, type: string): readonly string[] {
  const resources = [...(watch.current?.resources ?? [])].find(([url]) => url.endsWith(`.${type}`))?.[1];
  return [...(resources?.keys() ?? [])].sort();
}

const ORDERS = SERVICE("orders", HTTP, ", clusterIP: 10.96.0.1");
const STOCK = SERVICE("stock", HTTP, ", clusterIP: 10.96.0.2");
const DB = SERVICE("db", TCP, ", clusterIP: 10.96.0.3");

describe("what a captured node gets", () => {
  it("is a listener for each port of HTTP, one for each service of bytes, DNS, and one for all that comes in", () => {
    const { watch } = captured(ORDERS, STOCK, DB, SERVICE("any", "{ name: x, port: 9000 }", ", clusterIP: 10.96.0.4"));
    assert.deepEqual(names(watch, "Listener"), [
      "dns",
      "dns/tcp",
      "inbound",
      "outbound",
      "outbound/8080",
      "outbound/8080/10.96.0.3",
      "outbound/9000/10.96.0.4",
    ]);
    assert.deepEqual(names(watch, "RouteConfiguration"), ["outbound/8080", "outbound/9000"]);
    assert.deepEqual(names(watch, "Cluster"), [
      "blackhole",
      "inbound/8080",
      "inbound/passthrough",
      "outbound/8080/db.default",
      "outbound/8080/orders.default",
      "outbound/8080/stock.default",
      "outbound/9000/any.default",
      "passthrough",
    ]);
  });

  it("is, for an Envoy, without the filters that are ours alone", () => {
    const { mesh, watch } = captured(ORDERS, DB, SERVICE("any", "{ name: x, port: 9000 }", ", clusterIP: 10.96.0.4"));
    const envoy = mesh.watch({ ...node("web"), userAgentName: "envoy" });
    const filtersOf = (who: SnapshotWatch) =>
      names(who, "Listener").flatMap((name) =>
        (listener(who.current, name).listenerFilters ?? []).map(({ name: filter }) => filter),
      );
    const ours = filtersOf(watch).filter((name) => name.startsWith("heddle."));
    assert.deepEqual(ours, ["heddle.filters.listener.server_first", "heddle.filters.listener.server_first"]);
    assert.deepEqual(
      filtersOf(envoy),
      filtersOf(watch).filter((name) => !name.startsWith("heddle.")),
    );
    assert.deepEqual(
      names(envoy, "Listener"),
      names(watch, "Listener").filter((name) => name !== "dns/tcp"),
    );
  });

  it("is a table of DNS that is taken whatever the ports of some Service are called", () => {
    for (const name of ["x".repeat(63), "a.b", "a_b", "Ä"])
      captured(SERVICE("any", `{ name: "${name}", port: 9000 }`, ", clusterIP: 10.96.0.4")); // which looks at every resource
  });

  it("is one listener for an address that two services have: the first by name has it, and the other one those that are its own", () => {
    const both = SERVICE("zb", TCP, ", clusterIPs: [10.96.0.3, 'fd00::3']");
    const { watch, changed } = captured(both);
    assert.deepEqual(
      names(watch, "Listener").filter((name) => /10\.96|fd00/.test(name)),
      ["outbound/8080/10.96.0.3"],
    );
    assert.deepEqual(
      changed(DB, both).filter((change) => change.includes("listener outbound")),
      ["listener outbound/8080/10.96.0.3", "listener outbound/8080/fd00::3"],
    );
    const { address, additionalAddresses } = listener(watch.current, "outbound/8080/fd00::3");
    assert.deepEqual(address, { type: "socket", address: "fd00::3", port: 8080 });
    assert.deepEqual(additionalAddresses, []);
  });

  it("has a listener of its own for a port whose connections a route divides, for callers of the namespace that it is for", () => {
    const route = (namespace: string): string =>
      `apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: TCPRoute\nmetadata: { name: split, namespace: ${namespace} }\nspec:\n  parentRefs: [{ group: "", kind: Service, name: orders, namespace: default }]\n  rules: [{ backendRefs: [{ name: stock, namespace: default, port: 8080 }, { name: db, namespace: default, port: 8080 }] }]\n---\n`;
    const world = captured(ORDERS, STOCK, DB);
    assert.deepEqual(world.changed(ORDERS, STOCK, DB, route("default")), [
      "listener outbound/8080/10.96.0.1",
      "route-configuration outbound/8080",
    ]);
    const config = listener(world.watch.current, "outbound/8080/10.96.0.1");
    const [filter] = config.filterChains[0]?.filters ?? [];
    assert.ok(filter?.type === "tcp-proxy");
    assert.deepEqual(
      filter.config.clusters.map(({ name }) => name),
      ["outbound/8080/stock.default", "outbound/8080/db.default"],
    );
    const before = world.watch.current;
    assert.deepEqual(world.changed(ORDERS, STOCK, DB, route("elsewhere")).length, 2, "another's is none of ours");
    assert.deepEqual(changes(before, world.watch.current).length, 2);
  });

  it("changes with a service of bytes by that service's listener, and by nothing of HTTP on the same port", () => {
    const world = captured(ORDERS);
    const cost = world.mesh.cost();
    assert.deepEqual(world.changed(ORDERS, DB), [
      "cluster outbound/8080/db.default",
      "endpoints outbound/8080/db.default",
      "listener dns",
      "listener outbound/8080/10.96.0.3",
    ]);
    assert.deepEqual(cost(), { "captured-listener": 1, cluster: 1, "dns-listener": 1, endpoints: 1 });
  });

  it("changes with a service of HTTP by the routes of its port, and drains no listener but that of DNS", () => {
    const world = captured(ORDERS, DB);
    assert.deepEqual(world.changed(ORDERS, STOCK, DB), [
      "cluster outbound/8080/stock.default",
      "endpoints outbound/8080/stock.default",
      "listener dns",
      "route-configuration outbound/8080",
    ]);
  });

  it("changes with an endpoint by that service's endpoints alone", () => {
    const world = captured(ORDERS, STOCK, DB, WORKLOAD("orders-1", "10.1.0.2"));
    const cost = world.mesh.cost();
    assert.deepEqual(
      world.changed(ORDERS, STOCK, DB, WORKLOAD("orders-1", "10.1.0.2"), WORKLOAD("orders-2", "10.1.0.3")),
      ["endpoints outbound/8080/orders.default"],
    );
    assert.deepEqual(cost(), { endpoints: 1 });
  });

  it("calls the pods of a headless service by mutual TLS, with a listener that changes with them", () => {
    const pods = SERVICE("orders", TCP, ", clusterIP: None").replace("8080", "5432");
    const workload = (n: number): string =>
      WORKLOAD(`orders-${n}`, `10.1.0.${n + 1}`).replace(
        "name: http, protocol: http, port: 8080",
        "name: tcp-db, protocol: tcp, port: 5432, applicationPort: 5433",
      );
    const mesh = new TestMesh();
    mesh.put(WEB, pods, workload(1));
    const plain = mesh.watch(node("web"));
    const secured = mesh.watch(node("web", "default"));
    const name = "outbound/5432/orders.default/pods";
    assert.ok(!names(plain, "Listener").includes(name));
    assert.ok(names(secured, "Listener").includes(name) && names(secured, "Cluster").includes(name));
    const before = secured.current;
    mesh.put(WEB, pods, workload(1), workload(2));
    assert.deepEqual(changes(before, secured.current), ["endpoints outbound/5432/orders.default", `listener ${name}`]);
  });

  it("has one listener for an address of a pod to which several ports of headless services lead: bytes have it, else the first", () => {
    const port = (name: string, number: number): string => `{ name: ${name}, port: ${number}, targetPort: 5432 }`;
    const headless = (name: string, ...ports: readonly string[]): string =>
      SERVICE(name, ports.join(", "), ", clusterIP: None").replace(`app: ${name}`, "app: orders");
    const workload = (n: number): string =>
      WORKLOAD(`orders-${n}`, `10.1.0.${n + 1}`).replace(
        "name: http, protocol: http, port: 8080",
        "name: any, port: 5432, applicationPort: 5433",
      );
    const places = (watch: SnapshotWatch): Record<string, readonly unknown[]> =>
      Object.fromEntries(
        names(watch, "Listener")
          .filter((name) => name.includes("/pods"))
          .map((name) => {
            const { address, additionalAddresses } = listener(watch.current, name);
            return [name, [address, ...additionalAddresses].map((one) => one.type === "socket" && one.address)];
          }),
      );
    const mesh = new TestMesh();
    const twoPorts = headless("orders", port("http", 80), port("http-too", 81));
    mesh.put(WEB, twoPorts, workload(1));
    const secured = mesh.watch(node("web", "default"));
    assert.deepEqual(places(secured), { "outbound/80/orders.default/pods": ["10.1.0.2"] });
    assert.ok(!names(secured, "Cluster").includes("outbound/81/orders.default/pods"), "which nobody leads to");
    mesh.put(WEB, twoPorts, headless("zb", port("tcp-db", 82)), workload(1));
    assert.deepEqual(places(secured), { "outbound/82/zb.default/pods": ["10.1.0.2"] });
    // Of another service's pods each keeps those that are its own.
    const some = headless("one", port("tcp-db", 83)).replace("app: orders }", "app: orders, only: one }");
    const marked = workload(2).replace("app: orders }", "app: orders, only: one }");
    mesh.put(WEB, twoPorts, some, workload(1), marked);
    assert.deepEqual(places(secured), {
      "outbound/80/orders.default/pods": ["10.1.0.2"],
      "outbound/83/one.default/pods": ["10.1.0.3"],
    });
  });

  it("reaches a name for something outside by server name, with a cluster that DNS resolves, and changes nothing else", () => {
    const outside = (more = ""): string =>
      `apiVersion: v1\nkind: Service\nmetadata: { name: api }\nspec: { type: ExternalName, externalName: api.example.com, ports: [{ name: https, port: 443 }${more}] }\n---\n`;
    const world = captured(ORDERS, DB);
    assert.deepEqual(world.changed(ORDERS, DB, outside()), [
      "cluster outbound/443/api.default",
      "endpoints outbound/443/api.default",
      "listener outbound/443",
    ]);
    // HTTP on the same port of any address is another chain of that listener, whose connections go on.
    assert.deepEqual(world.changed(ORDERS, DB, outside(", { name: https-2, port: 8080 }")), [
      "cluster outbound/8080/api.default",
      "endpoints outbound/8080/api.default",
      "listener outbound/8080",
    ]);
  });

  it("has nothing of services that its egress leaves out", () => {
    const mesh = new TestMesh();
    mesh.put(WORKLOAD("web", "10.1.0.1", "capture: redirect\n  egress: [orders]"), ORDERS, DB);
    const watch = mesh.watch(node("web"));
    assert.deepEqual(names(watch, "Listener"), ["dns", "dns/tcp", "inbound", "outbound", "outbound/8080"]);
    assert.ok(!names(watch, "Cluster").includes("outbound/8080/db.default"));
  });

  it("has the names of all services, and the clusters of HTTP of other namespaces when it asks for them", () => {
    const foreign = ORDERS.replaceAll("name: orders", "name: orders, namespace: billing");
    const { watch, changed } = captured(STOCK, foreign);
    assert.ok(!names(watch, "Cluster").includes("outbound/8080/orders.billing"));
    const before = watch.current;
    watch.request("type.googleapis.com/envoy.config.cluster.v3.Cluster", ["outbound/8080/orders.billing"]);
    assert.deepEqual(changes(before, watch.current), [
      "cluster outbound/8080/orders.billing",
      "endpoints outbound/8080/orders.billing",
    ]);
    assert.deepEqual(changed(STOCK, foreign), []);
  });
});
