import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/** One import as it stands in a source file. */
export interface ImportSite {
  /** From the project's root, with forward slashes. */
  readonly file: string;
  readonly specifier: string;
  /** `import type` or a list of only `type` names: erased at run time. */
  readonly typeOnly: boolean;
  /** `import("…")`: loaded when it is reached. */
  readonly dynamic: boolean;
}

export const projectRoot = resolve(import.meta.dirname, "../..");

/** Every .ts file below the folders, tests included, generated data and build output not. */
export function sourceFiles(...folders: string[]): string[] {
  const files: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (entry.name !== "node_modules" && entry.name !== "dist" && entry.name !== ".cache") walk(path);
      } else if (entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts")) {
        files.push(relative(projectRoot, path));
      }
    }
  };
  for (const folder of folders) {
    const path = join(projectRoot, folder);
    if (existsSync(path)) walk(path);
  }
  return files.sort();
}

const STATIC = /^\s*(?:import|export)\s+(type\s+)?([^"';]*?\s+from\s+)?"([^"]+)"/gm;
const DYNAMIC = /\bimport\(\s*"([^"]+)"\s*\)/g;

/** Reads imports by pattern: our formatter writes one shape only, and a type-stripped file has no other. */
export function importsOf(file: string): ImportSite[] {
  const text = readFileSync(join(projectRoot, file), "utf8").replace(/\/\*[\s\S]*?\*\//g, (comment) =>
    comment.replace(/[^\n]/g, " "),
  );
  const sites: ImportSite[] = [];
  for (const [, type, clause, specifier] of text.matchAll(STATIC)) {
    sites.push({ file, specifier: specifier!, typeOnly: type !== undefined || namesOnlyTypes(clause), dynamic: false });
  }
  for (const [, specifier] of text.replace(/^\s*(\/\/|\*).*$/gm, "").matchAll(DYNAMIC)) {
    sites.push({ file, specifier: specifier!, typeOnly: false, dynamic: true });
  }
  return sites;
}

function namesOnlyTypes(clause: string | undefined): boolean {
  const names = /^\{([^}]*)\}\s+from\s+$/.exec(clause?.trimStart() ?? "")?.[1];
  if (names === undefined) return false;
  const list = names
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  return list.length > 0 && list.every((name) => name.startsWith("type "));
}

/** The file that a relative specifier means, from the project's root. */
export function resolveRelative(file: string, specifier: string): string {
  return relative(projectRoot, resolve(projectRoot, dirname(file), specifier));
}
