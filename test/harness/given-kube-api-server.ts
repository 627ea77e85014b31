import { rootCertificates } from "node:tls";
import { KubeConfig } from "@kubernetes/client-node";
import { eventually } from "./eventually.ts";
import { type KubeEndpoint, kubePath, kubeRequest } from "./kube/kube-requests.ts";
import { MESH_DEFINITIONS } from "./kube-mesh.ts";
import type { Owner } from "./owner.ts";

/** A kubeconfig of an administrator, whose cluster tests of a real API server run against. Undefined: none is given. */
export const givenKubeconfig = process.env["HEDDLE_TEST_KUBECONFIG"] || undefined;

/**
 * By which address that API server reaches webhooks that are served here. Undefined: nobody says, and tests in which it calls one
 * skip.
 */
export const givenWebhookHost = process.env["HEDDLE_TEST_WEBHOOK_HOST"] || undefined;

/** Its current context: by certificate, token, or what a credential plugin says now. Rejects where it does not answer. */
export async function givenKubeApiServer(file: string): Promise<KubeEndpoint> {
  const config = new KubeConfig();
  config.loadFromFile(file);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error(`HEDDLE_TEST_KUBECONFIG: ${file} has no current context`);
  const access: { ca?: Buffer; cert?: Buffer; key?: Buffer; headers?: Record<string, string> } = {};
  await config.applyToHTTPSOptions(access);
  const token = /^Bearer (.+)$/.exec(access.headers?.["Authorization"] ?? "")?.[1];
  const endpoint: KubeEndpoint = {
    url: cluster.server.replace(/\/+$/, ""),
    ca: access.ca?.toString() ?? rootCertificates.join("\n"),
    ...(token !== undefined && { adminToken: token }),
    ...(access.cert !== undefined &&
      access.key !== undefined && {
        adminCertificate: { certificate: access.cert.toString(), key: access.key.toString() },
      }),
  };
  const ready = await kubeRequest(endpoint, "GET", "/readyz");
  if (ready.status !== 200) throw new Error(`HEDDLE_TEST_KUBECONFIG: ${endpoint.url}/readyz: ${ready.status}`);
  return endpoint;
}

/** Has no effect; there can be one of that name. */
const LOCK = {
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "ClusterRole",
  metadata: { name: "heddle-test-lock" },
  rules: [],
};

/**
 * What the kinds of a mesh are defined in is the whole cluster: one test at a time has it, and takes them away again. A cluster in
 * which Heddle's kinds are defined already is somebody's mesh, and is left alone.
 */
export async function claimCluster(owner: Owner, server: KubeEndpoint): Promise<void> {
  await eventually(
    `the cluster is free (if no test runs: kubectl delete clusterrole ${LOCK.metadata.name})`,
    async () => (await kubeRequest(server, "POST", kubePath(LOCK, true), { body: LOCK })).status === 201,
    300_000,
  );
  owner.after(() => kubeRequest(server, "DELETE", kubePath(LOCK)));
  for (const [group, , plural] of MESH_DEFINITIONS) {
    if (!(await isDefined(server, group, plural))) {
      owner.after(() => removeDefinition(server, group, plural));
    } else if (group === "heddle.dev") {
      throw new Error(`${plural}.${group} is defined in that cluster: it has a mesh, and tests want one without`);
    }
  }
}

async function isDefined(server: KubeEndpoint, group: string, plural: string): Promise<boolean> {
  return (await kubeRequest(server, "GET", definitionPath(group, plural))).status === 200;
}

async function removeDefinition(server: KubeEndpoint, group: string, plural: string): Promise<void> {
  await kubeRequest(server, "DELETE", definitionPath(group, plural));
  await eventually(`${plural} are gone`, async () => !(await isDefined(server, group, plural)), 60_000);
}

function definitionPath(group: string, plural: string): string {
  return `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${plural}.${group}`;
}
