import { readFileSync } from "node:fs";
import { type Diagnostic, formatDiagnostic } from "@heddle/config/yaml";
import type { Manifest } from "@heddle/control-plane/resource-api";
import { UsageError } from "../command.ts";
import { filesOf, unreadable } from "../list-files.ts";

/** What `-f` names: files, folders with all YAML and JSON files in them, and "-" for standard input. */
export function readManifests(paths: readonly string[]): readonly Manifest[] {
  const faults: Diagnostic[] = [];
  const manifests = paths.flatMap((path) => {
    const files = path === "-" ? ["-"] : filesOf(path, faults);
    return files.flatMap((file): Manifest[] => {
      try {
        return file === "-"
          ? [{ source: "standard input", text: readFileSync(STDIN, "utf8") }]
          : [{ source: file, text: readFileSync(file, "utf8") }];
      } catch (error) {
        faults.push(unreadable(file, error));
        return [];
      }
    });
  });
  if (faults.length > 0) throw new UsageError(faults.map(formatDiagnostic).join("\n"));
  if (manifests.length === 0) throw new UsageError(`${paths.join(", ")}: there is no YAML or JSON file`);
  return manifests;
}

const STDIN = 0;
