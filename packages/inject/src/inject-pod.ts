import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";
import {
  type CaptureWitness,
  captureArguments,
  captureWitness,
  type ResolvedCapture,
  resolveCapture,
} from "@heddle/capture";
import { rewriteProbes } from "./app-probes.ts";
import { faultsOfPorts, faultsOfUsers, type OwnNames } from "./conflicts.ts";
import { annotationPath, type InjectionFault } from "./injection-fault.ts";
import type { InjectionSettings } from "./injection-settings.ts";
import { formatStatus, type InjectionStatus, statusOf } from "./injection-status.ts";
import { objectAt, objectsAt } from "./json-fields.ts";
import { INJECTED_LABEL, OWN_CONTAINERS, REVISION_KEY, STATUS_ANNOTATION, TEMPLATE_ANNOTATION } from "./names.ts";
import { type Additions, mergeTemplate, withFields } from "./overlay.ts";
import { type PodSettings, readPodAnnotations } from "./pod-annotations.ts";
import {
  asNativeSidecar,
  asPlainContainer,
  captureContainer,
  sidecarContainer,
  sidecarVolumes,
  validationContainer,
} from "./sidecar-container.ts";
import { applyUndo, undoOf } from "./undo.ts";
import { workloadNameOf } from "./workload-name.ts";

export interface InjectionContext {
  /** Of the controller whose template the pod is; by default what the pod itself says (`workloadNameOf`). */
  readonly workload?: string;
}

/** kubectl's: the container that `kubectl logs` and `kubectl exec` mean when none is named. */
const DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container";

/**
 * A pod, or the template of one, with a sidecar. One that has a sidecar already gets today's in its place; everything else in it stays.
 * Whether it is to have one is `shouldInject`'s question. On failure every fault.
 */
export function injectPod(
  pod: Json,
  settings: InjectionSettings,
  context: InjectionContext = {},
): Result<JsonObject, readonly InjectionFault[]> {
  const clean = uninjectPod(pod);
  if (!clean.ok) return clean;
  const before = clean.value;
  const composed = composePod(before, settings, context);
  if (!composed.ok) return composed;
  const undo = undoOf(before, composed.value);
  return ok(withStatus(composed.value, { ...statusHead(settings), ...undo }));
}

/** A pod without what injection has added to it; one that was never injected as it is. */
export function uninjectPod(pod: Json): Result<JsonObject, readonly InjectionFault[]> {
  if (!isJsonObject(pod)) return err([{ path: "", message: "found no object, allowed is a pod" }]);
  const status = statusOf(pod);
  if (!status.ok) return status;
  return ok(status.value === undefined ? pod : applyUndo(pod, status.value));
}

export function statusHead({
  revision,
  image,
  rewriteProbes: rewrites,
}: InjectionSettings): Omit<InjectionStatus, "added" | "was"> {
  return { version: 1, revision, image, ...(!rewrites && { rewriteProbes: false }) };
}

/** The injected pod with its status, for which `composePod` has left a place. */
export function withStatus(pod: JsonObject, status: InjectionStatus): JsonObject {
  const metadata = objectAt(pod, "metadata");
  const annotations = { ...objectAt(metadata, "annotations"), [STATUS_ANNOTATION]: formatStatus(status) };
  return { ...pod, metadata: { ...metadata, annotations } };
}

/** A pod with a sidecar and an empty status: the undo that stands in the status comes from comparing with this. */
export function composePod(
  pod: JsonObject,
  settings: InjectionSettings,
  context: InjectionContext,
): Result<JsonObject, readonly InjectionFault[]> {
  const faults: InjectionFault[] = [...faultsOfForm(pod)];
  if (faults.length > 0) return err(faults);
  const metadata = objectAt(pod, "metadata");
  const annotations = objectAt(metadata, "annotations");
  const read = readPodAnnotations(annotations, settings);
  if (!read.ok) return read;
  const own = read.value;

  const spec = objectAt(pod, "spec");
  const captured = own.capture !== "none";
  const rewriting = captured && own.rewriteProbes ? rewriteProbes(spec) : { spec, probes: {} };
  const named = context.workload ?? "";
  const workload = workloadNameOf(withoutOwnName(pod, named)) || named;
  const sidecar = sidecarContainer(own, workload, rewriting.probes);
  const captures = captured ? captureContainers(own) : [];
  const merged = mergeTemplate(additions(own, sidecar, captures), own.template ?? {}, spec, faults);
  const ours: OwnNames = new Set([sidecar, ...captures].map(({ name }) => name));
  faults.push(...faultsOfNames(spec, merged, ours), ...(captured ? faultsOfUsers(spec, ours) : []));
  faults.push(...faultsOfPorts(spec, ours), ...faultsOfTemplate(merged, ours, captured));
  const injected = withAdditions(rewriting.spec, merged, faults);
  if (faults.length > 0) return err(faults);

  const labels = objectAt(metadata, "labels");
  const firstOwn = objectsAt(spec, "containers")[0]?.["name"] as string;
  return ok({
    ...pod,
    metadata: {
      ...metadata,
      labels: { ...labels, [INJECTED_LABEL]: "true", [REVISION_KEY]: labels[REVISION_KEY] ?? settings.revision },
      annotations: {
        ...(own.nativeSidecar || annotations[DEFAULT_CONTAINER] !== undefined ? {} : { [DEFAULT_CONTAINER]: firstOwn }),
        ...annotations,
        [STATUS_ANNOTATION]: "",
      },
    },
    spec: injected,
  });
}

/** The pod as it will be when its controller makes it: the controller's name is what it is known by, unless the annotation says otherwise. */
function withoutOwnName(pod: JsonObject, workload: string): JsonObject {
  if (workload === "") return pod;
  const annotations = objectAt(objectAt(pod, "metadata"), "annotations");
  return { metadata: { annotations, name: workload } };
}

/** What sets the rules of capture; where a CNI plugin does, what keeps the pod from starting without them. */
function captureContainers(own: PodSettings): readonly JsonObject[] {
  const args = captureArguments(own.rules);
  if (!own.cni) return [captureContainer(own, ["capture", ...args])];
  const resolved = resolveCapture(own.rules, { hasIpv4: true, hasIpv6: true, resolvConf: undefined });
  const witnesses = resolved.ok && resolved.value !== undefined ? witnessesOf(resolved.value) : [];
  if (witnesses.length === 0) return []; // nothing that could be tried from within
  const asProxy = witnesses.every((witness) => witness.asProxy);
  return [validationContainer(own, ["capture", "--check", ...args], asProxy)];
}

function witnessesOf(capture: ResolvedCapture): readonly CaptureWitness[] {
  return capture.families.flatMap((family) => captureWitness(capture, family) ?? []);
}

function additions(settings: PodSettings, sidecar: JsonObject, captures: readonly JsonObject[]): Additions {
  const none = { first: [], last: [] };
  const volumes = { first: sidecarVolumes(), last: [] };
  if (settings.nativeSidecar)
    // The sidecar runs before the application's init containers, which so have the mesh too.
    return {
      initContainers: { first: [...captures, asNativeSidecar(sidecar)], last: [] },
      containers: none,
      volumes,
      fields: {},
    };
  const plain = asPlainContainer(sidecar, settings);
  return {
    // Last: nobody would carry what the application's own init containers send.
    initContainers: { first: [], last: captures },
    // First: the kubelet starts them in order, and waits for the hook of each.
    containers: settings.holdApplication ? { first: [plain], last: [] } : { first: [], last: [plain] },
    volumes,
    fields: {},
  };
}

function withAdditions(spec: JsonObject, { fields, ...lists }: Additions, faults: InjectionFault[]): JsonObject {
  const whole: Record<string, Json> = { ...withFields(spec, fields, faults) };
  for (const [field, { first, last }] of Object.entries(lists)) {
    if (first.length + last.length === 0) continue;
    const own = whole[field];
    whole[field] = [...first, ...(Array.isArray(own) ? (own as readonly Json[]) : []), ...last];
  }
  return whole;
}

/** Of what the pod's template adds: it may be as little as what is in the manifest. */
function faultsOfTemplate(merged: Additions, ours: OwnNames, captured: boolean): readonly InjectionFault[] {
  const { initContainers, containers, fields } = merged;
  const spec = {
    ...fields,
    initContainers: [...initContainers.first, ...initContainers.last],
    containers: [...containers.first, ...containers.last],
  };
  const within = (path: string): string => `${annotationPath(TEMPLATE_ANNOTATION)}: ${path.replace(/^spec\./, "")}`;
  const borrowed = objectsAt(spec, "initContainers")
    .concat(objectsAt(spec, "containers"))
    .filter(({ name }) => !ours.has(name) && OWN_CONTAINERS.has(name));
  return [
    ...borrowed.map(({ name }) => ({
      path: annotationPath(TEMPLATE_ANNOTATION),
      message: `found a container ${JSON.stringify(name)}, which this pod is given none of: the name is injection's own`,
    })),
    ...(captured ? faultsOfUsers(spec, ours, within) : []),
    ...faultsOfPorts(spec, ours, within),
  ];
}

/** What every pod has, and no more: the API server checks the rest. */
export function faultsOfForm(pod: JsonObject): readonly InjectionFault[] {
  const faults: InjectionFault[] = [];
  const { metadata, spec } = pod;
  const isMap = (value: Json | undefined): boolean => value === undefined || value === null || isJsonObject(value);
  if (!isMap(metadata)) faults.push({ path: "metadata", message: "allowed is an object" });
  for (const field of ["labels", "annotations"]) {
    const path = `metadata.${field}`;
    if (!isMap(objectAt(pod, "metadata")[field])) faults.push({ path, message: "allowed is an object" });
  }
  if (!isJsonObject(spec)) return [...faults, { path: "spec", message: "is missing" }];
  for (const field of ["containers", "initContainers", "volumes"]) {
    const list = spec[field] ?? [];
    if (!Array.isArray(list)) faults.push({ path: `spec.${field}`, message: "allowed is a list" });
    else
      for (const [index, item] of list.entries())
        if (!isJsonObject(item) || typeof item["name"] !== "string" || item["name"] === "")
          faults.push({ path: `spec.${field}[${index}]`, message: "allowed is an object with a name" });
  }
  if (faults.length === 0 && objectsAt(spec, "containers").length === 0)
    faults.push({ path: "spec.containers", message: "is missing: a pod has at least one container" });
  return faults;
}

function faultsOfNames(spec: JsonObject, merged: Additions, own: OwnNames): readonly InjectionFault[] {
  const faults: InjectionFault[] = [];
  const taken = (field: "initContainers" | "containers" | "volumes", names: ReadonlySet<Json | undefined>): void => {
    for (const [index, { name }] of objectsAt(spec, field).entries())
      if (names.has(name))
        faults.push({
          path: `spec.${field}[${index}].name`,
          message:
            OWN_CONTAINERS.has(name) && !own.has(name)
              ? `found ${JSON.stringify(name)}: the name is injection's own`
              : `found ${JSON.stringify(name)}: injection adds one of this name, which heddle.dev/template may change`,
        });
  };
  const names = (...lists: readonly (readonly JsonObject[])[]): ReadonlySet<Json | undefined> =>
    new Set(lists.flat().map(({ name }) => name));
  const { initContainers, containers, volumes } = merged;
  const ours = names(initContainers.first, initContainers.last, containers.first, containers.last);
  taken("initContainers", new Set([...ours, ...OWN_CONTAINERS]));
  taken("containers", new Set([...ours, ...OWN_CONTAINERS]));
  taken("volumes", names(volumes.first, volumes.last));
  return faults;
}
