import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TestAuthority } from "@heddle/identity/testing";
import type { SnapshotWatch, XdsNode } from "@heddle/xds";
import { node, service, TestMesh, workload } from "./testing.ts";

const SECRETS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

const OWN = new TestAuthority("Root").issue({});

describe("who may be which node", () => {
  it("X2: a node that says another namespace than its certificate's is denied, before there is a world and after", () => {
    for (const publish of [false, true]) {
      const mesh = new TestMesh();
      if (publish) mesh.put(service("orders"));
      const watch = mesh.watch({ ...node("web-1"), identity: identity("shop", "web") });
      assert.equal(watch.denied, "the node is of the namespace default, and its certificate of shop");
      assert.equal(watch.current, undefined);
    }
  });

  it("X2: a node that says it is a workload of another account is denied, and hears of it when that comes to be", () => {
    const mesh = new TestMesh();
    mesh.put(service("orders"), workload("web-1", { app: "web", account: "web" }));
    let told = 0;
    const watch = mesh.watch(node("web-1", "web"), () => (told += 1));
    assert.deepEqual([watch.denied, watch.current === undefined], [undefined, false]);
    mesh.put(service("orders"), workload("web-1", { app: "web", account: "other" }));
    assert.match(watch.denied ?? "", /runs as other, and the certificate is that of web/);
    assert.deepEqual([watch.current, told], [undefined, 1]);
    mesh.put(service("orders"), workload("web-1", { app: "web", account: "web" }));
    assert.deepEqual([watch.denied, told], [undefined, 2]);
  });

  it("X2: an identity that is no workload's is no node's either", () => {
    const path = "/heddle/operator";
    const watch = new TestMesh().watch({ ...node("web-1"), identity: { trustDomain: "mesh.test", path } });
    assert.match(watch.denied ?? "", /not that of a workload/);
  });

  it("X1: a client that says no namespace is in that of its certificate", () => {
    const mesh = new TestMesh();
    mesh.put(
      "apiVersion: v1\nkind: Service\nmetadata: { name: ops, namespace: ops }\nspec: { ports: [{ port: 80 }] }\n",
    );
    const envoy: XdsNode = { ...node("x"), id: "some-envoy", userAgentName: "envoy", identity: identity("ops", "gw") };
    const watch = mesh.watch(envoy);
    assert.equal(watch.denied, undefined);
    assert.deepEqual(
      [...(watch.current?.resources.get("type.googleapis.com/envoy.config.cluster.v3.Cluster")?.keys() ?? [])],
      ["outbound/80/ops.ops"],
    );
    const claiming = { ...envoy, metadata: { NAMESPACE: "shop" } };
    assert.match(mesh.watch(claiming).denied ?? "", /of the namespace shop/);
  });
});

describe("who gets which secret", () => {
  const world = [
    workload("web-1", { app: "web", account: "web" }),
    workload("web-2", { app: "web", account: "web" }),
    secret("mine", "web-1"),
    secret("mine-too", "default/web-1"),
    secret("of-the-namespace", "default/*"),
    secret("of-another", "web-2"),
    secret("of-another-namespace", "shop/web-1"),
    secret("of-another-namespace-whole", "shop/*"),
    secret("of-nobody", undefined),
  ];

  it("X4, X5: a secret goes to the workload, or to the namespace, that it is for, and all else to the node as ever", () => {
    const watch = start(...world).watch(node("web-1", "web"));
    assert.deepEqual(secretsOf(watch), ["mine", "mine-too", "of-the-namespace"]);
    assert.ok((watch.current?.resources.size ?? 0) > 1);
  });

  it("X4: the cluster that a node says it is of opens no secret", () => {
    const mesh = start(...world);
    assert.deepEqual(secretsOf(mesh.watch({ ...node("web-1", "web"), cluster: "web-2" })), [
      "mine-too",
      "of-the-namespace",
    ]);
    const unknown = { ...node("web-9", "web"), cluster: "web-1" };
    assert.deepEqual(secretsOf(mesh.watch(unknown)), ["of-the-namespace"]);
  });

  it("X3, X7: a node that has not shown who it is gets no secret, and all else", () => {
    const mesh = start(service("orders"), ...world);
    const watch = mesh.watch(node("web-1"));
    assert.deepEqual(secretsOf(watch), []);
    assert.ok((watch.current?.resources.size ?? 0) > 1);
  });

  it("X6: nodes of one workload with and without a certificate, and of two workloads, share no secrets", () => {
    const mesh = start(...world);
    const watches = [node("web-1", "web"), node("web-1"), node("web-2", "web"), node("web-1", "web")];
    assert.deepEqual(
      watches.map((who) => secretsOf(mesh.watch(who))),
      [
        ["mine", "mine-too", "of-the-namespace"],
        [],
        ["of-another", "of-the-namespace"],
        ["mine", "mine-too", "of-the-namespace"],
      ],
    );
  });

  it("without an authority a secret is for whom its selector says, as any resource", () => {
    const mesh = new TestMesh(null);
    mesh.put(...world);
    assert.deepEqual(secretsOf(mesh.watch(node("web-1"))), ["mine", "mine-too", "of-nobody", "of-the-namespace"]);
  });
});

describe("who gets a listener with a key in it", () => {
  const world = [
    service("orders"),
    workload("web-1", { app: "web", account: "web" }),
    workload("web-2", { app: "web", account: "web" }),
    withKey("of-web-1", "web-1"),
    withKey("of-web-2", "default/web-2"),
    withKey("of-all", undefined),
    withKey("outbound", undefined, "override: true\n"),
  ];

  it("X3, X7: a node that has not shown who it is gets none, nor what would else stand in its place", () => {
    assert.deepEqual(listenersOf(start(...world.slice(0, -1)).watch(node("web-1"))), ["inbound/8001", "outbound"]);
    assert.deepEqual(listenersOf(start(...world).watch(node("web-1"))), ["inbound/8001"]);
  });

  it("X4: what a node says its cluster is opens none of another workload", () => {
    const claiming = { ...node("web-1", "web"), cluster: "web-2" };
    assert.deepEqual(listenersOf(start(...world).watch(claiming)), ["inbound/8001", "of-all", "outbound"]);
    const honest = start(...world).watch(node("web-1", "web"));
    assert.deepEqual(listenersOf(honest), ["inbound/8001", "of-all", "of-web-1", "outbound"]);
  });

  it("without an authority it is for whom its selector says", () => {
    const mesh = new TestMesh(null);
    mesh.put(...world);
    assert.ok(listenersOf(mesh.watch(node("web-1"))).includes("of-web-1"));
  });
});

describe("of one name and type the resource that is for the fewest nodes is taken", () => {
  it("for all, then for a namespace, then for a node.cluster, then for a workload", () => {
    const mesh = new TestMesh();
    const selectors = [undefined, "default/*", "web-1", "default/web-1"];
    const put: string[] = [workload("web-1", { app: "web" })];
    const found = selectors.map((selector, index) => {
      put.push(clusterFor(selector, index + 1));
      mesh.put(...put);
      const watch = mesh.watch(node("web-1", "default"));
      const bytes = watch.current?.resources
        .get("type.googleapis.com/envoy.config.cluster.v3.Cluster")
        ?.get("raw")?.bytes;
      return Buffer.from(bytes ?? []).includes(`host-${index + 1}`);
    });
    assert.deepEqual(found, [true, true, true, true]);
  });
});

function start(...texts: readonly string[]): TestMesh {
  const mesh = new TestMesh();
  mesh.put(...texts);
  return mesh;
}

function identity(namespace: string, account: string) {
  return { trustDomain: "mesh.test", path: `/ns/${namespace}/sa/${account}` };
}

function listenersOf({ current }: SnapshotWatch): readonly string[] {
  return [...(current?.resources.get("type.googleapis.com/envoy.config.listener.v3.Listener")?.keys() ?? [])].sort();
}

function withKey(name: string, selector: string | undefined, more = ""): string {
  return `${more}${selector === undefined ? "" : `for: { node.cluster: ${selector} }\n`}resources:
  - "@type": type.googleapis.com/envoy.config.listener.v3.Listener
    name: ${name}
    address: { socket_address: { address: 127.0.0.1, port_value: 9443 } }
    filter_chains:
      - transport_socket:
          name: tls
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
            common_tls_context:
              tls_certificates:
                - certificate_chain: { inline_string: ${JSON.stringify(OWN.certificate)} }
                  private_key: { inline_string: ${JSON.stringify(OWN.key)} }
        filters:
          - name: tcp
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
              stat_prefix: t
              cluster: c
`;
}

function secretsOf({ current }: SnapshotWatch): readonly string[] {
  return [...(current?.resources.get(SECRETS)?.keys() ?? [])].sort();
}

function secret(name: string, selector: string | undefined): string {
  return raw(
    selector,
    `"@type": ${SECRETS}\n    name: ${name}\n    generic_secret: { secret: { inline_string: ${name} } }`,
  );
}

function clusterFor(selector: string | undefined, index: number): string {
  const type = `"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster`;
  return raw(
    selector,
    `${type}\n    name: raw\n    alt_stat_name: host-${index}\n    type: STATIC\n    load_assignment: { cluster_name: raw }`,
  );
}

function raw(selector: string | undefined, resource: string): string {
  const forWhom = selector === undefined ? "" : `for: { node.cluster: "${selector}" }\n`;
  return `${forWhom}resources:\n  - ${resource}\n`;
}
