/* `HttpConnectionManager.Tracing` and what belongs to it, decoded. Plain JSON data: it crosses to the workers. */

/** The connection manager's `tracing`. Without it trace context is passed on, and no span is made. */
export interface TracingConfig {
  /** Undefined: the bootstrap's `tracing.http`, and where there is none spans go nowhere. */
  readonly provider: TracingProvider | undefined;
  readonly sampling: SamplingConfig;
  /** `max_path_tag_length`: 256. */
  readonly maxPathTagLength: number;
  /** A span for each attempt as well. */
  readonly spawnUpstreamSpan: boolean;
  readonly customTags: readonly CustomTagConfig[];
}

/** Asked in this order: client, (forced by a service), random; what they allow `overall` may still take away. */
export interface SamplingConfig {
  readonly client: Fraction;
  readonly random: Fraction;
  readonly overall: Fraction;
}

export interface Fraction {
  readonly numerator: number;
  readonly denominator: number;
}

export interface CustomTagConfig {
  readonly tag: string;
  readonly source:
    | { readonly type: "literal"; readonly value: string }
    | { readonly type: "environment"; readonly name: string; readonly defaultValue: string }
    | { readonly type: "request-header"; readonly name: string; readonly defaultValue: string }
    | {
        readonly type: "metadata";
        readonly kind: "request" | "route" | "cluster" | "host";
        readonly namespace: string;
        readonly path: readonly string[];
        readonly defaultValue: string;
      };
}

/** A route's `tracing`: takes the place of the connection manager's sampling, and adds to its tags. */
export interface RouteTracingConfig {
  readonly sampling: SamplingConfig;
  readonly customTags: readonly CustomTagConfig[];
}

export interface DecoratorConfig {
  /** The name of the span. */
  readonly operation: string;
  /** Whether the other side hears of it (`x-envoy-decorator-operation`). */
  readonly propagate: boolean;
}

/** What makes spans, how they are propagated, and where they go. */
export type TracingProvider =
  | {
      readonly type: "opentelemetry";
      /** Where `service_name` is not set: "unknown_service:envoy" in Envoy, ours says heddle. */
      readonly serviceName: string;
      /** Undefined: nothing is exported, and trace context is propagated all the same. */
      readonly exporter: OtlpDestination | undefined;
      /** What is looked for in a request in this order, and all of which is written. Envoy's tracer knows W3C alone. */
      readonly propagators: readonly Propagator[];
    }
  | {
      readonly type: "zipkin";
      readonly collectorCluster: string;
      /** Path of the collector. */
      readonly collectorEndpoint: string;
      readonly collectorHostname: string;
    };

export type Propagator = "w3c" | "b3" | "b3multi";

/** Where an OTLP exporter sends to (`grpc_service` or `http_service`). */
export interface OtlpDestination {
  readonly protocol: "grpc" | "http";
  /** A cluster of the sidecar, or a place of its own ("host:port"). */
  readonly target:
    | { readonly type: "cluster"; readonly name: string }
    | { readonly type: "address"; readonly address: string };
  /** Of HTTP: the URL, of which a cluster's endpoints take the path, and the host as `Host`. "" for gRPC. */
  readonly uri: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly timeoutMs: number;
}
