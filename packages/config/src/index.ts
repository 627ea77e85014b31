export { type Diagnostic, formatDiagnostic } from "./diagnostic.ts";
export type { ConfigLaneEntry, ConfigLaneUpdate, ProxyConfig } from "./proxy-config.ts";
