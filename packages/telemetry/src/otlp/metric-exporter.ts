import { type HrTime, ValueType } from "@opentelemetry/api";
import { MetricsExporterMetricsHelper, ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { type BucketBounds, countsBelow } from "../bucket-settings.ts";
import type { Labels } from "../metrics.ts";
import type { SeriesValue } from "../series-walk.ts";
import { statName } from "../stat-names.ts";
import { makeExporter } from "./make-exporter.ts";
import type { OtlpExporter, OtlpOptions } from "./otlp-options.ts";
import { makeResource } from "./resource.ts";
import { hrTime } from "./span-exporter.ts";

/** The state of all series at one moment. */
export interface MetricsBatch {
  readonly series: readonly SeriesValue[];
  /** Since when counters count. */
  readonly startWallMs: number;
  readonly wallMs: number;
}

export interface MetricExporterOptions extends OtlpOptions {
  readonly naming: MetricNaming;
  readonly bounds: BucketBounds;
}

/** The name and the attributes that a series has for the receiver. */
export type MetricNaming = (name: string, labels: Labels) => { readonly name: string; readonly attributes: Labels };

/** Sends metrics by OTLP, cumulative since the start: a receiver that was away has missed nothing. */
export function metricExporter(options: MetricExporterOptions): OtlpExporter<MetricsBatch> {
  const resource = makeResource(options.resource);
  return makeExporter(options, {
    name: "metric",
    grpcMethod: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    serializer: ProtobufMetricsSerializer,
    metricsHelper: MetricsExporterMetricsHelper,
    toInternal: (batch: MetricsBatch): ResourceMetrics => ({
      resource,
      scopeMetrics: [{ scope: options.scope, metrics: toMetrics(batch, options.naming, options.bounds) }],
    }),
  });
}

/** Series of one name are one metric, with a point for each. */
export function toMetrics(
  { series, startWallMs, wallMs }: MetricsBatch,
  naming: MetricNaming,
  bounds: BucketBounds,
): MetricData[] {
  const startTime = hrTime(startWallMs);
  const endTime = hrTime(wallMs);
  const families = new Map<string, MetricData>();
  for (const one of series) {
    const { name, attributes } = naming(one.name, one.labels);
    let family = families.get(name);
    if (family === undefined) {
      family = emptyFamily(one, name);
      families.set(name, family);
    }
    addPoint(family, one, { startTime, endTime, attributes: { ...attributes } }, bounds);
  }
  return [...families.values()];
}

function emptyFamily({ kind, buckets }: SeriesValue, name: string): MetricData {
  const descriptor = {
    name,
    description: "",
    unit: buckets !== undefined && name.endsWith("_ms") ? "ms" : "",
    valueType: ValueType.DOUBLE,
  };
  const aggregationTemporality = AggregationTemporality.CUMULATIVE;
  const common = { descriptor, aggregationTemporality, dataPoints: [] };
  switch (kind) {
    case "counter":
      return { ...common, dataPointType: DataPointType.SUM, isMonotonic: true };
    case "gauge":
      return { ...common, dataPointType: DataPointType.GAUGE };
    case "histogram":
      return { ...common, dataPointType: DataPointType.HISTOGRAM };
    default:
      throw new Error(`unknown kind ${JSON.stringify(kind satisfies never)}`);
  }
}

interface Point {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly attributes: Record<string, string>;
}

/** A series whose kind is another than its family's is left out, as in the Prometheus exposition. */
function addPoint(family: MetricData, one: SeriesValue, point: Point, bounds: BucketBounds): void {
  if (family.dataPointType === DataPointType.HISTOGRAM) {
    if (one.buckets === undefined) return;
    const buckets = explicitBuckets(one, bounds(statName(one.name, one.labels)));
    family.dataPoints.push({ ...point, value: { buckets, sum: one.sum, count: one.value } });
  } else if (family.dataPointType !== DataPointType.EXPONENTIAL_HISTOGRAM && one.buckets === undefined) {
    family.dataPoints.push({ ...point, value: one.value });
  }
}

/** The counts between the bounds, and of what is above the last. */
function explicitBuckets(one: SeriesValue, boundaries: readonly number[]): { boundaries: number[]; counts: number[] } {
  const below = countsBelow(one.buckets ?? [], boundaries);
  const counts = below.map((count, index) => count - (below[index - 1] ?? 0));
  counts.push(one.value - (below.at(-1) ?? 0));
  return { boundaries: [...boundaries], counts };
}
