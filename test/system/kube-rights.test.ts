import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";
import { eventually } from "../harness/eventually.ts";
import { projectRoot } from "../harness/imports.ts";
import { type KubeObject, objectsOf, stringsOf } from "../harness/kube/kube-object.ts";
import { type KubeEndpoint, kubePut, kubeRequest } from "../harness/kube/kube-requests.ts";
import { kubeconfigText } from "../harness/kube/kubeconfig.ts";
import { KubeApiServer } from "../harness/kube-api-server.ts";
import { accountToken, KubeCluster, untilServed } from "../harness/kube-cluster.ts";
import { definition, kubeRoute, MESH_DEFINITIONS, peerPolicy } from "../harness/kube-mesh.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";

/* The rules of `heddle install` are those that the control plane uses: every verb of every resource. */

const CONTROL_PLANE = "system:serviceaccount:heddle-system:control-plane";

/** Applies what is printed, and runs the mesh as the account that it makes. */
async function install(
  server: KubeEndpoint,
  owner: Owner,
): Promise<{ cluster: KubeCluster; manifests: readonly KubeObject[] }> {
  const command = ["--conditions=heddle-src", "packages/cli/src/main.ts", "install", "--tag", "prod"];
  const { stdout } = await promisify(execFile)(process.execPath, command, { cwd: projectRoot });
  const manifests = parseAllDocuments(stdout).map((document) => document.toJS() as KubeObject);
  const isWebhook = ({ kind }: KubeObject): boolean => kind.endsWith("WebhookConfiguration");
  for (const one of MESH_DEFINITIONS.filter(([group]) => group !== "heddle.dev"))
    await kubePut(server, definition(one) as KubeObject);
  for (const manifest of manifests.filter((one) => !isWebhook(one))) await kubePut(server, manifest);
  await untilServed(server);
  const token = await accountToken(server, "heddle-system", "control-plane");
  const kubeconfig = kubeconfigText(server, "control-plane", { token });
  const flags = ["--webhook-address", "127.0.0.1:0"];
  const cluster = await KubeCluster.start(server, owner, { kubeconfig, flags, isInstalled: true });
  const route = { ...kubeRoute("orders", "orders", "orders"), metadata: { name: "orders", namespace: "default" } };
  await kubePut(server, route);
  const policy = { ...peerPolicy("STRICT"), metadata: { name: "all", namespace: "default" } };
  await kubePut(server, policy);
  const isTold = async (): Promise<boolean> => (await cluster.conditions(policy)).includes("Accepted=True");
  await eventually("the policy's status is written", isTold, 60_000);
  // Of what others have made of the roots too; the webhooks come last, since nobody reaches them here.
  const map = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "heddle-ca-root", namespace: "default" } };
  await kubePut(server, { ...map, data: { "root.pem": "other" } });
  for (const manifest of manifests.filter(isWebhook)) await kubePut(server, manifest);
  await eventually(
    "the webhooks know the mesh's roots",
    async () => (await bundles(server)).every((bundle) => bundle !== ""),
    60_000,
  );
  await eventually("the roots are put right", async () => (await cluster.rootPem()) !== "other", 60_000);
  await eventually("web reaches orders", async () => (await cluster.call()).status === 200, 60_000);
  return { cluster, manifests };
}

async function bundles(server: KubeEndpoint): Promise<readonly string[]> {
  const paths = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
  const lists = await Promise.all(
    paths.map((path) => kubeRequest(server, "GET", `/apis/admissionregistration.k8s.io/v1/${path}`)),
  );
  return lists
    .flatMap(({ body }) => objectsOf(body["items"]))
    .flatMap(({ webhooks }) => objectsOf(webhooks))
    .map(({ clientConfig }) => (clientConfig as { caBundle?: string }).caBundle ?? "");
}

test("with the rules of heddle install the control plane is forbidden nothing, and what it does not use is known", async (t) => {
  const server = await KubeApiServer.start(lastFirst(t), { rbac: true });
  const { manifests } = await install(server, lastFirst(t));
  const asked = server.requests.filter(({ user }) => user === CONTROL_PLANE);
  const refused = asked.filter(({ status }) => status === 403).map(({ verb, path }) => `${verb} ${path}`);
  assert.deepEqual([...new Set(refused)], []);
  const granted = manifests
    .filter(({ kind }) => kind === "ClusterRole" || kind === "Role")
    .flatMap(({ rules }) => objectsOf(rules))
    .flatMap(({ apiGroups, resources, verbs }) =>
      stringsOf(apiGroups).flatMap((group) =>
        stringsOf(resources).flatMap((resource) => stringsOf(verbs).map((verb) => `${verb} ${resource}.${group}`)),
      ),
    );
  const unused = (): readonly string[] => {
    const mine = server.requests.filter(({ user }) => user === CONTROL_PLANE);
    const used = new Set(mine.map(({ group, resource, verb }) => `${verb} ${resource}.${group}`));
    // Who may list may see as much as who may get.
    return granted.filter((one) => !used.has(one) && !used.has(one.replace(/^get /, "list "))).sort();
  };
  await eventually("all else has been used", () => unused().length <= UNUSED.length, 60_000);
  assert.deepEqual(unused(), UNUSED);
});

/** Granted, and not needed by what happens here: no kind is missing, and there are no objects of these kinds. */
const UNUSED: readonly string[] = [
  "get customresourcedefinitions.apiextensions.k8s.io",
  "patch authorizationpolicies/status.heddle.dev",
  "patch extensionproviders/status.heddle.dev",
  "patch grpcroutes/status.gateway.networking.k8s.io",
  "patch requestauthentications/status.heddle.dev",
  "patch tcproutes/status.gateway.networking.k8s.io",
  "patch tlsroutes/status.gateway.networking.k8s.io",
];
