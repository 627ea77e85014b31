import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DEFAULT_WEBHOOK_SETTINGS, webhookConfigurations } from "@heddle/inject";
import { eventually } from "../harness/eventually.ts";
import { type JsonObject, type KubeObject, member, objectsOf, text } from "../harness/kube/kube-object.ts";
import { type KubeEndpoint, kubePath, kubePut, kubeRequest } from "../harness/kube/kube-requests.ts";
import { KubeApiServer } from "../harness/kube-api-server.ts";
import { KubeCluster } from "../harness/kube-cluster.ts";
import { peerPolicy } from "../harness/kube-mesh.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { noRealKubeApiServer, startRealKubeApiServer } from "../harness/real-kube-api-server.ts";
import { steadyTraffic } from "../harness/steady-traffic.ts";

/* Whole programs and an API server: what happens in a cluster reaches sidecars, and what happens to its API server does not. */

interface Server extends KubeEndpoint {
  kubeconfig(): string;
  restart(): Promise<void>;
  stop(): Promise<void>;
  /** Comes back, on the port that it had. */
  listen(): Promise<void>;
  /** Versions from before are too old. */
  forget(): Promise<void>;
  /** Answers that late; left out: it cannot. */
  setLatency?(ms: number): void;
}

async function own(owner: Owner): Promise<Server> {
  const server = await KubeApiServer.start(owner);
  return {
    url: server.url,
    ca: server.ca,
    adminToken: server.adminToken,
    kubeconfig: () => server.kubeconfig(),
    restart: () => server.restart(),
    stop: () => server.stop(),
    listen: () => server.listen(),
    forget: async () => {
      server.compact();
      server.faults.goneOnNextWatches(30);
      server.closeConnections();
    },
    setLatency: (ms) => {
      server.faults.clear();
      server.faults.latencyMs = ms;
      if (ms > 0) server.closeConnections();
    },
  };
}

const servers: readonly (readonly [string, (owner: Owner) => Promise<Server>, string | false])[] = [
  ["the API server of the tests", own, false],
  ["a real kube-apiserver", startRealKubeApiServer, noRealKubeApiServer],
];

for (const [title, start, skip] of servers)
  describe(`a mesh that ${title} describes`, { skip }, () => {
    const owner = lastFirst({ after });
    let server: Server;
    let cluster: KubeCluster;
    before(async () => {
      server = await start(owner);
      cluster = await KubeCluster.start(server, owner, {
        kubeconfig: server.kubeconfig(),
        flags: ["--webhook-address", "127.0.0.1:0", "--webhook-san", "127.0.0.1"],
      });
    });

    const put = (object: JsonObject): Promise<KubeObject> => kubePut(server, object as KubeObject);
    const get = async (object: JsonObject): Promise<JsonObject> =>
      (await kubeRequest(server, "GET", kubePath(object as KubeObject))).body;
    const strict = peerPolicy("STRICT");
    const inDefault = { ...strict, metadata: { name: "all", namespace: "default" } };

    test("sidecars join by the tokens of their service accounts, and call each other by mutual TLS", async () => {
      await eventually("web reaches orders", async () => (await cluster.call()).status === 200, 60_000);
      const { client } = JSON.parse((await cluster.call()).body) as { client: string };
      assert.doesNotMatch(cluster.controlPlane.log, /no answer/, "the API server was there all the time");
      assert.match(client, /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/web$/);
    });

    test("an API server that starts again, forgets, is slow or goes away costs no request, and is followed when it is back", async (t) => {
      const traffic = steadyTraffic(t, async () => {
        const { status, body } = await cluster.call();
        return status === 200 ? undefined : `${status} ${body}`;
      });
      await traffic.more(20);
      await server.restart();
      await traffic.more(20);
      await server.forget();
      await traffic.more(50);
      server.setLatency?.(5000);
      await traffic.more(50);
      server.setLatency?.(0);
      await server.stop();
      await traffic.more(50);
      await server.listen();
      await put(inDefault);
      const isStrict = async (): Promise<boolean> => (await cluster.callPlaintext()).status !== 200;
      await eventually("plaintext is refused", isStrict, 60_000);
      await traffic.more(20);
      const { calls, lost } = await traffic.end();
      assert.deepEqual(lost, [], `of ${calls} calls`);
      await eventually(
        "the policy's status says so",
        async () => (await cluster.conditions(inDefault)).includes("Accepted=True"),
        60_000,
      );
    });

    test("endpoints that come and go are followed", async () => {
      const { name } = cluster.workload("orders");
      const workload = { apiVersion: "heddle.dev/v1", kind: "Workload", metadata: { name, labels: { app: name } } };
      const { spec } = await get(workload);
      await kubeRequest(server, "DELETE", kubePath(workload));
      await eventually("orders has nobody", async () => (await cluster.call()).status === 503, 60_000);
      await put({ ...workload, spec });
      await eventually("orders is back", async () => (await cluster.call()).status === 200, 60_000);
    });

    test("a pod that is made in a namespace of the mesh gets its sidecar by the webhook", async () => {
      const url = /webhooks=(https:\S+)/.exec(cluster.controlPlane.log)?.[1] ?? "";
      const settings = { ...DEFAULT_WEBHOOK_SETTINGS, url, caBundle: await cluster.rootPem() };
      for (const configuration of webhookConfigurations(settings)) await put(configuration);
      const pod = {
        apiVersion: "v1",
        kind: "Pod",
        spec: { serviceAccountName: "web", containers: [{ name: "app", image: "app:1" }] },
      };
      for (const [namespace, inject] of [
        ["in", "enabled"],
        ["out", "disabled"],
      ] as const)
        await put({
          apiVersion: "v1",
          kind: "Namespace",
          metadata: { name: namespace, labels: { "heddle.dev/inject": inject } },
        });
      let pods = 0;
      /** Names of the init containers of a new pod. */
      const initContainers = async (namespace: string): Promise<readonly string[]> => {
        const { spec } = await put({ ...pod, metadata: { name: `web-${++pods}`, namespace } });
        return objectsOf(member(spec, "initContainers")).map(({ name }) => text(name));
      };
      // An API server takes a moment to see that there are webhooks.
      await eventually("pods get their sidecar", async () => (await initContainers("in")).length > 0, 60_000);
      assert.deepEqual(await initContainers("in"), ["heddle-capture", "heddle-sidecar"]);
      assert.deepEqual(await initContainers("out"), []);
      const bad = { ...peerPolicy("SOMETIMES"), metadata: { name: "bad", namespace: "default" } };
      await assert.rejects(put(bad), /denied the request: .*SOMETIMES/);
    });
  });
