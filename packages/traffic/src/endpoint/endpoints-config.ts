import type { Address } from "../listener/listener-config.ts";

/* `envoy.config.endpoint.v3.ClusterLoadAssignment`, decoded. Plain JSON data; crosses to the workers as columns. */

export interface EndpointsConfig {
  readonly clusterName: string;
  readonly localities: readonly LocalityEndpoints[];
  /** 140 per cent is Envoy's default. */
  readonly overprovisioningFactorPercent: number;
  /** Share of requests to drop, per category, in parts of `denominator`. */
  readonly dropOverloads: readonly {
    readonly category: string;
    readonly numerator: number;
    readonly denominator: number;
  }[];
}

/** Nobody, with Envoy's defaults. */
export function noEndpoints(clusterName: string): EndpointsConfig {
  return { clusterName, localities: [], overprovisioningFactorPercent: 140, dropOverloads: [] };
}

export interface LocalityEndpoints {
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
  /** Undefined: no weight was given. 0 gets no traffic. */
  readonly loadBalancingWeight: number | undefined;
  /** 0 is the highest. */
  readonly priority: number;
  readonly endpoints: readonly EndpointConfig[];
}

export interface EndpointConfig {
  readonly address: Address;
  /** For host rewriting and health checks. */
  readonly hostname: string;
  readonly healthStatus: "UNKNOWN" | "HEALTHY" | "UNHEALTHY" | "DRAINING" | "TIMEOUT" | "DEGRADED";
  /** At least 1; 1 where unset. */
  readonly loadBalancingWeight: number;
  readonly metadata: { readonly [namespace: string]: { readonly [key: string]: unknown } };
}
