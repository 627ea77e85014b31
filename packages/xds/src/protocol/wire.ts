import type { XdsNode } from "../snapshot.ts";

/*
 * `envoy.service.discovery.v3`, as plain objects, so that the protocol's state machines are pure. `proto` turns them into
 * bytes and back.
 */

export interface AnyMessage {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

export interface Status {
  readonly code: number;
  readonly message: string;
}

export interface ResourceError {
  readonly name: string;
  readonly status: Status;
}

export interface DiscoveryRequest {
  readonly versionInfo: string;
  readonly node: XdsNode | undefined;
  readonly resourceNames: readonly string[];
  readonly typeUrl: string;
  readonly responseNonce: string;
  readonly errorDetail: Status | undefined;
}

export interface DiscoveryResponse {
  readonly versionInfo: string;
  readonly resources: readonly AnyMessage[];
  readonly typeUrl: string;
  readonly nonce: string;
  readonly controlPlaneIdentifier: string;
  /** What the server could not give, by name (gRFC A88). Left out: nothing. */
  readonly resourceErrors?: readonly ResourceError[];
}

export interface DeltaDiscoveryRequest {
  readonly node: XdsNode | undefined;
  readonly typeUrl: string;
  readonly resourceNamesSubscribe: readonly string[];
  readonly resourceNamesUnsubscribe: readonly string[];
  readonly initialResourceVersions: ReadonlyMap<string, string>;
  readonly responseNonce: string;
  readonly errorDetail: Status | undefined;
}

export interface DeltaDiscoveryResponse {
  readonly systemVersionInfo: string;
  readonly resources: readonly DeltaResource[];
  readonly typeUrl: string;
  readonly removedResources: readonly string[];
  readonly nonce: string;
  readonly controlPlaneIdentifier: string;
  /** What the server could not give, by name (gRFC A88). Left out: nothing. */
  readonly resourceErrors?: readonly ResourceError[];
}

export interface DeltaResource {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly version: string;
  readonly resource: AnyMessage | undefined;
}
