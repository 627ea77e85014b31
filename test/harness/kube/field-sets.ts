import { isObject, isSame, type Json, type JsonObject, objectsOf } from "./kube-object.ts";
import { keyValue, mergeKeyOf } from "./merge-keys.ts";

/**
 * The fields of an object as Kubernetes names them in `managedFields`: "f:spec", "f:ports", then `k:{"port":80}` for the member of a list
 * that has a key, `v:` for one of a list that is a set, "." for the member itself.
 */
export type FieldPath = readonly string[];

/** Paths, each as one string, so that sets of them are sets. */
export type FieldSet = ReadonlySet<string>;

export const toPath = (text: string): FieldPath => text.split("\n");
const toText = (path: FieldPath): string => path.join("\n");

/** What no manager owns: who an object is, and what the server writes. */
const UNOWNED = new Set(["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink"]); // biome-ignore format: a table

/** All leaves of an object, except apiVersion, kind and who it is. */
export function fieldsOf(object: JsonObject): FieldSet {
  const { apiVersion: _a, kind: _k, metadata, ...rest } = object;
  const owned = Object.entries(isObject(metadata) ? metadata : {}).filter(([name]) => !UNOWNED.has(name));
  const fields = new Set<string>();
  collect(fields, [], rest, "");
  for (const [name, value] of owned) collect(fields, ["f:metadata", `f:${name}`], value ?? null, "metadata", name);
  return fields;
}

function collect(into: Set<string>, path: FieldPath, value: Json, parent: string, name = ""): void {
  if (isObject(value)) {
    const members = Object.entries(value);
    if (members.length === 0 && path.length > 0) into.add(toText(path));
    for (const [key, member] of members) collect(into, [...path, `f:${key}`], member ?? null, name, key);
  } else if (Array.isArray(value)) {
    const members = objectsOf(value);
    const keys = members.length === value.length && value.length > 0 ? mergeKeyOf(parent, name, members) : undefined;
    if (keys !== undefined)
      for (const member of members) {
        const at = [...path, keyed(keys, member)];
        into.add(toText([...at, "."]));
        for (const [key, inner] of Object.entries(member)) collect(into, [...at, `f:${key}`], inner ?? null, name, key);
      }
    else if (name === "finalizers") for (const one of value) into.add(toText([...path, `v:${JSON.stringify(one)}`]));
    else into.add(toText(path));
  } else into.add(toText(path));
}

function keyed(keys: readonly string[], member: JsonObject): string {
  return `k:${JSON.stringify(Object.fromEntries(keys.toSorted().map((key) => [key, keyValue(member, key)])))}`;
}

/** What stands at a path; undefined: nothing. */
export function valueAt(object: Json | undefined, path: FieldPath): Json | undefined {
  const [step, ...rest] = path;
  if (step === undefined || step === ".") return object;
  if (step.startsWith("f:")) return isObject(object) ? valueAt(object[step.slice(2)], rest) : undefined;
  if (!Array.isArray(object)) return undefined;
  return valueAt(object[indexOf(object as readonly Json[], step)] as Json | undefined, rest);
}

/** Without what stands at a path; an object or a list that is empty then goes too. */
export function without(object: Json, path: FieldPath): Json | undefined {
  const [step, ...rest] = path;
  if (step === undefined || step === ".") return undefined;
  if (isObject(object) && step.startsWith("f:")) {
    const { [step.slice(2)]: inner, ...others } = object;
    const left = inner === undefined ? undefined : without(inner, rest);
    const result = left === undefined ? others : { ...others, [step.slice(2)]: left };
    return Object.keys(result).length === 0 ? undefined : result;
  }
  if (!Array.isArray(object)) return object;
  const index = indexOf(object as readonly Json[], step);
  if (index < 0) return object;
  const left = without(object[index] as Json, rest);
  const result = object.toSpliced(index, 1, ...(left === undefined ? [] : [left]));
  return result.length === 0 ? undefined : (result as Json);
}

function indexOf(list: readonly Json[], step: string): number {
  if (step.startsWith("v:")) return list.findIndex((one) => JSON.stringify(one) === step.slice(2));
  const key = JSON.parse(step.slice(2)) as JsonObject;
  return list.findIndex(
    (one) => isObject(one) && Object.entries(key).every(([name, value]) => isSame(keyValue(one, name), value)),
  );
}

/** As it stands in `fieldsV1`. */
export function toFieldsV1(fields: FieldSet): JsonObject {
  const tree: Record<string, Json> = {};
  for (const path of [...fields].sort()) {
    let at = tree;
    for (const step of toPath(path)) at = (at[step] ??= {}) as Record<string, Json>;
  }
  return tree;
}

export function fromFieldsV1(tree: Json | undefined): FieldSet {
  const fields = new Set<string>();
  const visit = (at: Json | undefined, path: FieldPath): void => {
    const members = Object.entries(isObject(at) ? at : {});
    if (members.length === 0 && path.length > 0) fields.add(toText(path));
    for (const [step, inner] of members) visit(inner, [...path, step]);
  };
  visit(tree, []);
  return fields;
}
