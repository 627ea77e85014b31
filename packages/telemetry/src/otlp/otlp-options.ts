/** Where telemetry goes by OTLP (https://opentelemetry.io/docs/specs/otlp/), and what is said of who sends it. */
export interface OtlpOptions {
  readonly endpoint: OtlpEndpoint;
  /** Names in lower case. May hold secrets: they are in no log and no error. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of one export, its retries included. */
  readonly timeoutMs: number;
  /** The resource: `service.name` and the like. What says who we are is added (`telemetry.sdk.*`). */
  readonly resource: Readonly<Record<string, string>>;
  /** Milliseconds since the Unix epoch: gRPC's deadlines are moments. */
  readonly wallNow: () => number;
  /** Of the instrumentation scope. */
  readonly scope: { readonly name: string; readonly version: string };
}

export type OtlpEndpoint =
  /** A gRPC name ("ipv4:10.0.0.1:4317", "dns:///collector:4317", "unix:/run/otel.sock"). */
  | { readonly protocol: "grpc"; readonly target: string; readonly tls: boolean }
  /** Protobuf over HTTP. */
  | { readonly protocol: "http"; readonly url: string };

/** Sends one kind of telemetry. */
export interface OtlpExporter<Batch> {
  /** Resolves when the receiver has it; rejects with the reason otherwise. */
  export(batch: Batch): Promise<void>;
  /** Ends what it has open. What is under way is waited for, within the timeout. */
  close(): Promise<void>;
}
