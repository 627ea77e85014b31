import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { givenKubeApiServer } from "../harness/given-kube-api-server.ts";
import { kubeApiContract } from "../harness/kube/kube-api-contract.ts";
import { kubeRequest, kubeWatch } from "../harness/kube/kube-requests.ts";
import { adminKubeconfig } from "../harness/kube/kubeconfig.ts";
import { KubeApiServer } from "../harness/kube-api-server.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";

/* The API server that other tests run against: by what a real one has to show as well, and by what only it has. */

kubeApiContract("the API server of the tests", async (owner) => {
  const server = await KubeApiServer.start(owner);
  return {
    url: server.url,
    ca: server.ca,
    adminToken: server.adminToken,
    forget: async () => server.compact(),
    bookmark: () => server.bookmark(),
  };
});

test("a cluster is found by a kubeconfig with a certificate, or with a token", async (t) => {
  const owner = lastFirst(t);
  const server = await KubeApiServer.start(owner);
  const file = join(scratchFolder(owner), "kubeconfig");
  for (const kubeconfig of [server.kubeconfig(), server.kubeconfigOfToken(server.adminToken)]) {
    writeFileSync(file, kubeconfig);
    const given = await givenKubeApiServer(file);
    assert.equal((await kubeRequest(given, "GET", "/api/v1/namespaces/default")).status, 200);
    writeFileSync(file, adminKubeconfig(given, "shop"));
    assert.deepEqual(await givenKubeApiServer(file), given);
  }
});

describe("faults of the API server of the tests", () => {
  const owner = lastFirst({ after });
  let server: KubeApiServer;
  before(async () => {
    server = await KubeApiServer.start(owner);
  });

  test("it fails as it is told to: with a status, late, not at all, and it comes back on its port", async (t) => {
    const at = "/api/v1/namespaces/default";
    server.faults.failNext(1, { status: 429, retryAfterS: 7, only: ({ verb }) => verb === "list" });
    const busy = await kubeRequest(server, "GET", `${at}/pods`);
    assert.deepEqual([busy.status, busy.headers["retry-after"]], [429, "7"]);
    assert.equal((await kubeRequest(server, "GET", `${at}/pods`)).status, 200);
    server.faults.goneOnNextWatches();
    const gone = await kubeWatch(t, server, `${at}/pods?watch=1`);
    await gone.atLeast(1);
    assert.equal(gone.events[0]?.object["code"], 410);
    const watch = await kubeWatch(t, server, `${at}/pods?watch=1`);
    const { port } = server;
    await server.restart();
    assert.equal(server.port, port);
    await eventually("the watch is over", () => watch.isOver);
    assert.equal((await kubeRequest(server, "GET", at)).status, 200, "it knows what it knew");
  });
});

describe("the API server of the tests with RBAC", () => {
  const owner = lastFirst({ after });

  test("what no rule allows is 403, and the rules that were of use are known", async () => {
    const server = await KubeApiServer.start(owner, { rbac: true });
    const group = "rbac.authorization.k8s.io";
    const rules = [
      { apiGroups: [""], resources: ["pods", "pods/status"], verbs: ["get", "list"] },
      { apiGroups: [""], resources: ["configmaps"], verbs: ["update"], resourceNames: ["mine"] },
    ];
    await server.put({ apiVersion: `${group}/v1`, kind: "ClusterRole", metadata: { name: "reader" }, rules });
    const subjects = [{ kind: "ServiceAccount", name: "default", namespace: "default" }];
    const roleRef = { apiGroup: group, kind: "ClusterRole", name: "reader" };
    await server.put({
      apiVersion: `${group}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name: "reader" },
      roleRef,
      subjects,
    });
    const token = server.accountToken("default", "default");
    const status = async (method: string, path: string): Promise<number> =>
      (await kubeRequest(server, method, path, { token, ...(method === "PUT" ? { body: {} } : {}) })).status;
    assert.equal(await status("GET", "/api/v1/pods"), 200);
    assert.equal(await status("GET", "/api/v1/pods?watch=1"), 403);
    assert.equal(await status("GET", "/api/v1/secrets"), 403);
    assert.equal(await status("PUT", "/api/v1/namespaces/default/configmaps/other"), 403);
    assert.notEqual(await status("PUT", "/api/v1/namespaces/default/configmaps/mine"), 403);
    assert.equal(await status("GET", "/version"), 200);
    const used = server.usedRules("system:serviceaccount:default:default").filter(({ role }) => role === "reader");
    assert.deepEqual(new Set(used.map(({ rule }) => rule)), new Set([0, 1]));
    assert.equal((await kubeRequest(server, "GET", "/api/v1/pods", { token: "nobody's" })).status, 401);
  });
});
