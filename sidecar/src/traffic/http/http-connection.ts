import { callbackTimer, type Failure, failure, type WheelTimer } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import {
  H1ServerConnection,
  type RequestDecoder,
  type ResponseEncoder,
  type ServerConnectionEvents,
} from "@heddle/http";
import type { Connection, ConnectionHandler } from "@heddle/net";
import type { ServedConnection } from "../network/network-filter.ts";
import type { HttpConnectionManager } from "./http-connection-manager.ts";
import { HttpExchange } from "./http-exchange.ts";

/**
 * A client's connection: joins the transport, the codec and the exchanges, and watches the time of all of them with one
 * timer. The timer is set to the earliest moment at which something can be overdue; when it fires, deadlines that have
 * moved meanwhile are only read again.
 */
export class HttpConnection implements ConnectionHandler, ServerConnectionEvents, ServedConnection {
  readonly downstream: DownstreamInfo;
  readonly #manager: HttpConnectionManager;
  readonly #connection: Connection;
  readonly #codec: H1ServerConnection;
  readonly #onClosed: () => void;
  readonly #startMs: number;
  readonly #watch: WheelTimer;
  #nextCheckMs = Infinity;
  #exchange: HttpExchange | undefined = undefined;
  #exchanges = 0;
  /** Since when no exchange has been open; Infinity while one is. */
  #idleSinceMs: number;
  #maxDurationAtMs = Infinity;
  /** Until when the rest of a request is waited for whose answer has gone. */
  #restByMs = Infinity;
  /** The codec has ended the connection; when the client does not close by then, we do. */
  #closeAtMs = Infinity;
  #queuedBytes = Infinity;
  #gone = false;
  /** The client has sent FIN. */
  #clientEnded = false;
  /** The codec ended the connection before the client did. */
  #endedByUs = false;
  /** What had been read and sent when the open exchange began. */
  #readBefore = 0;
  #sentBefore = 0;
  /** Its listener or the process has asked it to end. */
  #isDrained = false;
  /** The next request is the last. */
  #drainWithNext = false;
  /** Until when it may come. */
  #drainAtMs = Infinity;
  /** That moment has come once. */
  #looksAgain = false;
  /** The next answer closes, however long it takes to come (`http1_safe_max_connection_duration`). */
  #lastAnswer = false;

  constructor(
    manager: HttpConnectionManager,
    connection: Connection,
    downstream: DownstreamInfo,
    onClosed: () => void,
  ) {
    this.#manager = manager;
    this.#connection = connection;
    this.downstream = downstream;
    this.#onClosed = onClosed;
    this.#codec = new H1ServerConnection(connection, this, manager.codecOptions);
    this.#watch = callbackTimer(() => this.#check());
    const now = manager.env.clock.now();
    this.#startMs = now;
    this.#idleSinceMs = now;
    const { maxConnectionDurationMs, idleTimeoutMs } = manager.config;
    if (maxConnectionDurationMs > 0) {
      const jitterMs = (maxConnectionDurationMs * manager.config.maxConnectionDurationJitterPercent) / 100;
      const spread = jitterMs === 0 ? 0 : (manager.env.random() % 10_000) / 10_000;
      this.#maxDurationAtMs = now + maxConnectionDurationMs + jitterMs * spread;
    }
    this.checkBy(Math.min(this.#maxDurationAtMs, idleTimeoutMs > 0 ? now + idleTimeoutMs : Infinity), now);
    manager.stats.cxTotal.add();
    manager.stats.cxActive.add(1);
    manager.stats.cxHttp1Total.add();
    manager.stats.cxHttp1Active.add(1);
    connection.start(this);
  }

  /** Takes no further exchange: closes now if there is none, else tells the client with the answer. */
  drain(): void {
    this.#manager.stats.cxDrainClose.add();
    this.endAfterExchange();
  }

  /** The same for a reason of this connection alone. */
  endAfterExchange(): void {
    this.#exchange?.inside?.drain();
    this.#codec.drain();
    this.#watchForEnd();
  }

  /**
   * Carries one more exchange if none is open, since the client may be sending it; its answer tells that it is the last.
   * What does not come in time is not waited for: `drain_timeout`, or less if less is given.
   */
  drainGently(withinMs = Infinity): void {
    if (!this.#isDrained) this.#manager.stats.cxDrainClose.add();
    this.#isDrained = true;
    this.#endGently(withinMs);
  }

  #endGently(withinMs: number): void {
    if (this.#exchange !== undefined) {
      this.endAfterExchange();
      return;
    }
    const now = this.#manager.env.clock.now();
    this.#drainWithNext = true;
    this.#drainAtMs = Math.min(this.#drainAtMs, now + Math.min(withinMs, this.#manager.config.drainTimeoutMs));
    this.checkBy(this.#drainAtMs, now);
  }

  destroy(): void {
    this.#connection.destroy();
  }

  /** Whether the exchange that is answered now is the last one that this connection may carry. */
  isLastExchange(): boolean {
    if (this.#lastAnswer) return true;
    const { config, drain, env, stats } = this.#manager;
    const max = config.maxRequestsPerConnection;
    if (max !== 0 && this.#exchanges >= max) {
      stats.cxMaxRequests.add();
      return true;
    }
    if (env.shedder.endsConnection) {
      stats.cxOverloadDisableKeepalive.add();
      return true;
    }
    if (!drain.active || !drain.closes()) return false;
    stats.cxDrainClose.add();
    return true;
  }

  /** Has the deadlines looked at by then at the latest. `now` is the clock's. */
  checkBy(atMs: number, now: number): void {
    if (atMs >= this.#nextCheckMs || this.#gone) return;
    this.#nextCheckMs = atMs;
    this.#manager.env.wheel.start(this.#watch, atMs - now);
  }

  /** Of the open exchange, with head and framing. As in Envoy a request that is pipelined behind it counts in part. */
  get wireBytesReceived(): number {
    return this.#connection.bytesRead - this.#readBefore;
  }

  get wireBytesSent(): number {
    return this.#connection.bytesWritten + this.#connection.bytesQueued - this.#sentBefore;
  }

  exchangeEnded(exchange: HttpExchange): void {
    if (this.#exchange === exchange) {
      this.#exchange = undefined;
      if (this.#codec.dropping) this.#awaitRest();
    }
    this.#countBytes();
    this.#watchForEnd();
  }

  // === the codec tells

  onRequest(encoder: ResponseEncoder): RequestDecoder {
    this.#exchanges++;
    this.#idleSinceMs = Infinity;
    this.#restByMs = Infinity;
    this.#manager.stats.rqTotal.add();
    this.#manager.stats.rqHttp1Total.add();
    this.#manager.stats.rqActive.add(1);
    this.#exchange = new HttpExchange(this.#manager, this, encoder);
    if (this.#drainWithNext) {
      this.#drainAtMs = Infinity;
      this.#codec.drain();
    }
    return this.#exchange;
  }

  onProtocolError(reason: Failure, answeredStatus: number | undefined): void {
    this.#manager.reportProtocolError(reason, answeredStatus, this.downstream);
  }

  onIdle(): void {
    this.#restByMs = Infinity;
    const now = this.#manager.env.clock.now();
    this.#idleSinceMs = now;
    const { idleTimeoutMs } = this.#manager.config;
    if (idleTimeoutMs > 0) this.checkBy(now + idleTimeoutMs, now);
  }

  onBurst(): void {
    this.#manager.env.clock.after(0, () => {
      this.#codec.continueReading();
      this.#watchForEnd();
    });
  }

  // === the transport tells

  onData(bytes: Uint8Array): void {
    this.#codec.receive(bytes);
    this.#watchForEnd();
  }

  onEnd(): void {
    this.#clientEnded = true;
    this.#codec.receiveEnd();
    this.#watchForEnd();
  }

  onDrain(): void {
    this.#codec.transportDrained();
  }

  onClose(reason: Failure | undefined): void {
    if (this.#gone) return;
    this.#gone = true;
    // We close where the codec has ended or `destroy` was called; otherwise the client has sent FIN or RST.
    this.#countEnd(this.#endedByUs || (reason === undefined && !this.#clientEnded), this.#exchange !== undefined);
    this.#countBytes();
    const { env, stats } = this.#manager;
    try {
      this.#codec.transportClosed(reason ?? CLIENT_GONE);
    } catch (error) {
      this.#manager.reportCrash(error, undefined); // what follows gives back what the connection holds
    }
    env.wheel.cancel(this.#watch);
    stats.cxActive.add(-1);
    stats.cxHttp1Active.add(-1);
    stats.cxLengthMs.record(env.clock.now() - this.#startMs);
    this.#onClosed();
  }

  /** Notes how far the connection is, and what it has carried since this was last noted. */
  #countBytes(): void {
    const { bytesRead, bytesWritten, bytesQueued } = this.#connection;
    const { stats } = this.#manager;
    const sent = bytesWritten + bytesQueued;
    stats.cxRxBytes.add(bytesRead - this.#readBefore);
    stats.cxTxBytes.add(sent - this.#sentBefore);
    this.#readBefore = bytesRead;
    this.#sentBefore = sent;
  }

  /** The answer was early. What is left of its request has as long to come as a request may stand still. */
  #awaitRest(): void {
    const { streamIdleTimeoutMs, idleTimeoutMs } = this.#manager.config;
    const withinMs = streamIdleTimeoutMs > 0 ? streamIdleTimeoutMs : idleTimeoutMs;
    if (withinMs === 0) return;
    const now = this.#manager.env.clock.now();
    this.#restByMs = now + withinMs;
    this.checkBy(this.#restByMs, now);
  }

  #countEnd(local: boolean, hasExchange: boolean): void {
    const { stats } = this.#manager;
    stats.cxDestroy.add();
    (local ? stats.cxDestroyLocal : stats.cxDestroyRemote).add();
    if (!hasExchange) return;
    stats.cxDestroyActiveRq.add();
    (local ? stats.cxDestroyLocalActiveRq : stats.cxDestroyRemoteActiveRq).add();
  }

  // === time

  /** A timer's callback has nobody above it who could end this connection alone. */
  #check(): void {
    try {
      this.#checkDeadlines();
    } catch (error) {
      this.#manager.reportCrash(error, undefined);
      this.#connection.reset();
    }
  }

  #checkDeadlines(): void {
    this.#nextCheckMs = Infinity;
    const { env, stats, config } = this.#manager;
    const now = env.clock.now();
    if (this.#closeAtMs <= now && !this.#mayStillSend(now)) {
      if (config.delayedCloseTimeoutMs > 0) stats.cxDelayedCloseTimeout.add();
      this.#connection.destroy();
      return;
    }
    if (this.#drainAtMs <= now) {
      // A thread that was busy may have its next request in the kernel: it is read before this looks again.
      this.#drainAtMs = this.#looksAgain ? Infinity : now + 1;
      if (this.#looksAgain) this.endAfterExchange();
      this.#looksAgain = !this.#looksAgain;
    }
    if (this.#restByMs <= now) {
      this.#restByMs = Infinity;
      this.endAfterExchange();
    }
    if (this.#maxDurationAtMs <= now) {
      this.#maxDurationAtMs = Infinity;
      stats.cxMaxDuration.add();
      if (config.http1SafeMaxConnectionDuration) this.#lastAnswer = true;
      else this.#endGently(Infinity);
    }
    const idleAtMs = config.idleTimeoutMs > 0 ? this.#idleSinceMs + config.idleTimeoutMs : Infinity;
    if (idleAtMs <= now) {
      this.#idleSinceMs = Infinity;
      stats.cxIdleTimeout.add();
      this.#endGently(Infinity); // as in Envoy: a request may be on its way
    }
    this.#exchange?.checkDeadlines(now);
    const next = Math.min(
      this.#closeAtMs,
      this.#drainAtMs,
      this.#restByMs,
      this.#maxDurationAtMs,
      idleAtMs <= now ? Infinity : idleAtMs,
      this.#exchange?.nextDeadline() ?? Infinity,
    );
    this.checkBy(next, now);
  }

  /** Once the codec has ended the connection the client has a moment to read what was sent (RFC 9112 §9.6). */
  #watchForEnd(): void {
    if (!this.#codec.ended || this.#closeAtMs !== Infinity || this.#gone) return;
    this.#endedByUs = !this.#clientEnded;
    const now = this.#manager.env.clock.now();
    this.#closeAtMs = now + this.#manager.config.delayedCloseTimeoutMs;
    this.checkBy(this.#closeAtMs, now);
  }

  /** A client that reads slowly gets more time as long as it reads (Envoy `delayed_close_timeout`). */
  #mayStillSend(now: number): boolean {
    const { bytesQueued } = this.#connection;
    if (bytesQueued === 0 || bytesQueued >= this.#queuedBytes) return false;
    this.#queuedBytes = bytesQueued;
    this.#closeAtMs = now + Math.max(this.#manager.config.delayedCloseTimeoutMs, MIN_FLUSH_MS);
    return true;
  }
}

/** Between two looks at whether a client reads what is left for it. */
const MIN_FLUSH_MS = 1000;

const CLIENT_GONE = failure("downstream-reset", "downstream", "the client closed the connection");
