export type { AssembledResource, Versioned } from "./assemble/assembled-resource.ts";
export {
  ConfigAssembler,
  type ConfigAssemblerOptions,
} from "./assemble/config-assembler.ts";
export type { ConfigDelta } from "./assemble/config-draft.ts";
export { discoveredFilters } from "./assemble/extension-assembly.ts";
export {
  type BootstrapOptions,
  type BootstrapReading,
  type NodeIdentity,
  readBootstrap,
  type SidecarBootstrap,
  type StaticResourceTypes,
} from "./bootstrap.ts";
export { type Diagnostic, formatDiagnostic } from "./diagnostic.ts";
export { type Position, splitPath } from "./document-path.ts";
export { emittedFieldsMarkdown } from "./emitted-fields.ts";
export { HARMLESS_EXTENSIONS, HONOURED, honouredMarkdown, type MessageRules } from "./honoured.ts";
export { parseJsonDocument } from "./json-document.ts";
export { LaneBook } from "./lane-book.ts";
export type { ConfigLaneEntry, ConfigLaneUpdate, ProxyConfig } from "./proxy-config.ts";
export {
  DEFAULT_YAML_LIMITS,
  documentsOf,
  type PlainYaml,
  parsePlainYaml,
  parseYamlDocuments,
  type YamlDocument,
  type YamlLimits,
} from "./yaml-document.ts";
