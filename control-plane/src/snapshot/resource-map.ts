import type { EncodedResource } from "@heddle/xds";

export type Resources = ReadonlyMap<string, EncodedResource>;

export const NO_RESOURCES: Resources = new Map();

/** The resources by name; `before` itself where nothing is different, since a map's identity stands for its content. */
export function resourceMap(before: Resources, resources: readonly EncodedResource[]): Resources {
  if (sameValues(before, resources)) return before;
  const made = new Map<string, EncodedResource>();
  for (const resource of resources) made.set(resource.name, resource);
  return sameValues(before, [...made.values()]) ? before : made;
}

function sameValues(before: Resources, resources: readonly EncodedResource[]): boolean {
  if (before.size !== resources.length) return false;
  let index = 0;
  for (const resource of before.values()) if (resource !== resources[index++]) return false;
  return true;
}

/** A map and what stands beside it or in its place, remade only when one of these is another. */
export class JoinedMap {
  #base: Resources = NO_RESOURCES;
  #more: readonly EncodedResource[] = [];
  #joined: Resources = NO_RESOURCES;

  join(base: Resources, more: readonly EncodedResource[]): Resources {
    if (base === this.#base && sameList(more, this.#more)) return this.#joined;
    this.#base = base;
    this.#more = more;
    this.#joined = more.length === 0 ? base : resourceMap(this.#joined, [...base.values(), ...more]);
    return this.#joined;
  }
}

export function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a === b || (a.length === b.length && a.every((item, index) => item === b[index]));
}
