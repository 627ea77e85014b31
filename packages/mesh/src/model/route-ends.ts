import type { Origin } from "./origin.ts";

export interface ParentService {
  readonly namespace: string;
  readonly name: string;
  /** Undefined: all of the service's ports. */
  readonly port: number | undefined;
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
  readonly origin: Origin;
}
