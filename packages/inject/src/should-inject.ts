import type { Json } from "@heddle/base";
import { objectAt } from "./json-fields.ts";
import { INJECT_KEY, REVISION_KEY, STATUS_ANNOTATION } from "./names.ts";

/** What decides whether a pod gets a sidecar. */
export interface InjectionQuestion {
  /** The namespace's name, where it is known. */
  readonly namespace?: string | undefined;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  readonly pod: Json;
  /** The one that asks; pods and namespaces without a revision belong to `default`. */
  readonly revision: string;
}

export interface InjectionDecision {
  readonly inject: boolean;
  /** A half-sentence for people. */
  readonly reason: string;
  /** It has a sidecar of ours already. */
  readonly injected?: true;
}

/** The cluster's own. A sidecar there could keep the cluster from mending itself. */
const SYSTEM_NAMESPACES: ReadonlySet<string> = new Set(["kube-system", "kube-public", "kube-node-lease"]);

/**
 * The kubelet's, of what it tells the API server of a static pod: changed, the mirror would be refused (it may mount neither a
 * ConfigMap nor a token), and what runs would not change.
 */
const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";

export const DEFAULT_REVISION = "default";

/**
 * Whether this pod gets a sidecar, and why. The pod's own word (label, else annotation, `heddle.dev/inject`) wins over the
 * namespace's. A word that is neither true nor false is no consent: nothing is injected, and the reason says it.
 */
export function shouldInject({ namespace, namespaceLabels, pod, revision }: InjectionQuestion): InjectionDecision {
  const metadata = objectAt(pod, "metadata");
  const spec = objectAt(pod, "spec");
  const labels = objectAt(metadata, "labels");
  const annotations = objectAt(metadata, "annotations");

  if (annotations[STATUS_ANNOTATION] !== undefined)
    return { inject: false, reason: "it has a sidecar already", injected: true };
  if (spec["hostNetwork"] === true)
    return no("hostNetwork: its network is the node's, and capture would take the node's traffic");
  if (annotations[MIRROR_ANNOTATION] !== undefined)
    return no("it is the mirror of a static pod, whose containers run as its node's file says");
  if (objectAt(spec, "os")["name"] === "windows") return no("the pod is for Windows");
  if (namespace !== undefined && SYSTEM_NAMESPACES.has(namespace)) return no(`${namespace} belongs to the cluster`);

  const own = labels[INJECT_KEY] ?? annotations[INJECT_KEY];
  const where = labels[INJECT_KEY] === undefined ? "annotation" : "label";
  if (own !== undefined && own !== "true" && own !== "false")
    return no(`its ${where} ${INJECT_KEY}: found ${JSON.stringify(own)}, allowed are "true" and "false"`);
  if (own === "false") return no(`its ${where} ${INJECT_KEY} is "false"`);

  const ofNamespace = namespaceLabels[INJECT_KEY];
  // A namespace that names a revision wants injection by it, as with Istio's `istio.io/rev`.
  const wantedBy =
    own === "true"
      ? `its ${where} ${INJECT_KEY} is "true"`
      : ofNamespace === "enabled"
        ? `its namespace's label ${INJECT_KEY} is "enabled"`
        : ofNamespace === undefined && namespaceLabels[REVISION_KEY] !== undefined
          ? `its namespace's label ${REVISION_KEY} is "${namespaceLabels[REVISION_KEY]}"`
          : undefined;
  if (wantedBy === undefined)
    return no(
      ofNamespace === undefined || ofNamespace === "disabled"
        ? `its namespace's label ${INJECT_KEY} is ${ofNamespace === undefined ? "not set" : '"disabled"'}`
        : `its namespace's label ${INJECT_KEY}: found "${ofNamespace}", allowed are "enabled" and "disabled"`,
    );
  const wanted = labels[REVISION_KEY] ?? annotations[REVISION_KEY] ?? namespaceLabels[REVISION_KEY] ?? DEFAULT_REVISION;
  if (wanted !== revision) return no(`it belongs to revision ${JSON.stringify(wanted)}, this is "${revision}"`);
  return { inject: true, reason: wantedBy };
}

function no(reason: string): InjectionDecision {
  return { inject: false, reason };
}
