import type { Labels } from "../model/service.ts";
import type { Field } from "./field.ts";

export interface Metadata {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly annotations: Field;
  /** Milliseconds since the Unix epoch, of an object that came from a cluster. */
  readonly createdAtMs: number | undefined;
}

// RFC 1123 labels and subdomains, as Kubernetes requires them of names.
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/**
 * Reads `metadata`. What else a cluster puts there (uid, managed fields) is none of our business. The names
 * of Services and Workloads become DNS names and node ids, so they are labels; others may have dots.
 */
export function readMetadata(metadata: Field, names: "label" | "subdomain"): Metadata {
  const fields = metadata.pick("namespace", "name", "labels", "annotations", "creationTimestamp");
  const name = fields.name.requiredText();
  if (name !== "") checkName(fields.name, name, names);
  const namespace = fields.namespace.text() ?? "default";
  checkName(fields.namespace, namespace, "label");
  const created = Date.parse(fields.creationTimestamp.text() ?? "");
  return {
    namespace,
    name,
    labels: fields.labels.texts(),
    annotations: fields.annotations,
    createdAtMs: Number.isNaN(created) ? undefined : created,
  };
}

export function checkName(field: Field, name: string, kind: "label" | "subdomain"): void {
  const good = kind === "label" ? LABEL.test(name) : name.length <= 253 && SUBDOMAIN.test(name);
  if (good) return;
  const allowed = `lower-case letters, digits${kind === "label" ? ' and "-", at most 63' : ', "-" and ".", at most 253'}`;
  field.error(`found "${name}", allowed: ${allowed}`);
}
