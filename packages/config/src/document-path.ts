/** A place in a file; line and column count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The place of a character. `lines`: where each line begins. */
export function positionAt(lines: readonly number[], offset: number): Position {
  let [low, high] = [0, lines.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (lines[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - (lines[low] ?? 0) + 1 };
}

/** Proto JSON writes a field in either case, and so may whoever names it in a path. */
export function comparable(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}

const PART = /\[(?:"((?:[^"\\]|\\.)*)"|([^\]]*))\]|([^.[\]]+)/g;

/** `a.b[0]["c.d"]` as a, b, 0, c, d. */
export function splitPath(path: string): string[] {
  const parts: string[] = [];
  for (const [, quoted, index, plain] of path.matchAll(PART)) {
    parts.push(...(quoted?.replace(/\\(.)/g, "$1").split(".") ?? [index ?? plain ?? ""]));
  }
  return parts;
}
