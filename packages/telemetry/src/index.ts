export {
  type AccessLogFormat,
  compileJsonFormat,
  compileTextFormat,
  DEFAULT_ACCESS_LOG_FORMAT,
} from "./access-log-format.ts";
export type { AccessLogSource } from "./access-log-source.ts";
export { AccessLogWriter, type AccessLogWriterOptions } from "./access-log-writer.ts";
export { createLog, type LogOptions, parseLogLevel } from "./create-log.ts";
export { escapeControls } from "./escape-controls.ts";
export { LineOutput, type LineOutputOptions, unblockStandardStreams } from "./line-output.ts";
export type { Log, LogFields, LogLevel } from "./log.ts";
export { LogLevels } from "./log-levels.ts";
export type { MetricKind, MetricsMessage } from "./metric-table.ts";
export type { Counter, Gauge, Histogram, Labels, MetricScope } from "./metrics.ts";
export { MetricsRegistry, type SeriesValue } from "./metrics-registry.ts";
export { type ProgramLog, programLog } from "./program-log.ts";
export { formatPrometheus, PROMETHEUS_CONTENT_TYPE } from "./prometheus.ts";
export { SharedMetrics } from "./shared-metrics.ts";
export { formatStats, type StatsFilter } from "./stats-text.ts";
export {
  formatTraceparent,
  parseTraceparent,
  type TraceContext,
  type Traceparent,
} from "./trace-context.ts";
