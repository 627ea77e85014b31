/** So many are sorted, or merged, between two pauses: well below a millisecond. */
const RUN = 512;

/** Sorts a copy of them by text, with places to pause in between (each `yield`). */
export function* sortInSlices<T>(items: readonly T[], textOf: (item: T) => string): Generator<undefined, T[]> {
  const compare = (a: T, b: T): number => compareText(textOf(a), textOf(b));
  let sorted: T[] = [];
  for (let at = 0; at < items.length; at += RUN) {
    for (const item of items.slice(at, at + RUN).sort(compare)) sorted.push(item);
    yield;
  }
  for (let width = RUN; width < sorted.length; width *= 2) {
    const merged: T[] = [];
    for (let at = 0; at < sorted.length; at += 2 * width) {
      yield* mergeInto(merged, sorted, at, Math.min(at + width, sorted.length), at + 2 * width, compare);
    }
    sorted = merged;
  }
  return sorted;
}

/** The runs [left, middle) and [middle, end) of `from`. */
function* mergeInto<T>(
  into: T[],
  from: readonly T[],
  left: number,
  middle: number,
  end: number,
  compare: (a: T, b: T) => number,
): Generator<undefined> {
  const stop = Math.min(end, from.length);
  let right = middle;
  for (let at = left; at < middle || right < stop; ) {
    const takesLeft = right >= stop || (at < middle && compare(from[at]!, from[right]!) <= 0); // both are below their ends
    into.push(from[takesLeft ? at++ : right++]!);
    if (into.length % RUN === 0) yield;
  }
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
