import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { DEFAULT_WEBHOOK_SETTINGS, type WebhookSettings, webhookConfigurations } from "@heddle/inject";
import { eventually } from "../harness/eventually.ts";
import type { JsonObject, KubeObject } from "../harness/kube/kube-object.ts";
import { kubeRequest } from "../harness/kube/kube-requests.ts";
import { KubeApiServer } from "../harness/kube-api-server.ts";
import {
  CLUSTER_CA,
  definition,
  GATEWAY_API,
  kubeRoute,
  MESH_DEFINITIONS,
  startKubeControlPlane,
} from "../harness/kube-mesh.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";

const ANY_PORT = { host: "127.0.0.1", port: 0 };
const WEBHOOKS = {
  address: ANY_PORT,
  clientCaFile: undefined,
  clientNames: [],
  settingsFile: undefined,
  revision: undefined,
  tlsNames: [],
};

describe("an API server that asks the webhooks of a control plane", () => {
  const owner = lastFirst({ after });
  let cluster: Cluster;
  before(async () => {
    cluster = await openCluster(owner, [{}, { tag: "prod" }]);
  });

  it("knows it by roots that the control plane itself has written, and pods get their sidecars", async () => {
    const { server } = cluster;
    const pod = await create(server, "shop", "web");
    assert.deepEqual(initContainers(pod), ["heddle-capture", "heddle-sidecar"]);
    assert.equal(pod.metadata.labels?.["heddle.dev/rev"], "default");
    const calls = server.webhookCalls.filter(({ operation }) => operation === "CREATE");
    assert.deepEqual(
      calls.map(({ webhook, outcome }) => `${webhook} ${outcome}`),
      ["enabled.inject.heddle.dev allowed"],
    );

    assert.deepEqual(initContainers(await create(server, "plain", "web")), []);
    const asked = { labels: { "heddle.dev/inject": "true" } };
    assert.deepEqual(initContainers(await create(server, "plain", "asking", asked)).length, 2);
    const declined = { labels: { "heddle.dev/inject": "false" } };
    assert.deepEqual(initContainers(await create(server, "shop", "declining", declined)), []);
    assert.deepEqual(initContainers(await create(server, "kube-system", "asking", asked)), []);
    await assert.rejects(
      create(server, "shop", "misspelt", { annotations: { "heddle.dev/capture": "magic" } }),
      /denied the request: .*heddle\.dev\/capture.*found "magic"/,
    );
  });

  it("hears of a namespace that has just been labelled, and of one that is labelled no more", async () => {
    const { server } = cluster;
    await server.put(namespace("later", {}));
    assert.deepEqual(initContainers(await create(server, "later", "web-0")), []);
    await server.put(namespace("later", { "heddle.dev/inject": "enabled" }));
    assert.equal(initContainers(await create(server, "later", "web-1")).length, 2);
    await server.put(namespace("later", {}));
    assert.deepEqual(initContainers(await create(server, "later", "web-2")), []);
  });

  it("refuses what heddle check refuses", async () => {
    const { server } = cluster;
    await assert.rejects(server.create(policy("SOMETIMES")), /spec\.mtls\.mode: found "SOMETIMES", allowed/);
    await server.create(policy("STRICT"));
    await server.delete("heddle.dev/v1", "PeerAuthentication", "shop", "all");
  });

  it("refuses what another source has under the same name, and warns of what leads nowhere yet", async () => {
    const { server, folder } = cluster;
    const warned = async (name: string): Promise<string> => {
      const answer = await kubeRequest(
        server,
        "POST",
        "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes",
        {
          body: kubeRoute(name, "nowhere", "nowhere"),
        },
      );
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
      return String(answer.headers["warning"]);
    };
    assert.match(await warned("early"), /there is no Service .*nowhere.* in the namespace .*shop/);
    writeFileSync(join(folder, "policy.yaml"), JSON.stringify(policy("STRICT")));
    await eventually("the file is known", async () => {
      const refused = await kubeRequest(server, "POST", "/apis/heddle.dev/v1/namespaces/shop/peerauthentications", {
        body: policy("DISABLE"),
      });
      if (refused.status === 201) await server.delete("heddle.dev/v1", "PeerAuthentication", "shop", "all");
      return (
        refused.status === 422 && /stands also in .*policy\.yaml:1, which serves/.test(JSON.stringify(refused.body))
      );
    });
    rmSync(join(folder, "policy.yaml"));
    await server.delete(GATEWAY_API, "HTTPRoute", "shop", "early");
  });

  it("has its roots back where somebody takes them away, and by a tag asks the revision behind it", async () => {
    const { server, untilRoots } = cluster;
    for (const configuration of webhookConfigurations(DEFAULT_WEBHOOK_SETTINGS)) await server.put(configuration);
    await untilRoots();
    await server.put(namespace("tagged", { "heddle.dev/rev": "prod" }));
    const pod = await create(server, "tagged", "web");
    assert.deepEqual(initContainers(pod), ["heddle-capture", "heddle-sidecar"]);
    assert.equal(server.webhookCalls.at(-1)?.webhook, "revision.inject.heddle.dev");
  });

  it("makes no pod of the mesh while nobody answers, and every other one", async () => {
    const { server, stop } = cluster;
    await stop();
    await assert.rejects(create(server, "shop", "late"), /failed calling webhook "enabled\.inject\.heddle\.dev"/);
    assert.deepEqual(initContainers(await create(server, "plain", "late")), []);
    assert.deepEqual(initContainers(await create(server, "heddle-system", "heddle-control-plane-0")), []);
  });
});

/** @param configurations what is installed of webhook configurations, without roots. */
async function openCluster(owner: Owner, configurations: readonly Partial<WebhookSettings>[]) {
  const server = await KubeApiServer.start(owner);
  for (const one of MESH_DEFINITIONS) await server.create(definition(one));
  await server.create(namespace("heddle-system", {}));
  await server.create(namespace("shop", { "heddle.dev/inject": "enabled" }));
  await server.create(namespace("plain", {}));
  const folder = scratchFolder(owner);
  const more = { ca: CLUSTER_CA, webhooks: WEBHOOKS, folders: [folder] };
  const { controlPlane } = await startKubeControlPlane(server, owner, more);
  for (const object of serviceAt(controlPlane.webhookAddress?.port ?? 0)) await server.create(object);
  for (const settings of configurations)
    for (const configuration of webhookConfigurations({ ...DEFAULT_WEBHOOK_SETTINGS, ...settings }))
      await server.put(configuration);
  const untilRoots = (): Promise<void> =>
    eventually("every webhook configuration has the roots", () => hasRoots(server), 60_000);
  await untilRoots();
  return { server, folder, untilRoots, stop: () => controlPlane.stop() };
}

type Cluster = Awaited<ReturnType<typeof openCluster>>;

function hasRoots(server: KubeApiServer): boolean {
  const group = "admissionregistration.k8s.io/v1";
  return ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]
    .flatMap((kind) => server.list(group, kind))
    .flatMap(({ webhooks }) => webhooks as readonly JsonObject[])
    .every(({ clientConfig }) => (clientConfig as { readonly caBundle?: string }).caBundle !== undefined);
}

function create(server: KubeApiServer, place: string, name: string, metadata: JsonObject = {}): Promise<KubeObject> {
  return server.create({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: place, ...metadata },
    spec: { containers: [{ name: "app", image: "app:1" }] },
  });
}

function initContainers(pod: KubeObject): readonly string[] {
  const { initContainers: list = [] } = pod["spec"] as unknown as { readonly initContainers?: { name: string }[] };
  return list.map(({ name }) => name);
}

function namespace(name: string, labels: JsonObject): JsonObject {
  const own = { "kubernetes.io/metadata.name": name, ...labels };
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels: own } };
}

function policy(mode: string): JsonObject {
  const metadata = { name: "all", namespace: "shop" };
  return { apiVersion: "heddle.dev/v1", kind: "PeerAuthentication", metadata, spec: { mtls: { mode } } };
}

/** The Service of the webhook configurations, and where it leads. */
function serviceAt(port: number): readonly JsonObject[] {
  const [name, place] = ["heddle-control-plane", "heddle-system"];
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace: place },
      spec: { ports: [{ name: "webhooks", port: 443, targetPort: 15_017 }] },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name, namespace: place, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "webhooks", port }],
      endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }],
    },
  ];
}
