import { isObject, isSame, type Json, type JsonObject, objectsOf, text } from "./kube-object.ts";
import { mergeKeyOf } from "./merge-keys.ts";
import { badRequest, StatusError } from "./status-error.ts";

/** JSON Patch (RFC 6902): all operations or none. Throws 422 where one cannot be done, as the API server does. */
export function jsonPatch(document: Json, operations: Json | undefined): Json {
  if (!Array.isArray(operations)) throw badRequest("a JSON patch is a list of operations");
  let result = structuredClone<Json>(document);
  for (const operation of operations as readonly Json[]) {
    if (!isObject(operation)) throw badRequest("an operation of a JSON patch is an object");
    result = operate(result, operation);
  }
  return result;
}

/** JSON Merge Patch (RFC 7396). */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result: Record<string, Json | undefined> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else if (value !== undefined) result[name] = mergePatch(result[name], value);
  }
  return result;
}

/**
 * Strategic merge patch: as a merge patch, but lists whose members have a key (containers, ports, conditions) are merged by it.
 * `$patch: replace|delete`, `$deleteFromPrimitiveList/` and `$setElementOrder/` (which is not followed) are known; `$retainKeys` is not.
 */
export function strategicMergePatch(target: Json | undefined, patch: Json, field = ""): Json {
  if (!isObject(patch)) return patch;
  if (patch["$patch"] === "replace") return without(patch, "$patch");
  const result: Record<string, Json | undefined> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === undefined || name.startsWith("$setElementOrder/") || name === "$patch") continue;
    const [, listName] = /^\$deleteFromPrimitiveList\/(.*)$/.exec(name) ?? [];
    if (listName !== undefined) {
      const gone = value as readonly Json[];
      result[listName] = ((result[listName] ?? []) as readonly Json[]).filter((item) => !gone.includes(item));
    } else if (name.startsWith("$")) throw badRequest(`a strategic merge patch with ${name} is not understood here`);
    else if (value === null) delete result[name];
    else if (Array.isArray(value)) result[name] = mergedList(result[name], value as readonly Json[], name, field);
    else if (isObject(value) && value["$patch"] === "delete") delete result[name];
    else result[name] = strategicMergePatch(result[name], value, name);
  }
  return result;
}

function mergedList(old: Json | undefined, patch: readonly Json[], name: string, parent: string): Json {
  if (name === "finalizers") return [...new Set([...((old ?? []) as readonly Json[]), ...patch])];
  const members = objectsOf(patch);
  const key = mergeKeyOf(parent, name, [...objectsOf(old), ...members])?.[0];
  if (key === undefined || members.length !== patch.length) return patch;
  const replaces = members.some((member) => member["$patch"] === "replace");
  const result: Json[] = replaces ? [] : [...objectsOf(old)];
  for (const member of members) {
    if (member["$patch"] === "replace") continue;
    const at = result.findIndex((one) => isSame((one as JsonObject)[key], member[key]));
    if (member["$patch"] === "delete") {
      if (at >= 0) result.splice(at, 1);
    } else if (at >= 0) result[at] = strategicMergePatch(result[at], member, name);
    else result.push(strategicMergePatch({}, member, name));
  }
  return result;
}

function without(object: JsonObject, name: string): JsonObject {
  const { [name]: _, ...rest } = object;
  return rest;
}

function operate(document: Json, { op, path, from, value }: JsonObject): Json {
  const at = pointer(path);
  switch (op) {
    case "add":
      return changed(document, at, value, "add");
    case "replace":
      read(document, at);
      return changed(document, at, value, "replace");
    case "remove":
      read(document, at);
      return changed(document, at, undefined, "remove");
    case "test":
      if (!isSame(read(document, at), value)) throw refused(`testing value ${text(path)} failed`);
      return document;
    case "copy":
      return changed(document, at, read(document, pointer(from)), "add");
    case "move": {
      const moved = read(document, pointer(from));
      return changed(changed(document, pointer(from), undefined, "remove"), at, moved, "add");
    }
    default:
      throw refused(`Unexpected kind: ${text(op)}`);
  }
}

function pointer(path: Json | undefined): readonly string[] {
  if (typeof path !== "string" || (path !== "" && !path.startsWith("/"))) throw refused(`${text(path)} is no pointer`);
  const names = path.split("/").slice(1);
  return names.map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function read(document: Json, path: readonly string[]): Json {
  let at: Json | undefined = document;
  for (const name of path)
    at = Array.isArray(at) ? (at[Number(name)] as Json | undefined) : isObject(at) ? at[name] : undefined;
  if (at === undefined) throw refused(`/${path.join("/")} is missing`);
  return at;
}

function changed(
  document: Json,
  path: readonly string[],
  value: Json | undefined,
  how: "add" | "replace" | "remove",
): Json {
  const [name, ...rest] = path;
  if (name === undefined) return value ?? null;
  if (Array.isArray(document)) {
    const list = [...(document as readonly Json[])];
    const index = name === "-" ? list.length : Number(name);
    if (!Number.isInteger(index) || index < 0 || index > list.length) throw refused(`index ${name} is out of bounds`);
    if (rest.length > 0) list[index] = changed(read(list, [name]), rest, value, how);
    else list.splice(index, how === "add" ? 0 : 1, ...(value === undefined ? [] : [value]));
    return list;
  }
  if (!isObject(document)) throw refused(`/${name} is in no object`);
  if (rest.length > 0) return { ...document, [name]: changed(read(document, [name]), rest, value, how) };
  return value === undefined ? without(document, name) : { ...document, [name]: value };
}

const refused = (why: string): StatusError =>
  new StatusError(422, "Invalid", `the server rejected our request due to an error in our request: ${why}`);
