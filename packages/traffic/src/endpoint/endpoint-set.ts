import { addressKey, Endpoint } from "./endpoint.ts";
import type { EndpointConfig, EndpointsConfig, LocalityEndpoints } from "./endpoints-config.ts";

/** A cluster's endpoints at one moment. Immutable; the next one is built against it. */
export interface EndpointSet {
  readonly config: EndpointsConfig;
  /** By `Endpoint.key`. An address that stands in several localities counts in the first. */
  readonly byKey: ReadonlyMap<string, Endpoint>;
  /** By priority, 0 first; a priority that nobody uses is empty. */
  readonly priorities: readonly PriorityEndpoints[];
}

export interface PriorityEndpoints {
  readonly localities: readonly LocalityMembers[];
  readonly total: number;
  readonly healthy: number;
  readonly degraded: number;
}

export interface LocalityMembers {
  /** "region/zone/subZone". */
  readonly name: string;
  readonly locality: LocalityEndpoints["locality"];
  /** Undefined: none was given, so localities count by the number of their endpoints. */
  readonly weight: number | undefined;
  readonly all: readonly Endpoint[];
  readonly healthy: readonly Endpoint[];
  readonly degraded: readonly Endpoint[];
}

/**
 * Builds the next set. An address that `previous` knows keeps its `Endpoint`, whose `config` is brought up to date; the
 * others are made. Endpoints that went away are those of `previous.byKey` that the result does not have: their owner
 * drains them.
 */
export function buildEndpointSet(config: EndpointsConfig, previous?: EndpointSet): EndpointSet {
  const byKey = new Map<string, Endpoint>();
  const localities: LocalityMembers[][] = [];
  for (const locality of config.localities) {
    (localities[locality.priority] ??= []).push(buildLocality(locality, byKey, previous));
  }
  return { config, byKey, priorities: Array.from(localities, (members) => countPriority(members ?? [])) };
}

/** Endpoints of `previous` that are not in `next`, to be drained. */
export function removedEndpoints(previous: EndpointSet, next: EndpointSet): readonly Endpoint[] {
  return [...previous.byKey.values()].filter(({ key }) => !next.byKey.has(key));
}

function buildLocality(
  config: LocalityEndpoints,
  byKey: Map<string, Endpoint>,
  previous: EndpointSet | undefined,
): LocalityMembers {
  const all: Endpoint[] = [];
  const healthy: Endpoint[] = [];
  const degraded: Endpoint[] = [];
  for (const endpointConfig of config.endpoints) {
    const key = addressKey(endpointConfig.address);
    if (byKey.has(key)) continue;
    const endpoint = previous?.byKey.get(key) ?? new Endpoint(endpointConfig, key);
    endpoint.config = endpointConfig;
    byKey.set(key, endpoint);
    all.push(endpoint);
    const health = healthOf(endpointConfig);
    if (health === "healthy") healthy.push(endpoint);
    else if (health === "degraded") degraded.push(endpoint);
  }
  const { locality, loadBalancingWeight: weight } = config;
  const name = `${locality.region}/${locality.zone}/${locality.subZone}`;
  return { name, locality, weight, all, healthy, degraded };
}

/** UNKNOWN counts as healthy: nobody checks, so nobody has found fault (Envoy, `EdsHealth`). */
function healthOf({ healthStatus }: EndpointConfig): "healthy" | "degraded" | "unhealthy" {
  switch (healthStatus) {
    case "UNKNOWN":
    case "HEALTHY":
      return "healthy";
    case "DEGRADED":
      return "degraded";
    case "UNHEALTHY":
    case "DRAINING":
    case "TIMEOUT":
      return "unhealthy";
    default:
      throw new Error(`unknown health status ${JSON.stringify(healthStatus satisfies never)}`);
  }
}

function countPriority(localities: readonly LocalityMembers[]): PriorityEndpoints {
  return {
    localities,
    total: sum(localities, ({ all }) => all.length),
    healthy: sum(localities, ({ healthy }) => healthy.length),
    degraded: sum(localities, ({ degraded }) => degraded.length),
  };
}

function sum<T>(list: readonly T[], value: (item: T) => number): number {
  return list.reduce((total, item) => total + value(item), 0);
}
