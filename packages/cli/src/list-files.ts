import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Diagnostic } from "@heddle/config/yaml";

/** The file, or every YAML and JSON file in the folder and its subfolders, ordered. What cannot be read is told. */
export function filesOf(path: string, diagnostics: Diagnostic[]): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(ya?ml|json)$/.test(name) && !/(^|\/)(\.|node_modules\/)/.test(name))
      .sort()
      .map((name) => join(path, name));
  } catch (error) {
    diagnostics.push(unreadable(path, error));
    return [];
  }
}

export function unreadable(file: string, error: unknown): Diagnostic {
  const message = `cannot be read: ${(error as Error).message}`;
  return { severity: "error", file, line: 0, column: 0, path: "", message };
}
