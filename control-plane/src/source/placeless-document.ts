import type { Json } from "@heddle/base";
import type { Diagnostic, Position, YamlDocument } from "@heddle/config";

/** A document that stands in no file: its places are the name of where it came from. */
export class PlacelessDocument implements YamlDocument {
  readonly file: string;
  readonly json: Json;

  constructor(file: string, json: Json) {
    this.file = file;
    this.json = json;
  }

  positionOf(): Position {
    return { line: 0, column: 0 };
  }

  diagnostic(path: string, message: string, severity: Diagnostic["severity"] = "error"): Diagnostic {
    return { severity, file: this.file, ...this.positionOf(), path, message };
  }
}

/** What stands in the place of a file's name in whatever is said of an object of a cluster. */
export function kubePlace(kind: string, key: string): string {
  return `kubernetes ${kind} ${key}`;
}
