import type { Diagnostic, YamlDocument } from "@heddle/config";
import type { MeshObject } from "../model/mesh.ts";
import { Field, type UnknownFields } from "./field.ts";
import { readHttpRoute } from "./read-http-route.ts";
import { readService } from "./read-service.ts";
import { readWorkload } from "./read-workload.ts";

/** `object` is undefined where the document has errors, or is of a kind that the mesh has no use for. */
export interface ReadObject {
  readonly object: MeshObject | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

interface Kind {
  readonly unknownFields: UnknownFields;
  readonly read: (document: Field) => MeshObject;
}

const KINDS: ReadonlyMap<string, Kind> = new Map([
  ["v1 Service", { unknownFields: "warning", read: readService }],
  ["gateway.networking.k8s.io/v1 HTTPRoute", { unknownFields: "warning", read: readHttpRoute }],
  ["heddle.dev/v1 Workload", { unknownFields: "error", read: readWorkload }],
] satisfies [string, Kind][]);

/** Read by others: `heddle up` runs Processes. */
const KINDS_OF_OTHERS: ReadonlySet<string> = new Set(["heddle.dev/v1 Process"]);

/** These stand in the same files as Services all the time, and nobody expects a mesh to read them. */
const EXPECTED_FOREIGN_KINDS: ReadonlySet<string> = new Set([
  "Namespace",
  "Pod",
  "Deployment",
  "StatefulSet",
  "DaemonSet",
  "ReplicaSet",
  "Job",
  "CronJob",
  "ConfigMap",
  "Secret",
  "ServiceAccount",
]);

/** Reads one document: a Kubernetes Service, a Gateway API HTTPRoute, or a kind of ours. Every fault is in `diagnostics`. */
export function readObject(document: YamlDocument): ReadObject {
  const diagnostics: Diagnostic[] = [];
  const { apiVersion, kind } = Field.root(document, diagnostics, "warning").pick("apiVersion", "kind");
  const [version, kindName] = [apiVersion.requiredText(), kind.requiredText()];
  if (diagnostics.length > 0) return { object: undefined, diagnostics };

  const known = KINDS.get(`${version} ${kindName}`);
  if (known === undefined) {
    reportUnreadKind(version, kindName, apiVersion, kind);
    return { object: undefined, diagnostics };
  }
  const object = known.read(Field.root(document, diagnostics, known.unknownFields));
  const failed = diagnostics.some(({ severity }) => severity === "error");
  return { object: failed ? undefined : object, diagnostics: diagnostics.sort(byPlace) };
}

function byPlace(a: Diagnostic, b: Diagnostic): number {
  return a.line - b.line || a.column - b.column;
}

function reportUnreadKind(version: string, name: string, apiVersion: Field, kind: Field): void {
  if (KINDS_OF_OTHERS.has(`${version} ${name}`)) return;
  const group = version.includes("/") ? version.slice(0, version.indexOf("/")) : "";
  const others = [...KINDS.keys()].filter((key) => key.endsWith(` ${name}`)).map((key) => key.split(" ", 1)[0]);
  if (others.length > 0) apiVersion.error(`found "${version}", allowed for ${name}: "${others.join('", "')}"`);
  else if (group === "heddle.dev") kind.error(`found "${name}", allowed: "Workload", "Process"`);
  else if (group === "gateway.networking.k8s.io") kind.warn(`${name} has no effect yet`);
  else if (!EXPECTED_FOREIGN_KINDS.has(name)) kind.warn(`${version} ${name} is not read`);
}
