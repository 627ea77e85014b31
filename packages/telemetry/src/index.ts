export type { LogCommand, LogValue } from "./access-log-command-type.ts";
export {
  type AccessLogFormat,
  compileFormat,
  DEFAULT_ACCESS_LOG_FORMAT,
  type FormatUse,
  parseFormat,
  type SubstitutionFormat,
  unfilledCommands,
} from "./access-log-format.ts";
export type {
  AccessLogSource,
  AccessLogType,
  CertificateToLog,
  FormatEnvironment,
  MetadataOf,
  TimePoint,
  TlsToLog,
  WireBytes,
} from "./access-log-source.ts";
export { type AccessLogStats, accessLogStats } from "./access-log-stats.ts";
export {
  AccessLogWriter,
  type AccessLogWriterOptions,
  DEFAULT_LOG_FLUSH,
  type LogFlush,
} from "./access-log-writer.ts";
export { type B3Context, formatB3, parseB3, parseB3Decision, parseB3Multi } from "./b3.ts";
export { type BucketBounds, DEFAULT_BUCKETS, defaultBuckets } from "./bucket-settings.ts";
export { createLog, type LogOptions, parseLogLevel } from "./create-log.ts";
export { escapeControls } from "./escape-controls.ts";
export { grpcStatusOf, grpcStatusOfCall } from "./grpc-status.ts";
export { LineOutput, type LineOutputOptions, unblockStandardStreams } from "./line-output.ts";
export type { Log, LogFields, LogLevel } from "./log.ts";
export { STDERR, STDOUT } from "./log-descriptor.ts";
export { LogLevels } from "./log-levels.ts";
export type { MetricKind, MetricsMessage } from "./metric-table.ts";
export type { Counter, Gauge, Histogram, Labels, MetricScope } from "./metrics.ts";
export { MetricsRegistry } from "./metrics-registry.ts";
export { type ProgramLog, programLog } from "./program-log.ts";
export {
  formatPrometheus,
  PROMETHEUS_CONTENT_TYPE,
  type PrometheusOptions,
  prometheusText,
} from "./prometheus.ts";
export { formatResponseFlags, formatResponseFlagsLong, ResponseFlag, responseFlagOf } from "./response-flags.ts";
export { type SeriesGroup, seriesGroup } from "./series-group.ts";
export type { SeriesOrder, SeriesValue, SeriesWalk, WalkOptions } from "./series-walk.ts";
export { SharedMetrics } from "./shared-metrics.ts";
export type { SpanRecord } from "./span-record.ts";
export { type StatNaming, statName, type TaggedName, taggedName } from "./stat-names.ts";
export { statsJson } from "./stats-json.ts";
export {
  HISTOGRAM_FORMS,
  type HistogramForm,
  type SeriesSource,
  type StatsFilter,
  selectStats,
  statsText,
} from "./stats-text.ts";
export {
  formatTraceparent,
  isSampled,
  isTraceparent,
  parseTraceparent,
  type TraceContext,
  type Traceparent,
} from "./trace-context.ts";
