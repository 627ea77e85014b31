import type { Diagnostic } from "@heddle/config";
import {
  checkPolicies,
  checkReferences,
  checkServices,
  checkWorkloads,
  diagnosticAt,
  formatOrigin,
  Mesh,
  type MeshObject,
  replacementsIn,
} from "@heddle/mesh";
import type { RawResource } from "./raw-resource.ts";
import { itemKey, type SourceItem } from "./source.ts";

/** Everything that all sources hold, as one. Immutable. */
export interface World {
  readonly mesh: Mesh;
  readonly rawResources: readonly RawResource[];
}

export interface Merged {
  readonly world: World;
  /** What is wrong between items; what is wrong with one stands in its source. Found out when it is first read: nobody waits for it. */
  readonly diagnostics: readonly Diagnostic[];
  /** Which item serves for each key, to be handed in the next time. */
  readonly serving: ReadonlyMap<string, SourceItem>;
  /** Of all sources. */
  readonly items: readonly SourceItem[];
  /** No key stands in more than one place. */
  readonly isUncontested: boolean;
}

/**
 * Joins the items of all sources. One name from two places is an error that names both; the one that has been serving
 * goes on, and at the start the one whose place comes first.
 *
 * @param resolve fills in what an object leaves to others to say
 * @param before of the last time: where little has changed, little is done
 */
export function mergeItems(
  items: readonly SourceItem[],
  servedBefore: ReadonlyMap<string, SourceItem>,
  resolve: (object: MeshObject) => MeshObject = (object) => object,
  before?: Merged,
): Merged {
  const { serving, collisions, isUncontested } = withReplaced(items, before) ?? joined(items, servedBefore);
  const objects: MeshObject[] = [];
  const rawResources: RawResource[] = [];
  for (const item of serving.values()) {
    if (item.kind === "raw") rawResources.push(item);
    else objects.push(resolve(item));
  }
  const mesh = new Mesh(objects, before?.world.mesh);
  let diagnostics: readonly Diagnostic[] | undefined;
  return {
    world: { mesh, rawResources },
    get diagnostics() {
      diagnostics ??= [
        ...collisions,
        ...checkReferences(mesh),
        ...checkServices(mesh),
        ...checkWorkloads(mesh),
        ...checkPolicies(mesh),
      ];
      return diagnostics;
    },
    serving,
    items,
    isUncontested,
  };
}

type Joined = Pick<Merged, "serving" | "isUncontested"> & { readonly collisions: readonly Diagnostic[] };

/** Where nothing but a few items are others, of the keys of those in whose places they stand. */
function withReplaced(items: readonly SourceItem[], before: Merged | undefined): Joined | undefined {
  if (before?.isUncontested !== true) return undefined;
  const replacements = replacementsIn(before.items, items, itemKey);
  if (replacements === undefined) return undefined;
  const serving = new Map(before.serving);
  for (const { now } of replacements) serving.set(itemKey(now), now);
  return { serving, collisions: [], isUncontested: true };
}

function joined(items: readonly SourceItem[], servedBefore: ReadonlyMap<string, SourceItem>): Joined {
  const serving = new Map<string, SourceItem>();
  /** Of the keys that stand in more than one place. */
  const contested = new Map<string, SourceItem[]>();
  for (const item of items) {
    const key = itemKey(item);
    const first = serving.get(key);
    if (first === undefined) serving.set(key, item);
    else contested.set(key, [...(contested.get(key) ?? [first]), item]);
  }
  const collisions: Diagnostic[] = [];
  for (const [key, candidates] of contested) {
    const chosen = choose(candidates, servedBefore.get(key));
    if (chosen === undefined) continue; // there are two at least
    serving.set(key, chosen);
    for (const other of candidates) {
      if (other === chosen) continue;
      const message = `the ${key} stands also in ${formatOrigin(chosen.origin)}, which serves; remove one of them`;
      collisions.push(diagnosticAt(other.origin, "error", message));
    }
  }
  return { serving, collisions, isUncontested: contested.size === 0 };
}

function choose(candidates: readonly SourceItem[], before: SourceItem | undefined): SourceItem | undefined {
  const sameFile = candidates.filter(({ origin }) => origin.file === before?.origin.file);
  // The very same item, else the one of its file (the file may have been edited), else the first.
  return sameFile.find((item) => item === before) ?? sameFile[0] ?? [...candidates].sort(byPlace)[0];
}

function byPlace(a: SourceItem, b: SourceItem): number {
  if (a.origin.file !== b.origin.file) return a.origin.file < b.origin.file ? -1 : 1;
  return a.origin.line - b.origin.line;
}
