export type { Log, LogFields, LogLevel } from "./log.ts";
export type { MetricKind, MetricsMessage } from "./metric-table.ts";
export type { Counter, Gauge, Histogram, Labels, MetricScope } from "./metrics.ts";
export { MetricsRegistry, type SeriesValue } from "./metrics-registry.ts";
export { formatPrometheus, PROMETHEUS_CONTENT_TYPE } from "./prometheus.ts";
export { SharedMetrics } from "./shared-metrics.ts";
export { formatStats, type StatsFilter } from "./stats-text.ts";
export type { TraceContext } from "./trace-context.ts";
