import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import { objectAt, textAt } from "./json-fields.ts";

/** An object of a stream that is a pod, or that makes pods. */
export interface WorkloadObject {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
  /** From the document to the object: of a List, `items` and a number. */
  readonly path: readonly (string | number)[];
  /** From the object to its pod. */
  readonly podPath: readonly string[];
  readonly object: JsonObject;
}

/** Where the pod stands in an object, by kind and group of its API. */
const POD_PATHS: Readonly<Record<string, { readonly group: RegExp; readonly path: readonly string[] }>> = {
  Pod: { group: /^v1$/, path: [] },
  PodTemplate: { group: /^v1$/, path: ["template"] },
  ReplicationController: { group: /^v1$/, path: ["spec", "template"] },
  Deployment: { group: /^(apps|extensions)\//, path: ["spec", "template"] },
  StatefulSet: { group: /^apps\//, path: ["spec", "template"] },
  DaemonSet: { group: /^(apps|extensions)\//, path: ["spec", "template"] },
  ReplicaSet: { group: /^(apps|extensions)\//, path: ["spec", "template"] },
  Job: { group: /^batch\//, path: ["spec", "template"] },
  CronJob: { group: /^batch\//, path: ["spec", "jobTemplate", "spec", "template"] },
};

/** Lists may hold lists; nobody writes deeper ones. */
const MAX_LISTS = 5;

/** The pods, and what makes pods, of one document. Anything else is none of our business. */
export function workloadObjects(json: Json): readonly WorkloadObject[] {
  const found: WorkloadObject[] = [];
  const look = (value: Json, path: readonly (string | number)[], ofList: JsonObject, lists: number): void => {
    if (!isJsonObject(value)) return;
    // The items of a DeploymentList need not say what they are.
    const kind = textAt(value, "kind") ?? textAt(ofList, "kind")?.replace(/List$/, "") ?? "";
    const apiVersion = textAt(value, "apiVersion") ?? textAt(ofList, "apiVersion") ?? "";
    const { items } = value;
    if (kind.endsWith("List") && Array.isArray(items)) {
      if (lists < MAX_LISTS)
        for (const [index, item] of items.entries()) look(item, [...path, "items", index], value, lists + 1);
      return;
    }
    const known = Object.hasOwn(POD_PATHS, kind) ? POD_PATHS[kind] : undefined;
    if (known === undefined || !known.group.test(apiVersion)) return;
    const metadata = objectAt(value, "metadata");
    const name = textAt(metadata, "name") ?? textAt(metadata, "generateName")?.replace(/-+$/, "") ?? "";
    found.push({ kind, name, namespace: textAt(metadata, "namespace"), path, podPath: known.path, object: value });
  };
  look(json, [], {}, 0);
  return found;
}

/** What stands at a path; null: nothing does. */
export function jsonAt(json: Json, path: readonly (string | number)[]): Json {
  let value: Json = json;
  for (const part of path) {
    const member: Json | undefined = Array.isArray(value)
      ? (value as readonly Json[])[Number(part)]
      : isJsonObject(value)
        ? value[part]
        : undefined;
    value = member ?? null;
  }
  return value;
}

/** The same with something else at a path. */
export function jsonWith(json: Json, path: readonly (string | number)[], value: Json): Json {
  const [part, ...rest] = path;
  if (part === undefined) return value;
  if (Array.isArray(json)) return json.with(Number(part), jsonWith(jsonAt(json, [part]), rest, value)) as Json;
  return { ...(json as JsonObject), [part]: jsonWith(jsonAt(json, [part]), rest, value) };
}
