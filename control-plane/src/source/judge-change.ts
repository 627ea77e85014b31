import { type Diagnostic, formatDiagnostic } from "@heddle/config";
import type { MeshObject } from "@heddle/mesh";
import { mergeItems } from "./merge.ts";
import { itemKey, type SourceItem } from "./source.ts";
import type { Sources } from "./sources.ts";

/** What would be wrong between a changed object and all others. */
export interface ChangeFaults {
  /** That the change brings. What has been wrong before is none of it, nor is what is said of another object in other words now. */
  readonly errors: readonly Diagnostic[];
  /** What is wrong with it beside: errors that it had before, and warnings. */
  readonly warnings: readonly Diagnostic[];
}

/**
 * More than that are not looked at for the sake of warnings: who makes an object waits, and so does everybody's configuration. Beside
 * 6000 services, routes and policies each change held the thread for 100 ms.
 */
const MAX_NEAR = 3000;

/**
 * What a change of one object would do, by the checks of `heddle check`. Undefined until every source has synchronised.
 *
 * Of workloads and endpoints those of its namespace are looked at, which alone are its own business; of policies of the root namespace
 * nobody's. Where all that is too many, nothing is looked at but what has the object's own name: no other error comes of the kinds of
 * objects that are judged.
 *
 * @param place `origin.file` of the object, and of what is made of it.
 * @param objects what it would be.
 */
export function judgeChange(sources: Sources, place: string, objects: readonly MeshObject[]): ChangeFaults | undefined {
  if (sources.world === undefined) return undefined;
  if (objects.length === 0) return { errors: [], warnings: [] };
  const namespaces = new Set(objects.map(({ namespace }) => namespace));
  const [before, others] = partition(
    sources.all.flatMap(({ items }) => items ?? []),
    ({ origin }) => origin.file === place,
  );
  const near = others.filter((item) => isFew(item) || namespaces.has(item.namespace));
  const isComplete = near.length <= MAX_NEAR;
  const looked = isComplete ? near : others.filter((item) => objects.some((object) => isNamesake(item, object)));
  const { serving } = sources;
  const known = mergeItems([...looked, ...before], serving).diagnostics;
  const found = mergeItems([...looked, ...objects], serving).diagnostics;
  const texts = new Set(known.map(formatDiagnostic));
  const faulty = new Set(known.filter(isError).map(placeOf));
  const errors = found.filter(
    (one) => isError(one) && !texts.has(formatDiagnostic(one)) && (one.file === place || !faulty.has(placeOf(one))),
  );
  const own = found.filter((one) => one.file === place && !errors.includes(one));
  return { errors, warnings: isComplete ? own : own.filter(isError) };
}

function isNamesake(item: SourceItem, object: MeshObject): boolean {
  return item.kind === object.kind && item.namespace === object.namespace && itemKey(item) === itemKey(object);
}

/** Workloads and endpoints are the many of a mesh. */
function isFew(item: SourceItem): item is Exclude<SourceItem, { kind: "workload" | "endpoint-slice" }> {
  return item.kind !== "workload" && item.kind !== "endpoint-slice";
}

function isError({ severity }: Diagnostic): boolean {
  return severity === "error";
}

function placeOf({ file, path }: Diagnostic): string {
  return `${file} ${path}`;
}

function partition<T>(items: readonly T[], isFirst: (item: T) => boolean): readonly [readonly T[], readonly T[]] {
  const [first, second]: [T[], T[]] = [[], []];
  for (const item of items) (isFirst(item) ? first : second).push(item);
  return [first, second];
}
