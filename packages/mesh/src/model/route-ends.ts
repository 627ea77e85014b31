import type { Origin } from "./origin.ts";

export interface ParentService {
  readonly namespace: string;
  readonly name: string;
  /** Undefined: all of the service's ports. */
  readonly port: number | undefined;
  /** The name of a port (`sectionName`), which counts beside `port`. */
  readonly portName?: string;
  readonly origin: Origin;
}

export interface BackendRef {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  /** 0 gets nothing. */
  readonly weight: number;
  /** In a `Mesh`: it is in another namespace than the route, and no ReferenceGrant there allows that. */
  readonly isUngranted?: true;
  /**
   * Nothing may be sent there, since nobody here knows that: "multicluster.x-k8s.io/ServiceImport", which it is in the place of a
   * Service (its `port` says nothing then), or "example.com/RateLimit", a filter before it.
   */
  readonly otherKind?: string;
  readonly origin: Origin;
}
