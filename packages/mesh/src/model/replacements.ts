/** An object that has taken the place of another one of its key. */
export interface Replacement<T> {
  readonly old: T;
  readonly now: T;
}

/** Beyond it making things anew costs no more than looking at each. */
const FEW = 32;

/**
 * What is different between two lists that are ordered by key: by far the most frequent change of a mesh leaves all keys as they
 * were and a few objects not. Undefined: some key is new or gone, or much is different.
 */
export function replacementsIn<T>(
  before: readonly T[],
  after: readonly T[],
  keyOf: (item: T) => string,
): readonly Replacement<T>[] | undefined {
  if (before.length !== after.length) return undefined;
  const replacements: Replacement<T>[] = [];
  for (let index = 0; index < after.length; index += 1) {
    const [old, now] = [before[index]!, after[index]!]; // they are as long
    if (old === now) continue;
    if (replacements.length === FEW || keyOf(old) !== keyOf(now)) return undefined;
    replacements.push({ old, now });
  }
  return replacements;
}
