import { isJsonObject, type Json, type JsonObject } from "@heddle/base";

/** The object at `key`; an empty one where there is none. */
export function objectAt(json: Json | undefined, key: string): JsonObject {
  const value = isJsonObject(json) ? json[key] : undefined;
  return isJsonObject(value) ? value : {};
}

/** The objects of the list at `key`. */
export function objectsAt(json: Json | undefined, key: string): readonly JsonObject[] {
  const value = isJsonObject(json) ? json[key] : undefined;
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

/** The text at `key`; undefined where there is none, or an empty one. */
export function textAt(json: JsonObject, key: string): string | undefined {
  const value = json[key];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Whether two values are the same JSON; the order of keys says nothing. */
export function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item: Json, index) => sameJson(item, b[index]));
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]))
  );
}
