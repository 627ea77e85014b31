import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { isJsonObject, type JsonObject, ManualClock, systemClock } from "@heddle/base";
import { formatDiagnostic, parseYamlDocuments } from "@heddle/config";
import { Mesh, type MeshObject, type Workload } from "@heddle/mesh";
import { KubeError } from "../kubernetes/kube-error.ts";
import { ScriptedKubeApi, settle } from "../kubernetes/testing.ts";
import { collectionPath, MESH_KINDS, NODES, PODS } from "../kubernetes/watched-kinds.ts";
import { KubernetesSource } from "./kubernetes.ts";
import { sourceContract } from "./source-contract.ts";

const SERVICES = "/api/v1/services";
const SLICES = "/apis/discovery.k8s.io/v1/endpointslices";
const ROUTES = "/apis/gateway.networking.k8s.io/v1/httproutes";

sourceContract("a cluster", async () => {
  const api = emptyCluster();
  const source = new KubernetesSource({ api, server: "https://a", clock: systemClock });
  return {
    source,
    put: async (name, yaml) => void api.put(SERVICES, objectOf(yaml, name)),
    remove: async (name) => api.remove(SERVICES, `default/${name}`),
    dispose: async () => assert.equal(api.watches.size, 0, "nobody watches any more"),
  };
});

describe("a cluster as a source", () => {
  const clock = new ManualClock();
  const open: KubernetesSource[] = [];
  afterEach(async () => {
    for (const source of open.splice(0)) await source.close();
    assert.equal(clock.pending, 0);
  });

  const follow = async (api: ScriptedKubeApi, namespaces?: readonly string[]) => {
    const source = new KubernetesSource({ api, server: "https://a", clock, namespaces, random: () => 0.5 });
    open.push(source);
    source.start(() => {});
    await turn();
    return source;
  };
  const turn = async (ms = 1000): Promise<void> => {
    await settle();
    clock.advance(ms);
    await settle();
  };
  const said = (source: KubernetesSource): readonly string[] => source.diagnostics.map(formatDiagnostic);

  it("is synchronised when every kind has been listed, those that are not there among them", async () => {
    const api = new ScriptedKubeApi();
    api.define(SERVICES, SLICES, collectionPath(PODS));
    const source = await follow(api);
    assert.ok(!isSynchronised(source), "Nodes are missing");
    assert.match(said(source).join(), /^kubernetes https:\/\/a: \/api\/v1\/nodes: .*not found \(404\)$/);
    api.define(collectionPath(NODES));
    await turn(10_000);
    await turn();
    assert.deepEqual(source.items, []);
    assert.deepEqual(said(source), []);
    api.put(ROUTES, routeOf("web", "web"));
    await turn(13_000);
    await turn();
    assert.deepEqual(
      source.items?.map(({ name }) => name),
      ["web"],
    );
  });

  it("keeps a Service whose annotation cannot be read, whether it was known before or not, with what can be read of it", async () => {
    const service = (opaque: string, port: number) =>
      objectOf(
        `{ apiVersion: v1, kind: Service, metadata: { name: db, annotations: { heddle.dev/opaque-ports: "${opaque}" } }, spec: { ports: [{ name: http, port: ${port} }] } }`,
        "db",
      );
    const api = emptyCluster();
    api.put(SERVICES, service("80,x", 80));
    const source = await follow(api);
    const ports = (): readonly string[] =>
      (source.items ?? []).flatMap((item) =>
        item.kind === "service" ? item.ports.map(({ port, protocol }) => `${port} ${protocol}`) : [],
      );
    assert.deepEqual(ports(), ["80 tcp"]);
    const fault = /db: metadata\.annotations\["heddle\.dev\/opaque-ports"\]: found "80,x", allowed: ports/;
    assert.match(said(source).join(), fault);
    api.put(SERVICES, service("80,x", 81));
    await turn();
    assert.deepEqual(ports(), ["81 http"], "the rest of it is followed");
    api.put(SERVICES, service("81", 81));
    await turn();
    assert.deepEqual([ports(), said(source)], [["81 tcp"], []]);
  });

  it("follows a kind in the version that its definition serves, and writes its status there", async () => {
    const api = new ScriptedKubeApi();
    api.define(SERVICES, SLICES, collectionPath(PODS), collectionPath(NODES));
    const older = "/apis/gateway.networking.k8s.io/v1alpha2/tcproutes";
    api.put(older, routeOf("db", "db"));
    const serves = (versions: readonly object[]) => () => ({ spec: { versions } });
    const definition =
      "GET /apis/apiextensions.k8s.io/v1/customresourcedefinitions/tcproutes.gateway.networking.k8s.io";
    api.answers.set(
      definition,
      serves([
        { name: "v1", served: false },
        { name: "v1alpha2", served: true },
      ]),
    );
    const source = await follow(api);
    assert.deepEqual(said(source), ["kubernetes TCPRoute shop/db: spec.rules: is missing: one rule"]);
    assert.deepEqual(
      [...source.withStatus()].map(([kind, { key }]) => [collectionPath(kind), key]),
      [[older, "shop/db"]],
    );
    // The definition is another one: what was read stays until the other version is.
    api.put("/apis/gateway.networking.k8s.io/v1/tcproutes", routeOf("db", "db"));
    api.answers.set(definition, serves([{ name: "v1", served: true }]));
    api.undefine(older);
    await turn();
    await turn(60_000);
    assert.deepEqual(
      [...source.withStatus()].map(([kind, { key }]) => [kind.apiVersion, key]),
      [["gateway.networking.k8s.io/v1", "shop/db"]],
    );
  });

  it("names the object and the field in whatever is wrong, and reads no status", async () => {
    const api = emptyCluster();
    api.put(
      ROUTES,
      objectOf(`
kind: HTTPRoute
metadata: { name: web, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: web }]
  rules: [{ matches: [{ path: { type: Guess, value: / } }] }]
status: { parents: [] }`),
    );
    const policies = "/apis/heddle.dev/v1/peerauthentications";
    api.put(
      policies,
      objectOf(
        "metadata: { name: strict, namespace: shop }\nspec: { mtls: { mode: STRICT } }\nstatus: { conditions: [] }",
      ),
    );
    const source = await follow(api);
    assert.match(
      said(source).join("\n"),
      /^kubernetes HTTPRoute shop\/web: spec\.rules\[0\]\.matches\[0\]\.path\.type: found "Guess", allowed: [^\n]*$/,
    );
    assert.deepEqual(
      source.items?.map(({ kind }) => kind),
      ["peer-authentication"],
    );
  });

  it("says nothing of UDP ports and of a gateway's routes, which are right as they are", async () => {
    const api = emptyCluster();
    api.put(
      SERVICES,
      objectOf(
        "metadata: { name: dns, namespace: kube-system }\nspec: { ports: [{ name: dns, port: 53, protocol: UDP }, { name: dns-tcp, port: 53 }] }",
      ),
    );
    api.put(
      ROUTES,
      objectOf(
        "metadata: { name: web, namespace: shop }\nspec: { parentRefs: [{ name: gateway }], hostnames: [shop.example], rules: [{ filters: [{ type: RequestMirror }] }] }",
      ),
    );
    const source = await follow(api);
    assert.deepEqual(said(source), []);
    const [dns, ...more] = source.items ?? [];
    assert.deepEqual(dns?.kind === "service" && dns.ports.map(({ name, protocol }) => [name, protocol]), [
      ["dns-tcp", "http"],
    ]);
    assert.deepEqual(more, []);
  });

  it("a pod with a sidecar is a workload: by its owner's name, its ports by what Services send there", async () => {
    const api = emptyCluster();
    api.put(
      collectionPath(NODES),
      objectOf(
        "metadata: { name: n1, labels: { topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-1 } }",
      ),
    );
    api.put(
      SERVICES,
      serviceOf(
        "orders",
        "{ name: web, port: 80, targetPort: 8080, appProtocol: kubernetes.io/h2c }, { name: rpc, port: 81, targetPort: rpc }",
      ),
    );
    api.put(collectionPath(PODS), podOf("orders-7d4b9-x1", "10.1.0.1", "heddle.dev/opaque-ports: '6379'"));
    api.put(
      collectionPath(PODS),
      objectOf("metadata: { name: plain, namespace: shop, labels: { app: orders } }\nstatus: { podIP: 10.1.0.9 }"),
    );
    const source = await follow(api);
    const [workload, ...others] = workloadsOf(source);
    assert.deepEqual(others, []);
    assert.deepEqual(workload, {
      kind: "workload",
      namespace: "shop",
      name: "orders",
      instance: "orders-7d4b9-x1",
      labels: { app: "orders", "pod-template-hash": "7d4b9", "heddle.dev/injected": "true" },
      addresses: ["10.1.0.1", "fd00::1"],
      ports: [
        { name: "redis", protocol: "tcp", detect: false, port: 6379, applicationPort: 6379 },
        { name: "web", protocol: "http2", detect: false, port: 8080, applicationPort: 8080 },
        { name: "rpc", protocol: "http", detect: true, port: 9000, applicationPort: 9000 },
      ],
      serviceAccount: "orders",
      capture: "redirect",
      locality: { region: "eu", zone: "eu-1", subZone: "" },
      node: "n1",
      egress: undefined,
      outboundPort: 15_001,
      accessLog: "off",
      origin: { file: "kubernetes Pod shop/orders-7d4b9-x1", line: 0, column: 0, path: "" },
    } satisfies Workload);
    const mesh = new Mesh(source.items as readonly MeshObject[]);
    assert.equal(mesh.workload("shop", "orders", "orders-7d4b9-x1"), workload);
  });

  it("a pod's port that is not captured, or of a sidecar that captures nothing, takes plaintext", async () => {
    const api = emptyCluster();
    api.put(collectionPath(PODS), podOf("a", "10.1.0.1", "heddle.dev/exclude-inbound-ports: '9000-9100'"));
    api.put(collectionPath(PODS), podOf("b", "10.1.0.2", "heddle.dev/capture: none"));
    api.put(collectionPath(PODS), podOf("c", "10.1.0.3", "heddle.dev/capture: tproxy"));
    api.put(collectionPath(PODS), podOf("d", "10.1.0.4", "heddle.dev/capture: everything"));
    const source = await follow(api);
    assert.deepEqual(
      workloadsOf(source).map(({ instance, capture, ports }) => [
        instance,
        capture,
        ports.map(({ applicationPort }) => applicationPort),
      ]),
      [
        ["a", "redirect", [6379, undefined]],
        ["b", undefined, [undefined, undefined]],
        ["c", "tproxy", [6379, 9000]],
        ["d", "redirect", [6379, 9000]],
      ],
    );
    assert.match(
      said(source).join(),
      /^kubernetes Pod shop\/d: metadata\.annotations\["heddle\.dev\/capture"\]: found "everything"/,
    );
  });

  it("a pod that has ended, or has no address yet, is none; one that is being deleted still is", async () => {
    const api = emptyCluster();
    const pod = (name: string, ip: string, phase: string) => {
      const one = podOf(name, ip);
      return { ...one, status: { ...(one["status"] as JsonObject), phase } };
    };
    api.put(collectionPath(PODS), pod("done", "10.1.0.1", "Succeeded"));
    api.put(collectionPath(PODS), pod("failed", "10.1.0.2", "Failed"));
    api.put(collectionPath(PODS), { ...podOf("new", ""), status: { phase: "Pending" } });
    const ending = podOf("ending", "10.1.0.3");
    const metadata = { ...(ending["metadata"] as JsonObject), deletionTimestamp: "2026-01-01T00:00:00Z" };
    api.put(collectionPath(PODS), { ...ending, metadata });
    const source = await follow(api);
    assert.deepEqual(
      workloadsOf(source).map(({ instance }) => instance),
      ["ending"],
    );
  });

  it("what did not change for the mesh is the same object, whatever else changed of it or around it", async () => {
    const api = emptyCluster();
    const node = (zone: string, more = "") =>
      objectOf(`metadata: { name: n1, labels: { topology.kubernetes.io/zone: ${zone} } }\n${more}`);
    api.put(collectionPath(NODES), node("eu-1"));
    api.put(SERVICES, serviceOf("orders", "{ name: http, port: 80, targetPort: 8080 }"));
    api.put(SERVICES, serviceOf("other", "{ name: http, port: 80, targetPort: 8080 }"));
    api.put(SLICES, sliceOf("orders-a", "10.1.0.1"));
    api.put(SLICES, sliceOf("orders-b", "10.1.0.2"));
    api.put(collectionPath(PODS), podOf("a", "10.1.0.1"));
    const source = await follow(api);
    const before = source.items ?? [];
    assert.equal(before.length, 5);
    api.put(collectionPath(NODES), node("eu-1", "status: { conditions: [{ type: Ready }] }"));
    api.put(SERVICES, {
      ...serviceOf("orders", "{ name: http, port: 80, targetPort: 8080 }"),
      status: { loadBalancer: {} },
    });
    api.put(SERVICES, serviceOf("other", "{ name: http, port: 90, targetPort: 8080 }"));
    api.put(SLICES, sliceOf("orders-b", "10.1.0.2"));
    const pod = podOf("a", "10.1.0.1");
    api.put(collectionPath(PODS), {
      ...pod,
      status: { ...(pod["status"] as JsonObject), conditions: [{ type: "Ready" }] },
    });
    await turn();
    const after = source.items ?? [];
    assert.deepEqual(
      after.flatMap((item, index) => (item === before[index] ? [] : [item.name])),
      ["other"],
    );
    api.put(collectionPath(NODES), node("eu-2"));
    await turn();
    const moved = source.items ?? [];
    assert.deepEqual(
      moved.flatMap((item, index) => (item === after[index] ? [] : [item.kind])),
      ["endpoint-slice", "endpoint-slice", "workload"],
    );
  });

  it("keeps everything while the API server is away, says so, and takes nothing away by a relist that fails", async () => {
    const api = emptyCluster();
    api.put(SERVICES, serviceOf("orders", "{ name: http, port: 80 }"));
    const source = await follow(api);
    const items = source.items;
    for (const error of [
      new KubeError(0, "", "no answer: ECONNREFUSED"),
      new KubeError(500, "InternalError", "etcd"),
      new KubeError(429, "TooManyRequests", "busy", 1000),
      new KubeError(404, "NotFound", "no such page"),
    ]) {
      api.fault = () => error;
      for (const watch of api.watches) watch.fail(new KubeError(410, "Expired", "too old"));
      for (let second = 0; second < 20; second += 1) await turn();
      assert.deepEqual(source.items, items);
      assert.match(said(source).join("\n"), /\/api\/v1\/services: .*; what is known of it still serves/);
      api.fault = () => undefined;
      for (let second = 0; second < 40; second += 1) await turn();
      assert.deepEqual(said(source), []);
    }
  });

  it("of some namespaces follows these alone", async () => {
    const api = new ScriptedKubeApi();
    api.define(collectionPath(NODES));
    for (const kind of [...MESH_KINDS, PODS]) api.define(collectionPath(kind, "shop"), collectionPath(kind, "ops"));
    api.put(collectionPath(MESH_KINDS[0]!, "shop"), serviceOf("orders", "{ port: 80 }"));
    const source = await follow(api, ["shop", "ops"]);
    assert.deepEqual(
      source.items?.map(({ name }) => name),
      ["orders"],
    );
    assert.ok(api.requests.every(({ path }) => /\/(nodes|namespaces\/(shop|ops)\/\w+)$/.test(path)));
  });
});

function isSynchronised({ items }: KubernetesSource): boolean {
  return items !== undefined;
}

function emptyCluster(): ScriptedKubeApi {
  const api = new ScriptedKubeApi();
  api.define(...[...MESH_KINDS, PODS, NODES].map((kind) => collectionPath(kind)));
  return api;
}

function objectOf(yaml: string, name?: string): JsonObject {
  const documents = parseYamlDocuments("test.yaml", yaml);
  assert.ok(documents.ok);
  const json = documents.value[0]?.json;
  assert.ok(isJsonObject(json));
  const metadata = json["metadata"] as JsonObject;
  return name === undefined ? json : { ...json, metadata: { namespace: "default", ...metadata } };
}

function serviceOf(name: string, ports: string): JsonObject {
  return objectOf(
    `metadata: { name: ${name}, namespace: shop }\nspec: { selector: { app: orders }, ports: [${ports}] }`,
  );
}

function routeOf(name: string, parent: string): JsonObject {
  return objectOf(
    `metadata: { name: ${name}, namespace: shop }\nspec: { parentRefs: [{ group: "", kind: Service, name: ${parent} }] }`,
  );
}

function sliceOf(name: string, address: string): JsonObject {
  return objectOf(`
metadata: { name: ${name}, namespace: shop, labels: { kubernetes.io/service-name: orders } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [${address}], nodeName: n1 }]`);
}

function podOf(name: string, ip: string, annotations = ""): JsonObject {
  return objectOf(`
metadata:
  name: ${name}
  namespace: shop
  labels: { app: orders, pod-template-hash: 7d4b9, heddle.dev/injected: "true" }
  annotations: { ${annotations} }
  ownerReferences: [{ kind: ReplicaSet, name: orders-7d4b9, controller: true }]
spec:
  serviceAccountName: orders
  nodeName: n1
  initContainers: [{ name: heddle-sidecar, restartPolicy: Always, ports: [{ containerPort: 15020 }] }]
  containers: [{ name: app, ports: [{ name: redis, containerPort: 6379 }, { name: rpc, containerPort: 9000 }, { containerPort: 53, protocol: UDP }] }]
status: { phase: Running, podIP: "${ip}", podIPs: [{ ip: "${ip}" }, { ip: "fd00::1" }] }`);
}

function workloadsOf({ items }: KubernetesSource): readonly Workload[] {
  return (items ?? []).filter((item) => item.kind === "workload");
}
