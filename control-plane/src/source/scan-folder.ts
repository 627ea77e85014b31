import type { BigIntStats } from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { FileStamp } from "./settling.ts";

/** What a look into a folder found. */
export interface Scan {
  /** By path relative to the folder, ordered. */
  readonly files: ReadonlyMap<string, FileStamp>;
  /** Every real folder in which an event may mean a change: the folder, its subfolders, and where links lead. */
  readonly folders: ReadonlySet<string>;
  /** There were more files than are read: those that would come later in order were left out. */
  readonly truncated: boolean;
  /** By where they really are: files, and undefined for folders and for what has several names. */
  readonly byRealPath: ReadonlyMap<string, string | undefined>;
  /** The one of `folders` in which nothing matters but what `byRealPath` has of it. */
  readonly outside: string | undefined;
}

/** More than anybody writes by hand; a folder with more is most likely not the one that was meant. */
export const MAX_FILES = 10_000;
const MAX_DEPTH = 16;

/**
 * Finds the YAML and JSON files of a folder and its subfolders, links followed. Hidden files and folders are left out,
 * and so are what editors leave beside a file that they save. Undefined: there is no such folder.
 *
 * A mounted ConfigMap is a folder of links into `..data`, itself a link that is swapped: hidden, and reached by them.
 */
export async function scanFolder(root: string, maxFiles = MAX_FILES): Promise<Scan | undefined> {
  const files = new Map<string, FileStamp>();
  const folders = new Set<string>();
  const byRealPath = new Map<string, string | undefined>();
  const reach = (path: string, relative: string): void => {
    const known = byRealPath.get(path);
    byRealPath.set(path, byRealPath.has(path) && known !== relative ? undefined : relative);
  };
  let truncated = false;
  const open = async (path: string, relative: string, trail: readonly string[]): Promise<boolean> => {
    const real = await orUndefined(realpath(path));
    // A link to a folder above would go round for ever.
    if (real === undefined || trail.includes(real) || trail.length > MAX_DEPTH) return false;
    const entries = await orUndefined(readdir(path, { withFileTypes: true }));
    if (entries === undefined) return false;
    folders.add(real);
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const { name } = entry;
      if (name.startsWith(".") || name === "node_modules") continue;
      const child = join(path, name);
      const stats = await orUndefined(stat(child, { bigint: true }));
      if (stats === undefined) continue; // gone meanwhile, or a link to nothing
      if (stats.isDirectory()) {
        byRealPath.set(join(real, name), undefined);
        await open(child, join(relative, name), [...trail, real]);
      } else if (stats.isFile() && isConfigFile(name)) {
        if (files.size === maxFiles) {
          truncated = true;
          return true;
        }
        files.set(join(relative, name), { stamp: stampOf(stats), empty: stats.size === 0n });
        reach(join(real, name), join(relative, name));
        if (!entry.isSymbolicLink()) continue;
        const realFile = await orUndefined(realpath(child));
        if (realFile === undefined) continue;
        folders.add(dirname(realFile));
        reach(realFile, join(relative, name));
      }
    }
    return true;
  };
  if (!(await open(root, "", []))) return undefined;
  const parent = await realpath(dirname(root)).catch(() => dirname(root)); // where the folder itself may be swapped
  byRealPath.set(join(parent, basename(root)), undefined);
  const outside = folders.has(parent) ? undefined : parent;
  folders.add(parent);
  return { files, folders, truncated, byRealPath, outside };
}

/**
 * The scan as it would be now, if nothing has happened but at these places (real paths): a large folder need not be read
 * whole for one file. Undefined where more may have changed than the content of files that are known.
 */
export async function rescan(
  root: string,
  last: Scan,
  places: Iterable<string>,
  paths: Iterable<string>,
): Promise<Scan | undefined> {
  const changed = new Set(paths);
  for (const place of places) {
    const path = last.byRealPath.get(place);
    if (path !== undefined) changed.add(path);
    else if (last.byRealPath.has(place) || last.folders.has(place)) return undefined;
    else if (dirname(place) !== last.outside) {
      const stats = await orUndefined(lstat(place));
      // What an editor has left beside a file, and what was there for a moment.
      const isNothing = stats === undefined || (stats.isFile() && !isConfigFile(basename(place)));
      if (!isNothing) return undefined;
    }
  }
  const files = new Map(last.files);
  for (const path of changed) {
    const stats = await orUndefined(stat(join(root, path), { bigint: true }));
    if (stats?.isFile() !== true) return undefined;
    files.set(path, { stamp: stampOf(stats), empty: stats.size === 0n });
  }
  return { ...last, files };
}

/** Not "shop.yaml~", "#shop.yaml#", "shop.yaml.swp", "4913". */
export function isConfigFile(name: string): boolean {
  return /^[^.#].*\.(ya?ml|json)$/.test(name);
}

export function stampOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}/${ino}/${size}/${mtimeNs}/${ctimeNs}`;
}

/** Files come and go while we look; what cannot be seen is not there. */
async function orUndefined<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch {
    return undefined;
  }
}
