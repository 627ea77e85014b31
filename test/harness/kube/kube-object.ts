/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [field: string]: Json | undefined;
}

/** One object of the Kubernetes API, as it travels. Never changed in place: whoever changes one makes another. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: Json | undefined;
}

/** The fields of its metadata that the server itself reads. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly generateName?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string | null;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly labels?: { readonly [key: string]: string };
  readonly annotations?: { readonly [key: string]: string };
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly (JsonObject & { readonly uid: string })[];
  readonly managedFields?: readonly JsonObject[];
  readonly [field: string]: Json | undefined;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The member at the end of these names, or undefined where something on the way is no object. */
export function member(value: Json | undefined, ...names: readonly string[]): Json | undefined {
  let at = value;
  for (const name of names) {
    if (!isObject(at)) return undefined;
    at = at[name];
  }
  return at;
}

/** A string, or a number or boolean as one; of anything else "". */
export function text(value: Json | undefined): string {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

/** The members of a list of objects; of anything else none. */
export function objectsOf(value: Json | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function stringsOf(value: Json | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];
}

/** Equal as JSON, whatever the order of members. */
export function isSame(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a))
    return Array.isArray(b) && a.length === b.length && a.every((item, i) => isSame(item as Json, b[i] as Json));
  if (!isObject(a) || !isObject(b)) return false;
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every((name) => isSame(a[name], b[name]));
}

/** Without members that are undefined, so that `in` and `Object.keys` tell what JSON would. */
export function plain<T extends Json | KubeObject>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
