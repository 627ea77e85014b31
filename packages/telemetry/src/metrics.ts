import type { SeriesGroup } from "./series-group.ts";

/**
 * Metric handles. They are made when configuration changes and only added to on the hot path; making one with the same
 * name and labels again gives the same series. Names are Envoy's with dots ("http.ingress.downstream_rq_total"); labels
 * carry what Envoy's tag extraction would take out of the name.
 */
export interface Counter {
  add(by?: number): void;
}

export interface Gauge {
  set(to: number): void;
  add(by: number): void;
}

export interface Histogram {
  /** Milliseconds unless the name says otherwise. */
  record(value: number): void;
}

export interface MetricScope {
  counter(name: string, labels?: Labels): Counter;
  gauge(name: string, labels?: Labels): Gauge;
  histogram(name: string, labels?: Labels): Histogram;
  /** A scope whose names begin with `prefix` and a dot, and whose series carry these labels too. */
  scope(prefix: string, labels?: Labels): MetricScope;
  /** A scope for the names of that group, and for counters besides. It lives until its labels are retired. */
  group(group: SeriesGroup, labels: Labels): MetricScope;
}

export type Labels = Readonly<Record<string, string>>;
