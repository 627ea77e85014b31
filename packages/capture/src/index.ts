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
export { CAPTURE_OPTIONS, type CaptureOption } from "./options.ts";
export type { PortRange, PortSelection } from "./port-ranges.ts";
export {
  type CaptureDiagnostic,
  type CaptureMode,
  type CaptureSettings,
  DEFAULT_CAPTURE_SETTINGS,
  type DnsServers,
  type FamilySwitch,
  formatCaptureDiagnostic,
} from "./settings.ts";
