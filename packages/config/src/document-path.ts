/** A place in a file; line and column count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
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
