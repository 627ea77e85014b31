export type {
  AnyMessage,
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DeltaResource,
  DiscoveryRequest,
  DiscoveryResponse,
  Status,
} from "./protocol/wire.ts";
export { canonicalName, isXdstpName, parseXdstpName, type XdstpName } from "./protocol/xdstp-name.ts";
export { readConfigSource } from "./resource/config-source.ts";
export { type DataReader, systemDataReader } from "./resource/data-source.ts";
export {
  type AuthoritySource,
  authorityLookup,
  DISCOVERY_FIELDS,
  type DiscoverySettings,
  decodeDiscovery,
} from "./resource/dynamic-resources.ts";
export { type HttpFilterReader, type HttpFilterRegistry, httpFilterRegistry } from "./resource/filter-config.ts";
export {
  type FieldClass,
  HARMLESS_EXTENSIONS,
  HONOURED,
  type MessageRules,
} from "./resource/honoured.ts";
export { holdsInlineSecrets } from "./resource/inline-secrets.ts";
export { encodeDnsDomain, joinDnsListener } from "./resource/join-dns-listener.ts";
export { joinRouteConfiguration } from "./resource/join-route-configuration.ts";
export { decodeLayeredRuntime } from "./resource/layered-runtime.ts";
export { encodeApiListener } from "./resource/listener.ts";
export type { ListenerOptions } from "./resource/network-filter.ts";
export { decodeOverload, OVERLOAD_FIELDS } from "./resource/overload.ts";
export { redactSecrets } from "./resource/redact-secrets.ts";
export { type RawResource, resourceFromBytes, resourceFromJson } from "./resource/resource-from-json.ts";
export type { Decoded, FieldReport, Reference, ResourceKind, ResourceType } from "./resource/resource-type.ts";
export { makeResourceTypes, type ResourceTypes } from "./resource/resource-types.ts";
export { makeSecretType, type SecretResourceType } from "./resource/secret.ts";
export { decodeTelemetry, TELEMETRY_FIELDS } from "./resource/telemetry.ts";
export { UNKNOWN_SERVICE } from "./resource/tracing.ts";
export type { EncodedResource, Snapshot, SnapshotSource, SnapshotWatch, XdsNode } from "./snapshot.ts";
export type { AcceptedResource, ResourceSubscriber, ResourceUpdate } from "./subscription.ts";
