import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { patchWith, startAdmissionWebhook } from "../harness/kube/admission-webhook.ts";
import { type JsonObject, text } from "../harness/kube/kube-object.ts";
import { type KubeAnswer, kubeRequest } from "../harness/kube/kube-requests.ts";
import { KubeApiServer } from "../harness/kube-api-server.ts";
import { lastFirst } from "../harness/owner.ts";

/* How the API server of the tests calls webhooks. */

const GROUP = "admissionregistration.k8s.io/v1";

describe("webhooks, as the API server of the tests calls them", () => {
  const owner = lastFirst({ after });
  let server: KubeApiServer;
  before(async () => {
    server = await KubeApiServer.start(owner);
    for (const [name, labels] of [
      ["in", { inject: "yes" }],
      ["out", {}],
    ] as const)
      await server.put({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } });
  });

  const create = (namespace: string, name: string, labels: JsonObject = {}, query = ""): Promise<KubeAnswer> =>
    kubeRequest(server, "POST", `/api/v1/namespaces/${namespace}/pods${query}`, {
      body: {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name, labels },
        spec: { containers: [{ name: "app", image: "app" }] },
      },
    });

  const configure = async (kind: "Mutating" | "Validating", ...webhooks: readonly JsonObject[]): Promise<void> => {
    const metadata = { name: "test" };
    const rules = [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }];
    const more = { admissionReviewVersions: ["v1"], sideEffects: "None", rules };
    for (const one of ["Mutating", "Validating"] as const)
      await server.put({
        apiVersion: GROUP,
        kind: `${one}WebhookConfiguration`,
        metadata,
        webhooks: one === kind ? webhooks.map((webhook, i) => ({ name: `w${i}.test.dev`, ...more, ...webhook })) : [],
      });
  };

  test("a pod of a selected namespace is changed by the patch, others and those that the objectSelector leaves out are not", async (t) => {
    const webhook = await startAdmissionWebhook(t, () =>
      patchWith({ op: "add", path: "/metadata/annotations", value: { seen: "1" } }),
    );
    await configure("Mutating", {
      clientConfig: webhook.clientConfig,
      namespaceSelector: { matchLabels: { inject: "yes" } },
      objectSelector: { matchExpressions: [{ key: "skip", operator: "DoesNotExist" }] },
    });
    const annotations = async (answer: Promise<KubeAnswer>): Promise<unknown> =>
      ((await answer).body["metadata"] as JsonObject)["annotations"];
    assert.deepEqual(await annotations(create("in", "a")), { seen: "1" });
    assert.equal(await annotations(create("out", "a")), undefined);
    assert.equal(await annotations(create("in", "b", { skip: "" })), undefined);
    assert.equal(webhook.requests.length, 1);
    const [request] = webhook.requests as readonly { readonly [field: string]: JsonObject }[];
    assert.deepEqual(request?.["resource"], { group: "", version: "v1", resource: "pods" });
    assert.equal(request?.["userInfo"]?.["username"], "admin");
    assert.equal(request?.["object"]?.["kind"], "Pod");
    assert.equal(request?.["oldObject"], null);
  });

  test("one that asks for it is called again with what a later one has made of the object", async (t) => {
    const first = await startAdmissionWebhook(t, () => ({ allowed: true }));
    const second = await startAdmissionWebhook(t, () =>
      patchWith({ op: "add", path: "/metadata/labels/late", value: "1" }),
    );
    await configure(
      "Mutating",
      { clientConfig: first.clientConfig, reinvocationPolicy: "IfNeeded" },
      { clientConfig: second.clientConfig },
    );
    assert.equal((await create("in", "again", { a: "1" })).status, 201);
    assert.deepEqual(
      first.requests.map(({ object }) => ((object as JsonObject)["metadata"] as JsonObject)["labels"]),
      [{ a: "1" }, { a: "1", late: "1" }],
    );
    assert.equal(second.requests.length, 1);
  });

  test("a refusal is told with the webhook's message and status, and warnings are passed on", async (t) => {
    const webhook = await startAdmissionWebhook(t, () => ({
      allowed: false,
      status: { code: 403, message: "not this one" },
      warnings: ["careful"],
    }));
    await configure("Validating", { clientConfig: webhook.clientConfig });
    const { status, body, headers } = await create("in", "refused");
    assert.equal(status, 403);
    assert.equal(body["message"], 'admission webhook "w0.test.dev" denied the request: not this one');
    assert.equal(headers["warning"], '299 - "careful"');
    assert.equal(server.get("v1", "Pod", "in", "refused"), undefined);
  });

  test("one that cannot be reached, is not trusted or is too slow fails the write, or is passed over, as its policy says", async (t) => {
    const silent = await startAdmissionWebhook(t, () => undefined);
    const other = await startAdmissionWebhook(t, () => ({ allowed: true }));
    const wrongAuthority = { ...silent.clientConfig, caBundle: other.clientConfig.caBundle };
    const nobody = {
      service: { namespace: "in", name: "nobody", path: "/", port: 443 },
      caBundle: other.clientConfig.caBundle,
    };
    for (const [name, clientConfig, why] of [
      ["slow", silent.clientConfig, /context deadline exceeded/],
      ["untrusted", wrongAuthority, /certificate/],
      ["away", nobody, /no endpoints available for service "nobody"/],
    ] as const) {
      await configure("Mutating", { clientConfig, timeoutSeconds: 1 });
      const { status, body } = await create("in", name);
      assert.equal(status, 500);
      assert.match(text(body["message"]), why);
      if (name === "slow") continue; // a second less
      await configure("Mutating", { clientConfig, failurePolicy: "Ignore" });
      assert.equal((await create("in", name)).status, 201);
    }
  });

  test("a dry run calls only those that have no side effects, and writes nothing", async (t) => {
    const webhook = await startAdmissionWebhook(t, () => ({ allowed: true }));
    await configure("Mutating", { clientConfig: webhook.clientConfig, sideEffects: "Some" });
    assert.equal((await create("in", "dry", {}, "?dryRun=All")).status, 400);
    await configure("Mutating", { clientConfig: webhook.clientConfig });
    assert.equal((await create("in", "dry", {}, "?dryRun=All")).status, 201);
    assert.equal(webhook.requests[0]?.["dryRun"], true);
    assert.equal(server.get("v1", "Pod", "in", "dry"), undefined);
  });
});
