import { err, isJsonObject, type JsonObject, ok, type Result } from "@heddle/base";
import { addedPrivileges } from "./added-privileges.ts";
import type { AdmissionAnswer, AdmissionRequest } from "./admission-review.ts";
import { jsonPatch } from "./json-patch.ts";
import type { NamespaceLabels } from "./namespace-labels.ts";

/** What decides about pods, and changes them: packages/inject. */
export interface PodInjection {
  readonly decide: (question: PodQuestion) => PodDecision;
  /** The pod with its sidecar. On failure every fault of its annotations, a sentence each. */
  readonly inject: (pod: JsonObject) => Result<JsonObject, readonly string[]>;
  /** The one container that gets capabilities. */
  readonly captureContainer: string;
}

export interface PodQuestion {
  readonly namespace: string;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  readonly pod: JsonObject;
  readonly revision: string;
}

export interface PodDecision {
  readonly inject: boolean;
  /** A half-sentence for people. */
  readonly reason: string;
}

export interface PodReviewOptions {
  readonly injection: PodInjection;
  /** Undefined: nobody knows them, and the webhook's configuration has chosen. */
  readonly namespaces: NamespaceLabels | undefined;
  /** Which revision this one is. */
  readonly revision: string;
  /** No pod there is touched: those that injection itself needs, and the cluster's own. */
  readonly systemNamespace: string;
}

/** A name for the counters; `injected` alone carries a patch. */
export type PodOutcome = "injected" | "skipped" | "refused";

export interface PodReview {
  readonly answer: AdmissionAnswer;
  readonly outcome: PodOutcome;
  /** For the log; holds nothing of the pod but what decides. */
  readonly reason: string;
}

/** Injected into, a control plane would wait for itself; and the cluster's own could not start where it is away. */
const CLUSTER_NAMESPACES: ReadonlySet<string> = new Set(["kube-system", "kube-public", "kube-node-lease"]);

/**
 * Says what becomes of a pod that is being created: a patch that puts the sidecar into it, or none. A pod that has one already
 * gets none, so asking twice is asking once (`reinvocationPolicy: IfNeeded`), and nothing is kept of what was asked (`dryRun`).
 *
 * @param tag which revision the API server asked for, by the webhook's path; undefined: whichever this one is.
 * @returns an error where nobody can say now: the API server's `failurePolicy` decides then.
 */
export async function reviewPod(
  request: AdmissionRequest,
  tag: string | undefined,
  withinMs: number,
  options: PodReviewOptions,
): Promise<Result<PodReview, string>> {
  const { injection, revision, systemNamespace } = options;
  const { object, operation, namespace, kind, resource, group, subResource } = request;
  if (group !== "" || kind !== "Pod" || resource !== "pods" || subResource !== "")
    return skipped(
      `only pods get a sidecar, this is ${[group, resource, subResource].filter(Boolean).join("/")}`,
      true,
    );
  if (operation !== "CREATE" || object === undefined) return skipped("a pod gets its sidecar when it is created");
  if (namespace === "") return refused(400, "request.namespace: is missing, and a pod is in one");
  const fault = podFault(object);
  if (fault !== undefined) return refused(400, fault);
  if (namespace === systemNamespace || CLUSTER_NAMESPACES.has(namespace))
    return skipped(`no pod of ${namespace} is touched`);
  const labels = await namespaceLabels(namespace, tag, withinMs, options);
  if (!labels.ok) return labels;
  const question = { namespace, namespaceLabels: labels.value, pod: object, revision: tag ?? revision };
  const { inject, reason } = injection.decide(question);
  if (!inject) return skipped(reason);
  const injected = injection.inject(object);
  if (!injected.ok) return refused(422, injected.error.join("; "));
  const privileges = addedPrivileges(object, injected.value, injection.captureContainer);
  if (privileges.length > 0)
    return refused(403, `no annotation of a pod gives it privileges: ${privileges.join("; ")}`);
  const patch = jsonPatch(object, injected.value);
  return ok({
    answer: { allowed: true, patch, audit: { sidecar: "injected", revision } },
    outcome: patch.length === 0 ? "skipped" : "injected",
    reason,
  });
}

/** What is no pod at all; the rest is the API server's to look at, which does so after us. */
function podFault({ metadata, spec }: JsonObject): string | undefined {
  if (!isJsonObject(metadata)) return "request.object.metadata: is no object";
  if (!isJsonObject(spec)) return "request.object.spec: is no object";
  if (!isJsonObjectList(spec["containers"])) return "request.object.spec.containers: is no list of containers";
  if (spec["initContainers"] !== undefined && !isJsonObjectList(spec["initContainers"]))
    return "request.object.spec.initContainers: is no list of containers";
  if (spec["volumes"] !== undefined && !isJsonObjectList(spec["volumes"]))
    return "request.object.spec.volumes: is no list of volumes";
  for (const name of ["labels", "annotations"] as const) {
    const value = metadata[name];
    if (value === undefined || value === null) continue;
    if (!isJsonObject(value) || Object.values(value).some((one) => typeof one !== "string"))
      return `request.object.metadata.${name}: is no map of texts`;
  }
  return undefined;
}

function isJsonObjectList(value: unknown): boolean {
  return Array.isArray(value) && value.every(isJsonObject);
}

/** Where nobody watches namespaces, being asked says that the webhook's selectors have chosen this one. */
async function namespaceLabels(
  namespace: string,
  tag: string | undefined,
  withinMs: number,
  { namespaces, revision }: PodReviewOptions,
): Promise<Result<Readonly<Record<string, string>>, string>> {
  if (namespaces === undefined) return ok({ "heddle.dev/inject": "enabled", "heddle.dev/rev": tag ?? revision });
  const labels = await namespaces.labelsOf(namespace, withinMs);
  if (!labels.ok) return err(`the labels of namespace ${namespace} are not known now: ${labels.error}`);
  // It was there when the API server looked; whoever made it in this moment has its labels in a moment.
  if (labels.value === undefined) return err(`the labels of namespace ${namespace} are not known yet`);
  return ok(labels.value);
}

function skipped(reason: string, warn = false): Result<PodReview, string> {
  return ok({
    answer: { allowed: true, audit: { sidecar: "none" }, ...(warn && { warnings: [`heddle: ${reason}`] }) },
    outcome: "skipped",
    reason,
  });
}

function refused(code: 400 | 403 | 422, message: string): Result<PodReview, string> {
  return ok({ answer: { allowed: false, code, message: `heddle: ${message}` }, outcome: "refused", reason: message });
}
