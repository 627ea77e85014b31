import { type HrTime, SpanKind, SpanStatusCode, TraceFlags } from "@opentelemetry/api";
import { TraceState } from "@opentelemetry/core";
import { ProtobufTraceSerializer, TraceExporterMetricsHelper } from "@opentelemetry/otlp-transformer";
import type { Resource } from "@opentelemetry/resources";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import type { SpanRecord } from "../span-record.ts";
import { makeExporter } from "./make-exporter.ts";
import type { OtlpExporter, OtlpOptions } from "./otlp-options.ts";
import { makeResource } from "./resource.ts";

/** Sends spans by OTLP. */
export function spanExporter(options: OtlpOptions): OtlpExporter<readonly SpanRecord[]> {
  const resource = makeResource(options.resource);
  return makeExporter(options, {
    name: "span",
    grpcMethod: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    serializer: ProtobufTraceSerializer,
    metricsHelper: TraceExporterMetricsHelper,
    toInternal: (spans: readonly SpanRecord[]) => spans.map((span) => toReadable(span, resource, options.scope)),
  });
}

/** The span as the SDK has it. */
export function toReadable(span: SpanRecord, resource: Resource, scope: OtlpOptions["scope"]): ReadableSpan {
  const { traceId, spanId, parentSpanId } = span;
  const context = {
    traceId,
    spanId,
    traceFlags: TraceFlags.SAMPLED,
    ...(span.traceState !== "" && { traceState: new TraceState(span.traceState) }),
  };
  return {
    name: span.name,
    kind: span.kind === "server" ? SpanKind.SERVER : SpanKind.CLIENT,
    spanContext: () => context,
    ...(parentSpanId !== "" && {
      parentSpanContext: { traceId, spanId: parentSpanId, traceFlags: TraceFlags.SAMPLED },
    }),
    startTime: hrTime(span.startWallMs),
    endTime: hrTime(span.startWallMs + span.durationMs),
    duration: hrTime(span.durationMs),
    status: { code: span.isError ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes: toAttributes(span.attributes),
    links: [],
    events: [],
    ended: true,
    resource,
    instrumentationScope: scope,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

function toAttributes(pairs: readonly string[]): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (let i = 0; i + 1 < pairs.length; i += 2) attributes[pairs[i]!] = pairs[i + 1]!; // both are below the length
  return attributes;
}

/** Seconds and nanoseconds. */
export function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.min(999_999_999, Math.round((ms - seconds * 1000) * 1e6))];
}
