import type { OtlpDestination, TracingConfig, TracingProvider } from "./listener/tracing-config.ts";
import type { StringMatcherConfig } from "./match/string-matcher.ts";

/** What the bootstrap says of telemetry. */
export interface TelemetryConfig {
  /** `tracing.http`: of connection managers that trace and name no provider. */
  readonly tracing?: TracingProvider;
  /** Of connection managers without tracing. No field of Envoy's: the environment says it (`OTEL_EXPORTER_OTLP_ENDPOINT`). */
  readonly tracingEverywhere?: TracingConfig;
  readonly statsSinks: readonly OtlpStatsSink[];
  /** `stats_flush_interval`: 5 s. */
  readonly statsFlushIntervalMs: number;
  readonly stats: StatsConfig;
  /** Attributes of the resource besides `service.name`, for spans and metrics. */
  readonly resource: Readonly<Record<string, string>>;
}

/** `envoy.stat_sinks.open_telemetry`. */
export interface OtlpStatsSink {
  readonly destination: OtlpDestination;
  readonly serviceName: string;
  /** Before every name, with a dot. "": none. */
  readonly prefix: string;
  readonly emitTagsAsAttributes: boolean; // true
  readonly useTagExtractedName: boolean; // true
  /** Undefined: `stats_flush_interval`. */
  readonly intervalMs?: number;
}

/** `envoy.config.metrics.v3.StatsConfig`. */
export interface StatsConfig {
  readonly useAllDefaultTags: boolean; // true
  readonly tags: readonly StatsTag[];
  readonly matcher: StatsMatcher;
  readonly histogramBuckets: readonly { readonly match: StringMatcherConfig; readonly buckets: readonly number[] }[];
}

export interface StatsTag {
  readonly name: string;
  readonly value: /** Found in the dotted name: the first group is taken out of it, the second (or else the first) is the value. */
    | { readonly type: "regex"; readonly regex: string }
    | { readonly type: "fixed"; readonly value: string }
    /** One of the default tags, for where not all of them are used. */
    | { readonly type: "default" };
}

export type StatsMatcher =
  | { readonly type: "all" }
  | { readonly type: "none" }
  | { readonly type: "inclusion" | "exclusion"; readonly patterns: readonly StringMatcherConfig[] };

export const defaultTelemetry: TelemetryConfig = {
  statsSinks: [],
  statsFlushIntervalMs: 5000,
  stats: { useAllDefaultTags: true, tags: [], matcher: { type: "all" }, histogramBuckets: [] },
  resource: {},
};
