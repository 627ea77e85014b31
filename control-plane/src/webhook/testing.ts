import { err, isJsonObject, type Json, type JsonObject, ok } from "@heddle/base";
import type { Labels } from "@heddle/telemetry";
import type { PatchOperation } from "./json-patch.ts";
import type { NamespaceLabels } from "./namespace-labels.ts";
import type { PodInjection } from "./review-pod.ts";

/* For tests of the webhooks: an API server's side of a review. */

/** Applies a patch as RFC 6902 says, strictly: a path that leads nowhere throws. */
export function applyJsonPatch(document: Json, steps: readonly PatchOperation[]): Json {
  let result = structuredClone(document);
  for (const step of steps) {
    if (step.path === "") {
      if (step.op === "remove") throw new Error("the whole document cannot be removed");
      result = structuredClone(step.value);
      continue;
    }
    if (!step.path.startsWith("/")) throw new Error(`"${step.path}" is no pointer`);
    const keys = step.path.slice(1).split("/").map(unescapePointer);
    const last = keys.pop()!; // a split has one part at least
    let parent: unknown = result;
    for (const key of keys) parent = childOf(parent, key, step.path);
    if (Array.isArray(parent)) applyToList(parent, last, step);
    else applyToObject(parent, last, step);
  }
  return result;
}

function applyToList(list: Json[], key: string, step: PatchOperation): void {
  const index = key === "-" ? list.length : /^(0|[1-9]\d*)$/.test(key) ? Number(key) : Number.NaN;
  const most = step.op === "add" ? list.length : list.length - 1;
  if (!(index <= most)) throw new Error(`${step.op} ${step.path}: there is no such item`);
  if (step.op === "remove") list.splice(index, 1);
  else list.splice(index, step.op === "add" ? 0 : 1, structuredClone(step.value));
}

function applyToObject(parent: unknown, key: string, step: PatchOperation): void {
  if (!isJsonObject(parent)) throw new Error(`${step.op} ${step.path}: leads through no object`);
  const object = parent as Record<string, Json>;
  if (step.op !== "add" && !Object.hasOwn(object, key)) throw new Error(`${step.op} ${step.path}: there is nothing`);
  if (step.op === "remove") delete object[key];
  else Object.defineProperty(object, key, { value: structuredClone(step.value), ...PLAIN });
}

const PLAIN = { enumerable: true, configurable: true, writable: true };

function childOf(parent: unknown, key: string, path: string): unknown {
  const child = Array.isArray(parent)
    ? /^(0|[1-9]\d*)$/.test(key)
      ? (parent[Number(key)] as unknown)
      : undefined
    : isJsonObject(parent) && Object.hasOwn(parent, key)
      ? parent[key]
      : undefined;
  if (child === undefined) throw new Error(`${path}: leads nowhere at "${key}"`);
  return child;
}

function unescapePointer(segment: string): string {
  return segment.replaceAll("~1", "/").replaceAll("~0", "~");
}

/** A review as an API server sends it: a pod that is being created in the namespace "shop". */
export function podReview(pod: unknown, change: object = {}) {
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "705ab4f5-6393-11e8-b7cc-42010a800002",
      kind: { group: "", version: "v1", kind: "Pod" },
      resource: { group: "", version: "v1", resource: "pods" },
      requestKind: { group: "", version: "v1", kind: "Pod" },
      requestResource: { group: "", version: "v1", resource: "pods" },
      namespace: "shop",
      operation: "CREATE",
      userInfo: {
        username: "system:serviceaccount:kube-system:replicaset-controller",
        groups: ["system:authenticated"],
      },
      object: pod,
      oldObject: null,
      dryRun: false,
      options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1" },
      ...change,
    },
  };
}

/** An injection that is not packages/inject's: it puts a container first, unless the pod has it. */
export const SCRIPTED_INJECTION: PodInjection = {
  capabilities: () => ({ "heddle-capture": ["NET_ADMIN", "NET_RAW"] }),
  decide: ({ namespaceLabels, pod, revision }) => {
    const { labels = {} } = (pod["metadata"] ?? {}) as { readonly labels?: Readonly<Record<string, string>> };
    const wanted = labels["heddle.dev/rev"] ?? namespaceLabels["heddle.dev/rev"] ?? "default";
    if (labels["heddle.dev/injected"] === "true")
      return { inject: false, reason: "it has a sidecar", injected: true as const };
    if (namespaceLabels["heddle.dev/inject"] !== "enabled") return { inject: false, reason: "not enabled" };
    return wanted === revision ? { inject: true, reason: "enabled" } : { inject: false, reason: `revision ${wanted}` };
  },
  complete: ok,
  inject: (pod) => {
    const { metadata, spec } = pod as { readonly metadata: JsonObject; readonly spec: JsonObject };
    const { annotations = {}, labels = {} } = metadata as Readonly<Record<string, JsonObject>>;
    if (annotations["heddle.dev/capture"] === "magic")
      return err(['metadata.annotations["heddle.dev/capture"]: found "magic", allowed are redirect, tproxy, none']);
    const template = annotations["heddle.dev/template"];
    const sidecar = { name: "heddle-sidecar", restartPolicy: "Always" };
    return ok({
      ...pod,
      metadata: { ...metadata, labels: { ...labels, "heddle.dev/injected": "true" } },
      spec: {
        ...spec,
        initContainers: [sidecar, ...((spec["initContainers"] as readonly Json[] | undefined) ?? [])],
        ...(template === undefined ? {} : (JSON.parse(template as string) as JsonObject)),
      },
    });
  },
};

/** Namespaces whose labels stand here; "?" is one that nobody can say anything of. */
export function namespacesOf(labels: Readonly<Record<string, Labels>>): NamespaceLabels {
  return {
    known: (name) => labels[name],
    labelsOf: async (name) => (name === "?" ? err("no answer") : ok(labels[name])),
  };
}
