import { canonicalName, collectionOf, isCollection } from "./xdstp-name.ts";

/** The name that means every resource of a type. */
export const WILDCARD = "*";

/**
 * Which resources of one type a client has asked for on one stream. Both variants of the protocol end here, so that the
 * rules of the wildcard stand in one place (Envoy's xds_protocol.rst, "How the client specifies what resources to return"):
 *
 * - the first request of a type that names nothing means all, for the types that have this old form (LDS, CDS);
 * - "*" means all, alone or beside names;
 * - once a request has named anything, naming nothing means nothing;
 * - an xdstp name has one spelling, and one that ends in "/*" means all resources of that folder.
 */
export class Subscription {
  readonly #emptyMeansAll: boolean;
  /** Whether any request has named anything yet, "*" included. */
  #named = false;
  /** Whether there has been a delta request. */
  #asked = false;
  #wildcard = false;
  #names: Set<string> = new Set();
  /** Of the names, those that stand for all resources of a folder (xdstp). */
  #collections: Set<string> = new Set();

  /** `emptyMeansAll`: the type has the old form of the wildcard. */
  constructor(emptyMeansAll: boolean) {
    this.#emptyMeansAll = emptyMeansAll;
  }

  get wildcard(): boolean {
    return this.#wildcard;
  }

  /** Asked for by name; "*" is not among them. */
  get names(): ReadonlySet<string> {
    return this.#names;
  }

  /** Whether a resource's name may be wanted that is not itself among the names. */
  get isOpen(): boolean {
    return this.#wildcard || this.#collections.size > 0;
  }

  wants(name: string): boolean {
    return this.#wildcard || this.#names.has(name) || this.collectionOf(name) !== undefined;
  }

  /** The collection that was asked for and has a resource of this name in it. */
  collectionOf(name: string): string | undefined {
    if (this.#collections.size === 0) return undefined;
    const collection = collectionOf(name);
    return collection !== undefined && this.#collections.has(collection) ? collection : undefined;
  }

  /** State of the world: the list is the whole subscription each time. Returns what was not asked for before. */
  replace(list: readonly string[]): readonly string[] {
    const names = new Set(list.map(canonicalName));
    if (names.size > 0) this.#named = true;
    const wildcard = names.delete(WILDCARD) || (this.#emptyMeansAll && !this.#named);
    const added = [...names].filter((name) => !this.#names.has(name));
    if (wildcard && !this.#wildcard) added.push(WILDCARD);
    this.#names = names;
    this.#collections = new Set([...names].filter(isCollection));
    this.#wildcard = wildcard;
    return added;
  }

  /**
   * Delta: what the client adds and takes away. A first request without either means all. Returns the names that were
   * taken away and had been asked for by name.
   */
  change(subscribe: readonly string[], unsubscribe: readonly string[]): readonly string[] {
    if (!this.#asked && subscribe.length === 0 && unsubscribe.length === 0) this.#wildcard = this.#emptyMeansAll;
    this.#asked = true;
    for (const name of subscribe) {
      if (name === WILDCARD) this.#wildcard = true;
      else this.#names.add(canonicalName(name));
      if (isCollection(name)) this.#collections.add(canonicalName(name));
    }
    const dropped: string[] = [];
    for (const name of unsubscribe.map(canonicalName)) {
      this.#collections.delete(name);
      if (name === WILDCARD) this.#wildcard = false;
      else if (this.#names.delete(name)) dropped.push(name);
    }
    return dropped;
  }
}
