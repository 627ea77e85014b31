import { err, isJsonObject, type JsonObject, ok, type Result } from "@heddle/base";
import { INJECT_KEY, REVISION_KEY } from "@heddle/inject";
import { addedPrivileges, type InjectedCapabilities } from "./added-privileges.ts";
import type { AdmissionAnswer, AdmissionRequest } from "./admission-review.ts";
import { jsonPatch } from "./json-patch.ts";
import type { NamespaceLabels } from "./namespace-labels.ts";

/** What decides about pods, and changes them: packages/inject. */
export interface PodInjection {
  readonly decide: (question: PodQuestion) => PodDecision;
  /** The pod with its sidecar. On failure every fault of its annotations, a sentence each. */
  readonly inject: (pod: JsonObject) => Result<JsonObject, readonly string[]>;
  /** A pod that has its sidecar, with what was added since looked after by it as well; the same object where nothing is missing. */
  readonly complete: (pod: JsonObject) => Result<JsonObject, readonly string[]>;
  /** What a pod's injected containers may have, by their names; others get none. */
  readonly capabilities: (pod: JsonObject) => InjectedCapabilities;
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
  /** It has a sidecar of ours already. */
  readonly injected?: true;
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
 * Says what becomes of a pod that is being created: a patch that puts the sidecar into it, or none. A pod that has one already is
 * asked about again when another webhook has changed it (`reinvocationPolicy: IfNeeded`): what that has added is completed, and
 * where it has added nothing, asking twice is asking once. Nothing is kept of what was asked (`dryRun`).
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
  const decided = await decide(object, namespace, tag, withinMs, options);
  if (!decided.ok) return decided;
  const { inject, reason, injected: isInjected = false } = decided.value;
  if (!inject && !isInjected) return skipped(reason);
  const injected = inject ? injection.inject(object) : injection.complete(object);
  if (!injected.ok) return refused(422, injected.error.join("; "));
  const privileges = addedPrivileges(object, injected.value, injection.capabilities(object));
  if (privileges.length > 0)
    return refused(403, `no annotation of a pod gives it privileges: ${privileges.join("; ")}`);
  const patch = jsonPatch(object, injected.value);
  if (isInjected && patch.length === 0) return skipped(reason);
  return ok({
    answer: { allowed: true, patch, audit: { sidecar: "injected", revision } },
    outcome: patch.length === 0 ? "skipped" : "injected",
    reason: isInjected ? "what was added to it since goes through its sidecar, too" : reason,
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

/**
 * By the namespace's labels as they were last seen; where these say no, by those of this moment: whoever has just labelled a
 * namespace makes its pods in the next one, and the API server, whose selectors know, would not have asked for nothing.
 */
async function decide(
  pod: JsonObject,
  namespace: string,
  tag: string | undefined,
  withinMs: number,
  { injection, namespaces, revision }: PodReviewOptions,
): Promise<Result<PodDecision, string>> {
  const by = (namespaceLabels: Readonly<Record<string, string>>): PodDecision =>
    injection.decide({ namespace, namespaceLabels, pod, revision: tag ?? revision });
  // Where nobody follows namespaces, being asked says that the webhook's selectors have chosen this one.
  if (namespaces === undefined) return ok(by({ [INJECT_KEY]: "enabled", [REVISION_KEY]: tag ?? revision }));
  const known = namespaces.known(namespace);
  const first = known && by(known);
  // What a namespace's labels have no say in, is so whatever they are.
  if (
    first?.inject === true ||
    (first && isSame(first, by({ [INJECT_KEY]: "enabled", [REVISION_KEY]: tag ?? revision })))
  )
    return ok(first);
  const labels = await namespaces.labelsOf(namespace, withinMs);
  if (labels.ok && labels.value !== undefined) return ok(by(labels.value));
  if (first !== undefined) return ok(first);
  // It was there when the API server looked: it is known in a moment.
  const why = labels.ok ? "the API server does not know it yet" : labels.error;
  return err(`the labels of namespace ${namespace} are not known now: ${why}`);
}

function isSame(left: PodDecision, right: PodDecision): boolean {
  return left.inject === right.inject && left.reason === right.reason;
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
