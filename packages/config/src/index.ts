export { type Diagnostic, formatDiagnostic } from "./diagnostic.ts";
export type { ConfigLaneEntry, ConfigLaneUpdate, ProxyConfig } from "./proxy-config.ts";
export {
  DEFAULT_YAML_LIMITS,
  type Position,
  parseYamlDocuments,
  type YamlDocument,
  type YamlLimits,
} from "./yaml-document.ts";
