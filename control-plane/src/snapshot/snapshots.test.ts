import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeResourceTypes, type Snapshot, type XdsNode } from "@heddle/xds";
import { mergeItems, type World } from "../source/merge.ts";
import { parseResource } from "../source/parse-resource.ts";
import { readFileText } from "../source/read-file.ts";
import type { SourceItem } from "../source/source.ts";
import { Snapshots } from "./snapshots.ts";

const TYPES = makeResourceTypes({ httpFilters: "unchecked" });
const LISTENER = TYPES.listener.typeUrl;
const VIRTUAL_HOSTS = "type.googleapis.com/envoy.config.route.v3.VirtualHost";
const ROUTES = TYPES["route-configuration"].typeUrl;
const CLUSTER = TYPES.cluster.typeUrl;
const ENDPOINTS = TYPES.endpoints.typeUrl;

const ORDERS = service("orders");
const STOCK = service("stock");
const BILLING = service("billing", "ops");
const ORDERS_1 = workload("orders-1", "orders", 8001);
const STOCK_1 = workload("stock-1", "stock", 8002);

describe("snapshots", () => {
  it("there is none before there is a world", () => {
    const { snapshots } = start();
    const watch = snapshots.watch(node("default/orders-1/a"), () => assert.fail("nothing has changed"));
    assert.equal(watch.current, undefined);
    watch.close();
  });

  it("hold what a workload's sidecar needs, and every resource of them is valid", () => {
    const { snapshots, put } = start();
    put(ORDERS, STOCK, BILLING, ORDERS_1, STOCK_1);
    const { current } = snapshots.watch(node("default/orders-1/a"), () => {});
    assert.deepEqual(names(current), {
      listener: ["inbound/8001", "outbound"],
      "route-configuration": ["outbound"],
      cluster: ["inbound/8001", "outbound/80/orders.default", "outbound/80/stock.default"],
      endpoints: ["outbound/80/orders.default", "outbound/80/stock.default"],
    });
    for (const type of Object.values(TYPES))
      for (const { name, bytes } of current?.resources.get(type.typeUrl)?.values() ?? []) {
        const decoded = type.decode(bytes);
        assert.ok(decoded.ok, `${name}: ${JSON.stringify(decoded)}`);
        assert.deepEqual(decoded.value.unhonoured, [], name);
      }
  });

  it("of a client that is no sidecar hold no listener, and of a namespace its own services", () => {
    const { snapshots, put } = start();
    put(ORDERS, BILLING, ORDERS_1);
    const foreign = { ...node("some-envoy"), metadata: { NAMESPACE: "ops" } };
    assert.deepEqual(names(snapshots.watch(foreign, () => {}).current), {
      listener: [],
      "route-configuration": ["outbound"],
      cluster: ["outbound/80/billing.ops"],
      endpoints: ["outbound/80/billing.ops"],
    });
  });

  it("one endpoint's change touches one resource", () => {
    const { snapshots, put } = start();
    put(ORDERS, STOCK, ORDERS_1, STOCK_1);
    let told = 0;
    const watch = snapshots.watch(node("default/orders-1/a"), () => (told += 1));
    const before = watch.current;
    const counts = counting(snapshots);
    put(ORDERS, STOCK, ORDERS_1, STOCK_1, workload("stock-2", "stock", 8003));
    assert.deepEqual(changes(before, watch.current), [`${ENDPOINTS} outbound/80/stock.default`]);
    assert.deepEqual(counts(), { endpoints: 1 });
    assert.equal(told, 1);
    for (const typeUrl of [LISTENER, ROUTES, CLUSTER])
      assert.equal(watch.current?.resources.get(typeUrl), before?.resources.get(typeUrl), typeUrl);
  });

  it("one route's change touches one resource, and one virtual host is made anew", () => {
    const { snapshots, put } = start();
    const split = (weight: number): string => route("stock", weight);
    put(ORDERS, STOCK, ORDERS_1, split(90));
    const watch = snapshots.watch(node("default/orders-1/a"), () => {});
    const before = watch.current;
    const counts = counting(snapshots);
    put(ORDERS, STOCK, ORDERS_1, split(50));
    assert.deepEqual(changes(before, watch.current), [`${ROUTES} outbound`]);
    assert.deepEqual(counts(), { "virtual-host": 1, "route-configuration": 1 });
  });

  it("what is the same in substance is no change, and nobody is told", () => {
    const { snapshots, put, putAnew } = start();
    put(ORDERS, STOCK, ORDERS_1);
    const watch = snapshots.watch(node("default/orders-1/a"), () => assert.fail("nothing has changed"));
    const before = watch.current;
    put(ORDERS, STOCK, ORDERS_1);
    putAnew(ORDERS, STOCK, ORDERS_1); // read again: other objects, the same content
    assert.equal(watch.current, before);
  });

  it("nodes share what they have in common, and it is made once", () => {
    const { snapshots, put } = start();
    put(ORDERS, STOCK, ORDERS_1, STOCK_1);
    const counts = counting(snapshots);
    const [a, b] = ["default/orders-1/a", "default/stock-1/a"].map((id) => snapshots.watch(node(id), () => {}).current);
    for (const [typeUrl, name] of [
      [CLUSTER, "outbound/80/stock.default"],
      [ROUTES, "outbound"],
      [LISTENER, "outbound"],
    ] as const) {
      const shared = a?.resources.get(typeUrl)?.get(name);
      assert.ok(shared !== undefined);
      assert.equal(b?.resources.get(typeUrl)?.get(name), shared, name);
    }
    assert.equal(a?.resources.get(ENDPOINTS), b?.resources.get(ENDPOINTS));
    const made = counts();
    assert.deepEqual([made["cluster"], made["endpoints"], made["route-configuration"]], [2, 2, 1]);
  });

  it("replicas that hold the same content say the same versions", () => {
    const versions = [start(), start()].map(({ snapshots, put }, index) => {
      put(...(index === 0 ? [ORDERS, STOCK, ORDERS_1] : [ORDERS_1, STOCK, ORDERS]));
      const { current } = snapshots.watch(node("default/orders-1/a"), () => {});
      return [...(current?.resources.values() ?? [])]
        .flatMap((all) => [...all.values()].map(({ name, version }) => `${name} ${version}`))
        .sort();
    });
    assert.ok((versions[0]?.length ?? 0) > 4);
    assert.deepEqual(versions[0], versions[1]);
  });

  it("egress says which services a workload hears of", () => {
    const { snapshots, put } = start();
    put(ORDERS, STOCK, BILLING, workload("web", "web", 8000, "egress: [stock, '*.ops']"));
    const { current } = snapshots.watch(node("default/web/a"), () => {});
    assert.deepEqual(names(current).endpoints, ["outbound/80/billing.ops", "outbound/80/stock.default"]);
  });

  it("a cluster that is asked for by name comes on demand, with its route", async () => {
    const { snapshots, put } = start();
    put(ORDERS, BILLING, ORDERS_1);
    const changed = Promise.withResolvers<void>();
    const watch = snapshots.watch(node("default/orders-1/a"), changed.resolve);
    watch.request(CLUSTER, ["outbound/80/billing.ops", "outbound/80/nowhere.ops", "whatever"]);
    await changed.promise;
    assert.deepEqual(names(watch.current).endpoints, ["outbound/80/billing.ops", "outbound/80/orders.default"]);
    const routes = TYPES["route-configuration"].decode(
      watch.current?.resources.get(ROUTES)?.get("outbound")?.bytes ?? new Uint8Array(),
    );
    assert.deepEqual(routes.ok && routes.value.config.virtualHosts.map(({ name }) => name), [
      "orders.default:80",
      "billing.ops:80",
    ]);
    const other = snapshots.watch(node("default/orders-1/b"), () => {});
    assert.deepEqual(names(other.current).endpoints, ["outbound/80/orders.default"]);
  });

  it("a virtual host that is asked for by any of its names comes on demand, with its cluster; names of no service leave no trace", async () => {
    const { snapshots, put } = start();
    put(ORDERS, BILLING, ORDERS_1);
    const changed = Promise.withResolvers<void>();
    const watch = snapshots.watch(node("default/orders-1/a"), changed.resolve);
    const hosts = () => watch.current?.resources.get(VIRTUAL_HOSTS) ?? new Map();
    const before = watch.current;
    watch.request(VIRTUAL_HOSTS, ["outbound/nowhere.ops", "outbound/www.example.com", "inbound/billing.ops"]);
    assert.equal(watch.current, before);
    assert.equal(hosts().size, 0);
    watch.request(VIRTUAL_HOSTS, ["outbound/billing.ops.svc"]);
    await changed.promise;
    const [host] = hosts().values();
    assert.equal(host?.name, "outbound/billing.ops:80");
    assert.ok(host?.aliases?.includes("outbound/billing.ops.svc"));
    assert.ok(!host?.aliases?.includes("outbound/billing"), "the bare name is for its own namespace");
    assert.deepEqual(names(watch.current).endpoints, ["outbound/80/billing.ops", "outbound/80/orders.default"]);
    const known = hosts();
    put(ORDERS, BILLING, ORDERS_1);
    assert.equal(hosts(), known, "nothing is made anew");
  });

  it("a listener that is asked for by a service's name is there at once, for a client that dials by itself", () => {
    const { snapshots, put } = start();
    put(ORDERS, BILLING);
    const watch = snapshots.watch(node("grpc-client"), () => {});
    assert.deepEqual(names(watch.current).listener, []);
    watch.request(LISTENER, ["orders.default:80", "billing.ops", "not/a/service"]);
    assert.deepEqual(names(watch.current).listener, ["billing.ops", "orders.default:80"]);
    assert.deepEqual(names(watch.current).cluster, ["outbound/80/billing.ops", "outbound/80/orders.default"]);
  });

  it("a client of gRPC has every cluster that its routes name: it holds all calls back while one is not there", () => {
    const { snapshots, put } = start();
    const route = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r }
spec:
  parentRefs: [{ group: "", kind: Service, name: orders }]
  rules:
  - { matches: [{ path: { value: /moved } }], filters: [{ type: RequestRedirect, requestRedirect: { hostname: a.example } }] }
  - { backendRefs: [{ name: orders, port: 80 }, { name: gone, port: 80 }] }
`;
    put(ORDERS, ORDERS_1, route);
    const grpc = snapshots.watch({ ...node("client"), userAgentName: "gRPC Go" }, () => {});
    const there = ["outbound/80/gone.default", "outbound/80/orders.default", "refused"];
    assert.deepEqual(names(grpc.current).cluster, there);
    assert.deepEqual(names(grpc.current).endpoints, there);
    const endpointsOf = (name: string) => {
      const decoded = TYPES.endpoints.decode(grpc.current!.resources.get(ENDPOINTS)!.get(name)!.bytes);
      return decoded.ok && decoded.value.config.localities.length;
    };
    assert.deepEqual(there.map(endpointsOf), [0, 1, 0]);
    const others = snapshots.watch(node("some-envoy"), () => {}); // to which a cluster that is not there is the route's to answer
    assert.deepEqual(names(others.current).cluster, ["outbound/80/orders.default"]);
    put(ORDERS, ORDERS_1, route, service("gone"), workload("gone-1", "gone", 8003));
    assert.deepEqual(there.map(endpointsOf), [1, 1, 0]);
  });

  it("a client of gRPC has what is a name for something outside as the one type of DNS that it knows", () => {
    const { snapshots, put } = start();
    put(
      "apiVersion: v1\nkind: Service\nmetadata: { name: out }\nspec: { type: ExternalName, externalName: a.example, ports: [{ port: 80 }] }\n",
    );
    const typeFor = (who: XdsNode) => {
      const { current } = snapshots.watch(who, () => {});
      const decoded = TYPES.cluster.decode(current!.resources.get(CLUSTER)!.get("outbound/80/out.default")!.bytes);
      return decoded.ok && decoded.value.config.discovery.type;
    };
    assert.equal(typeFor({ ...node("client"), userAgentName: "gRPC C-core" }), "LOGICAL_DNS");
    assert.equal(typeFor(node("some-envoy")), "STRICT_DNS");
  });

  it("raw resources stand beside the generated ones, or in their place if they say so", () => {
    const { snapshots, put } = start();
    const raw = (name: string, timeout: string, more: string): string =>
      `${more}\nresources: [{ "@type": "${CLUSTER}", name: "${name}", connect_timeout: ${timeout}, load_assignment: { cluster_name: x } }]\n`;
    put(
      ORDERS,
      ORDERS_1,
      raw("mine", "1s", ""),
      raw("outbound/80/orders.default", "2s", "override: true"),
      raw("inbound/8001", "3s", ""),
      raw("web-only", "4s", "for: { node.cluster: web }"),
    );
    const { current } = snapshots.watch(node("default/orders-1/a"), () => {});
    const timeouts = [...(current?.resources.get(CLUSTER)?.values() ?? [])].map(({ name, bytes }) => {
      const decoded = TYPES.cluster.decode(bytes);
      return [name, decoded.ok && decoded.value.config.connectTimeoutMs];
    });
    assert.deepEqual(Object.fromEntries(timeouts), {
      mine: 1000,
      "outbound/80/orders.default": 2000,
      "inbound/8001": 5000,
    });
  });

  it("of one name the raw resource for just these nodes wins over the one for all, wherever each stands", () => {
    const { snapshots, put } = start();
    const cluster = (timeout: number, more = ""): string =>
      `${more}\nresources: [{ "@type": "${CLUSTER}", name: c, connect_timeout: ${timeout}s, load_assignment: { cluster_name: x } }]\n`;
    const general = cluster(1);
    const special = cluster(2, "for: { node.cluster: web }");
    for (const order of [
      [general, special],
      [special, general],
    ]) {
      put(...order);
      const timeoutFor = (id: string): unknown => {
        const bytes = snapshots
          .watch(node(id), () => {})
          .current?.resources.get(CLUSTER)
          ?.get("c")?.bytes;
        const decoded = bytes && TYPES.cluster.decode(bytes);
        return decoded?.ok === true && decoded.value.config.connectTimeoutMs;
      };
      assert.deepEqual([timeoutFor("default/web/a"), timeoutFor("default/orders/a")], [2000, 1000]);
    }
    const count = counting(snapshots);
    put(general, special);
    assert.deepEqual(count(), {}, "neither is computed anew because of the other");
  });

  it("forget what nobody watches any more", () => {
    const { snapshots, put } = start();
    put(ORDERS, ORDERS_1);
    const watch = snapshots.watch(node("default/orders-1/a"), () => assert.fail("closed"));
    watch.close();
    put(ORDERS, STOCK, ORDERS_1);
    assert.deepEqual([...snapshots.current().keys()], []);
    watch.request(CLUSTER, ["outbound/80/billing.ops"]);
  });
});

/** Snapshots, and a way to put a world of YAML texts; a text that was put before is the same objects again. */
function start(): { snapshots: Snapshots; put: (...yaml: string[]) => void; putAnew: (...yaml: string[]) => void } {
  const snapshots = new Snapshots(TYPES);
  const read = new Map<string, readonly SourceItem[]>();
  const put = (...texts: string[]): void => {
    for (const text of texts) if (!read.has(text)) read.set(text, itemsOf(text));
    snapshots.publish(worldOf(texts.flatMap((text) => read.get(text) ?? [])));
  };
  return { snapshots, put, putAnew: (...texts) => snapshots.publish(worldOf(texts.flatMap(itemsOf))) };
}

function itemsOf(text: string): readonly SourceItem[] {
  const { items, diagnostics } = readFileText("test.yaml", text, parseResource);
  assert.deepEqual(diagnostics, []);
  return items;
}

function worldOf(items: readonly SourceItem[]): World {
  return mergeItems(items, new Map()).world;
}

/** What has been computed since. */
function counting(snapshots: Snapshots): () => Record<string, number> {
  const before = new Map(snapshots.computed);
  return () => {
    const since = [...snapshots.computed].map(([kind, count]) => [kind, count - (before.get(kind) ?? 0)] as const);
    const glue = ["snapshot", "scope"]; // collects what has been made; makes nothing
    return Object.fromEntries(since.filter(([kind, count]) => count > 0 && !glue.includes(kind)));
  };
}

function names(snapshot: Snapshot | undefined): Record<string, readonly string[]> {
  return Object.fromEntries(
    [TYPES.listener, TYPES["route-configuration"], TYPES.cluster, TYPES.endpoints].map(({ kind, typeUrl }) => [
      kind,
      [...(snapshot?.resources.get(typeUrl)?.keys() ?? [])].sort(),
    ]),
  );
}

function changes(before: Snapshot | undefined, after: Snapshot | undefined): readonly string[] {
  const changed: string[] = [];
  for (const [typeUrl, resources] of after?.resources ?? [])
    for (const [name, resource] of resources)
      if (before?.resources.get(typeUrl)?.get(name) !== resource) changed.push(`${typeUrl} ${name}`);
  return changed;
}

function node(id: string): XdsNode {
  return {
    id,
    cluster: id.split("/")[1] ?? id,
    metadata: {},
    locality: { region: "", zone: "", subZone: "" },
    userAgentName: "test",
    userAgentVersion: "",
    clientFeatures: [],
  };
}

function service(name: string, namespace = "default"): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }] }\n`;
}

function workload(name: string, app: string, port: number, more = ""): string {
  return `apiVersion: heddle.dev/v1\nkind: Workload\nmetadata: { name: ${name}, labels: { app: ${app} } }\nspec:\n  addresses: [127.0.0.1]\n  ports: [{ name: http, port: ${port}, applicationPort: ${port + 1000} }]\n  ${more}\n`;
}

function route(name: string, weight: number): string {
  return `apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: ${name} }\nspec:\n  parentRefs: [{ group: "", kind: Service, name: ${name} }]\n  rules: [{ backendRefs: [{ name: stock, port: 80, weight: ${weight} }, { name: orders, port: 80, weight: 10 }] }]\n`;
}
