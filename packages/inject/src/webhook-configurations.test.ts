import assert from "node:assert/strict";
import { test } from "node:test";
import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import { shouldInject } from "./should-inject.ts";
import { DEFAULT_WEBHOOK_SETTINGS, type WebhookSettings, webhookConfigurations } from "./webhook-configurations.ts";

type Labels = Readonly<Record<string, string>>;

function configurationsOf(settings: Partial<WebhookSettings> = {}): readonly JsonObject[] {
  return webhookConfigurations({ ...DEFAULT_WEBHOOK_SETTINGS, ...settings });
}

function webhooksOf(configuration: JsonObject | undefined): readonly JsonObject[] {
  return ((configuration?.["webhooks"] ?? []) as readonly Json[]).filter(isJsonObject);
}

/** As an API server does. */
function selects(selector: Json | undefined, labels: Labels): boolean {
  const { matchExpressions } = selector as unknown as {
    readonly matchExpressions: readonly { key: string; operator: string; values?: readonly string[] }[];
  };
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key];
    if (operator === "In") return value !== undefined && values.includes(value);
    if (operator === "NotIn") return value === undefined || !values.includes(value);
    return operator === "DoesNotExist" && value === undefined;
  });
}

/** Which webhooks an API server asks about a pod. */
function asked(configuration: JsonObject, namespaceLabels: Labels, podLabels: Labels): readonly Json[] {
  return webhooksOf(configuration)
    .filter(
      ({ namespaceSelector, objectSelector }) =>
        selects(namespaceSelector, namespaceLabels) && selects(objectSelector, podLabels),
    )
    .map(({ name }) => name ?? "");
}

/** Every combination of what labels may say. */
function combinations(): readonly { readonly namespace: Labels; readonly pod: Labels }[] {
  const values = (key: string, ...all: readonly string[]): readonly Labels[] => [
    {},
    ...all.map((one) => ({ [key]: one })),
  ];
  const revisions = values("heddle.dev/rev", "default", "canary", "other");
  return values("heddle.dev/inject", "enabled", "disabled").flatMap((inject) =>
    revisions.flatMap((rev) =>
      values("heddle.dev/inject", "true", "false").flatMap((podInject) =>
        revisions.map((podRev) => ({ namespace: { ...inject, ...rev }, pod: { ...podInject, ...podRev } })),
      ),
    ),
  );
}

for (const revision of ["default", "canary"])
  test(`revision ${revision}: an API server asks about each pod that shall have a sidecar, once, and about no other revision's`, () => {
    const [mutating] = configurationsOf({ revision });
    for (const { namespace, pod } of combinations()) {
      const labels = { ...namespace, "kubernetes.io/metadata.name": "shop" };
      const calls = asked(mutating!, labels, pod);
      const question = { namespace: "shop", namespaceLabels: namespace, pod: { metadata: { labels: pod }, spec: {} } };
      const { inject, reason } = shouldInject({ ...question, revision });
      const about = JSON.stringify({ namespace, pod, calls, reason });
      assert.ok(calls.length <= 1, about);
      if (inject) assert.equal(calls.length, 1, about);
      if (calls.length > 0 && pod["heddle.dev/rev"] === undefined) assert.equal(inject, true, about);
      if (pod["heddle.dev/inject"] === "false") assert.equal(calls.length, 0, about);
    }
  });

test("W3: the cluster's own namespaces, the mesh's and exempt ones are never asked about", () => {
  for (const configuration of [
    ...configurationsOf({ exemptNamespaces: ["legacy"] }),
    ...configurationsOf({ revision: "canary", exemptNamespaces: ["legacy"] }),
  ])
    if (configuration["kind"] === "MutatingWebhookConfiguration")
      for (const name of ["kube-system", "kube-public", "kube-node-lease", "heddle-system", "legacy"])
        for (const { namespace, pod } of combinations())
          assert.deepEqual(asked(configuration, { ...namespace, "kubernetes.io/metadata.name": name }, pod), []);
});

test("a pod that has just got its sidecar, and with it a revision, is not asked about a second time", () => {
  const [mutating] = configurationsOf();
  const namespace = { "heddle.dev/inject": "enabled", "kubernetes.io/metadata.name": "shop" };
  assert.deepEqual(asked(mutating!, namespace, { "heddle.dev/injected": "true", "heddle.dev/rev": "default" }), []);
});

test("W1: what becomes of an object that no webhook can be asked about is a stated choice", () => {
  const policies = (settings: Partial<WebhookSettings>) =>
    configurationsOf(settings).map((one) => [...new Set(webhooksOf(one).map(({ failurePolicy }) => failurePolicy))]);
  assert.deepEqual(policies({}), [["Fail"], ["Fail", "Ignore"]]);
  assert.deepEqual(policies({ failurePolicy: "Ignore" }), [["Ignore"], ["Ignore"]]);
});

test("every webhook has no side effects, is asked by v1 and within 5 to 10 s, and for every version of a kind", () => {
  for (const settings of [{}, { revision: "canary" }, { revision: "canary", tag: "prod" }])
    for (const configuration of configurationsOf(settings))
      for (const webhook of webhooksOf(configuration)) {
        const { sideEffects, admissionReviewVersions, timeoutSeconds, matchPolicy } = webhook;
        assert.deepEqual([sideEffects, admissionReviewVersions, matchPolicy], ["None", ["v1"], "Equivalent"]);
        assert.ok(Number(timeoutSeconds) >= 5 && Number(timeoutSeconds) <= 10);
        const isMutating = configuration["kind"] === "MutatingWebhookConfiguration";
        assert.equal(webhook["reinvocationPolicy"], isMutating ? "IfNeeded" : undefined);
      }
});

test("a tag is a configuration of its own, whose name the path says and whose label says the revision that serves it", () => {
  const [mutating, ...others] = configurationsOf({ revision: "v2", tag: "prod", service: "heddle-control-plane-v2" });
  assert.deepEqual(others, []);
  const { name, labels } = (mutating?.["metadata"] ?? {}) as JsonObject;
  assert.equal(name, "heddle-injector-tag-prod");
  assert.deepEqual(
    [(labels as JsonObject)["heddle.dev/rev"], (labels as JsonObject)["heddle.dev/tag"]],
    ["v2", "prod"],
  );
  const [webhook] = webhooksOf(mutating);
  assert.deepEqual(webhook?.["clientConfig"], {
    service: { namespace: "heddle-system", name: "heddle-control-plane-v2", port: 443, path: "/inject/rev/prod" },
  });
  const namespace = { "heddle.dev/rev": "prod", "kubernetes.io/metadata.name": "shop" };
  assert.deepEqual(asked(mutating!, namespace, {}), ["revision.inject.heddle.dev"]);
});

test("a tag named default takes what names no revision", () => {
  const [mutating] = configurationsOf({ revision: "v2", tag: "default" });
  const namespace = { "heddle.dev/inject": "enabled", "kubernetes.io/metadata.name": "shop" };
  assert.deepEqual(asked(mutating!, namespace, {}), ["enabled.inject.heddle.dev"]);
});

test("a control plane beside the cluster is called by its URL, and its roots may be given", () => {
  const [mutating] = configurationsOf({ url: "https://192.0.2.1:15017", caBundle: "PEM" });
  assert.deepEqual(webhooksOf(mutating)[0]?.["clientConfig"], {
    url: "https://192.0.2.1:15017/inject/rev/default",
    caBundle: Buffer.from("PEM").toString("base64"),
  });
});

test("the objects are valid by Kubernetes' schema, and their names are each other's in no revision", async () => {
  const names = new Set<Json>();
  for (const settings of [{}, { caBundle: "PEM" }, { revision: "canary" }, { tag: "prod" }, { url: "https://a:1" }]) {
    for (const configuration of configurationsOf(settings)) {
      await validate(configuration);
      const webhooks = webhooksOf(configuration).map(({ name }) => name);
      assert.equal(new Set(webhooks).size, webhooks.length);
      names.add(`${configuration["kind"] as string} ${(configuration["metadata"] as JsonObject)["name"] as string}`);
    }
  }
  assert.equal(names.size, 5);
});

/** By the models' own names: their types do not pass our compiler. */
async function validate(configuration: JsonObject): Promise<void> {
  const kind = configuration["kind"] as string;
  const models = (await import(`kubernetes-models/${configuration["apiVersion"] as string}/${kind}`)) as Readonly<
    Record<string, new (json: JsonObject) => { validate(): void }>
  >;
  new models[kind]!(configuration).validate();
}
