import type { JsonObject } from "@heddle/base";

/** Where an API server finds the webhooks, and what becomes of a pod where it does not. */
export interface WebhookSettings {
  /** Which control plane's: pods and namespaces with `heddle.dev/rev: NAME` are its, and those without where it is `default`. */
  readonly revision: string;
  /** Another name for it, that `heddle.dev/rev` may say: what has the name keeps it while the revision behind it changes. */
  readonly tag?: string | undefined;
  /** Where the control plane runs. */
  readonly namespace: string;
  readonly service: string;
  /** The Service's port. */
  readonly port: number;
  /** In place of a Service, "https://HOST:PORT": a control plane beside the cluster. */
  readonly url?: string | undefined;
  /** PEM. Left out: the control plane puts its own there (`heddle control-plane --kubernetes`, `heddle injector`). */
  readonly caBundle?: string | undefined;
  /**
   * What becomes of a pod that no webhook can be asked about. `Fail`: it is not made, and its controller tries again; `Ignore`: it
   * is made without a sidecar, in plaintext and past every policy of its sidecar.
   */
  readonly failurePolicy: "Fail" | "Ignore";
  /** Namespaces that are never asked about, besides the cluster's own and the control plane's. */
  readonly exemptNamespaces: readonly string[];
}

export const DEFAULT_WEBHOOK_SETTINGS: WebhookSettings = {
  revision: "default",
  namespace: "heddle-system",
  service: "heddle-control-plane",
  port: 443,
  failurePolicy: "Fail",
  exemptNamespaces: [],
};

/** Before the names of our webhook configurations: who keeps their `caBundle` knows them by it, and by the label. */
export const WEBHOOK_CONFIGURATION_PREFIX = "heddle-";
/** Label of each: the revision that serves it. */
export const WEBHOOK_REVISION_LABEL = "heddle.dev/rev";
/** Label of those of a tag. */
export const WEBHOOK_TAG_LABEL = "heddle.dev/tag";

const INJECT = "heddle.dev/inject";
const REVISION = "heddle.dev/rev";
const NAMESPACE_NAME = "kubernetes.io/metadata.name";
/** The cluster's own; in a sidecar's hands it could not mend itself. */
const CLUSTER_NAMESPACES: readonly string[] = ["kube-system", "kube-public", "kube-node-lease"];

/** A pod waits for it. The API server's own default, of 1 to 30; ours answers, or says that it cannot, in half of it. */
const INJECT_TIMEOUT_S = 10;
const VALIDATE_TIMEOUT_S = 5;

/** The objects by which an API server asks this mesh: one that injects, and, but for a tag, one that validates. */
export function webhookConfigurations(settings: WebhookSettings): readonly JsonObject[] {
  const mutating = mutatingConfiguration(settings);
  return settings.tag === undefined ? [mutating, validatingConfiguration(settings)] : [mutating];
}

/**
 * Selectors say the same as `shouldInject` does of labels, so that pods that are none of the mesh's need no control plane that
 * answers. Of no pod do two of them speak.
 */
function mutatingConfiguration(settings: WebhookSettings): JsonObject {
  const name = settings.tag ?? settings.revision;
  const isDefault = name === "default";
  const webhook = (what: string, namespaces: readonly JsonObject[], pods: readonly JsonObject[]): JsonObject => ({
    name: `${what}.inject.heddle.dev`,
    clientConfig: clientConfig(settings, `/inject/rev/${name}`),
    rules: [{ apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"], scope: "Namespaced" }],
    namespaceSelector: { matchExpressions: [...namespaces, notExempt(settings)] },
    objectSelector: { matchExpressions: [...pods] },
    failurePolicy: settings.failurePolicy,
    // A pod that comes in by another version of the API is a pod.
    matchPolicy: "Equivalent",
    // A container that another webhook adds after us may have probes.
    reinvocationPolicy: "IfNeeded",
    ...COMMON,
    timeoutSeconds: INJECT_TIMEOUT_S,
  });
  const own = [
    webhook(
      "revision",
      [isIn(REVISION, name), isNotIn(INJECT, "disabled")],
      [isNotIn(INJECT, "false"), isAbsent(REVISION)],
    ),
    webhook(
      "revision-labelled",
      [isIn(REVISION, name), isIn(INJECT, "disabled")],
      [isIn(INJECT, "true"), isAbsent(REVISION)],
    ),
    webhook("revision-of-pod", [], [isIn(REVISION, name), isNotIn(INJECT, "false")]),
  ];
  const unnamed = [
    webhook("enabled", [isIn(INJECT, "enabled"), isAbsent(REVISION)], [isNotIn(INJECT, "false"), isAbsent(REVISION)]),
    webhook("labelled", [isNotIn(INJECT, "enabled"), isAbsent(REVISION)], [isIn(INJECT, "true"), isAbsent(REVISION)]),
  ];
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: metadata(settings, "injector"),
    webhooks: isDefault ? [...unnamed, ...own] : own,
  };
}

function validatingConfiguration(settings: WebhookSettings): JsonObject {
  const webhook = (what: string, group: string, resources: readonly string[], failurePolicy: string): JsonObject => ({
    name: `${what}.validate.heddle.dev`,
    clientConfig: clientConfig(settings, "/validate"),
    rules: [{ apiGroups: [group], apiVersions: ["v1"], resources, operations: ["CREATE", "UPDATE"], scope: "*" }],
    failurePolicy,
    matchPolicy: "Equivalent",
    ...COMMON,
    timeoutSeconds: VALIDATE_TIMEOUT_S,
  });
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: metadata(settings, "validator"),
    webhooks: [
      webhook("policies", "heddle.dev", ["*"], settings.failurePolicy),
      // Gateways of others use these kinds too, and must not wait for us.
      webhook("routes", "gateway.networking.k8s.io", ["httproutes", "grpcroutes"], "Ignore"),
    ],
  };
}

const COMMON = { sideEffects: "None", admissionReviewVersions: ["v1"] };

function metadata({ revision, tag }: WebhookSettings, what: string): JsonObject {
  const suffix = tag !== undefined ? `-tag-${tag}` : revision === "default" ? "" : `-${revision}`;
  return {
    name: `${WEBHOOK_CONFIGURATION_PREFIX}${what}${suffix}`,
    labels: {
      "app.kubernetes.io/part-of": "heddle",
      [WEBHOOK_REVISION_LABEL]: revision,
      ...(tag !== undefined && { [WEBHOOK_TAG_LABEL]: tag }),
    },
  };
}

function clientConfig({ namespace, service, port, url, caBundle }: WebhookSettings, path: string): JsonObject {
  return {
    ...(url === undefined ? { service: { namespace, name: service, port, path } } : { url: `${url}${path}` }),
    ...(caBundle !== undefined && { caBundle: Buffer.from(caBundle).toString("base64") }),
  };
}

function notExempt({ namespace, exemptNamespaces }: WebhookSettings): JsonObject {
  return isNotIn(NAMESPACE_NAME, ...new Set([...CLUSTER_NAMESPACES, namespace, ...exemptNamespaces]));
}

function isIn(key: string, ...values: readonly string[]): JsonObject {
  return { key, operator: "In", values };
}

/** True also where there is no such label. */
function isNotIn(key: string, ...values: readonly string[]): JsonObject {
  return { key, operator: "NotIn", values };
}

function isAbsent(key: string): JsonObject {
  return { key, operator: "DoesNotExist" };
}
