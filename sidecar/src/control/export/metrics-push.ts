import type { Timer } from "@heddle/base";
import type { Counter, SeriesValue, SeriesWalk } from "@heddle/telemetry";
import { inSlices } from "@heddle/telemetry/admin";
import type { MetricNaming, MetricsBatch } from "@heddle/telemetry/otlp";
import type { OtlpStatsSink } from "@heddle/traffic";
import { type ExportEnv, OtlpReceiver } from "./span-exports.ts";
import type { StatsPresentation } from "./stats-presentation.ts";

export interface MetricsPushOptions {
  readonly sink: OtlpStatsSink;
  readonly intervalMs: number;
  readonly env: ExportEnv;
  /** All series, as they are found. */
  readonly walk: () => SeriesWalk;
  readonly presentation: StatsPresentation;
}

/** Each time all series are collected and sent. */
const LEAST_INTERVAL_MS = 100;
/**
 * So many series are one message: ten thousand clusters have half a million, which would hold the control thread for seconds, and
 * receivers of gRPC take 4 MiB as a rule. 500 histograms are 0.2 MiB, and a few milliseconds.
 */
const PART_SERIES = 500;

/**
 * Sends all metrics to one receiver again and again, in parts, one after the other. An export that is still under way when the next is due takes its place: the
 * next one holds everything, since sums count from the start.
 */
export class MetricsPush {
  readonly #options: MetricsPushOptions;
  readonly #receiver: OtlpReceiver<MetricsBatch>;
  readonly #startWallMs: number;
  readonly #failed: Counter;
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;
  #failing = false;

  constructor(options: MetricsPushOptions) {
    const { sink, env, presentation } = options;
    this.#options = options;
    this.#startWallMs = env.clock.wallNow();
    this.#failed = env.metrics.counter("metrics_sink.open_telemetry.failed");
    const resource = { ...env.resource, "service.name": sink.serviceName };
    this.#receiver = new OtlpReceiver(sink.destination, resource, env, (otlp, receiver) =>
      otlp.metricExporter({ ...receiver, naming: naming(sink, presentation), bounds: presentation.buckets }),
    );
    this.#schedule();
  }

  /** Sends the last figures, within the exporter's time. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#sending;
    if (!this.#failing) await this.#push();
    await this.#receiver.close();
  }

  #schedule(): void {
    this.#timer = this.#options.env.clock.after(
      Math.max(LEAST_INTERVAL_MS, this.#options.intervalMs),
      () => {
        this.#sending ??= this.#push().finally(() => {
          this.#sending = undefined;
        });
        this.#schedule();
      },
      true,
    );
  }

  async #push(): Promise<void> {
    const { env, walk } = this.#options;
    try {
      const found = walk()[Symbol.iterator]();
      for (let isMore = true; isMore; ) {
        const series: SeriesValue[] = [];
        const take = (one: SeriesValue | undefined): boolean => one === undefined || series.push(one) < PART_SERIES;
        await inSlices(found, take, env.clock);
        isMore = series.length === PART_SERIES;
        if (series.length === 0) break;
        await this.#receiver.export({ series, startWallMs: this.#startWallMs, wallMs: env.clock.wallNow() });
      }
      if (this.#failing) env.log.info("metrics are exported again");
      this.#failing = false;
    } catch (error) {
      this.#failed.add();
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.#failing) env.log.warn("metrics cannot be exported", { reason });
      this.#failing = true;
    }
  }
}

/** Envoy's OTLP sink writes its tags with dots: "envoy.cluster_name". */
function naming(sink: OtlpStatsSink, presentation: StatsPresentation): MetricNaming {
  const prefix = sink.prefix === "" ? "" : `${sink.prefix}.`;
  return (name, labels) => {
    const shown = presentation.nameOf(name, labels);
    const attributes = sink.emitTagsAsAttributes
      ? Object.fromEntries(
          Object.entries(shown.labels).map(([label, value]) => [label.replace(/^envoy_/, "envoy."), value]),
        )
      : {};
    return { name: prefix + (sink.useTagExtractedName ? shown.tagless : shown.dotted), attributes };
  };
}
