import { type FieldSet, fieldsOf, fromFieldsV1, toFieldsV1, toPath, valueAt, without } from "./field-sets.ts";
import { isObject, isSame, type Json, type JsonObject, type KubeObject, objectsOf, text } from "./kube-object.ts";
import { keyValue, mergeKeyOf } from "./merge-keys.ts";
import { StatusError } from "./status-error.ts";

/** One entry of `metadata.managedFields`, read. */
interface Manager {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly subresource: string;
  readonly apiVersion: string;
  readonly time: string;
  readonly fields: FieldSet;
}

/** The object with its fields' managers as they are after a write that is no apply: what it changed is the writer's. */
export function recordUpdate(
  before: KubeObject | undefined,
  after: KubeObject,
  manager: string,
  subresource: string,
  time: string,
): KubeObject {
  const managers = managersOf(after);
  // An apply has said already whose the fields are.
  if (!isSame(before?.metadata.managedFields ?? [], after.metadata.managedFields ?? [])) return after;
  const now = fieldsOf(after);
  const changed = new Set(
    [...now].filter((path) => !isSame(valueAt(before, toPath(path)), valueAt(after, toPath(path)))),
  );
  const lives = (path: string): boolean => valueAt(after, toPath(path)) !== undefined;
  const others = managers.map((entry) => ({
    ...entry,
    fields: entry.fields.difference(changed).intersection(new Set([...entry.fields].filter(lives))),
  }));
  return withManagers(
    after,
    mine(others, { manager, operation: "Update", subresource, apiVersion: after.apiVersion, time }, (was) =>
      was.union(changed),
    ),
  );
}

export interface ApplyOptions {
  readonly fieldManager: string;
  readonly force: boolean;
  readonly subresource: string;
  readonly time: string;
}

/**
 * Server-side apply: the configuration over what is there; what this manager applied before and now leaves out goes, unless another has it too.
 * Throws 409 where a field that another manager has would change, unless it is forced.
 *
 * Simpler than Kubernetes: which lists are merged is told by a table of field names and not by the kind's schema, and managers of one
 * version are not translated to another.
 */
export function applied(live: KubeObject | undefined, wanted: KubeObject, options: ApplyOptions): KubeObject {
  const managers = live === undefined ? [] : managersOf(live);
  const isMine = (entry: Manager): boolean =>
    entry.manager === options.fieldManager && entry.operation === "Apply" && entry.subresource === options.subresource;
  const fields = fieldsOf(wanted);
  const conflicts = managers
    .filter((entry) => !isMine(entry))
    .flatMap((entry) =>
      [...entry.fields.intersection(fields)]
        .filter((path) => !path.endsWith("\n.") && !isSame(valueAt(live, toPath(path)), valueAt(wanted, toPath(path))))
        .map((path) => ({ entry, path })),
    );
  if (conflicts.length > 0 && !options.force) throw applyConflict(conflicts);
  const taken = new Set(conflicts.map(({ path }) => path));
  const others = managers
    .filter((entry) => !isMine(entry))
    .map((entry) => ({ ...entry, fields: entry.fields.difference(taken) }));
  let result = live === undefined ? wanted : (overlaid(live, wanted, "") as KubeObject);
  const before = managers.find(isMine)?.fields ?? new Set<string>();
  const elsewhere = new Set(others.flatMap((entry) => [...entry.fields]));
  for (const path of before.difference(fields).difference(elsewhere)) {
    const isHeld = path.endsWith("\n.") && [...elsewhere, ...fields].some((one) => one.startsWith(path.slice(0, -1)));
    if (!isHeld) result = (without(result, toPath(path)) ?? result) as KubeObject;
  }
  const { fieldManager: manager, subresource, time } = options;
  const apiVersion = wanted.apiVersion;
  return withManagers(
    result,
    mine(others, { manager, operation: "Apply", subresource, apiVersion, time }, () => fields),
  );
}

function overlaid(live: Json | undefined, wanted: Json, parent: string, name = ""): Json {
  if (isObject(wanted) && isObject(live)) {
    const result: Record<string, Json | undefined> = { ...live };
    for (const [key, value] of Object.entries(wanted))
      if (value !== undefined && value !== null) result[key] = overlaid(live[key], value, name, key);
    return result;
  }
  if (!Array.isArray(wanted) || !Array.isArray(live)) return wanted;
  if (name === "finalizers") return [...new Set([...(live as readonly Json[]), ...(wanted as readonly Json[])])];
  const keys = mergeKeyOf(parent, name, [...objectsOf(live as Json), ...objectsOf(wanted as Json)]);
  if (keys === undefined || objectsOf(wanted as Json).length !== wanted.length) return wanted;
  const result = [...objectsOf(live as Json)];
  for (const member of objectsOf(wanted as Json)) {
    const at = result.findIndex((one) => keys.every((key) => isSame(keyValue(one, key), keyValue(member, key))));
    if (at < 0) result.push(member);
    else result[at] = overlaid(result[at], member, name) as JsonObject;
  }
  return result;
}

function mine(
  others: readonly Manager[],
  entry: Omit<Manager, "fields">,
  update: (was: FieldSet) => FieldSet,
): readonly Manager[] {
  const at = others.findIndex(
    (one) =>
      one.manager === entry.manager && one.operation === entry.operation && one.subresource === entry.subresource,
  );
  const fields = update(others[at]?.fields ?? new Set());
  const changes = at < 0 || !isSame(toFieldsV1(fields), toFieldsV1(others[at]!.fields));
  const next = { ...entry, fields, time: changes ? entry.time : others[at]!.time };
  return (at < 0 ? [...others, next] : others.with(at, next)).filter((one) => one.fields.size > 0);
}

function managersOf(object: KubeObject): readonly Manager[] {
  return (object.metadata.managedFields ?? []).map((entry) => ({
    manager: text(entry["manager"]),
    operation: entry["operation"] === "Apply" ? "Apply" : "Update",
    subresource: text(entry["subresource"] ?? ""),
    apiVersion: text(entry["apiVersion"]),
    time: text(entry["time"]),
    fields: fromFieldsV1(entry["fieldsV1"]),
  }));
}

function withManagers(object: KubeObject, managers: readonly Manager[]): KubeObject {
  const managedFields = managers.map(({ manager, operation, subresource, apiVersion, time, fields }) => ({
    manager,
    operation,
    apiVersion,
    time,
    fieldsType: "FieldsV1",
    fieldsV1: toFieldsV1(fields),
    ...(subresource === "" ? {} : { subresource }),
  }));
  return { ...object, metadata: { ...object.metadata, managedFields } };
}

function applyConflict(conflicts: readonly { readonly entry: Manager; readonly path: string }[]): StatusError {
  const name = (path: string): string =>
    toPath(path)
      .map((step) =>
        step === "." ? "" : step.startsWith("f:") ? `.${step.slice(2)}` : `[${step.slice(2).replace(/^\{|\}$/g, "")}]`,
      )
      .join("");
  const causes = conflicts.map(({ entry, path }) => ({
    reason: "FieldManagerConflict",
    message: `conflict with ${JSON.stringify(entry.manager)}`,
    field: name(path),
  }));
  const what = causes.map(({ message, field }) => `${message}: ${field}`).join("; ");
  return new StatusError(
    409,
    "Conflict",
    `Apply failed with ${causes.length} conflict${causes.length === 1 ? "" : "s"}: ${what}`,
    { causes },
  );
}
