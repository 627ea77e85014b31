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
