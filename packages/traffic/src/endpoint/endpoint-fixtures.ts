import type { EndpointConfig, EndpointsConfig, LocalityEndpoints } from "./endpoints-config.ts";

/* Decoded endpoints with every default filled in, for tests that care about one field. */

export function endpointsConfig(
  localities: readonly LocalityEndpoints[],
  overrides: Partial<EndpointsConfig> = {},
): EndpointsConfig {
  return { clusterName: "test", localities, overprovisioningFactorPercent: 140, dropOverloads: [], ...overrides };
}

export function locality(
  endpoints: readonly EndpointConfig[],
  overrides: Partial<Omit<LocalityEndpoints, "endpoints">> = {},
): LocalityEndpoints {
  return {
    locality: { region: "region", zone: "zone", subZone: "" },
    loadBalancingWeight: undefined,
    priority: 0,
    endpoints,
    ...overrides,
  };
}

/** At port 80 of the address. */
export function endpointConfig(address: string, overrides: Partial<EndpointConfig> = {}): EndpointConfig {
  return {
    address: { type: "socket", address, port: 80 },
    hostname: "",
    healthStatus: "HEALTHY",
    loadBalancingWeight: 1,
    metadata: {},
    ...overrides,
  };
}
