import type { Origin } from "./origin.ts";
import type { AppProtocol, Labels } from "./service.ts";

/** One running instance of an application and its sidecar: Heddle's own kind, for endpoints without Kubernetes. */
export interface Workload {
  readonly kind: "workload";
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  /** IP addresses at which others reach it, at least one. Each with each port is an endpoint. */
  readonly addresses: readonly string[];
  readonly ports: readonly WorkloadPort[];
  readonly serviceAccount: string;
  readonly locality: Locality;
  /** The services that it calls; undefined: all of its own namespace. */
  readonly egress: readonly EgressRule[] | undefined;
  /** Where its sidecar takes the application's own calls, on loopback. */
  readonly outboundPort: number;
  readonly accessLog: "off" | "json" | "text";
  readonly origin: Origin;
}

export interface WorkloadPort {
  readonly name: string;
  readonly protocol: AppProtocol;
  /** The public one, at which others reach it. */
  readonly port: number;
  /** Where the application itself listens, on loopback; undefined: it listens on the public port, and no sidecar stands before it. */
  readonly applicationPort: number | undefined;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

/** "orders.default" is one service, "*.default" a namespace (`service` undefined), "*" everything (both undefined). */
export interface EgressRule {
  readonly namespace: string | undefined;
  readonly service: string | undefined;
}
