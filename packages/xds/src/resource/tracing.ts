import type {
  CustomTagConfig,
  DecoratorConfig,
  Fraction,
  RouteTracingConfig,
  TracingConfig,
  TracingProvider,
} from "@heddle/traffic";
import { type LooseJsonObject, list, unless } from "./encode.ts";
import { Fields } from "./fields.ts";
import { decodeGrpcDestination, decodeHttpDestination, encodeDestination } from "./otlp-destination.ts";
import { decodeFraction, encodeFraction } from "./route-match.ts";
import { openAny } from "./typed-config.ts";

const OPEN_TELEMETRY = "envoy.config.trace.v3.OpenTelemetryConfig";
const ZIPKIN = "envoy.config.trace.v3.ZipkinConfig";
/** Envoy says "unknown_service:envoy". */
export const UNKNOWN_SERVICE = "unknown_service:heddle";

const MAX_PATH_TAG_LENGTH = 256;
const ALL: Fraction = { numerator: 100, denominator: 100 };

/** The connection manager's `tracing`. */
export function decodeTracing(fields: Fields | undefined): { readonly tracing?: TracingConfig } {
  if (fields === undefined) return {};
  return {
    tracing: {
      provider: decodeTracingProvider(fields.message("provider")),
      // As Envoy: of these two the whole percents count, of random sampling hundredths as well.
      sampling: {
        client: percent(fields, "client_sampling", 100),
        random: percent(fields, "random_sampling", 10_000),
        overall: percent(fields, "overall_sampling", 100),
      },
      maxPathTagLength: fields.wrappedNumber("max_path_tag_length", MAX_PATH_TAG_LENGTH),
      spawnUpstreamSpan: fields.wrappedFlag("spawn_upstream_span", false),
      customTags: decodeCustomTags(fields),
    },
  };
}

function percent(fields: Fields, name: string, denominator: 100 | 10_000): Fraction {
  const value = fields.message(name)?.number("value") ?? 100;
  return { numerator: Math.floor((value * denominator) / 100), denominator };
}

/** A route's `tracing`; what it leaves unset is 100 %, whatever the connection manager says. */
export function decodeRouteTracing(fields: Fields | undefined): { readonly tracing?: RouteTracingConfig } {
  if (fields === undefined) return {};
  const fraction = (name: string): Fraction => decodeFraction(fields.message(name)) ?? ALL;
  return {
    tracing: {
      sampling: {
        client: fraction("client_sampling"),
        random: fraction("random_sampling"),
        overall: fraction("overall_sampling"),
      },
      customTags: decodeCustomTags(fields),
    },
  };
}

export function decodeDecorator(fields: Fields | undefined): { readonly decorator?: DecoratorConfig } {
  if (fields === undefined) return {};
  return {
    decorator: { operation: fields.text("operation"), propagate: fields.wrappedFlag("propagate", true) },
  };
}

/** `envoy.config.trace.v3.Tracing.Http`. A tracer that we do not have is reported: spans decide nothing. */
export function decodeTracingProvider(fields: Fields | undefined): TracingProvider | undefined {
  const any = fields?.raw("typed_config");
  if (fields === undefined || any === undefined) return undefined;
  fields.text("name");
  const path = fields.at("typed_config");
  const extension = openAny(any, path, fields.findings);
  if (extension === undefined) return undefined;
  if (extension.message === undefined || ![OPEN_TELEMETRY, ZIPKIN].includes(extension.type)) {
    fields.report("typed_config", `there is no tracer ${extension.type}; no span is made`);
    return undefined;
  }
  const config = new Fields(extension.type, extension.message, path, fields.findings);
  return extension.type === ZIPKIN ? decodeZipkin(config) : decodeOpenTelemetry(config);
}

function decodeOpenTelemetry(fields: Fields): TracingProvider {
  const grpc = decodeGrpcDestination(fields.message("grpc_service"));
  const http = decodeHttpDestination(fields.message("http_service"));
  if (grpc !== undefined && http !== undefined) {
    fields.fail("http_service", 'excludes "grpc_service", which is set as well');
  }
  return {
    type: "opentelemetry",
    serviceName: fields.text("service_name") || UNKNOWN_SERVICE,
    exporter: grpc ?? http,
    propagators: ["w3c"],
  };
}

function decodeZipkin(fields: Fields): TracingProvider {
  return {
    type: "zipkin",
    collectorCluster: fields.text("collector_cluster"),
    collectorEndpoint: fields.text("collector_endpoint"),
    collectorHostname: fields.text("collector_hostname"),
  };
}

function decodeCustomTags(fields: Fields): readonly CustomTagConfig[] {
  return fields.messages("custom_tags").flatMap((tag) => {
    const source = decodeTagSource(tag); // where there is none, validation has said so
    return source === undefined ? [] : [{ tag: tag.text("tag"), source }];
  });
}

const METADATA_KINDS = ["request", "route", "cluster", "host"] as const;

function decodeTagSource(tag: Fields): CustomTagConfig["source"] | undefined {
  const literal = tag.message("literal");
  if (literal !== undefined) return { type: "literal", value: literal.text("value") };
  const environment = tag.message("environment");
  if (environment !== undefined) {
    const defaultValue = environment.text("default_value");
    return { type: "environment", name: environment.text("name"), defaultValue };
  }
  const header = tag.message("request_header");
  if (header !== undefined) {
    const name = header.text("name").toLowerCase();
    return { type: "request-header", name, defaultValue: header.text("default_value") };
  }
  const metadata = tag.message("metadata");
  if (metadata === undefined) return undefined;
  const kind = metadata.message("kind");
  for (const name of METADATA_KINDS) kind?.message(name);
  const key = metadata.message("metadata_key");
  return {
    type: "metadata",
    kind: METADATA_KINDS.find((name) => kind?.has(name)) ?? "request",
    namespace: key?.text("key") ?? "",
    path: (key?.messages("path") ?? []).map((segment) => segment.text("key")),
    defaultValue: metadata.text("default_value"),
  };
}

export function encodeTracing(tracing: TracingConfig | undefined): LooseJsonObject | undefined {
  if (tracing === undefined) return undefined;
  const { client, random, overall } = tracing.sampling;
  return {
    client_sampling: encodePercent(client),
    random_sampling: encodePercent(random),
    overall_sampling: encodePercent(overall),
    max_path_tag_length: unless(MAX_PATH_TAG_LENGTH, tracing.maxPathTagLength),
    custom_tags: list(tracing.customTags.map(encodeCustomTag)),
    provider: encodeProvider(tracing.provider),
    spawn_upstream_span: unless(false, tracing.spawnUpstreamSpan),
  };
}

export function encodeRouteTracing(tracing: RouteTracingConfig | undefined): LooseJsonObject | undefined {
  if (tracing === undefined) return undefined;
  return {
    client_sampling: encodeFraction(tracing.sampling.client),
    random_sampling: encodeFraction(tracing.sampling.random),
    overall_sampling: encodeFraction(tracing.sampling.overall),
    custom_tags: list(tracing.customTags.map(encodeCustomTag)),
  };
}

export function encodeDecorator(decorator: DecoratorConfig | undefined): LooseJsonObject | undefined {
  return decorator && { operation: decorator.operation, propagate: unless(true, decorator.propagate) };
}

function encodePercent({ numerator, denominator }: Fraction): LooseJsonObject | undefined {
  return numerator === denominator ? undefined : { value: (numerator * 100) / denominator };
}

function encodeProvider(provider: TracingProvider | undefined): LooseJsonObject | undefined {
  if (provider === undefined) return undefined;
  if (provider.type === "zipkin") {
    return {
      name: "envoy.tracers.zipkin",
      typed_config: {
        "@type": `type.googleapis.com/${ZIPKIN}`,
        collector_cluster: provider.collectorCluster,
        collector_endpoint: provider.collectorEndpoint,
        collector_hostname: unless("", provider.collectorHostname),
        trace_id_128bit: true,
        shared_span_context: false,
        collector_endpoint_version: "HTTP_JSON",
      },
    };
  }
  return {
    name: "envoy.tracers.opentelemetry",
    typed_config: {
      "@type": `type.googleapis.com/${OPEN_TELEMETRY}`,
      ...(provider.exporter !== undefined && {
        [`${provider.exporter.protocol}_service`]: encodeDestination(provider.exporter),
      }),
      service_name: unless(UNKNOWN_SERVICE, provider.serviceName),
    },
  };
}

function encodeCustomTag({ tag, source }: CustomTagConfig): LooseJsonObject {
  switch (source.type) {
    case "literal":
      return { tag, literal: { value: source.value } };
    case "environment":
      return { tag, environment: { name: source.name, default_value: unless("", source.defaultValue) } };
    case "request-header":
      return { tag, request_header: { name: source.name, default_value: unless("", source.defaultValue) } };
    case "metadata":
      return {
        tag,
        metadata: {
          kind: { [source.kind]: {} },
          metadata_key: { key: source.namespace, path: source.path.map((key) => ({ key })) },
          default_value: unless("", source.defaultValue),
        },
      };
    default:
      throw new Error(`unknown source ${JSON.stringify(source satisfies never)}`);
  }
}
