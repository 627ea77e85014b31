import { Buffer } from "node:buffer";

/**
 * What an endpoint has said of its own load (ORCA), as far as its cluster wants to know: what load reports tell of it, and what it is
 * weighed by. State of a worker, as its counters are.
 */
export class ReportedLoad {
  /** Added up by the metric's name until somebody takes them away. */
  readonly metrics = new Map<string, MetricSum>();
  /** The weight that its last report gives it. */
  lastWeight = 0;
  /** Monotonic; when its reports began. Infinity: there is none, or the last is too old. */
  sinceMs = Infinity;
  /** Monotonic; when the last report came. */
  lastMs = 0;
  /** The weight by which it is picked now; 0: none of its own. */
  weight = 0;

  /** One answer had that metric. */
  add(name: string, value: number): void {
    addMetric(this.metrics, name, 1, value);
  }
}

// Types, since an interface is no Json.
/** `requests`: so many answers had the metric. `total`: the sum of what they said. */
export type MetricSum = {
  requests: number;
  total: number;
};

/** One metric of many answers, by its name in LRS ("cpu_utilization", "named_metrics.foo"). Plain data; it crosses threads. */
export type MetricLoad = MetricSum & { readonly name: string };

/** Kept in one place: with a wildcard an endpoint chooses the names, and one that invents them does not get our memory. */
const MAX_METRICS = 256;
const MAX_NAME_LENGTH = 256;

/** Adds to the sum of that name. A name too many or too long, and what would leave a sum without a number, is dropped. */
export function addMetric(sums: Map<string, MetricSum>, name: string, requests: number, total: number): void {
  const sum = sums.get(name);
  if (sum !== undefined) {
    if (!Number.isFinite(sum.total + total)) return;
    sum.requests += requests;
    sum.total += total;
  } else if (sums.size < MAX_METRICS && name.length <= MAX_NAME_LENGTH && Number.isFinite(total)) {
    // A copy: a piece of a field, as V8 cuts it, would keep all 8 kB of the field.
    sums.set(Buffer.from(name).toString(), { requests, total });
  }
}

export function metricLoads(sums: ReadonlyMap<string, MetricSum>): MetricLoad[] {
  return [...sums].map(([name, sum]) => ({ name, ...sum }));
}
