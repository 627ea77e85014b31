import type { SpanRecord } from "@heddle/telemetry";

/** Takes spans that have ended. `provider`: the JSON of the `TracingProvider` whose exporter they go to. */
export interface SpanSink {
  add(provider: string, span: SpanRecord): void;
}

/** What spans tell of where they were made (Envoy's tags `node_id` and `zone`). */
export interface TracingNode {
  readonly id: string;
  readonly zone: string;
}
