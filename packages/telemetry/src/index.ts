export type { Log, LogFields, LogLevel } from "./log.ts";
export type { Counter, Gauge, Histogram, Labels, MetricScope } from "./metrics.ts";
export type { TraceContext } from "./trace-context.ts";
