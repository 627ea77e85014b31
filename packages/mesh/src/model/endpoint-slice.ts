import type { Origin } from "./origin.ts";
import type { AppProtocol, IpFamily } from "./service.ts";
import type { Locality } from "./workload.ts";

/** Some of the endpoints of a service, found by somebody else: a Kubernetes EndpointSlice (discovery.k8s.io/v1), decoded. */
export interface EndpointSlice {
  readonly kind: "endpoint-slice";
  readonly namespace: string;
  readonly name: string;
  /** Name of its Service, in its own namespace (label `kubernetes.io/service-name`). */
  readonly service: string;
  readonly family: IpFamily;
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly SliceEndpoint[];
  readonly origin: Origin;
}

export interface EndpointHints {
  /** Names of zones (`forZones`). */
  readonly zones: readonly string[];
  /** Names of Nodes (`forNodes`). */
  readonly nodes: readonly string[];
}

export interface SlicePort {
  /** That of the Service's port which it is for. */
  readonly name: string;
  readonly port: number;
  /** Undefined: as the Service's port has it. */
  readonly protocol: AppProtocol | undefined;
}

export interface SliceEndpoint {
  /** All are the same one: the first is used (Kubernetes: "clients are not expected to consume more than the first"). */
  readonly addresses: readonly string[];
  /** Takes requests. With `publishNotReadyAddresses` Kubernetes says so of all. */
  readonly ready: boolean;
  /** Would be ready if it were not being ended. */
  readonly serving: boolean;
  readonly terminating: boolean;
  /** The pod behind it, in the slice's own namespace; undefined where it is none, or nobody says. */
  readonly pod: string | undefined;
  readonly node: string;
  /** The first label of the pod's own DNS name below a headless service; "" where it has none. */
  readonly hostname: string;
  readonly locality: Locality;
  /** Whose callers it is for, as whoever made the slice has shared them out. Left out: he has not. */
  readonly hints?: EndpointHints;
}
