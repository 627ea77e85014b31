import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../eventually.ts";
import { lastFirst, type Owner } from "../owner.ts";
import { type JsonObject, type KubeObject, member } from "./kube-object.ts";
import {
  type KubeEndpoint,
  kubePut,
  kubePutFor,
  kubeRequest,
  kubeWatch,
  ownNamespace,
  uniqueName,
} from "./kube-requests.ts";

/** What a server has to be asked for beside requests. */
export interface KubeApiUnderTest extends KubeEndpoint {
  /** Forgets the past: versions from before are too old. Left out: it cannot be told to. */
  readonly forget?: (() => Promise<void>) | undefined;
  /** Why it cannot begin a watch with what there is. */
  readonly noInitialEvents?: string;
  /** Tells watches how far they are, where that can be asked for. */
  readonly bookmark?: () => void;
}

/** What clients see of an API server on the wire, of the real one and of that of the tests alike. */
export function kubeApiContract(
  name: string,
  start: (owner: Owner) => Promise<KubeApiUnderTest>,
  skip: string | false = false,
): void {
  describe(name, { skip }, () => {
    const owner = lastFirst({ after });
    let server: KubeApiUnderTest;
    before(async () => {
      server = await start(owner);
    });

    const put = (object: JsonObject): Promise<KubeObject> => kubePut(server, object as KubeObject);
    const remove = (path: string) => kubeRequest(server, "DELETE", `${path}?gracePeriodSeconds=0`);
    /** Of the newest write. */
    const newest = async (at: string): Promise<number> => {
      const { body } = await kubeRequest(server, "GET", `${at}/secrets`);
      return Number((body["metadata"] as JsonObject)["resourceVersion"]);
    };
    /** Of a kind of which nobody makes any in a new namespace, as a cluster makes ConfigMaps; the values are base64. */
    const secret = (name: string, data: JsonObject = {}): JsonObject => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name },
      data,
    });
    const inNamespace = async (what: string): Promise<string> =>
      `/api/v1/namespaces/${await ownNamespace(owner, server, what)}`;
    const namespaceOf = (at: string): string => at.slice("/api/v1/namespaces/".length);
    const namesOf = (list: JsonObject): string[] =>
      (list["items"] as unknown as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);

    test("a list in chunks is of one version, whatever is written meanwhile", async () => {
      const at = await inNamespace("chunks");
      for (const name of ["a", "b", "c"]) await kubeRequest(server, "POST", `${at}/secrets`, { body: secret(name) });
      const first = (await kubeRequest(server, "GET", `${at}/secrets?limit=2`)).body;
      assert.deepEqual(namesOf(first), ["a", "b"]);
      const metadata = first["metadata"] as { resourceVersion: string; continue: string; remainingItemCount: number };
      assert.equal(metadata.remainingItemCount, 1);
      await kubeRequest(server, "POST", `${at}/secrets`, { body: secret("d") });
      const second = (await kubeRequest(server, "GET", `${at}/secrets?limit=2&continue=${metadata.continue}`)).body;
      assert.deepEqual(namesOf(second), ["c"]);
      assert.deepEqual(second["metadata"], { resourceVersion: metadata.resourceVersion });
      if (server.forget === undefined) return;
      await server.forget();
      const late = await kubeRequest(server, "GET", `${at}/secrets?limit=2&continue=${metadata.continue}`);
      assert.equal(late.status, 410);
      assert.equal(late.body["reason"], "Expired");
    });

    test("a watch tells what happened since its version, in order, with the versions of the writes", async (t) => {
      const at = await inNamespace("watch");
      const { metadata } = (await kubeRequest(server, "GET", `${at}/secrets`)).body as {
        metadata: { resourceVersion: string };
      };
      await put({ ...secret("x", { n: "1111" }), metadata: { name: "x", namespace: namespaceOf(at) } });
      const watch = await kubeWatch(t, server, `${at}/secrets?watch=true&resourceVersion=${metadata.resourceVersion}`);
      const future = Number(metadata.resourceVersion) + 1_000_000;
      const ofFuture = await kubeWatch(t, server, `${at}/secrets?watch=true&resourceVersion=${future}`);
      await put({ ...secret("x", { n: "2222" }), metadata: { name: "x", namespace: namespaceOf(at) } });
      const gone = await remove(`${at}/secrets/x`);
      assert.equal(gone.status, 200);
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
      assert.equal(new Set(versions).size, 3, "the deletion has a version of its own");
      assert.deepEqual([ofFuture.events, ofFuture.isOver], [[], false], "of a version of the future nothing is said");
    });

    test("a watch with a selector sees what ceases to be selected go", async (t) => {
      const at = await inNamespace("selected");
      const watch = await kubeWatch(
        t,
        server,
        `${at}/secrets?watch=1&resourceVersion=0&labelSelector=tier%20in%20(web)`,
      );
      const labelled = (tier: string): JsonObject => ({
        ...secret("x"),
        metadata: { name: "x", namespace: namespaceOf(at), labels: { tier } },
      });
      for (const tier of ["db", "web", "web", "db"]) await put(labelled(tier));
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
      if (server.noInitialEvents !== undefined) return t.skip(server.noInitialEvents);
      const at = await inNamespace("bookmarks");
      await kubeRequest(server, "POST", `${at}/secrets`, { body: secret("x") });
      const query = "watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
      const watch = await kubeWatch(t, server, `${at}/secrets?${query}`);
      await watch.atLeast(2);
      await inNamespace("elsewhere");
      server.bookmark?.();
      if (server.bookmark !== undefined) await watch.atLeast(3);
      assert.deepEqual(
        watch.events.slice(0, 3).map(({ type }) => type),
        ["ADDED", "BOOKMARK", ...(server.bookmark === undefined ? [] : ["BOOKMARK"])],
      );
      const [, initial, later] = watch.events.map(
        ({ object }) => object["metadata"] as { resourceVersion: string; annotations?: JsonObject },
      );
      assert.deepEqual(initial?.annotations, { "k8s.io/initial-events-end": "true" });
      if (later !== undefined) assert.ok(Number(later.resourceVersion) > Number(initial?.resourceVersion));
      const refused = await kubeRequest(server, "GET", `${at}/secrets?watch=1&sendInitialEvents=true`);
      assert.equal(refused.status, 422);
    });

    test("a version that is forgotten is 410 as an event, one of the future 504", async (t) => {
      if (server.forget === undefined) return t.skip("it cannot be told to forget");
      const at = await inNamespace("old");
      const old = await newest(at);
      await kubeRequest(server, "POST", `${at}/secrets`, { body: secret("x") });
      await server.forget();
      const watch = await kubeWatch(t, server, `${at}/secrets?watch=1&resourceVersion=${old}`);
      await watch.atLeast(1);
      assert.equal(watch.events[0]?.type, "ERROR");
      assert.equal(watch.events[0]?.object["code"], 410);
      await eventually("the watch is over", () => watch.isOver);
      const future = await kubeRequest(
        server,
        "GET",
        `${at}/secrets?resourceVersion=${(await newest(at)) + 1_000_000}`,
      );
      assert.equal(future.status, 504);
      assert.equal(
        (await kubeRequest(server, "GET", `${at}/secrets?resourceVersion=${old}&resourceVersionMatch=Exact`)).status,
        410,
      );
    });

    test("who writes over what somebody else has written meanwhile is refused with 409; a patch without a version is not", async () => {
      const at = await inNamespace("conflicts");
      const { body } = await kubeRequest(server, "POST", `${at}/secrets`, { body: secret("x", { n: "1111" }) });
      assert.equal(
        (await kubeRequest(server, "PUT", `${at}/secrets/x`, { body: { ...body, data: { n: "2222" } } })).status,
        200,
      );
      const late = await kubeRequest(server, "PUT", `${at}/secrets/x`, { body: { ...body, data: { n: "3333" } } });
      assert.equal(late.status, 409);
      assert.equal(late.body["reason"], "Conflict");
      const contentType = "application/merge-patch+json";
      const patched = await kubeRequest(server, "PATCH", `${at}/secrets/x`, {
        body: { data: { n: null, m: "4444" } },
        contentType,
      });
      assert.deepEqual(patched.body["data"], { m: "4444" });
      const again = await kubeRequest(server, "PATCH", `${at}/secrets/x`, {
        body: { data: { m: "4444" } },
        contentType,
      });
      assert.deepEqual(again.body["metadata"], patched.body["metadata"], "what changes nothing is not written");
    });

    test("applied fields belong to who applied them: another is refused, what is left out goes", async () => {
      const at = await inNamespace("apply");
      const contentType = "application/apply-patch+yaml";
      const apply = (manager: string, data: JsonObject, more = "") =>
        kubeRequest(server, "PATCH", `${at}/secrets/x?fieldManager=${manager}${more}`, {
          body: secret("x", data),
          contentType,
        });
      assert.equal((await apply("one", { a: "1111", b: "1111" })).status, 201);
      const refused = await apply("two", { a: "2222", c: "2222" });
      assert.equal(refused.status, 409);
      assert.match(JSON.stringify(refused.body), /conflict with [^:]*one[^:]*: \.data\.a/);
      assert.deepEqual((await apply("two", { a: "2222", c: "2222" }, "&force=true")).body["data"], {
        a: "2222",
        b: "1111",
        c: "2222",
      });
      assert.deepEqual((await apply("one", {})).body["data"], { a: "2222", c: "2222" });
    });

    test("of objects their metadata alone is told to who asks for that; of none, null", async () => {
      const at = await inNamespace("metadata");
      const accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
      const list = async () => (await kubeRequest(server, "GET", `${at}/services`, { headers: { accept } })).body;
      assert.deepEqual([(await list())["kind"], (await list())["items"]], ["PartialObjectMetadataList", null]);
      const spec = { ports: [{ port: 80 }] };
      await put({ apiVersion: "v1", kind: "Service", metadata: { name: "web", namespace: namespaceOf(at) }, spec });
      const [item] = (await list())["items"] as readonly JsonObject[];
      assert.deepEqual([member(item, "metadata", "name"), member(item, "spec")], ["web", undefined]);
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
      const condition = {
        type: "B",
        status: "True",
        reason: "Test",
        message: "",
        lastTransitionTime: "2026-01-01T00:00:00Z",
      };
      const status = { conditions: [condition] };
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
      await put({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "web", namespace: namespaceOf(at) } });
      const pod = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "p", namespace: namespaceOf(at) },
        // Where there are nodes, none is to run it.
        spec: {
          serviceAccountName: "web",
          nodeSelector: { "heddle.dev/test": "none" },
          containers: [{ name: "a", image: "a" }],
        },
      };
      const { metadata } = await put(pod);
      const spec = {
        audiences: ["heddle"],
        boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "p", uid: metadata.uid },
      };
      const { body } = await kubeRequest(server, "POST", `${at}/serviceaccounts/web/token`, {
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
      assert.equal((good["user"] as JsonObject)["username"], `system:serviceaccount:${namespaceOf(at)}:web`);
      assert.deepEqual((good["user"] as { extra: JsonObject }).extra["authentication.kubernetes.io/pod-name"], ["p"]);
      assert.equal((await review(["other"]))["authenticated"], undefined, "as Go leaves out what is false");
      assert.equal((await kubeRequest(server, "GET", at, { token })).status, 401, "it is not for the API server");
      await remove(`${at}/pods/p`);
      const isRefused = async () => (await review(["heddle"]))["authenticated"] === undefined;
      await eventually("the token has ended with its pod", isRefused, 30_000);
    });

    test("a definition's kind is served, by all its versions, until the definition goes", async () => {
      const names = { plural: "looms", kind: "Loom" };
      const group = `${uniqueName("kind")}.dev`;
      const version = (name: string, storage: boolean): JsonObject => ({
        name,
        served: true,
        storage,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: {
                type: "object",
                required: ["threads"],
                properties: { threads: { type: "integer", minimum: 1 }, colour: { type: "string", default: "grey" } },
              },
              status: { type: "object", properties: { ready: { type: "boolean" } } },
            },
          },
        },
      });
      await kubePutFor(owner, server, {
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        metadata: { name: `looms.${group}` },
        spec: {
          group,
          scope: "Cluster",
          names,
          versions: [version("v1", true), version("v1alpha1", false)],
        },
      });
      const loom = { apiVersion: `${group}/v1`, kind: "Loom", metadata: { generateName: "l-" }, spec: { threads: 1 } };
      const create = (body: JsonObject) => kubeRequest(server, "POST", `/apis/${group}/v1/looms`, { body });
      await eventually("the kind is served", async () => (await create({ ...loom, spec: {} })).status === 422);
      assert.equal((await create({ ...loom, spec: { threads: 0 } })).status, 422);
      const spec = { threads: 1, unknown: true };
      const { body } = await create({ ...loom, spec });
      const made = body as { metadata: { name: string; generation: number }; spec: JsonObject };
      assert.deepEqual(made.spec, { threads: 1, colour: "grey" }, "what the schema does not know is not kept");
      assert.match(made.metadata.name, /^l-[a-z0-9]{5}$/);
      const old = (await kubeRequest(server, "GET", `/apis/${group}/v1alpha1/looms/${made.metadata.name}`)).body;
      assert.equal(old["apiVersion"], `${group}/v1alpha1`);
      const contentType = "application/merge-patch+json";
      const patch = (body: JsonObject, sub = "") =>
        kubeRequest(server, "PATCH", `/apis/${group}/v1/looms/${made.metadata.name}${sub}`, { body, contentType });
      assert.equal(((await patch({ spec: { threads: 2 } })).body["metadata"] as JsonObject)["generation"], 2);
      const status = (await patch({ spec: { threads: 3 }, status: { ready: true } }, "/status")).body;
      assert.deepEqual(
        [status["spec"], status["status"], (status["metadata"] as JsonObject)["generation"]],
        [{ threads: 2, colour: "grey" }, { ready: true }, 2],
      );
      const strategic = await kubeRequest(server, "PATCH", `/apis/${group}/v1/looms/${made.metadata.name}`, {
        body: {},
        contentType: "application/strategic-merge-patch+json",
      });
      assert.equal(strategic.status, 415);
      await remove(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/looms.${group}`);
      const isGone = async () => (await kubeRequest(server, "GET", `/apis/${group}/v1/looms`)).status === 404;
      await eventually("the kind is served no more", isGone, 30_000);
    });
  });
}
