import type { Clock } from "@heddle/base";
import type { ProxyConfig } from "@heddle/config";
import type { Log, MetricScope, SpanRecord } from "@heddle/telemetry";
import type * as Otlp from "@heddle/telemetry/otlp";
import type { OtlpDestination, TracingProvider } from "@heddle/traffic";
import type { SpanBatch } from "../../traffic/worker/span-sender.ts";
import { clusterAddresses, findEndpoint, urlAt } from "./find-endpoint.ts";
import { SpanQueue } from "./span-queue.ts";
import { postSpans } from "./zipkin.ts";

/** What `@heddle/telemetry/otlp` exports: a type alone does not load it. */
export type OtlpDoor = typeof Otlp;

export interface ExportEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** The configuration that is served, where receivers are looked up. */
  readonly config: () => ProxyConfig;
  /** Of the process; `service.name` is added. */
  readonly resource: Readonly<Record<string, string>>;
  readonly version: string;
  /** Loads what speaks OTLP: some 17 MB, which a sidecar that exports nothing does without. */
  readonly loadOtlp: () => Promise<OtlpDoor>;
}

/** Providers that are known at a time: a configuration has one or two, and each is a connection. */
const MAX_PROVIDERS = 32;

/** Takes the workers' spans and sends those of each provider to its receiver. */
export class SpanExports {
  readonly #env: ExportEnv;
  readonly #queues = new Map<string, SpanQueue>();
  readonly #closers: (() => Promise<void>)[] = [];

  constructor(env: ExportEnv) {
    this.#env = env;
  }

  receive(batches: readonly SpanBatch[]): void {
    for (const { provider, spans } of batches) this.#queueOf(provider)?.add(spans);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    await Promise.all(this.#closers.map((close) => close()));
  }

  #queueOf(key: string): SpanQueue | undefined {
    const known = this.#queues.get(key);
    if (known !== undefined || this.#queues.size >= MAX_PROVIDERS) return known;
    const provider = JSON.parse(key) as TracingProvider; // the workers have it from our own configuration
    const queue = new SpanQueue(provider.type, this.#sender(provider), this.#env);
    this.#queues.set(key, queue);
    return queue;
  }

  #sender(provider: TracingProvider): (spans: readonly SpanRecord[]) => Promise<void> {
    if (provider.type === "zipkin") return (spans) => this.#sendZipkin(provider, spans);
    const { exporter, serviceName } = provider;
    if (exporter === undefined) return async () => undefined;
    const { resource } = this.#env;
    const receiver = new OtlpReceiver(
      exporter,
      { ...resource, "service.name": serviceName },
      this.#env,
      (otlp, options) => otlp.spanExporter(options),
    );
    this.#closers.push(() => receiver.close());
    return (spans) => receiver.export(spans);
  }

  async #sendZipkin(
    provider: Extract<TracingProvider, { type: "zipkin" }>,
    spans: readonly SpanRecord[],
  ): Promise<void> {
    const { collectorCluster, collectorEndpoint, collectorHostname } = provider;
    const addresses = clusterAddresses(this.#env.config(), collectorCluster);
    if (!addresses.ok) throw new Error(addresses.error);
    const path = collectorEndpoint.startsWith("/") ? collectorEndpoint : `/${collectorEndpoint}`;
    const url = urlAt(`http://zipkin${path}`, addresses.value);
    if (url === undefined) throw new Error(`cluster "${collectorCluster}" has no IP address`);
    const serviceName = this.#env.resource["service.name"] ?? "heddle";
    await postSpans(url, collectorHostname || collectorCluster, serviceName, spans);
  }
}

/** An OTLP receiver that may move: the exporter is made anew when its endpoint is another. */
export class OtlpReceiver<Batch> {
  readonly #destination: OtlpDestination;
  readonly #resource: Readonly<Record<string, string>>;
  readonly #env: ExportEnv;
  readonly #make: (otlp: OtlpDoor, options: Otlp.OtlpOptions) => Otlp.OtlpExporter<Batch>;
  #current: { readonly key: string; readonly exporter: Otlp.OtlpExporter<Batch> } | undefined;

  constructor(
    destination: OtlpDestination,
    resource: Readonly<Record<string, string>>,
    env: ExportEnv,
    make: (otlp: OtlpDoor, options: Otlp.OtlpOptions) => Otlp.OtlpExporter<Batch>,
  ) {
    this.#destination = destination;
    this.#resource = resource;
    this.#env = env;
    this.#make = make;
  }

  /** Not called again before it has ended. */
  async export(batch: Batch): Promise<void> {
    const { clock, version } = this.#env;
    const found = findEndpoint(this.#env.config(), this.#destination);
    if (!found.ok) throw new Error(found.error);
    const key = JSON.stringify(found.value.endpoint);
    if (this.#current?.key !== key) {
      const before = this.#current;
      const otlp = await this.#env.loadOtlp();
      const exporter = this.#make(otlp, {
        ...found.value,
        timeoutMs: this.#destination.timeoutMs,
        resource: this.#resource,
        wallNow: () => clock.wallNow(),
        scope: { name: "heddle", version },
      });
      this.#current = { key, exporter };
      void before?.exporter.close().catch(() => undefined);
    }
    await this.#current?.exporter.export(batch);
  }

  async close(): Promise<void> {
    await this.#current?.exporter.close().catch(() => undefined);
  }
}
