import { hash } from "node:crypto";
import type { EncodedResource } from "../snapshot.ts";

/*
 * What is computed of a snapshot's resources once, however many nodes are served from it. Snapshots are immutable, and a
 * source that has nothing new of a type keeps the map of that type: so a map's identity stands for its content.
 */

/** The resources of one type of a snapshot, by name. */
export type Resources = ReadonlyMap<string, EncodedResource>;

const NO_NAMES: ReadonlyMap<string, string> = new Map();
const NONE: readonly EncodedResource[] = [];
const NOBODY: readonly string[] = [];
const FEW = 64;

const aliases = new WeakMap<Resources, ReadonlyMap<string, string>>();
const mortal = new WeakMap<Resources, readonly EncodedResource[]>();
const versions = new WeakMap<Resources, string>();
let latest: { readonly before: Resources; readonly after: Resources; readonly names: readonly string[] } | undefined;
const differences = new WeakMap<Resources, WeakMap<Resources, readonly string[]>>();

/** The version of all resources of a type: a hash of their names and versions, so that replicas agree without talking. */
export function versionOf(resources: Resources): string {
  let version = versions.get(resources);
  if (version === undefined) {
    let text = "";
    for (const name of [...resources.keys()].sort()) text += `${name}\0${resources.get(name)?.version}\n`;
    version = hash("sha256", text, "base64url").slice(0, 16);
    versions.set(resources, version);
  }
  return version;
}

/** Names of resources that are in only one of the two, or in both with different versions. */
export function changedBetween(before: Resources, after: Resources): readonly string[] {
  if (before === after) return NOBODY;
  // What is one node's own costs less to compare than to remember, and nobody else asks for it.
  if (after.size <= FEW && before.size <= FEW) {
    // What is new of it and what is gone are asked for one after the other.
    if (latest?.before !== before || latest.after !== after)
      latest = { before, after, names: differenceOf(before, after) };
    return latest.names;
  }
  let ofAfter = differences.get(after);
  if (ofAfter === undefined) differences.set(after, (ofAfter = new WeakMap()));
  let names = ofAfter.get(before);
  if (names === undefined) {
    names = differenceOf(before, after);
    ofAfter.set(before, names);
  }
  return names;
}

function differenceOf(before: Resources, after: Resources): readonly string[] {
  const changed: string[] = [];
  for (const [name, { version }] of after) if (before.get(name)?.version !== version) changed.push(name);
  for (const name of before.keys()) if (!after.has(name)) changed.push(name);
  return changed;
}

/** The resource of that name, or the one that has it as an alias. */
export function findResource(resources: Resources, name: string): EncodedResource | undefined {
  const found = resources.get(name);
  if (found !== undefined) return found;
  const realName = aliasesIn(resources).get(name);
  return realName === undefined ? undefined : resources.get(realName);
}

/** Those that have a time to live. */
export function withTtl(resources: Resources): readonly EncodedResource[] {
  let list = mortal.get(resources);
  if (list === undefined) {
    const found = [...resources.values()].filter(({ ttlMs }) => ttlMs !== undefined);
    mortal.set(resources, (list = found.length === 0 ? NONE : found));
  }
  return list;
}

/** Alias to real name. */
function aliasesIn(resources: Resources): ReadonlyMap<string, string> {
  let names = aliases.get(resources);
  if (names === undefined) {
    const found = new Map<string, string>();
    for (const { name, aliases: own = [] } of resources.values()) for (const alias of own) found.set(alias, name);
    aliases.set(resources, (names = found.size === 0 ? NO_NAMES : found));
  }
  return names;
}
