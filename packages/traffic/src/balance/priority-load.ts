import type { PriorityEndpoints } from "../endpoint/endpoint-set.ts";

/** What share of the requests goes to a priority, in per cent, and to which of its endpoints. */
export interface PriorityLoad {
  readonly healthy: number;
  readonly degraded: number;
  /** Too few are healthy to be told from a fault in the checks: `healthy` goes to all endpoints alike. */
  readonly panic: boolean;
}

export interface PriorityOptions {
  /** 140: a priority counts as whole while 1 / 1.4 (71 %) of it is healthy. */
  readonly overprovisioningFactorPercent: number;
  /** 50; 0 switches panic off. */
  readonly panicThresholdPercent: number;
}

/**
 * Spreads load over priorities as Envoy does: what a priority cannot carry (its health is below 100 % even after
 * overprovisioning) spills to the next; degraded endpoints get what no healthy ones can carry. Panic is considered only
 * when all priorities together cannot carry the load. The loads sum to 100, or to 0 if nobody may get a request.
 *
 * Source: the load-balancing pages "priority levels", "degraded endpoints" and "panic threshold" of Envoy's documentation.
 */
export function priorityLoads(
  priorities: readonly PriorityEndpoints[],
  options: PriorityOptions,
): readonly PriorityLoad[] {
  const factor = options.overprovisioningFactorPercent;
  const health = priorities.map(({ healthy, total }) => capacity(healthy, total, factor));
  const degraded = priorities.map((priority) => capacity(priority.degraded, priority.total, factor));
  const available = Math.min(100, sum(health) + sum(degraded));
  const inPanic = priorities.map((priority) => available < 100 && isInPanic(priority, options.panicThresholdPercent));
  if (inPanic.every((panic) => panic)) return loadsByCount(priorities);
  if (available === 0) return priorities.map(() => ({ healthy: 0, degraded: 0, panic: false }));

  const share = (capacities: readonly number[], budget: number): number[] => {
    let left = budget;
    return capacities.map((value) => {
      const load = Math.min(left, Math.trunc((value * 100) / available));
      left -= load;
      return load;
    });
  };
  const healthyLoads = share(health, 100);
  const degradedLoads = share(degraded, 100 - sum(healthyLoads));
  giveRest(healthyLoads, degradedLoads);
  return priorities.map((_, i) => ({ healthy: healthyLoads[i]!, degraded: degradedLoads[i]!, panic: inPanic[i]! }));
}

function capacity(usable: number, total: number, factorPercent: number): number {
  return total === 0 ? 0 : Math.min(100, Math.trunc((factorPercent * usable) / total));
}

function isInPanic({ healthy, degraded, total }: PriorityEndpoints, thresholdPercent: number): boolean {
  const usablePercent = total === 0 ? 0 : (100 * (healthy + degraded)) / total;
  return usablePercent < thresholdPercent;
}

/** Every priority is in panic: health says nothing any more, and each gets its share by size. */
function loadsByCount(priorities: readonly PriorityEndpoints[]): readonly PriorityLoad[] {
  const total = sum(priorities.map((priority) => priority.total));
  const loads = priorities.map((priority) => (total === 0 ? 0 : Math.trunc((priority.total * 100) / total)));
  giveRest(loads, []);
  return loads.map((healthy) => ({ healthy, degraded: 0, panic: true }));
}

/** What rounding down has left over goes to the first priority that gets anything. */
function giveRest(first: number[], second: number[]): void {
  const rest = 100 - sum(first) - sum(second);
  for (const loads of [first, second]) {
    const place = loads.findIndex((load) => load > 0);
    if (place === -1) continue;
    loads[place] = loads[place]! + rest;
    return;
  }
}

function sum(list: readonly number[]): number {
  return list.reduce((total, value) => total + value, 0);
}
