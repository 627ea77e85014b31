/* YAML and what is wrong with it, for programs that need no more of this package: the door `@heddle/config/yaml`. */

export { type Diagnostic, formatDiagnostic } from "./diagnostic.ts";
export type { Position } from "./document-path.ts";
export { formatYaml } from "./format-yaml.ts";
export {
  DEFAULT_YAML_LIMITS,
  documentsOf,
  type PlainYaml,
  parsePlainYaml,
  parseYamlDocuments,
  type YamlDocument,
  type YamlLimits,
} from "./yaml-document.ts";
