import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  ApiException,
  AppsV1Api,
  CoordinationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  type V1Service,
  Watch,
} from "@kubernetes/client-node";
import { eventually } from "../harness/eventually.ts";
import { KubeApiServer } from "../harness/kube-api-server.ts";
import { lastFirst } from "../harness/owner.ts";

/* Keeps the API server of the tests honest: Kubernetes' own client for Node finds in it what it finds in a cluster. */

describe("@kubernetes/client-node against the API server of the tests", () => {
  const owner = lastFirst({ after });
  let server: KubeApiServer;
  let config: KubeConfig;
  let core: CoreV1Api;
  before(async () => {
    server = await KubeApiServer.start(owner);
    config = new KubeConfig();
    config.loadFromString(server.kubeconfig());
    core = config.makeApiClient(CoreV1Api);
  });

  const service = (name: string): V1Service => ({ metadata: { name }, spec: { ports: [{ port: 80 }] } });
  const codeOf = async (promise: Promise<unknown>): Promise<number | undefined> =>
    promise.then(
      () => undefined,
      (error: unknown) => (error instanceof ApiException ? error.code : Promise.reject(error as Error)),
    );

  test("lists in chunks until there are no more", async () => {
    await core.createNamespace({ body: { metadata: { name: "chunks" } } });
    for (const name of ["a", "b", "c"])
      await core.createNamespacedService({ namespace: "chunks", body: service(name) });
    const names: string[] = [];
    let next: string | undefined;
    do {
      const list = await core.listNamespacedService({
        namespace: "chunks",
        limit: 2,
        ...(next === undefined ? {} : { _continue: next }),
      });
      names.push(...list.items.map(({ metadata }) => metadata?.name ?? ""));
      next = list.metadata?._continue;
    } while (next !== undefined && next !== "");
    assert.deepEqual(names, ["a", "b", "c"]);
    const selected = await core.listServiceForAllNamespaces({
      fieldSelector: "metadata.name=b",
      labelSelector: "!absent",
    });
    assert.equal(selected.items[0]?.spec?.clusterIPs?.length, 1);
  });

  test("an informer follows, and comes over 410 and a server that goes away", async (t) => {
    const list = () => core.listNamespacedPod({ namespace: "default" });
    const informer = makeInformer(config, "/api/v1/namespaces/default/pods", list);
    let isOver = false;
    t.after(() => {
      isOver = true;
      return informer.stop();
    });
    const seen: string[] = [];
    for (const verb of ["add", "update", "delete"] as const)
      informer.on(verb, ({ metadata }) => void seen.push(`${verb} ${metadata?.name}`));
    let restarts = 0;
    informer.on("error", () => {
      restarts++;
      if (!isOver) setTimeout(() => void informer.start(), 50);
    });
    const pod = (name: string, labels = {}) =>
      server.put({
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name, labels },
        spec: { containers: [{ name: "a", image: "a" }] },
      });
    await pod("a");
    await informer.start();
    await pod("a", { x: "1" });
    await pod("b");
    await server.delete("v1", "Pod", "default", "a");
    await eventually("the informer has seen four things", () => seen.length === 4);
    assert.deepEqual(seen, ["add a", "update a", "add b", "delete a"]);
    server.compact();
    server.closeConnections();
    await pod("c");
    await eventually("the informer has seen the new pod", () => seen.includes("add c"));
    await server.stop();
    await pod("d");
    await server.listen();
    await eventually("the informer is back", () => seen.includes("add d"), 20_000);
    assert.deepEqual(seen.slice(4), ["add c", "add d"], "what it knew is not told again");
    assert.ok(restarts > 0);
  });

  test("a watch that is opened from a forgotten version gets 410 as an event", async () => {
    server.compact();
    const event = await new Promise<{ readonly phase: string; readonly code: number }>((resolve, reject) => {
      const watch = new Watch(config);
      const controller = watch.watch(
        "/api/v1/pods",
        { resourceVersion: "1" },
        (phase: string, { code }: { code: number }) => {
          resolve({ phase, code });
          void controller.then((one) => one.abort());
        },
        reject,
      );
    });
    assert.deepEqual(event, { phase: "ERROR", code: 410 });
  });

  test("patches: merge, strategic merge by the names of containers, and apply with a conflict", async () => {
    const apps = config.makeApiClient(AppsV1Api);
    const labels = { app: "x" };
    const container = { name: "app", image: "app:1" };
    const at = { name: "x", namespace: "default" };
    await apps.createNamespacedDeployment({
      namespace: "default",
      fieldManager: "maker",
      body: {
        metadata: { name: "x" },
        spec: {
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { containers: [container] } },
        },
      },
    });
    const patch = (body: object, strategy: string, more = {}) =>
      apps.patchNamespacedDeployment({ ...at, body, ...more }, setHeaderOptions("Content-Type", strategy));
    const template = (containers: readonly object[]): object => ({ spec: { template: { spec: { containers } } } });
    const merged = await patch(template([{ name: "side", image: "side:1" }]), PatchStrategy.StrategicMergePatch);
    assert.deepEqual(
      merged.spec?.template.spec?.containers.map(({ name }) => name),
      ["app", "side"],
    );
    const replaced = await patch(template([container]), PatchStrategy.MergePatch);
    assert.equal(replaced.spec?.template.spec?.containers.length, 1);
    const wanted = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "x" }, spec: { replicas: 3 } };
    assert.equal(await codeOf(patch(wanted, PatchStrategy.ServerSideApply, { fieldManager: "heddle" })), 409);
    const applied = await patch(wanted, PatchStrategy.ServerSideApply, { fieldManager: "heddle", force: true });
    assert.equal(applied.spec?.replicas, 3);
    assert.equal(
      applied.metadata?.managedFields?.some(({ manager, operation }) => manager === "heddle" && operation === "Apply"),
      true,
    );
  });

  test("of two that take a lease at once one is refused with 409", async () => {
    const coordination = config.makeApiClient(CoordinationV1Api);
    const lease = await coordination.createNamespacedLease({
      namespace: "default",
      body: { metadata: { name: "leader" }, spec: { leaseDurationSeconds: 15 } },
    });
    const take = (holderIdentity: string) =>
      coordination.replaceNamespacedLease({
        name: "leader",
        namespace: "default",
        body: { metadata: lease.metadata!, spec: { leaseDurationSeconds: 15, holderIdentity } },
      });
    const codes = await Promise.all([codeOf(take("one")), codeOf(take("two"))]);
    assert.deepEqual(codes.toSorted(), [409, undefined]);
  });

  test("kinds that a definition makes, by discovery", async () => {
    const objects = KubernetesObjectApi.makeApiClient(config);
    const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
    const spec = {
      group: "test.dev",
      scope: "Namespaced",
      names: { plural: "shuttles", kind: "Shuttle" },
      versions: [{ name: "v1", served: true, storage: true, schema }],
    };
    const definition = {
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: "shuttles.test.dev" },
      spec,
    };
    await objects.create(definition);
    const made = await objects.create<KubernetesObject>({
      apiVersion: "test.dev/v1",
      kind: "Shuttle",
      metadata: { name: "s", namespace: "default" },
    });
    assert.notEqual(made.metadata?.uid, undefined);
    const custom = config.makeApiClient(CustomObjectsApi);
    const list = (await custom.listNamespacedCustomObject({
      group: "test.dev",
      version: "v1",
      namespace: "default",
      plural: "shuttles",
    })) as { items: unknown[] };
    assert.equal(list.items.length, 1);
    await objects.delete({ apiVersion: "test.dev/v1", kind: "Shuttle", metadata: { name: "s", namespace: "default" } });
    assert.equal(
      await codeOf(
        objects.read({ apiVersion: "test.dev/v1", kind: "Shuttle", metadata: { name: "s", namespace: "default" } }),
      ),
      404,
    );
  });
});
