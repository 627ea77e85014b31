import { isJsonObject, type Json, type JsonObject, sameJson } from "@heddle/base";
import { annotationPath, type InjectionFault } from "./injection-fault.ts";
import { objectsAt } from "./json-fields.ts";
import { TEMPLATE_ANNOTATION } from "./names.ts";

/** What injection adds to a pod's spec: in front of what is there, and behind it. */
export interface Additions {
  readonly initContainers: Around;
  readonly containers: Around;
  readonly volumes: Around;
  /** Other fields of the spec, merged into it. */
  readonly fields: JsonObject;
}

export interface Around {
  readonly first: readonly JsonObject[];
  readonly last: readonly JsonObject[];
}

const PATH = annotationPath(TEMPLATE_ANNOTATION);
const LISTS = ["initContainers", "containers", "volumes"] as const;

/** Lists that are merged item by item, and the field by which an item is known (`patchMergeKey` of Kubernetes' API). */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  env: "name",
  ports: "containerPort",
  volumeMounts: "mountPath",
  volumeDevices: "devicePath",
};

/**
 * Merges a pod's own template over what injection adds to it, as a strategic merge patch would: containers and volumes by name, the
 * sidecar in whichever of the two lists; null takes a field away, `$patch: delete` an item, `$patch: replace` replaces a map.
 * What the application's author has written in the manifest itself is not touched: a container or a field that is there is a fault.
 */
export function mergeTemplate(
  additions: Additions,
  template: JsonObject,
  spec: JsonObject,
  faults: InjectionFault[],
): Additions {
  let merged = additions;
  for (const [field, value] of Object.entries(template)) {
    const list = LISTS.find((name) => name === field);
    if (list === undefined) merged = { ...merged, fields: { ...merged.fields, [field]: value } };
    else if (!Array.isArray(value) || !value.every((item) => isJsonObject(item) && typeof item["name"] === "string"))
      faults.push({ path: PATH, message: `${field}: allowed is a list of objects with a name` });
    else for (const item of value as readonly JsonObject[]) merged = mergeNamed(merged, list, item, spec, faults);
  }
  return merged;
}

function mergeNamed(
  additions: Additions,
  list: (typeof LISTS)[number],
  item: JsonObject,
  spec: JsonObject,
  faults: InjectionFault[],
): Additions {
  const name = item["name"];
  const places = list === "volumes" ? (["volumes"] as const) : (["initContainers", "containers"] as const);
  for (const place of places)
    for (const side of ["first", "last"] as const) {
      const at = additions[place][side].findIndex((one) => one["name"] === name);
      if (at === -1) continue;
      const around = {
        ...additions[place],
        [side]: additions[place][side].with(
          at,
          mergeMap(additions[place][side][at]!, item, `${list}.${name as string}`, faults),
        ),
      };
      return { ...additions, [place]: around };
    }
  if (places.some((place) => objectsAt(spec, place).some((one) => one["name"] === name))) {
    faults.push({
      path: PATH,
      message: `${list}: ${JSON.stringify(name)} is in the manifest itself; allowed is what injection adds, and new names`,
    });
    return additions;
  }
  return { ...additions, [list]: { ...additions[list], last: [...additions[list].last, item] } };
}

function mergeMap(base: JsonObject, patch: JsonObject, path: string, faults: InjectionFault[]): JsonObject {
  const { $patch, ...fields } = patch;
  if ($patch === "replace") return fields;
  if ($patch !== undefined && $patch !== "merge")
    faults.push({ path: PATH, message: `${path}: $patch: found ${JSON.stringify($patch)}, allowed is replace` });
  const merged: Record<string, Json> = { ...base };
  for (const [field, value] of Object.entries(fields)) {
    const before = merged[field];
    const at = `${path}.${field}`;
    if (value === null) delete merged[field];
    else if (isJsonObject(value) && isJsonObject(before)) merged[field] = mergeMap(before, value, at, faults);
    else if (Array.isArray(value) && Array.isArray(before) && MERGE_KEYS[field] !== undefined)
      merged[field] = mergeList(before, value, MERGE_KEYS[field], at, faults);
    else merged[field] = value;
  }
  return merged;
}

function mergeList(
  base: readonly Json[],
  patch: readonly Json[],
  key: string,
  path: string,
  faults: InjectionFault[],
): Json[] {
  const merged = [...base];
  for (const item of patch) {
    if (!isJsonObject(item) || item[key] === undefined) {
      faults.push({ path: PATH, message: `${path}: allowed is a list of objects with ${key}` });
      continue;
    }
    const at = merged.findIndex((one) => isJsonObject(one) && one[key] === item[key]);
    if (item["$patch"] === "delete") {
      if (at !== -1) merged.splice(at, 1);
    } else if (at === -1) merged.push(item);
    else merged[at] = mergeMap(merged[at] as JsonObject, item, `${path}[${JSON.stringify(item[key])}]`, faults);
  }
  return merged;
}

/** The spec with `fields` in it; what it says already must be the same. */
export function withFields(spec: JsonObject, fields: JsonObject, faults: InjectionFault[], path = ""): JsonObject {
  const merged: Record<string, Json> = { ...spec };
  for (const [field, value] of Object.entries(fields)) {
    const before = merged[field] ?? undefined;
    const at = path === "" ? field : `${path}.${field}`;
    if (isJsonObject(before) && isJsonObject(value)) merged[field] = withFields(before, value, faults, at);
    else if (before === undefined) merged[field] = value;
    else if (!sameJson(before, value))
      faults.push({
        path: PATH,
        message: `${at}: the manifest itself says ${JSON.stringify(before)}; allowed is what it leaves open`,
      });
  }
  return merged;
}
