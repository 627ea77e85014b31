import { ExportResultCode } from "@opentelemetry/core";
import {
  CompressionAlgorithm,
  createOtlpNetworkExportDelegate,
  ExporterMetrics,
  type IOtlpExportDelegate,
} from "@opentelemetry/otlp-exporter-base";
import { createOtlpHttpExportDelegate, httpAgentFactoryFromOptions } from "@opentelemetry/otlp-exporter-base/node-http";
import type { IExporterMetricsHelper, ISerializer } from "@opentelemetry/otlp-transformer";
import { GrpcTransport } from "./grpc-transport.ts";
import type { OtlpExporter, OtlpOptions } from "./otlp-options.ts";

/** What differs between spans and metrics. */
export interface Signal<Batch, Internal> {
  readonly name: "span" | "metric";
  /** "/package.Service/Method" */
  readonly grpcMethod: string;
  readonly serializer: ISerializer<Internal, unknown>;
  readonly metricsHelper: IExporterMetricsHelper<Internal>;
  readonly toInternal: (batch: Batch) => Internal;
}

/**
 * An exporter of OpenTelemetry's SDK. It is put together from its parts, since the ready-made ones read the environment as well:
 * headers that are meant for one receiver would go to whomever the configuration names.
 */
export function makeExporter<Batch, Internal>(
  options: OtlpOptions,
  signal: Signal<Batch, Internal>,
): OtlpExporter<Batch> {
  const delegate = makeDelegate(options, signal);
  return {
    export: (batch) =>
      new Promise((resolve, reject) => {
        delegate.export(signal.toInternal(batch), ({ code, error }) => {
          if (code === ExportResultCode.SUCCESS) resolve();
          else reject(error ?? new Error("the receiver did not take it"));
        });
      }),
    close: () => delegate.shutdown(),
  };
}

/** Whoever exports waits for the end of one export before the next. */
const CONCURRENCY = 2;

function makeDelegate<Batch, Internal>(
  { endpoint, headers, timeoutMs, wallNow, scope }: OtlpOptions,
  { name, grpcMethod, serializer, metricsHelper }: Signal<Batch, Internal>,
): IOtlpExportDelegate<Internal> {
  const shared = { timeoutMillis: timeoutMs, concurrencyLimit: CONCURRENCY, compression: CompressionAlgorithm.NONE };
  if (endpoint.protocol === "http") {
    return createOtlpHttpExportDelegate(
      {
        ...shared,
        url: endpoint.url,
        headers: async () => ({ ...headers, "content-type": "application/x-protobuf" }),
        agentFactory: httpAgentFactoryFromOptions({ keepAlive: true }),
        userAgent: `${scope.name}/${scope.version}`,
      },
      serializer,
      `otlp_http_${name}_exporter`,
      metricsHelper,
      undefined,
    );
  }
  const metrics = new ExporterMetrics({
    componentType: `otlp_grpc_${name}_exporter`,
    metricsHelper,
    url: undefined,
    meterProvider: undefined,
    responseAttributesFromError: () => ({}),
  });
  const transport = new GrpcTransport(endpoint, grpcMethod, headers, wallNow);
  return createOtlpNetworkExportDelegate(shared, serializer, metrics, transport);
}
