import type { Counter, Gauge, Histogram, Log, MetricScope } from "@heddle/telemetry";

/** A log that nobody reads. */
export const silentLog: Log = {
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  with: () => silentLog,
  enabled: () => false,
};

const counter: Counter = { add: ignore };
const gauge: Gauge = { add: ignore, set: ignore };
const histogram: Histogram = { record: ignore };

/** Metrics that nobody reads. */
export const unseenMetrics: MetricScope = {
  counter: () => counter,
  gauge: () => gauge,
  histogram: () => histogram,
  group: () => unseenMetrics,
  scope: () => unseenMetrics,
};

function ignore(): void {}
