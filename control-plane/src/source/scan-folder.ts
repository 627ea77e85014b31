import type { BigIntStats } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { FileStamp } from "./settling.ts";

/** What a look into a folder found. */
export interface Scan {
  /** By path relative to the folder, ordered. */
  readonly files: ReadonlyMap<string, FileStamp>;
  /** Every real folder in which an event may mean a change: the folder, its subfolders, and where links lead. */
  readonly folders: ReadonlySet<string>;
  /** There were more files than are read: those that would come later in order were left out. */
  readonly truncated: boolean;
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
  let truncated = false;
  const open = async (path: string, relative: string, trail: readonly string[]): Promise<boolean> => {
    const real = await orUndefined(realpath(path));
    // A link to a folder above would go round for ever.
    if (real === undefined || trail.includes(real) || trail.length > MAX_DEPTH) return false;
    const entries = await orUndefined(readdir(path));
    if (entries === undefined) return false;
    folders.add(real);
    for (const name of entries.sort()) {
      if (name.startsWith(".") || name === "node_modules") continue;
      const child = join(path, name);
      const stats = await orUndefined(stat(child, { bigint: true }));
      if (stats === undefined) continue; // gone meanwhile, or a link to nothing
      if (stats.isDirectory()) await open(child, join(relative, name), [...trail, real]);
      else if (stats.isFile() && isConfigFile(name)) {
        if (files.size === maxFiles) {
          truncated = true;
          return true;
        }
        files.set(join(relative, name), { stamp: stampOf(stats), empty: stats.size === 0n });
        const realFile = await orUndefined(realpath(child));
        if (realFile !== undefined) folders.add(dirname(realFile));
      }
    }
    return true;
  };
  if (!(await open(root, "", []))) return undefined;
  folders.add(await realpath(dirname(root)).catch(() => dirname(root))); // where the folder itself may be swapped
  return { files, folders, truncated };
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
