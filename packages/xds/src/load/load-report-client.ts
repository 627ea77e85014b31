import type { ClientDuplexStream, StatusObject } from "@grpc/grpc-js";
import { Backoff, type Clock, type Timer } from "@heddle/base";
import type { Counter, Log, MetricScope } from "@heddle/telemetry";
import { asIs } from "../byte-method.ts";
import type { XdsChannel } from "../dial.ts";
import type { XdsNode } from "../snapshot.ts";
import {
  type ClusterLoadReport,
  decodeLoadStatsResponse,
  encodeLoadStatsRequest,
  LOAD_REPORT_PATH,
  type LoadStatsResponse,
  SUPPORTS_SEND_ALL_CLUSTERS,
} from "./load-report.ts";

export interface LoadReportClientOptions {
  readonly dial: () => XdsChannel;
  readonly node: XdsNode;
  /** Reads what there is to report now. */
  readonly read: (asked: Pick<LoadStatsResponse, "clusters" | "byEndpoint">) => Promise<LoadReading>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly random?: () => number;
}

/** What happened since the reading before that was told. */
export interface LoadReading {
  readonly clusters: readonly ClusterLoadReport[];
  /** It has been told: the next reading begins here. */
  readonly told: () => void;
}

const BACKOFF = { baseMs: 500, maxMs: 30_000 };

/** A server that asks for less would have a report made all the time. */
const MIN_INTERVAL_MS = 100;

/**
 * Reports load to a management server (LRS) for ever: at the interval that the server asks for, about the clusters that it
 * asks for, and again after the stream was lost. What could not be told is in the next report.
 */
export class LoadReportClient {
  readonly #options: LoadReportClientOptions;
  readonly #backoff: Backoff;
  readonly #counters: Readonly<Record<"requests" | "responses" | "errors" | "retries", Counter>>;
  #channel: XdsChannel | undefined;
  #stream: ClientDuplexStream<Buffer, Buffer> | undefined;
  #asked: LoadStatsResponse | undefined;
  #timer: Timer | undefined;

  constructor(options: LoadReportClientOptions) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.random);
    const scope = options.metrics.scope("load_reporter");
    this.#counters = {
      requests: scope.counter("requests"),
      responses: scope.counter("responses"),
      errors: scope.counter("errors"),
      retries: scope.counter("retries"),
    };
  }

  start(): void {
    let stream: ClientDuplexStream<Buffer, Buffer>;
    try {
      this.#channel = this.#options.dial();
      stream = this.#channel.makeBidiStreamRequest<Buffer, Buffer>(LOAD_REPORT_PATH, asIs, asIs);
    } catch (error) {
      this.#failed(error instanceof Error ? error.message : String(error));
      return;
    }
    this.#stream = stream;
    stream.on("error", () => undefined); // each end comes as a status too
    stream.on("data", (bytes: Buffer) => this.#receive(stream, bytes));
    stream.on("status", (status: StatusObject) => this.#lost(stream, `${status.details} (code ${status.code})`));
    const { node } = this.#options;
    const clientFeatures = [...node.clientFeatures, SUPPORTS_SEND_ALL_CLUSTERS];
    this.#counters.requests.add();
    stream.write(Buffer.from(encodeLoadStatsRequest({ node: { ...node, clientFeatures }, clusters: [] })));
  }

  close(): void {
    this.#hangUp();
  }

  #receive(stream: ClientDuplexStream<Buffer, Buffer>, bytes: Buffer): void {
    if (stream !== this.#stream) return;
    const decoded = decodeLoadStatsResponse(bytes);
    if (!decoded.ok || decoded.value.intervalMs <= 0) {
      this.#lost(stream, decoded.ok ? "load_reporting_interval is missing" : decoded.error);
      return;
    }
    this.#counters.responses.add();
    this.#backoff.reset();
    this.#asked = decoded.value;
    this.#schedule(stream);
  }

  #schedule(stream: ClientDuplexStream<Buffer, Buffer>): void {
    if (stream !== this.#stream || this.#asked === undefined) return;
    this.#timer?.cancel();
    const intervalMs = Math.max(MIN_INTERVAL_MS, this.#asked.intervalMs);
    this.#timer = this.#options.clock.after(intervalMs, () => void this.#report(stream), true);
  }

  async #report(stream: ClientDuplexStream<Buffer, Buffer>): Promise<void> {
    const asked = this.#asked;
    if (asked === undefined) return;
    const reading = await this.#options.read(asked).catch((error: unknown) => {
      this.#options.log.warn("load could not be read", { reason: String(error) });
      return undefined;
    });
    if (stream !== this.#stream) return;
    if (reading === undefined) {
      this.#schedule(stream);
      return;
    }
    this.#counters.requests.add();
    const bytes = Buffer.from(encodeLoadStatsRequest({ node: undefined, clusters: reading.clusters }));
    // One report is under way at a time: the next is made when this one has left.
    stream.write(bytes, (error: Error | null | undefined) => {
      if (error !== null && error !== undefined) return;
      reading.told();
      this.#schedule(stream);
    });
  }

  #lost(stream: ClientDuplexStream<Buffer, Buffer>, reason: string): void {
    if (stream === this.#stream) this.#failed(reason);
  }

  #failed(reason: string): void {
    this.#hangUp();
    this.#counters.errors.add();
    const waitMs = this.#backoff.nextMs();
    this.#options.log.debug("the load report stream ended", { reason, retryInMs: Math.round(waitMs) });
    const again = (): void => {
      this.#counters.retries.add();
      this.start();
    };
    this.#timer = this.#options.clock.after(waitMs, again, true);
  }

  #hangUp(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#asked = undefined;
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.cancel();
    this.#channel?.close();
    this.#channel = undefined;
  }
}
