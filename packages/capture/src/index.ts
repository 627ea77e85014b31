export { ANNOTATION_PREFIX, captureSettingsFromAnnotations } from "./annotations.ts";
export { captureArguments, settingsFromFlags } from "./arguments.ts";
export type { CidrSelection } from "./cidrs.ts";
export {
  DEFAULT_CAPTURE_PORTS,
  NEVER_CAPTURED_INBOUND,
  PASSTHROUGH_SOURCE,
  PROXY_UID,
  TPROXY_MARK,
  TPROXY_ROUTE_TABLE,
} from "./defaults.ts";
export { hasIptablesRules, iptablesDifference, iptablesRules, iptablesUndo } from "./iptables.ts";
export {
  NFT_TABLE,
  type NftTableFamily,
  nftablesDifference,
  nftablesRules,
  nftablesUndo,
  nftTableFamilyOf,
  nftTablesPresent,
} from "./nftables.ts";
export { CAPTURE_OPTIONS, type CaptureOption } from "./options.ts";
export { ALL_ROUTES, type RouteStep, routesOf } from "./policy-routes.ts";
export type { PortRange, PortSelection } from "./port-ranges.ts";
export {
  type CapturePlace,
  type Family,
  nameserversOf,
  type ResolvedCapture,
  resolveCapture,
} from "./resolve-capture.ts";
export {
  type CaptureDiagnostic,
  type CaptureMode,
  type CaptureSettings,
  DEFAULT_CAPTURE_SETTINGS,
  type DnsServers,
  type FamilySwitch,
  formatCaptureDiagnostic,
} from "./settings.ts";
export { type CaptureWitness, captureWitness } from "./witness.ts";
