import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import { objectAt, textAt } from "./json-fields.ts";
import { WORKLOAD_ANNOTATION } from "./names.ts";

/**
 * The workload that a pod is of: the second part of its sidecar's node id. By the annotation `heddle.dev/workload`, else by
 * the owner that lasts (the Deployment of a ReplicaSet, the CronJob of a Job), else by the label `app.kubernetes.io/name`, else
 * by its own name. Pure, so that what injection writes and what the Kubernetes source reads are the same. "": a pod without any name.
 */
export function workloadNameOf(pod: Json): string {
  const metadata = objectAt(pod, "metadata");
  const labels = objectAt(metadata, "labels");
  return (
    textAt(objectAt(metadata, "annotations"), WORKLOAD_ANNOTATION) ??
    ownersName(metadata, labels) ??
    textAt(labels, "app.kubernetes.io/name") ??
    textAt(metadata, "name") ??
    // At admission a pod of a controller has not yet its name.
    textAt(metadata, "generateName")?.replace(/-+$/, "") ??
    ""
  );
}

function ownersName(metadata: JsonObject, labels: JsonObject): string | undefined {
  const references = metadata["ownerReferences"];
  if (!Array.isArray(references)) return undefined;
  const owners = references.filter(isJsonObject);
  const owner = owners.find(({ controller }) => controller === true) ?? owners[0];
  const name = owner && textAt(owner, "name");
  if (owner === undefined || name === undefined) return undefined;
  switch (owner["kind"]) {
    case "ReplicaSet": {
      const hash = textAt(labels, "pod-template-hash");
      return hash === undefined ? name : withoutSuffix(name, `-${hash}`);
    }
    case "Job":
      // A CronJob's Job is called by it and by the minute for which it was planned (Kubernetes 1.21 on): that number stands in no label.
      return name.replace(/(?<=.)-\d{8,10}$/, "");
    default:
      return name;
  }
}

function withoutSuffix(name: string, suffix: string): string {
  return name.length > suffix.length && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name;
}
