import type { JsonObject } from "@heddle/base";
import { INJECT_KEY, INJECTED_LABEL, REVISION_KEY } from "./names.ts";
import { DEFAULT_REVISION } from "./should-inject.ts";

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
  revision: DEFAULT_REVISION,
  namespace: "heddle-system",
  service: "heddle-control-plane",
  port: 443,
  failurePolicy: "Fail",
  exemptNamespaces: [],
};

/** Before the names of our webhook configurations: who keeps their `caBundle` knows them by it, and by the label. */
export const WEBHOOK_CONFIGURATION_PREFIX = "heddle-";
/** Label of each: the revision that serves it. */
export const WEBHOOK_REVISION_LABEL = REVISION_KEY;
/** Label of those of a tag. */
export const WEBHOOK_TAG_LABEL = "heddle.dev/tag";

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
  const isDefault = name === DEFAULT_REVISION;
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
      [isIn(REVISION_KEY, name), isNotIn(INJECT_KEY, "disabled")],
      [isNotIn(INJECT_KEY, "false"), isAbsent(REVISION_KEY)],
    ),
    webhook(
      "revision-labelled",
      [isIn(REVISION_KEY, name), isIn(INJECT_KEY, "disabled")],
      [isIn(INJECT_KEY, "true"), isAbsent(REVISION_KEY)],
    ),
    // What has just got its sidecar has a revision too.
    webhook(
      "revision-of-pod",
      [],
      [isIn(REVISION_KEY, name), isNotIn(INJECT_KEY, "false"), isNotIn(INJECTED_LABEL, "true")],
    ),
  ];
  const unnamed = [
    webhook(
      "enabled",
      [isIn(INJECT_KEY, "enabled"), isAbsent(REVISION_KEY)],
      [isNotIn(INJECT_KEY, "false"), isAbsent(REVISION_KEY)],
    ),
    webhook(
      "labelled",
      [isNotIn(INJECT_KEY, "enabled"), isAbsent(REVISION_KEY)],
      [isIn(INJECT_KEY, "true"), isAbsent(REVISION_KEY)],
    ),
  ];
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: metadata(settings, "injector"),
    webhooks: isDefault ? [...unnamed, ...own] : own,
  };
}

function validatingConfiguration(settings: WebhookSettings): JsonObject {
  const webhook = (what: string, group: string, resources: Versions, failurePolicy: string): JsonObject => ({
    name: `${what}.validate.heddle.dev`,
    clientConfig: clientConfig(settings, "/validate"),
    rules: Object.entries(resources).map(([version, names]) => ({
      apiGroups: [group],
      apiVersions: [version],
      resources: names,
      operations: ["CREATE", "UPDATE"],
      scope: "*",
    })),
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
      webhook("policies", "heddle.dev", { v1: ["*"] }, settings.failurePolicy),
      // Gateways of others use these kinds too, and must not wait for us.
      webhook("routes", "gateway.networking.k8s.io", ROUTES, "Ignore"),
    ],
  };
}

/** Names of kinds by their version. */
type Versions = Readonly<Record<string, readonly string[]>>;

/** By version: where an older one is all that is defined, nothing of another is equivalent to it. */
const ROUTES: Versions = {
  v1: ["httproutes", "grpcroutes", "tlsroutes", "tcproutes"],
  v1beta1: ["httproutes"],
  v1alpha3: ["tlsroutes"],
  v1alpha2: ["tlsroutes", "tcproutes"],
};

const COMMON = { sideEffects: "None", admissionReviewVersions: ["v1"] };

function metadata({ revision, tag }: WebhookSettings, what: string): JsonObject {
  const suffix = tag !== undefined ? `-tag-${tag}` : revision === DEFAULT_REVISION ? "" : `-${revision}`;
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
