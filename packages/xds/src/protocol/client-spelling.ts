import type { ResourceUpdate } from "../subscription.ts";
import { canonicalName, isXdstpName } from "./xdstp-name.ts";

/**
 * The names of one kind as their user spells them. Structured names have one spelling on the wire, whatever order a user's
 * configuration lists their context parameters in; the user is told of each resource by every name that it asked for.
 */
export class ClientSpelling {
  /** Of structured names alone: by the one spelling, the spellings of the user. */
  readonly #spellings: Map<string, Set<string>> = new Map();

  /** The names as they are asked for. */
  replace(names: ReadonlySet<string>): ReadonlySet<string> {
    this.#spellings.clear();
    const asked = new Set<string>();
    for (const name of names) asked.add(this.#note(name));
    return asked;
  }

  /** The names to ask for and to ask no more. A spelling may go while another of the same name stays. */
  adjust(add: readonly string[], drop: readonly string[]): { readonly add: string[]; readonly drop: string[] } {
    const dropped: string[] = [];
    for (const name of drop) {
      const canonical = canonicalName(name);
      const spellings = this.#spellings.get(canonical);
      spellings?.delete(name);
      if (spellings !== undefined && spellings.size > 0) continue;
      this.#spellings.delete(canonical);
      dropped.push(canonical);
    }
    return { add: add.map((name) => this.#note(name)), drop: dropped };
  }

  /** An update in the user's own names. */
  translate(update: ResourceUpdate): ResourceUpdate {
    if (this.#spellings.size === 0) return update;
    const spell = (names: readonly string[]): string[] => names.flatMap((name) => this.#spell(name));
    return {
      ...update,
      changed: new Map(
        [...update.changed].flatMap(([name, one]) => this.#spell(name).map((own) => [own, one] as const)),
      ),
      removed: spell(update.removed),
      absent: spell(update.absent),
      ...(update.refreshed !== undefined && { refreshed: spell(update.refreshed) }),
    };
  }

  #note(name: string): string {
    if (!isXdstpName(name)) return name;
    const canonical = canonicalName(name);
    this.#spellings.set(canonical, (this.#spellings.get(canonical) ?? new Set()).add(name));
    return canonical;
  }

  #spell(canonical: string): readonly string[] {
    const spellings = this.#spellings.get(canonical);
    return spellings === undefined ? [canonical] : [...spellings];
  }
}
