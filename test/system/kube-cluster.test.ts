import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DEFAULT_WEBHOOK_SETTINGS, webhookConfigurations } from "@heddle/inject";
import { eventually } from "../harness/eventually.ts";
import { claimCluster, givenKubeconfig, givenWebhookHost } from "../harness/given-kube-api-server.ts";
import { type JsonObject, type KubeObject, member, objectsOf, text } from "../harness/kube/kube-object.ts";
import { kubePath, kubePut, kubePutFor, kubeRequest, ownNamespace } from "../harness/kube/kube-requests.ts";
import { KubeApiServer } from "../harness/kube-api-server.ts";
import { KubeCluster } from "../harness/kube-cluster.ts";
import { peerPolicy } from "../harness/kube-mesh.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import {
  noRealKubeApiServer,
  type RealKubeApiServer,
  realKubeApiServer,
  startRealKubeApiServer,
} from "../harness/real-kube-api-server.ts";
import { steadyTraffic } from "../harness/steady-traffic.ts";

/* Whole programs and an API server: what happens in a cluster reaches sidecars, and what happens to its API server does not. */

async function own(owner: Owner): Promise<RealKubeApiServer> {
  const server = await KubeApiServer.start(owner);
  const forget = async (): Promise<void> => {
    server.compact();
    server.faults.goneOnNextWatches(30);
    server.closeConnections();
  };
  return {
    url: server.url,
    ca: server.ca,
    adminToken: server.adminToken,
    kubeconfig: () => server.kubeconfig(),
    forget,
    outages: {
      restart: () => server.restart(),
      stop: () => server.stop(),
      listen: () => server.listen(),
      forget,
      setLatency: (ms) => {
        server.faults.clear();
        server.faults.latencyMs = ms;
        if (ms > 0) server.closeConnections();
      },
    },
  };
}

const servers: readonly (readonly [string, (owner: Owner) => Promise<RealKubeApiServer>, string | false])[] = [
  ["the API server of the tests", own, false],
  [realKubeApiServer, startRealKubeApiServer, noRealKubeApiServer],
];

for (const [title, start, skip] of servers)
  describe(`a mesh that ${title} describes`, { skip }, () => {
    const owner = lastFirst({ after });
    let server: RealKubeApiServer;
    let cluster: KubeCluster;
    /** Whose it is: then there may be other things, and what is made is taken away. */
    const isOthers = title === realKubeApiServer && givenKubeconfig !== undefined;
    const webhookHost = isOthers ? givenWebhookHost : "127.0.0.1";
    before(async () => {
      server = await start(owner);
      if (isOthers) await claimCluster(owner, server);
      const flags = [
        `--webhook-address=${webhookHost ?? "127.0.0.1"}:0`,
        `--webhook-san=${webhookHost ?? "127.0.0.1"}`,
      ];
      cluster = await KubeCluster.start(server, owner, {
        kubeconfig: server.kubeconfig(),
        flags,
        ...(isOthers && {
          namespace: await ownNamespace(owner, server, "mesh"),
          systemNamespace: await ownNamespace(owner, server, "system"),
        }),
      });
    });

    const put = (object: JsonObject): Promise<KubeObject> => kubePut(server, object as KubeObject);
    const get = async (object: KubeObject): Promise<JsonObject> =>
      (await kubeRequest(server, "GET", kubePath(object))).body;

    test("sidecars join by the tokens of their service accounts, and call each other by mutual TLS", async () => {
      await eventually("web reaches orders", async () => (await cluster.call()).status === 200, 60_000);
      const { client } = JSON.parse((await cluster.call()).body) as { client: string };
      assert.doesNotMatch(cluster.controlPlane.log, /no answer/, "the API server was there all the time");
      assert.match(client, new RegExp(`URI=spiffe://cluster\\.local/ns/${cluster.namespace}/sa/web$`));
    });

    test("an API server that starts again, forgets, is slow or goes away costs no request, and is followed when it is back", async (t) => {
      const traffic = steadyTraffic(t, async () => {
        const { status, body } = await cluster.call();
        return status === 200 ? undefined : `${status} ${body}`;
      });
      const strict = cluster.placed({ ...peerPolicy("STRICT"), metadata: { name: "all" } });
      await traffic.more(20);
      if (server.outages === undefined)
        t.diagnostic("it is not ours to end: that its changes are followed is all that is seen");
      await server.outages?.restart();
      await traffic.more(20);
      await server.outages?.forget();
      await traffic.more(50);
      server.outages?.setLatency?.(5000);
      await traffic.more(50);
      server.outages?.setLatency?.(0);
      await server.outages?.stop();
      await traffic.more(50);
      await server.outages?.listen();
      await put(strict);
      const isStrict = async (): Promise<boolean> => (await cluster.callPlaintext()).status !== 200;
      await eventually("plaintext is refused", isStrict, 60_000);
      await traffic.more(20);
      const { calls, lost } = await traffic.end();
      assert.deepEqual(lost, [], `of ${calls} calls`);
      await eventually(
        "the policy's status says so",
        async () => (await cluster.conditions(strict)).includes("Accepted=True"),
        60_000,
      );
    });

    // The other one has no etcd.
    if (title === realKubeApiServer)
      test("what an API server that is restored from a backup has lost is gone, and what comes then is followed", async (t) => {
        const backUp = server.outages?.backUp;
        if (backUp === undefined) return t.skip("it cannot be restored from a backup");
        const isRefused = async (): Promise<boolean> => (await cluster.callPlaintext()).status !== 200;
        assert.equal(await isRefused(), true, "the policy of the test before");
        const { restore } = await backUp();
        // So much happens that what the server writes when it starts does not catch up with it.
        const map = cluster.placed({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "busy" } });
        for (let n = 0; n < 500; n += 1) await put({ ...map, data: { n: String(n) } });
        await put(cluster.placed({ ...peerPolicy("PERMISSIVE"), metadata: { name: "all" } }));
        await eventually("plaintext is taken", async () => !(await isRefused()), 60_000);
        await restore();
        await eventually("the policy is the one of before", isRefused, 60_000);
        await kubeRequest(server, "DELETE", kubePath(cluster.placed({ ...peerPolicy(""), metadata: { name: "all" } })));
        await eventually("what happens then is followed", async () => !(await isRefused()), 60_000);
        assert.equal((await cluster.call()).status, 200);
      });

    test("endpoints that come and go are followed", async () => {
      const { name } = cluster.workload("orders");
      const metadata = { name, labels: { app: name } };
      const workload = cluster.placed({ apiVersion: "heddle.dev/v1", kind: "Workload", metadata });
      const { spec } = await get(workload);
      await kubeRequest(server, "DELETE", kubePath(workload));
      await eventually("orders has nobody", async () => (await cluster.call()).status === 503, 60_000);
      await put({ ...workload, spec });
      await eventually("orders is back", async () => (await cluster.call()).status === 200, 60_000);
    });

    test("a pod that is made in a namespace of the mesh gets its sidecar by the webhook", async (t) => {
      if (webhookHost === undefined)
        return t.skip("HEDDLE_TEST_WEBHOOK_HOST does not say how it reaches webhooks here");
      const url = /webhooks=(https:\S+)/.exec(cluster.controlPlane.log)?.[1] ?? "";
      const settings = { ...DEFAULT_WEBHOOK_SETTINGS, url, caBundle: await cluster.rootPem() };
      for (const configuration of webhookConfigurations(settings))
        await kubePutFor(owner, server, configuration as KubeObject);
      const pod = {
        apiVersion: "v1",
        kind: "Pod",
        // Where there are nodes, none is to run it.
        spec: {
          serviceAccountName: "web",
          nodeSelector: { "heddle.dev/test": "none" },
          containers: [{ name: "app", image: "app:1" }],
        },
      };
      const inside = await ownNamespace(owner, server, "in", { "heddle.dev/inject": "enabled" });
      const outside = await ownNamespace(owner, server, "out", { "heddle.dev/inject": "disabled" });
      for (const namespace of [inside, outside])
        await put({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "web", namespace } });
      let pods = 0;
      /** Names of the init containers of a new pod. */
      const initContainers = async (namespace: string): Promise<readonly string[]> => {
        const { spec } = await put({ ...pod, metadata: { name: `web-${++pods}`, namespace } });
        return objectsOf(member(spec, "initContainers")).map(({ name }) => text(name));
      };
      // An API server takes a moment to see that there are webhooks.
      await eventually("pods get their sidecar", async () => (await initContainers(inside)).length > 0, 60_000);
      assert.deepEqual(await initContainers(inside), ["heddle-capture", "heddle-sidecar"]);
      assert.deepEqual(await initContainers(outside), []);
      const bad = cluster.placed({ ...peerPolicy("SOMETIMES"), metadata: { name: "bad" } });
      await assert.rejects(put(bad), /denied the request: .*SOMETIMES/);
    });
  });
