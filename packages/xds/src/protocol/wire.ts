import type {
  DeltaDiscoveryResponse as ProtoDeltaDiscoveryResponse,
  DiscoveryResponse as ProtoDiscoveryResponse,
  Status,
} from "@heddle/proto";

/*
 * `envoy.service.discovery.v3`, as plain objects, so that the protocol's state machines are pure. `proto` has the shapes, and
 * turns them into bytes and back; only what its descriptors are too old for is added here.
 */

export type { AnyMessage, DeltaDiscoveryRequest, DeltaResource, DiscoveryRequest, Status } from "@heddle/proto";

export interface ResourceError {
  readonly name: string;
  readonly status: Status;
}

export interface DiscoveryResponse extends ProtoDiscoveryResponse {
  /** What the server could not give, by name (gRFC A88). Left out: nothing. */
  readonly resourceErrors?: readonly ResourceError[];
}

export interface DeltaDiscoveryResponse extends ProtoDeltaDiscoveryResponse {
  /** What the server could not give, by name (gRFC A88). Left out: nothing. */
  readonly resourceErrors?: readonly ResourceError[];
}
