import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import type { JsonObject } from "../harness/kube/kube-object.ts";
import { kubeRequest, kubeWatch } from "../harness/kube/kube-requests.ts";
import { KubeApiServer } from "../harness/kube-api-server.ts";
import { lastFirst } from "../harness/owner.ts";

/* The API server that other tests run against, by what stands on the wire. */

describe("the API server of the tests", () => {
  const owner = lastFirst({ after });
  let server: KubeApiServer;
  before(async () => {
    server = await KubeApiServer.start(owner);
  });

  const configMap = (name: string, data: JsonObject = {}): JsonObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name },
    data,
  });
  const inNamespace = async (name: string): Promise<string> => {
    await server.put({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
    return `/api/v1/namespaces/${name}`;
  };
  const namesOf = (list: JsonObject): string[] =>
    (list["items"] as unknown as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);

  test("a list in chunks is of one version, whatever is written meanwhile", async () => {
    const at = await inNamespace("chunks");
    for (const name of ["a", "b", "c"])
      await kubeRequest(server, "POST", `${at}/configmaps`, { body: configMap(name) });
    const first = (await kubeRequest(server, "GET", `${at}/configmaps?limit=2`)).body;
    assert.deepEqual(namesOf(first), ["a", "b"]);
    const metadata = first["metadata"] as { resourceVersion: string; continue: string; remainingItemCount: number };
    assert.equal(metadata.remainingItemCount, 1);
    await kubeRequest(server, "POST", `${at}/configmaps`, { body: configMap("d") });
    const second = (await kubeRequest(server, "GET", `${at}/configmaps?limit=2&continue=${metadata.continue}`)).body;
    assert.deepEqual(namesOf(second), ["c"]);
    assert.deepEqual(second["metadata"], { resourceVersion: metadata.resourceVersion });
    server.compact();
    const late = await kubeRequest(server, "GET", `${at}/configmaps?limit=2&continue=${metadata.continue}`);
    assert.equal(late.status, 410);
    assert.equal(late.body["reason"], "Expired");
  });

  test("a watch tells what happened since its version, in order, with the versions of the writes", async (t) => {
    const at = await inNamespace("watch");
    const { metadata } = (await kubeRequest(server, "GET", `${at}/configmaps`)).body as {
      metadata: { resourceVersion: string };
    };
    await server.put({ ...configMap("x", { n: "1" }), metadata: { name: "x", namespace: "watch" } });
    const watch = await kubeWatch(t, server, `${at}/configmaps?watch=true&resourceVersion=${metadata.resourceVersion}`);
    await server.put({ ...configMap("x", { n: "2" }), metadata: { name: "x", namespace: "watch" } });
    await server.delete("v1", "ConfigMap", "watch", "x");
    await watch.atLeast(3);
    assert.deepEqual(
      watch.events.map(({ type }) => type),
      ["ADDED", "MODIFIED", "DELETED"],
    );
    const versions = watch.events.map(({ object }) => Number((object["metadata"] as JsonObject)["resourceVersion"]));
    assert.deepEqual(
      versions,
      versions.toSorted((a, b) => a - b),
    );
    assert.equal(versions[2], server.store.revision);
  });

  test("a watch with a selector sees what ceases to be selected go", async (t) => {
    const at = await inNamespace("selected");
    const watch = await kubeWatch(t, server, `${at}/configmaps?watch=1&labelSelector=tier%20in%20(web)`);
    const labelled = (tier: string): JsonObject => ({
      ...configMap("x"),
      metadata: { name: "x", namespace: "selected", labels: { tier } },
    });
    for (const tier of ["db", "web", "web", "db"]) await server.put(labelled(tier));
    await watch.atLeast(2);
    assert.deepEqual(
      watch.events.map(({ type, object }) => [type, (object["metadata"] as { labels: JsonObject }).labels["tier"]]),
      [
        ["ADDED", "web"],
        ["DELETED", "web"],
      ],
    );
  });

  test("bookmarks say how far a watch is, the first of them where the initial list ends", async (t) => {
    const at = await inNamespace("bookmarks");
    await kubeRequest(server, "POST", `${at}/configmaps`, { body: configMap("x") });
    const query = "watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    const watch = await kubeWatch(t, server, `${at}/configmaps?${query}`);
    await inNamespace("elsewhere");
    server.bookmark();
    await watch.atLeast(3);
    assert.deepEqual(
      watch.events.map(({ type }) => type),
      ["ADDED", "BOOKMARK", "BOOKMARK"],
    );
    const [, initial, later] = watch.events.map(
      ({ object }) => object["metadata"] as { resourceVersion: string; annotations?: JsonObject },
    );
    assert.deepEqual(initial?.annotations, { "k8s.io/initial-events-end": "true" });
    assert.equal(Number(later?.resourceVersion), server.store.revision);
    const refused = await kubeRequest(server, "GET", `${at}/configmaps?watch=1&sendInitialEvents=true`);
    assert.equal(refused.status, 422);
  });

  test("a version that is forgotten is 410 as an event, one of the future 504", async (t) => {
    const at = await inNamespace("old");
    const old = server.store.revision;
    await kubeRequest(server, "POST", `${at}/configmaps`, { body: configMap("x") });
    server.compact();
    const watch = await kubeWatch(t, server, `${at}/configmaps?watch=1&resourceVersion=${old}`);
    await watch.atLeast(1);
    assert.equal(watch.events[0]?.type, "ERROR");
    assert.equal(watch.events[0]?.object["code"], 410);
    await eventually("the watch is over", () => watch.isOver);
    const future = await kubeRequest(server, "GET", `${at}/configmaps?resourceVersion=${server.store.revision + 5}`);
    assert.equal(future.status, 504);
    assert.equal(
      (await kubeRequest(server, "GET", `${at}/configmaps?resourceVersion=${old}&resourceVersionMatch=Exact`)).status,
      410,
    );
  });

  test("who writes over what somebody else has written meanwhile is refused with 409; a patch without a version is not", async () => {
    const at = await inNamespace("conflicts");
    const { body } = await kubeRequest(server, "POST", `${at}/configmaps`, { body: configMap("x", { n: "1" }) });
    assert.equal(
      (await kubeRequest(server, "PUT", `${at}/configmaps/x`, { body: { ...body, data: { n: "2" } } })).status,
      200,
    );
    const late = await kubeRequest(server, "PUT", `${at}/configmaps/x`, { body: { ...body, data: { n: "3" } } });
    assert.equal(late.status, 409);
    assert.equal(late.body["reason"], "Conflict");
    const contentType = "application/merge-patch+json";
    const patched = await kubeRequest(server, "PATCH", `${at}/configmaps/x`, {
      body: { data: { n: null, m: "4" } },
      contentType,
    });
    assert.deepEqual(patched.body["data"], { m: "4" });
    const again = await kubeRequest(server, "PATCH", `${at}/configmaps/x`, { body: { data: { m: "4" } }, contentType });
    assert.deepEqual(again.body["metadata"], patched.body["metadata"], "what changes nothing is not written");
  });

  test("applied fields belong to who applied them: another is refused, what is left out goes", async () => {
    const at = await inNamespace("apply");
    const contentType = "application/apply-patch+yaml";
    const apply = (manager: string, data: JsonObject, more = "") =>
      kubeRequest(server, "PATCH", `${at}/configmaps/x?fieldManager=${manager}${more}`, {
        body: configMap("x", data),
        contentType,
      });
    assert.equal((await apply("one", { a: "1", b: "1" })).status, 201);
    const refused = await apply("two", { a: "2", c: "2" });
    assert.equal(refused.status, 409);
    assert.match(JSON.stringify(refused.body), /conflict with [^:]*one[^:]*: \.data\.a/);
    assert.deepEqual((await apply("two", { a: "2", c: "2" }, "&force=true")).body["data"], { a: "2", b: "1", c: "2" });
    assert.deepEqual((await apply("one", {})).body["data"], { a: "2", c: "2" });
  });

  test("the status is written by its subresource alone", async () => {
    const at = await inNamespace("status");
    const service = {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web" },
      spec: { ports: [{ port: 80 }] },
      status: { conditions: [{ type: "A" }] },
    };
    const made = (await kubeRequest(server, "POST", `${at}/services`, { body: service })).body;
    assert.deepEqual(made["status"], { loadBalancer: {} });
    const status = { conditions: [{ type: "B", status: "True" }] };
    const written = await kubeRequest(server, "PUT", `${at}/services/web/status`, {
      body: { ...made, spec: {}, status },
    });
    assert.deepEqual(written.body["spec"], made["spec"]);
    assert.deepEqual((written.body["status"] as JsonObject)["conditions"], status.conditions);
    const updated = await kubeRequest(server, "PUT", `${at}/services/web`, { body: { ...written.body, status: {} } });
    assert.deepEqual(updated.body["status"], written.body["status"]);
  });

  test("a service account's token is good for its audience, as long as its pod is there", async () => {
    const at = await inNamespace("tokens");
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "p", namespace: "tokens" },
      spec: { containers: [{ name: "a", image: "a" }] },
    };
    const { metadata } = await server.put(pod);
    const spec = {
      audiences: ["heddle"],
      boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "p", uid: metadata.uid },
    };
    const { body } = await kubeRequest(server, "POST", `${at}/serviceaccounts/default/token`, {
      body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec },
    });
    const { token } = body["status"] as { token: string };
    const review = async (audiences: readonly string[]): Promise<JsonObject> =>
      (
        await kubeRequest(server, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", {
          body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token, audiences } },
        })
      ).body["status"] as JsonObject;
    const good = await review(["other", "heddle"]);
    assert.equal(good["authenticated"], true);
    assert.deepEqual(good["audiences"], ["heddle"]);
    assert.equal((good["user"] as JsonObject)["username"], "system:serviceaccount:tokens:default");
    assert.deepEqual((good["user"] as { extra: JsonObject }).extra["authentication.kubernetes.io/pod-name"], ["p"]);
    assert.equal((await review(["other"]))["authenticated"], false);
    assert.equal((await kubeRequest(server, "GET", at, { token })).status, 401, "it is not for the API server");
    await server.delete("v1", "Pod", "tokens", "p");
    assert.equal((await review(["heddle"]))["authenticated"], false);
  });

  test("a definition's kind is served, by all its versions, until the definition goes", async () => {
    const names = { plural: "looms", kind: "Loom" };
    const version = (name: string, storage: boolean): JsonObject => ({
      name,
      served: true,
      storage,
      subresources: { status: {} },
      schema: { openAPIV3Schema: { type: "object" } },
    });
    await server.put({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: "looms.test.dev" },
      spec: { group: "test.dev", scope: "Cluster", names, versions: [version("v1", true), version("v1alpha1", false)] },
    });
    const loom = { apiVersion: "test.dev/v1", kind: "Loom", metadata: { generateName: "l-" }, spec: { threads: 1 } };
    const made = (await kubeRequest(server, "POST", "/apis/test.dev/v1/looms", { body: loom })).body as {
      metadata: { name: string; generation: number };
    };
    assert.match(made.metadata.name, /^l-[a-z0-9]{5}$/);
    const old = (await kubeRequest(server, "GET", `/apis/test.dev/v1alpha1/looms/${made.metadata.name}`)).body;
    assert.equal(old["apiVersion"], "test.dev/v1alpha1");
    const contentType = "application/merge-patch+json";
    const patch = (body: JsonObject, sub = "") =>
      kubeRequest(server, "PATCH", `/apis/test.dev/v1/looms/${made.metadata.name}${sub}`, { body, contentType });
    assert.equal(((await patch({ spec: { threads: 2 } })).body["metadata"] as JsonObject)["generation"], 2);
    const status = (await patch({ spec: { threads: 3 }, status: { ready: true } }, "/status")).body;
    assert.deepEqual(
      [status["spec"], status["status"], (status["metadata"] as JsonObject)["generation"]],
      [{ threads: 2 }, { ready: true }, 2],
    );
    const strategic = await kubeRequest(server, "PATCH", `/apis/test.dev/v1/looms/${made.metadata.name}`, {
      body: {},
      contentType: "application/strategic-merge-patch+json",
    });
    assert.equal(strategic.status, 415);
    await server.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", undefined, "looms.test.dev");
    assert.equal((await kubeRequest(server, "GET", "/apis/test.dev/v1/looms")).status, 404);
  });

  test("it fails as it is told to: with a status, late, not at all, and it comes back on its port", async (t) => {
    const at = await inNamespace("faults");
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
