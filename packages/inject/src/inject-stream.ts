import { err, type Json, type JsonObject, ok, pointerPart, type Result, sameJson } from "@heddle/base";
import type { Diagnostic } from "@heddle/config/yaml";
import { isAlias, isMap, isNode, isSeq, type Node } from "yaml";
import { composePod, statusHead, withStatus } from "./inject-pod.ts";
import type { InjectionSettings } from "./injection-settings.ts";
import { statusOf } from "./injection-status.ts";
import { INJECT_KEY, REVISION_KEY, STATUS_ANNOTATION } from "./names.ts";
import { shouldInject } from "./should-inject.ts";
import { applyEdits, type Edit } from "./text/edit.ts";
import { ManifestEditor, type TextUndo } from "./text/manifest-editor.ts";
import { restoringEdits } from "./text/manifest-restorer.ts";
import { type ManifestDocument, ownPair, parseManifests } from "./text/manifest-text.ts";
import type { Undo } from "./undo.ts";
import { jsonAt, jsonWith, type WorkloadObject, workloadObjects } from "./workload-kinds.ts";

/** What became of one object of a stream that is a pod or makes pods. */
export interface ObjectOutcome {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
  readonly injected: boolean;
  /** A half-sentence for people. */
  readonly reason: string;
}

export interface InjectedStream {
  readonly text: string;
  readonly outcomes: readonly ObjectOutcome[];
}

/** Before pointers that count from the object rather than from its pod: what an anchor of the pod is used for elsewhere in it. */
const FROM_OBJECT = "^";

/**
 * Puts sidecars into every pod of a stream of manifests, YAML or JSON, whatever else it holds. Whoever asks for it wants it: a pod is left
 * alone only where it says so itself, or where no sidecar can be. The text stays what it is, but for what is added; `uninjectStream`
 * gives back every byte. On failure every fault with its place, and nothing is injected.
 */
export function injectStream(
  file: string,
  text: string,
  settings: InjectionSettings,
): Result<InjectedStream, readonly Diagnostic[]> {
  const clean = uninjectStream(file, text);
  if (!clean.ok) return clean;
  const manifests = parseManifests(file, clean.value.text);
  if (!manifests.ok) return manifests;
  const faults: Diagnostic[] = [];
  const outcomes: ObjectOutcome[] = [];
  const edits: Edit[] = [];
  const expected: Json[] = [];
  for (const manifest of manifests.value) {
    const injection = injectDocument(manifest, clean.value.text, settings, faults);
    outcomes.push(...injection.outcomes);
    edits.push(...injection.edits);
    expected.push(injection.expected);
  }
  if (faults.length > 0) return err(faults);
  if (edits.length === 0) return ok({ text: clean.value.text, outcomes });
  const injected = applyEdits(clean.value.text, edits) ?? "";
  // Nothing leaves here that reads otherwise than it should, or that could not be taken back.
  const reread = parseManifests(file, injected);
  const unfaithful = reread.ok ? expected.findIndex((json, index) => !sameJson(json, reread.value[index]?.json)) : 0;
  const restored = uninjectStream(file, injected);
  if (unfaithful !== -1 || !restored.ok || restored.value.text !== clean.value.text) {
    const manifest = manifests.value[Math.max(0, unfaithful)]!;
    return err([manifest.fault([], "is written in a way in which nothing can be added without touching the rest")]);
  }
  return ok({ text: injected, outcomes });
}

/** Takes sidecars out of a stream, byte for byte as it was before. What was never injected stays as it is. */
export function uninjectStream(file: string, text: string): Result<InjectedStream, readonly Diagnostic[]> {
  const manifests = parseManifests(file, text);
  if (!manifests.ok) return manifests;
  const faults: Diagnostic[] = [];
  const outcomes: ObjectOutcome[] = [];
  const edits: Edit[] = [];
  for (const manifest of manifests.value)
    for (const workload of workloadObjects(manifest.json)) {
      const status = statusOf(jsonAt(workload.object, workload.podPath));
      if (!status.ok) faults.push(...status.error.map((fault) => placed(manifest, workload, fault)));
      else if (status.value === undefined) outcomes.push(outcome(workload, false, "it has no sidecar"));
      else {
        const rootOf = (pointer: string): readonly [Node | undefined, string] =>
          pointer.startsWith(FROM_OBJECT)
            ? [nodeAt(manifest, workload.path), pointer.slice(FROM_OBJECT.length)]
            : [nodeAt(manifest, [...workload.path, ...workload.podPath]), pointer];
        edits.push(...restoringEdits(manifest, text, status.value, rootOf));
        outcomes.push(outcome(workload, true, "its sidecar is taken out"));
      }
    }
  if (faults.length > 0) return err(faults);
  if (edits.length === 0) return ok({ text, outcomes });
  const restored = applyEdits(text, edits);
  if (restored !== undefined && parseManifests(file, restored).ok) return ok({ text: restored, outcomes });
  const first = manifests.value.find(({ json }) => workloadObjects(json).length > 0) ?? manifests.value[0]!;
  return err([first.fault([], `what ${STATUS_ANNOTATION} tells does not fit what stands here: it was changed since`)]);
}

interface DocumentInjection {
  readonly edits: readonly Edit[];
  readonly outcomes: readonly ObjectOutcome[];
  /** What the document then says. */
  readonly expected: Json;
}

function injectDocument(
  manifest: ManifestDocument,
  text: string,
  settings: InjectionSettings,
  faults: Diagnostic[],
): DocumentInjection {
  const outcomes: ObjectOutcome[] = [];
  const pods: { readonly workload: WorkloadObject; readonly pod: JsonObject }[] = [];
  for (const workload of workloadObjects(manifest.json)) {
    const pod = jsonAt(workload.object, workload.podPath);
    const decision = shouldInject({
      namespace: workload.namespace,
      namespaceLabels: { [INJECT_KEY]: "enabled", [REVISION_KEY]: settings.revision },
      pod,
      revision: settings.revision,
    });
    if (!decision.inject) {
      outcomes.push(outcome(workload, false, decision.reason));
      continue;
    }
    outcomes.push(outcome(workload, true, "asked for"));
    const composed = composePod((pod ?? {}) as JsonObject, settings, { workload: workload.name });
    if (composed.ok) pods.push({ workload, pod: composed.value });
    else faults.push(...composed.error.map((fault) => placed(manifest, workload, fault)));
  }
  if (faults.length > 0 || pods.length === 0) return { edits: [], outcomes, expected: manifest.json };
  // Twice: what the status says comes of the edits, and its text is part of them.
  const draft = editDocument(manifest, text, pods);
  for (const [at, { workload }] of pods.entries())
    if (!draft.isTold) faults.push(manifest.fault(workload.path, SHARED_ANCHOR));
    else
      pods[at] = {
        workload,
        pod: withStatus(pods[at]!.pod, { ...statusHead(settings), ...fromPod(draft.undos[at]!, workload) }),
      };
  if (!draft.isTold) return { edits: [], outcomes, expected: manifest.json };
  const { edits } = editDocument(manifest, text, pods);
  let expected = manifest.json;
  for (const { workload, pod } of pods) expected = jsonWith(expected, [...workload.path, ...workload.podPath], pod);
  return { edits, outcomes, expected };
}

const SHARED_ANCHOR =
  "what injection changes is used in other objects of this document by an alias: write it out there";

function editDocument(
  manifest: ManifestDocument,
  text: string,
  pods: readonly { readonly workload: WorkloadObject; readonly pod: JsonObject }[],
): { readonly edits: readonly Edit[]; readonly undos: readonly TextUndo[]; readonly isTold: boolean } {
  const editor = new ManifestEditor(manifest, text);
  const objects = new Map<Node, TextUndo>();
  const undos = pods.map(({ workload, pod }) => {
    const node = nodeAt(manifest, workload.path)!; // the object was read from there
    const undo = editor.change(node, workload.object, jsonWith(workload.object, workload.podPath, pod));
    objects.set(node, undo);
    return undo;
  });
  const isTold = editor.expandAliases(objects);
  return { edits: editor.edits, undos, isTold };
}

/** Pointers from the object, as pointers from its pod. */
function fromPod({ added, was }: TextUndo, { podPath }: WorkloadObject): Undo {
  const prefix = podPath.map(pointerPart).join("");
  const translate = (pointer: string): string =>
    pointer === prefix || pointer.startsWith(`${prefix}/`) ? pointer.slice(prefix.length) : FROM_OBJECT + pointer;
  return {
    added: added.map(translate),
    was: Object.fromEntries(Object.entries(was).map(([pointer, before]) => [translate(pointer), before])),
  };
}

/** The node at a path; undefined: an alias or a merge key stands in between. */
function nodeAt(manifest: ManifestDocument, path: readonly (string | number)[]): Node | undefined {
  let node: unknown = manifest.root;
  for (const part of path) {
    if (isMap(node)) node = ownPair(node, String(part))?.value;
    else if (isSeq(node)) node = node.items[Number(part)];
    else return undefined;
  }
  return isNode(node) && !(isAlias(node) && path.length === 0) ? node : undefined;
}

function outcome({ kind, name, namespace }: WorkloadObject, injected: boolean, reason: string): ObjectOutcome {
  return { kind, name, namespace, injected, reason };
}

function placed(
  manifest: ManifestDocument,
  { path, podPath }: WorkloadObject,
  fault: { readonly path: string; readonly message: string },
): Diagnostic {
  const inPod = partsOf(fault.path);
  const shown = [...path, ...podPath].map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`)).join("");
  const whole = `${shown}${fault.path.startsWith("[") || fault.path === "" ? "" : "."}${fault.path}`.replace(/^\./, "");
  return manifest.fault([...path, ...podPath, ...inPod], fault.message, whole);
}

/** `metadata.annotations["heddle.dev/x"]` as metadata, annotations, heddle.dev/x. */
function partsOf(path: string): string[] {
  return [...path.matchAll(/\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.[\]]+)/g)].map(
    ([, quoted, index, plain]) => quoted ?? index ?? plain ?? "",
  );
}
