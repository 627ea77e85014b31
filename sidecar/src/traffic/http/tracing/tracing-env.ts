import type { TracingConfig, TracingProvider } from "@heddle/traffic";
import type { SpanSink, TracingNode } from "./span-sink.ts";

/** What tracing needs of the process: the start of a worker has it, and the control thread takes the spans. */
export interface TracingEnv extends TracingStart {
  readonly sink: SpanSink;
  /** For custom tags. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The part of it that the control thread says. */
export interface TracingStart {
  readonly node: TracingNode;
  /** The bootstrap's `tracing.http`: of connection managers that trace and name none. */
  readonly provider?: TracingProvider;
  /** Of connection managers without tracing (`OTEL_EXPORTER_OTLP_ENDPOINT`). */
  readonly everywhere?: TracingConfig;
}
