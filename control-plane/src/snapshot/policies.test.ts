import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { changes, listener, node, policy, service, TestMesh, workload } from "./testing.ts";

const REST = [
  service("orders"),
  service("web"),
  workload("orders-1"),
  workload("orders-2"),
  workload("web-1", { app: "web" }),
];
const LISTENER = "inbound/8001";

describe("what a policy costs", () => {
  for (const [what, target] of [
    ["labels", "selector: { matchLabels: { app: orders } }"],
    ["a service", "targetRefs: [{ kind: Service, name: orders }]"],
  ] as const) {
    it(`one that selects by ${what}: the listeners of whom it selects, and nothing of anybody else`, () => {
      const mesh = new TestMesh();
      mesh.put(...REST);
      const watches = ["orders-1", "orders-2", "web-1"].map((name) => mesh.watch(node(name, "default")));
      const allow = (account: string): string =>
        policy(
          "AuthorizationPolicy",
          "default/p",
          `${target}\n  rules: [{ from: [{ source: { serviceAccounts: [${account}] } }] }]`,
        );
      for (const texts of [[...REST, allow("web")], [...REST, allow("other")], REST]) {
        const before = watches.map(({ current }) => current);
        const cost = mesh.cost();
        mesh.put(...texts);
        assert.deepEqual(cost(), { inbound: 2 });
        assert.deepEqual(
          watches.map(({ current }, index) => changes(before[index], current)),
          [[`listener ${LISTENER}`], [`listener ${LISTENER}`], []],
        );
      }
    });
  }

  it("a service that comes to have other workloads: the listeners of those who are selected by it now, or no more", () => {
    const mesh = new TestMesh();
    const named = policy("AuthorizationPolicy", "default/p", "targetRefs: [{ kind: Service, name: orders }]");
    mesh.put(...REST, named);
    const [orders, web] = [mesh.watch(node("orders-1", "default")), mesh.watch(node("web-1", "default"))];
    const before = [orders.current, web.current];
    mesh.put(...REST.slice(1), service("orders").replace("app: orders", "app: web"), named);
    for (const [index, { current }] of [orders, web].entries())
      assert.ok(changes(before[index], current).includes(`listener ${LISTENER}`), `${index}`);
    assert.equal(httpFilters(orders.current).includes("rbac_allow"), false);
    assert.equal(httpFilters(web.current).includes("rbac_allow"), true);
  });

  it("keys to fetch: the cluster of whom they come from, once", () => {
    const mesh = new TestMesh();
    mesh.put(...REST);
    const watch = mesh.watch(node("orders-1", "default"));
    const before = watch.current;
    const tokens = policy(
      "RequestAuthentication",
      "default/t",
      'jwtRules: [{ issuer: a, jwksUri: "https://i.example/a" }, { issuer: b, jwksUri: "https://i.example/b" }]',
    );
    mesh.put(...REST, tokens);
    assert.deepEqual(changes(before, watch.current), ["cluster jwks/https/i.example/443", `listener ${LISTENER}`]);
    mesh.watch(node("orders-1", "default")); // looks at every resource
  });
});

describe("whom a policy of action CUSTOM asks", () => {
  const custom = policy(
    "AuthorizationPolicy",
    "default/p",
    "action: CUSTOM\n  provider: { name: door }\n  rules: [{}]",
  );
  const provider = (server: string): string =>
    policy("ExtensionProvider", "heddle-system/door", `envoyExtAuthzHttp: { service: ${server}, port: 80 }`);
  const names = ["rbac_custom_door", "ext_authz_door", "envoy.filters.http.router"];

  it("is reached by the sidecars of whom it selects, also where that is beyond their scope", () => {
    const mesh = new TestMesh();
    const authz = service("authz").replace("name: authz }", "name: authz, namespace: shop }");
    mesh.put(...REST, authz);
    const watch = mesh.watch(node("orders-1", "default"));
    const before = watch.current;
    mesh.put(...REST, authz, custom, provider("authz.shop.svc"));
    assert.deepEqual(httpFilters(watch.current), names);
    const changed = changes(before, watch.current);
    for (const one of ["cluster outbound/80/authz.shop", "endpoints outbound/80/authz.shop", `listener ${LISTENER}`])
      assert.ok(changed.includes(one), `${one} is not in ${changed.join(", ")}`);
  });

  it("may be elsewhere, and may come later or change: until then who it is for is denied", () => {
    const mesh = new TestMesh();
    mesh.put(...REST, custom);
    const watch = mesh.watch(node("orders-1", "default"));
    assert.deepEqual(httpFilters(watch.current), ["rbac_custom_door", "envoy.filters.http.router"]);
    let before = watch.current;
    mesh.put(...REST, custom, provider("authz.example"));
    assert.deepEqual(changes(before, watch.current), ["cluster ext-authz/door", `listener ${LISTENER}`]);
    assert.deepEqual(httpFilters(watch.current), names);
    before = watch.current;
    mesh.put(...REST, custom, provider("10.0.0.9"));
    assert.deepEqual(changes(before, watch.current), ["cluster ext-authz/door", `listener ${LISTENER}`]);
  });
});

describe("policies where there is no identity", () => {
  it("hold all the same: who has to be somebody is refused, and who has to come from somewhere is not", () => {
    const mesh = new TestMesh(null);
    mesh.put(
      ...REST,
      policy("AuthorizationPolicy", "default/p", 'rules: [{ from: [{ source: { principals: ["*"] } }] }]'),
    );
    assert.deepEqual(httpFilters(mesh.watch(node("orders-1")).current), ["rbac_allow", "envoy.filters.http.router"]);
  });
});

describe("what policies close for want of an identity", () => {
  it("is said of each node, and nothing of one that has one", () => {
    const mesh = new TestMesh();
    const strict = "selector: { matchLabels: { app: orders } }\n  mtls: { mode: STRICT }";
    mesh.put(...REST, policy("PeerAuthentication", "default/p", strict));
    for (const who of [node("orders-1"), node("web-1"), { ...node("orders-2", "orders"), id: "default/orders-2/b" }])
      mesh.watch(who);
    const called = "orders.default:80 has STRICT endpoints, and it has no identity: they refuse its calls";
    assert.deepEqual(
      [...mesh.closed()],
      [
        [" default/orders-1/a", ["its port 8001 is STRICT, and it has no identity: nobody gets in", called]],
        [" default/web-1/a", [called]],
        ["mesh.test/ns/default/sa/orders default/orders-2/b", []],
      ],
    );
  });
});

function httpFilters(snapshot: Parameters<typeof listener>[0]): readonly string[] {
  const [filter] = listener(snapshot, LISTENER).filterChains[0]?.filters ?? [];
  assert.ok(filter?.type === "http-connection-manager");
  return filter.config.httpFilters.map(({ name }) => name);
}
