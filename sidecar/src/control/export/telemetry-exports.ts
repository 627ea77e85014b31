import type { Clock } from "@heddle/base";
import type { NodeIdentity, ProxyConfig } from "@heddle/config";
import type { Log, MetricScope, SeriesWalk } from "@heddle/telemetry";
import type { TelemetryConfig } from "@heddle/traffic";
import type { TracingStart } from "../../traffic/http/tracing/tracing-env.ts";
import type { SpanBatch } from "../../traffic/worker/span-sender.ts";
import { MetricsPush } from "./metrics-push.ts";
import { type ExportEnv, SpanExports } from "./span-exports.ts";
import type { StatsPresentation } from "./stats-presentation.ts";

export interface TelemetryExportsOptions {
  readonly telemetry: TelemetryConfig;
  readonly presentation: StatsPresentation;
  readonly node: NodeIdentity;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** The configuration that is served, where receivers are looked up. */
  readonly config: () => ProxyConfig;
  /** All series, as they are found. */
  readonly walk: () => SeriesWalk;
  readonly loadOtlp?: ExportEnv["loadOtlp"];
}

const CLOSE_WITHIN_MS = 3000;

/** Everything that leaves the process as telemetry, other than the access log: spans of the workers, and metrics. */
export class TelemetryExports {
  readonly #clock: Clock;
  readonly #spans: SpanExports;
  readonly #pushes: readonly MetricsPush[];

  constructor(options: TelemetryExportsOptions) {
    const { telemetry, presentation, node, walk, clock, log, metrics, config, version } = options;
    this.#clock = clock;
    const env: ExportEnv = {
      clock,
      log: log.with({ part: "export" }),
      metrics,
      config,
      version,
      resource: resourceOf(node, telemetry.resource),
      loadOtlp: options.loadOtlp ?? (() => import("@heddle/telemetry/otlp")),
    };
    this.#spans = new SpanExports(env);
    this.#pushes = telemetry.statsSinks.map(
      (sink) =>
        new MetricsPush({
          sink,
          intervalMs: sink.intervalMs ?? telemetry.statsFlushIntervalMs,
          env,
          walk,
          presentation,
        }),
    );
  }

  /** From a worker. */
  receiveSpans(batches: readonly SpanBatch[]): void {
    this.#spans.receive(batches);
  }

  /** Sends what there is to send still, and does not wait for a receiver that does not answer. */
  async close(): Promise<void> {
    const patience = Promise.withResolvers<void>();
    const timer = this.#clock.after(CLOSE_WITHIN_MS, () => patience.resolve());
    const closed = Promise.all([this.#spans.close(), ...this.#pushes.map((push) => push.close())]);
    await Promise.race([closed, patience.promise]);
    timer.cancel();
  }
}

/** What the workers need to know. */
export function tracingStart({ tracing, tracingEverywhere }: TelemetryConfig, node: NodeIdentity): TracingStart {
  return {
    node: { id: node.id, zone: node.locality.zone },
    ...(tracing !== undefined && { provider: tracing }),
    ...(tracingEverywhere !== undefined && { everywhere: tracingEverywhere }),
  };
}

function resourceOf(node: NodeIdentity, given: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return {
    ...(node.cluster !== "" && { "service.name": node.cluster }),
    ...(node.id !== "" && { "service.instance.id": node.id }),
    ...(node.locality.region !== "" && { "cloud.region": node.locality.region }),
    ...(node.locality.zone !== "" && { "cloud.availability_zone": node.locality.zone }),
    ...given,
  };
}
