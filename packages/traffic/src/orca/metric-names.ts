/** The fields that are one number. */
export const PLAIN_METRICS: ReadonlySet<string> = new Set([
  "cpu_utilization",
  "mem_utilization",
  "application_utilization",
  "eps",
  "rps_fractional",
]);

/** The fields that are maps, as names of their entries begin. */
export const UTILIZATION = "utilization.";
export const REQUEST_COST = "request_cost.";
export const NAMED_METRICS = "named_metrics.";
export const MAPS: readonly string[] = [NAMED_METRICS, UTILIZATION, REQUEST_COST];

/** Whether any report can have a metric of that name, or that wildcard ("named_metrics.*"). */
export function isMetricName(name: string): boolean {
  return PLAIN_METRICS.has(name) || MAPS.some((map) => name.startsWith(map) && name.length > map.length);
}
