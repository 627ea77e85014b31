import type { Labels } from "./metrics.ts";

/**
 * Finds things by the labels that they carry, in time that grows with what is found: where a control plane takes 10,000 clusters
 * away, looking through all series for each of them stood still for 3 s.
 */
export class LabelIndex {
  /** By label and value, the keys. */
  readonly #keys = new Map<string, Set<string>>();

  add(key: string, labels: Labels): void {
    for (const pair of pairsOf(labels)) {
      const keys = this.#keys.get(pair);
      if (keys === undefined) this.#keys.set(pair, new Set([key]));
      else keys.add(key);
    }
  }

  delete(key: string, labels: Labels): void {
    for (const pair of pairsOf(labels)) {
      const keys = this.#keys.get(pair);
      keys?.delete(key);
      if (keys?.size === 0) this.#keys.delete(pair);
    }
  }

  /** Among these keys are all of what carries all of the labels. At least one of them is carried by each. */
  candidates(labels: Labels): readonly string[] {
    let fewest: ReadonlySet<string> | undefined;
    for (const pair of pairsOf(labels)) {
      const keys = this.#keys.get(pair);
      if (keys === undefined) return [];
      if (fewest === undefined || keys.size < fewest.size) fewest = keys;
    }
    return [...(fewest ?? [])];
  }
}

function pairsOf(labels: Labels): readonly string[] {
  return Object.entries(labels).map(([label, value]) => `${label}=${value}`);
}
