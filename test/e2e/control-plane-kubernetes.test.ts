import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { newSvidRequest, requestSvid } from "../harness/ca-client.ts";
import { eventually } from "../harness/eventually.ts";
import {
  CLUSTER_CA,
  conditionsOf,
  GATEWAY_API,
  kubeRoute,
  kubeService,
  kubeSlice,
  ORDERS,
  ownConditions,
  peerPolicy,
  startKubeControlPlane,
  startShop,
  untilEndpoints,
} from "../harness/kube-mesh.ts";
import { lastFirst } from "../harness/owner.ts";

describe("a control plane that follows a cluster", () => {
  it("serves its Services and slices, and each change of them", async (t) => {
    const owner = lastFirst(t);
    const server = await startShop(owner);
    const plane = await startKubeControlPlane(server, owner);
    await untilEndpoints(plane, ["10.1.0.1:8080", "10.1.0.2:8080"]);
    await server.put(kubeSlice("orders", ["10.1.0.2", "10.1.0.3"]));
    await untilEndpoints(plane, ["10.1.0.2:8080", "10.1.0.3:8080"]);
    await server.delete("discovery.k8s.io/v1", "EndpointSlice", "shop", "orders-a");
    await untilEndpoints(plane, []);
    assert.deepEqual((await plane.status()).diagnostics, []);
    const lists = server.requests.filter(({ path }) => path.startsWith("/api/v1/pods"));
    assert.ok(
      lists.length > 0 && lists.every(({ path }) => path.includes("labelSelector=heddle.dev%2Finjected%3Dtrue")),
    );
    assert.ok(!server.requests.some(({ path }) => path.includes("/secrets")), "nobody reads Secrets");
  });

  it("tells in the status of routes and policies what has become of them, and leaves to others what is theirs", async (t) => {
    const owner = lastFirst(t);
    const server = await startShop(owner);
    const theirs = {
      parentRef: { name: "gateway" },
      controllerName: "example.com/other",
      conditions: [
        {
          type: "Accepted",
          status: "True",
          reason: "Accepted",
          message: "",
          observedGeneration: 1,
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
      ],
    };
    await server.create({ ...kubeRoute("good", "orders", "orders"), status: { parents: [theirs] } });
    await server.create(kubeRoute("lost", "orders", "nowhere"));
    await server.create(kubeRoute("orphan", "nobody", "orders"));
    await server.create(peerPolicy("STRICT"));
    await server.create({ ...peerPolicy("SOMETIMES"), metadata: { name: "bad", namespace: "shop" } });
    await startKubeControlPlane(server, owner);
    await eventually(
      "all have their status",
      () =>
        ["good", "lost", "orphan"].every((name) => conditionsOf(server, name).length > 0) &&
        ["all", "bad"].every((name) => ownConditions(server, name).length > 0),
    );
    assert.deepEqual(conditionsOf(server, "good"), ["Accepted=True Accepted 1", "ResolvedRefs=True ResolvedRefs 1"]);
    assert.deepEqual(conditionsOf(server, "lost"), [
      "Accepted=True Accepted 1",
      "ResolvedRefs=False BackendNotFound 1",
    ]);
    assert.deepEqual(conditionsOf(server, "orphan"), [
      "Accepted=False NoMatchingParent 1",
      "ResolvedRefs=True ResolvedRefs 1",
    ]);
    assert.deepEqual(ownConditions(server, "all"), ["Accepted=True Accepted 1"]);
    assert.deepEqual(ownConditions(server, "bad"), ["Accepted=False Invalid 1"]);
    const parents = server.get(GATEWAY_API, "HTTPRoute", "shop", "good")?.["status"] as { parents: readonly unknown[] };
    assert.deepEqual(parents.parents[0], theirs);

    await server.create(kubeService("nowhere"));
    await eventually(
      "the lost one is found",
      () => conditionsOf(server, "lost")[1] === "ResolvedRefs=True ResolvedRefs 1",
    );
    const writes = (): number =>
      server.requests.filter(({ verb, path }) => verb === "patch" && path.includes("/status")).length;
    const before = writes();
    await server.put(kubeSlice("orders", ["10.1.0.9"]));
    await server.put(peerPolicy("STRICT"));
    await server.create(kubeRoute("another", "orders", "orders"));
    await eventually("another one has its status", () => conditionsOf(server, "another").length > 0);
    assert.equal(writes(), before + 1, "only what is another one is written");
  });

  it("gives a pod its identity by the word of the API server, and the mesh's roots to every namespace", async (t) => {
    const owner = lastFirst(t);
    const server = await startShop(owner);
    await server.create({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "orders", namespace: "shop" } });
    const plane = await startKubeControlPlane(server, owner, { ca: CLUSTER_CA });
    const roots = (namespace: string): unknown => {
      const map = server.get("v1", "ConfigMap", namespace, "heddle-ca-root");
      return (map?.["data"] as { "root.pem"?: string } | undefined)?.["root.pem"];
    };
    const pem = await plane.rootPem();
    const everywhere = ["default", "heddle-system", "kube-system", "shop"];
    await eventually("the roots are everywhere", () => everywhere.every((namespace) => roots(namespace) === pem));
    await server.put({ ...server.get("v1", "ConfigMap", "shop", "heddle-ca-root")!, data: { "root.pem": "other" } });
    await server.delete("v1", "ConfigMap", "default", "heddle-ca-root");
    await server.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "new" } });
    await eventually("they are put right", () => [...everywhere, "new"].every((namespace) => roots(namespace) === pem));

    const id = { trustDomain: "cluster.local", path: "/ns/shop/sa/orders" };
    const port = plane.controlPlane.xdsTlsAddress?.port ?? 0;
    const token = (audiences: readonly string[]): string => server.accountToken("shop", "orders", { audiences });
    const svid = await requestSvid(port, pem, newSvidRequest(id), { token: token(["heddle"]) });
    assert.match(svid.certificates, /BEGIN CERTIFICATE/);
    const other = requestSvid(port, pem, newSvidRequest(id), { token: token(["somebody"]) });
    await assert.rejects(other, /UNAUTHENTICATED/);
  });

  it("an API server that goes away takes nothing, and is followed again when it comes back", async (t) => {
    const owner = lastFirst(t);
    const server = await startShop(owner);
    const plane = await startKubeControlPlane(server, owner);
    const served = ["10.1.0.1:8080", "10.1.0.2:8080"];
    await untilEndpoints(plane, served);
    await server.stop();
    for (let look = 0; look < 10; look += 1) assert.deepEqual(await plane.endpoints(ORDERS), served);
    await server.listen();
    await server.put(kubeSlice("orders", ["10.1.0.7"]));
    await untilEndpoints(plane, ["10.1.0.7:8080"]);
  });
});
