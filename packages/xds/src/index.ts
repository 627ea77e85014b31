export type {
  AnyMessage,
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DeltaResource,
  DiscoveryRequest,
  DiscoveryResponse,
  Status,
} from "./protocol/wire.ts";
export type { Decoded, FieldReport, Reference, ResourceKind, ResourceType } from "./resource/resource-type.ts";
export type { EncodedResource, Snapshot, SnapshotSource, SnapshotWatch, XdsNode } from "./snapshot.ts";
export type { AcceptedResource, ResourceSubscriber, ResourceUpdate } from "./subscription.ts";
