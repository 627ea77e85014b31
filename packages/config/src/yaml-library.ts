import { createRequire } from "node:module";
import type * as Yaml from "yaml";

let library: typeof Yaml | undefined;

/**
 * The package that reads and writes YAML, loaded when it is first needed: 4 MB and 40 ms, which a sidecar whose bootstrap is JSON,
 * or that has none, does without. (`#yaml`: its bundle has it as a file of its own.)
 */
export function yamlLibrary(): typeof Yaml {
  library ??= createRequire(import.meta.url)("#yaml") as typeof Yaml;
  return library;
}
