import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { eventually } from "../harness/eventually.ts";
import type { KubeApiServer } from "../harness/kube-api-server.ts";
import {
  conditionsOf,
  definition,
  type KubeControlPlane,
  kubeRoute,
  kubeSlice,
  MESH_DEFINITIONS,
  ORDERS,
  startKubeControlPlane,
  startShop,
  untilEndpoints,
} from "../harness/kube-mesh.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";

/* What takes its time: waits of the control plane's own before it comes again. */

describe("a control plane that follows a cluster", () => {
  it("follows kinds that are defined when it already serves", async (t) => {
    const owner = lastFirst(t);
    const server = await startShop(owner, []);
    const plane = await startKubeControlPlane(server, owner);
    await untilEndpoints(plane, ["10.1.0.1:8080", "10.1.0.2:8080"]);
    assert.deepEqual((await plane.status()).diagnostics, []);
    await server.create(definition(MESH_DEFINITIONS[0]));
    await server.create(kubeRoute("late", "orders", "nowhere"));
    await eventually("the route is read", () => conditionsOf(server, "late").length > 0);
  });

  it("asks a credential plugin who it is, where a kubeconfig names one", async (t) => {
    const owner = lastFirst(t);
    const server = await startShop(owner);
    server.addToken("from-plugin", { name: "plugin-user", groups: [] });
    const credential = { kind: "ExecCredential", status: { token: "from-plugin" } };
    const text = JSON.stringify({ apiVersion: "client.authentication.k8s.io/v1", ...credential });
    const config = JSON.parse(server.kubeconfigOfToken("none")) as { users: { user: object }[] };
    const exec = { command: process.execPath, args: ["-e", `console.log(${JSON.stringify(text)})`] };
    config.users[0]!.user = { exec: { apiVersion: "client.authentication.k8s.io/v1", ...exec } };
    const file = join(scratchFolder(owner), "with-plugin");
    writeFileSync(file, JSON.stringify(config));
    const kubeconfig = { file, context: undefined };
    const plane = await startKubeControlPlane(server, owner, {
      kubernetes: { kubeconfig, namespaces: undefined, environment: {} },
    });
    await untilEndpoints(plane, ["10.1.0.1:8080", "10.1.0.2:8080"]);
    assert.ok(server.requests.some(({ user }) => user === "plugin-user"));
  });

  it("of two one alone writes, the other takes over, and both serve", async (t) => {
    const owner = lastFirst(t);
    const server = await startShop(owner);
    const first = await startKubeControlPlane(server, owner);
    await eventually("the first one leads", async () => (await first.status()).kubernetes.isLeader);
    const second = await startKubeControlPlane(server, owner);
    for (const plane of [first, second]) await untilEndpoints(plane, ["10.1.0.1:8080", "10.1.0.2:8080"]);
    assert.equal((await second.status()).kubernetes.isLeader, false);
    await first.controlPlane.stop();
    await eventually("the second one leads", async () => (await second.status()).kubernetes.isLeader);
    await server.create(kubeRoute("later", "orders", "orders"));
    await eventually("it writes", () => conditionsOf(server, "later").length > 0);
  });
});

describe("an API server that fails takes nothing from the mesh:", () => {
  const serves = async (plane: KubeControlPlane): Promise<void> => {
    assert.deepEqual(await plane.endpoints(ORDERS), ["10.1.0.1:8080", "10.1.0.2:8080"]);
  };
  const cases: readonly (readonly [
    string,
    (server: KubeApiServer) => Promise<void>,
    (server: KubeApiServer) => Promise<void>,
  ])[] = [
    ["it goes away, and comes back", (server) => server.stop(), (server) => server.listen()],
    [
      "it forgets its history, and every watch is told 410",
      async (server) => {
        server.faults.goneOnNextWatches(30);
        server.compact();
        server.closeConnections();
      },
      async () => {},
    ],
    [
      "it answers 500 and 429",
      async (server) => {
        server.faults.failNext(10, { status: 500 });
        server.faults.failNext(10, { status: 429, retryAfterS: 1 });
        server.closeConnections();
      },
      async () => {},
    ],
    [
      "it is slow",
      async (server) => {
        server.faults.latencyMs = 5000;
        server.closeConnections();
      },
      async (server) => {
        server.faults.latencyMs = 0;
      },
    ],
  ];
  for (const [name, harm, mend] of cases) {
    it(name, async (t) => {
      const owner = lastFirst(t);
      const server = await startShop(owner);
      const plane = await startKubeControlPlane(server, owner);
      await untilEndpoints(plane, ["10.1.0.1:8080", "10.1.0.2:8080"]);
      const asked = server.requests.length;
      await harm(server);
      for (let look = 0; look < 10; look += 1) await serves(plane);
      await mend(server);
      await eventually("it is asked again", () => server.requests.length > asked);
      await serves(plane);
      await server.put(kubeSlice("orders", ["10.1.0.7"]));
      await untilEndpoints(plane, ["10.1.0.7:8080"]);
      await eventually("all is well", async () => (await plane.status()).diagnostics.length === 0);
    });
  }
});
