export { type MetricExporterOptions, type MetricNaming, type MetricsBatch, metricExporter } from "./metric-exporter.ts";
export type { OtlpEndpoint, OtlpExporter, OtlpOptions } from "./otlp-options.ts";
export { spanExporter } from "./span-exporter.ts";
