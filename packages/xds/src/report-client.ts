import { type ClientDuplexStream, connectivityState, type StatusObject, status } from "@grpc/grpc-js";
import type { Clock, Timer } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { asIs } from "./byte-method.ts";
import type { XdsChannel } from "./dial.ts";
import { decodeReportInterval, encodeSidecarReport, REPORT_PATH, type SidecarReport } from "./report.ts";

export interface ReportClientOptions {
  /** Makes a complete report of this moment. */
  readonly report: () => SidecarReport;
  readonly clock: Clock;
  readonly log: Log;
}

/** However much changes: reports are complete, so that one a second tells as much as a hundred. */
const MIN_INTERVAL_MS = 1000;

const DEFAULT_INTERVAL_MS = 30_000;

/**
 * Tells the control plane what this sidecar holds, rejects and does not honour, and how it fares, on the connection that
 * the xDS client has made. A control plane that does not offer this loses nothing and is not asked twice.
 */
export class ReportClient {
  readonly #options: ReportClientOptions;
  #channel: XdsChannel | undefined;
  #stream: ClientDuplexStream<Buffer, Buffer> | undefined;
  #intervalMs = DEFAULT_INTERVAL_MS;
  #timer: Timer | undefined;
  #lastSentAtMs = 0;
  #writing = false;
  /** A report came due while the last one was being written. */
  #missed = false;

  constructor(options: ReportClientOptions) {
    this.#options = options;
  }

  /** Reports on this connection from now on. What `XdsClient` calls `onConnected` with. */
  attach(channel: XdsChannel): void {
    this.close();
    this.#channel = channel;
    this.#open();
  }

  /** Something that a report says has changed: one goes out, at most a second from now. */
  changed(): void {
    if (this.#stream === undefined) return;
    this.#schedule(Math.max(0, this.#lastSentAtMs + MIN_INTERVAL_MS - this.#options.clock.now()));
  }

  /** Stops reporting. The connection is its owner's. */
  close(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#channel = undefined;
    this.#timer?.cancel();
    stream?.cancel();
  }

  #open(): void {
    const channel = this.#channel;
    // The xDS client has let go of this connection: gRPC would throw. There will be another one to attach.
    if (channel === undefined || channel.getChannel().getConnectivityState(false) === connectivityState.SHUTDOWN)
      return;
    const stream = channel.makeBidiStreamRequest<Buffer, Buffer>(REPORT_PATH, asIs, asIs);
    this.#stream = stream;
    this.#writing = false;
    stream.on("error", () => undefined); // each end comes as a status too
    stream.on("data", (bytes: Buffer) => {
      this.#intervalMs = decodeReportInterval(bytes) ?? DEFAULT_INTERVAL_MS;
    });
    stream.on("status", (ended: StatusObject) => this.#ended(stream, ended));
    this.#send();
  }

  #send(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#schedule(this.#intervalMs);
    // A control plane that is slow to read gets the newest report later, and no queue of old ones.
    this.#missed = this.#writing;
    if (this.#writing) return;
    this.#writing = true;
    this.#lastSentAtMs = this.#options.clock.now();
    stream.write(Buffer.from(encodeSidecarReport(this.#options.report())), () => {
      if (stream !== this.#stream) return;
      this.#writing = false;
      if (this.#missed) this.changed();
    });
  }

  #ended(stream: ClientDuplexStream<Buffer, Buffer>, { code, details }: StatusObject): void {
    if (stream !== this.#stream) return;
    this.#stream = undefined;
    this.#timer?.cancel();
    if (code === status.UNIMPLEMENTED) {
      this.#options.log.debug("the control plane takes no reports");
      return;
    }
    this.#options.log.debug("the report stream ended", { code, details });
    this.#timer = this.#options.clock.after(this.#intervalMs, () => this.#open(), true);
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(delayMs, () => this.#send(), true);
  }
}
