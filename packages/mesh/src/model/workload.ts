import type { Origin } from "./origin.ts";
import type { AppProtocol, Labels } from "./service.ts";

/**
 * One running instance of an application and its sidecar: Heddle's own kind, for endpoints without Kubernetes, and a pod
 * with a sidecar.
 */
export interface Workload {
  readonly kind: "workload";
  readonly namespace: string;
  /** Of a pod: of what it is an instance, its Deployment's name say. Several pods have the same. */
  readonly name: string;
  /** The pod's name; undefined where the workload has one instance alone. The two are the middle and the end of `node.id`. */
  readonly instance: string | undefined;
  readonly labels: Labels;
  /** IP addresses at which others reach it, at least one. Each with each port is an endpoint. */
  readonly addresses: readonly string[];
  readonly ports: readonly WorkloadPort[];
  readonly serviceAccount: string;
  /**
   * How the application's traffic comes to the sidecar: by rules of the kernel, which redirect it, or which also keep the
   * caller's address. Undefined: the application calls a port on loopback, and its callers the sidecar's public port.
   */
  readonly capture: CaptureMode | undefined;
  readonly locality: Locality;
  /** Of a pod: the name of its Node. */
  readonly node?: string;
  /** The services that it calls; undefined: all of its own namespace. */
  readonly egress: readonly EgressRule[] | undefined;
  /** Where its sidecar takes the application's own calls, on loopback. */
  readonly outboundPort: number;
  readonly accessLog: "off" | "json" | "text";
  readonly origin: Origin;
}

export type CaptureMode = "redirect" | "tproxy";

export interface WorkloadPort {
  readonly name: string;
  readonly protocol: AppProtocol;
  /** As of a `ServicePort`. */
  readonly detect: boolean;
  /** The public one, at which others reach it. */
  readonly port: number;
  /**
   * Where the application itself listens, on loopback; the public port itself where traffic is captured. Undefined: it
   * listens on the public port, and no sidecar stands before it.
   */
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
