import { nameFrom, originKey, type ResourceOrigin } from "@heddle/traffic";

/** The names of one kind that are wanted, by origin (`originKey`). Never empty sets. */
export type Wants = ReadonlyMap<string, WantedNames>;

export interface WantedNames {
  /** Left out: the aggregated stream. */
  readonly origin?: ResourceOrigin;
  readonly names: ReadonlySet<string>;
}

/** A resource as another one names it. */
export interface Wanted {
  readonly name: string;
  /** Left out: the aggregated stream. */
  readonly origin?: ResourceOrigin;
}

/** One string for it: the name, told apart by its origin. */
export function wantedKey({ name, origin }: Wanted): string {
  return nameFrom(name, origin);
}

export function gatherWants(wanted: Iterable<Wanted>): Wants {
  const wants = new Map<string, { readonly origin?: ResourceOrigin; readonly names: Set<string> }>();
  for (const { name, origin } of wanted) {
    const key = originKey(origin);
    const group = wants.get(key);
    if (group !== undefined) group.names.add(name);
    else wants.set(key, { ...(key !== "" && origin && { origin }), names: new Set([name]) });
  }
  return wants;
}

export function equalNames(a: ReadonlySet<string>, b: ReadonlySet<string> | undefined): boolean {
  return a === b || (b !== undefined && a.size === b.size && a.isSubsetOf(b));
}
