import { callbackTimer, type Failure, failure, type WheelTimer } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import {
  H1ServerConnection,
  H2ServerConnection,
  type RequestDecoder,
  type ResponseEncoder,
  type ServerConnection,
  type ServerConnectionEvents,
} from "@heddle/http";
import { asCallback, type Connection, type ConnectionHandler } from "@heddle/net";
import type { ServedConnection } from "../network/network-filter.ts";
import { DelayedClose } from "./delayed-close.ts";
import { ExchangeList } from "./exchange-list.ts";
import type { HttpConnectionManager } from "./http-connection-manager.ts";
import { HttpExchange } from "./http-exchange.ts";
import { Http2Watch, type Http2WatchOwner } from "./http2-watch.ts";
import { type CodecChooser, UndecidedCodec } from "./undecided-codec.ts";

/**
 * A client's connection: joins the transport, the codec and the exchanges, and watches the time of all of them with one
 * timer. The timer is set to the earliest moment at which something can be overdue; when it fires, deadlines that have
 * moved meanwhile are only read again.
 *
 * How it ends differs between the protocols. HTTP/1 tells with an answer that it is the last. HTTP/2 tells at once that no
 * more shall come, goes on for `drain_timeout` with what is on its way (RFC 9113 §6.8), then names the last stream, and ends
 * behind it; no answer, and no request that is given up, ends it. A client that has not shown by then that it has read the
 * notice has as long again, since it would lose the streams that it has begun meanwhile.
 */
export class HttpConnection
  implements ConnectionHandler, ServerConnectionEvents, ServedConnection, CodecChooser, Http2WatchOwner
{
  readonly downstream: DownstreamInfo;
  readonly #manager: HttpConnectionManager;
  readonly #connection: Connection;
  #codec: ServerConnection;
  /** The codec, where it is HTTP/2. */
  #h2: H2ServerConnection | undefined = undefined;
  #speaksHttp1 = false;
  readonly #onClosed: () => void;
  readonly #startMs: number;
  readonly #watch: WheelTimer;
  #nextCheckMs = Infinity;
  readonly #open = new ExchangeList();
  /** Ever begun here. */
  #exchanges = 0;
  /** Since when no exchange has been open; Infinity while one is. A number from the start: else each one is a new object. */
  #idleSinceMs = Infinity;
  #maxDurationAtMs = Infinity;
  /** Until when the rest is waited for: of a request whose answer has gone, or of the preface of HTTP/2. */
  #restByMs = Infinity;
  readonly #closing: DelayedClose;
  #gone = false;
  /** The client has sent FIN. */
  #clientEnded = false;
  /** The codec ended the connection before the client did. */
  #endedByUs = false;
  /** What had been read and sent when it was last counted: for HTTP/1, when the open exchange began. */
  #readBefore = 0;
  #sentBefore = 0;
  /** Its listener or the process has asked it to end. */
  #isDrained = false;
  /** It ends gently: the next request is the last of HTTP/1, and HTTP/2 has been told. */
  #drainsGently = false;
  /** Until when requests may come that are on their way. */
  #drainAtMs = Infinity;
  /** The latest such moment, for a client of HTTP/2 that has not shown that it knows. */
  #drainLimitMs = Infinity;
  /** The client of HTTP/2 has read that no more shall come. */
  #drainRead = false;
  /** That moment has come once. */
  #looksAgain = false;
  /** The next answer closes, however long it takes to come (`http1_safe_max_connection_duration`). */
  #lastAnswer = false;
  /** Of HTTP/2 alone. */
  #http2: Http2Watch | undefined = undefined;
  /** HTTP/2 goes on behind some errors, and a client must not fill the log with them. */
  #errorLogged = false;
  /** Why it was destroyed, where its exchanges should know. */
  #reason: Failure | undefined = undefined;

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
    this.#closing = new DelayedClose(manager.config.delayedCloseTimeoutMs);
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
    this.#codec = this.#firstCodec();
    connection.start(this);
  }

  /** What ALPN has agreed on counts more than what comes (Envoy `codec_type`). */
  #firstCodec(): ServerConnection {
    const { codecType } = this.#manager.config;
    const { alpnProtocol } = this.#connection;
    if (codecType === "HTTP2" || (codecType === "AUTO" && alpnProtocol === "h2")) return this.speakHttp2();
    if (codecType === "HTTP1" || alpnProtocol !== "") return this.speakHttp1();
    return new UndecidedCodec(this.#connection, this);
  }

  speakHttp1(): ServerConnection {
    const { stats, codecOptions } = this.#manager;
    stats.cxHttp1Total.add();
    stats.cxHttp1Active.add(1);
    this.#restByMs = Infinity;
    this.#speaksHttp1 = true;
    this.#codec = new H1ServerConnection(this.#connection, this, codecOptions);
    return this.#codec;
  }

  speakHttp2(): ServerConnection {
    const { stats, http2Options } = this.#manager;
    stats.cxHttp2Total.add();
    stats.cxHttp2Active.add(1);
    this.#restByMs = Infinity;
    const codec = new H2ServerConnection(this.#connection, this, http2Options);
    this.#h2 = codec;
    this.#codec = codec;
    this.#http2 = new Http2Watch(this.#manager, codec, this);
    if (this.#drainsGently) codec.announceDrain();
    return codec;
  }

  onPartialPreface(): void {
    const { config, env } = this.#manager;
    if (config.requestHeadersTimeoutMs === 0) return;
    const now = env.clock.now();
    this.#restByMs = now + config.requestHeadersTimeoutMs;
    this.checkBy(this.#restByMs, now);
  }

  /** Exchanges at a time: what goes wrong with one is its own. */
  get carriesMany(): boolean {
    return this.#h2 !== undefined;
  }

  /** Takes no further exchange: closes now if there is none, else tells the client, and ends behind the last. */
  drain(): void {
    this.#manager.stats.cxDrainClose.add();
    this.#endBehindOpen();
  }

  #endBehindOpen(): void {
    this.#open.drainInsides();
    this.#codec.drain();
    this.#watchForEnd();
  }

  /**
   * Takes what a client may be sending: HTTP/1 one more exchange if none is open, whose answer tells that it is the last,
   * HTTP/2 any number. What does not come in time is not waited for: `drain_timeout`, or less if less is given.
   */
  drainGently(withinMs = Infinity): void {
    if (!this.#isDrained) this.#manager.stats.cxDrainClose.add();
    this.#isDrained = true;
    this.#endGently(withinMs);
  }

  #endGently(withinMs: number): void {
    if (this.#speaksHttp1 && this.#open.size > 0) {
      this.#endBehindOpen();
      return;
    }
    const now = this.#manager.env.clock.now();
    if (!this.#drainsGently) this.#codec.announceDrain();
    this.#drainsGently = true;
    const drainMs = Math.min(withinMs, this.#manager.config.drainTimeoutMs);
    this.#drainAtMs = Math.min(this.#drainAtMs, now + drainMs);
    this.#drainLimitMs = Math.min(this.#drainLimitMs, now + 2 * drainMs);
    this.checkBy(this.#drainAtMs, now);
  }

  destroy(): void {
    this.#connection.destroy();
  }

  /** What is left of a request has become of no use. HTTP/1 cannot skip it: the connection ends behind the answer. */
  giveUpRequest(): void {
    if (this.#speaksHttp1) this.#endBehindOpen();
  }

  /** An answer's head is about to be written: it tells that the connection ends, if there is a reason. */
  answerBegins(): void {
    if (this.#speaksHttp1) {
      if (this.#isLastAnswer()) this.#endBehindOpen();
    } else if (!this.#drainsGently && this.#hasReasonToEnd()) this.#endGently(Infinity);
  }

  #isLastAnswer(): boolean {
    if (this.#lastAnswer) return true;
    const max = this.#manager.config.maxRequestsPerConnection;
    if (max === 0 || this.#exchanges < max) return this.#hasReasonToEnd();
    this.#manager.stats.cxMaxRequests.add();
    return true;
  }

  /** The process is overloaded, or something drains. */
  #hasReasonToEnd(): boolean {
    const { drain, env, stats } = this.#manager;
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

  /** Of the open exchange of HTTP/1, with head and framing. As in Envoy a request that is pipelined behind it counts in part. */
  get wireBytesReceived(): number {
    return this.#connection.bytesRead - this.#readBefore;
  }

  get wireBytesSent(): number {
    return this.#connection.bytesWritten + this.#connection.bytesQueued - this.#sentBefore;
  }

  exchangeEnded(exchange: HttpExchange): void {
    this.#open.delete(exchange);
    if (this.#http2 !== undefined) this.#http2.exchangeEnded(exchange);
    else if (this.#codec.dropping) this.#awaitRest();
    this.#countBytes();
    this.#watchForEnd();
  }

  // === the codec tells

  onRequest(encoder: ResponseEncoder): RequestDecoder {
    const { stats, config } = this.#manager;
    this.#exchanges++;
    this.#idleSinceMs = Infinity;
    this.#restByMs = Infinity;
    stats.rqTotal.add();
    stats.rqActive.add(1);
    const exchange = new HttpExchange(this.#manager, this, encoder);
    this.#open.add(exchange);
    if (this.#h2 !== undefined) {
      stats.rqHttp2Total.add();
      if (this.#exchanges === config.maxRequestsPerConnection) {
        stats.cxMaxRequests.add();
        this.#endGently(Infinity);
      }
      return exchange;
    }
    stats.rqHttp1Total.add();
    if (this.#drainsGently) {
      this.#drainAtMs = Infinity;
      this.#codec.drain();
    }
    return exchange;
  }

  onStreamReset(): void {
    this.#http2?.streamReset();
  }

  onProtocolError(reason: Failure, answeredStatus: number | undefined): void {
    const { stats } = this.#manager;
    stats.cxProtocolError.add();
    if (reason.kind === "head-too-large") stats.rqTooLarge.add();
    if (this.#errorLogged) return;
    this.#errorLogged = true;
    this.#manager.logProtocolError(reason, answeredStatus, this.downstream);
  }

  onIdle(): void {
    this.#restByMs = Infinity;
    const now = this.#manager.env.clock.now();
    this.#idleSinceMs = now;
    const { idleTimeoutMs } = this.#manager.config;
    if (idleTimeoutMs > 0) this.checkBy(now + idleTimeoutMs, now);
  }

  onPong(): void {
    this.#http2?.pong();
  }

  onDrainRead(): void {
    this.#drainRead = true;
    if (this.#drainAtMs !== this.#drainLimitMs) return;
    const now = this.#manager.env.clock.now(); // it was only this that was waited for
    this.#drainAtMs = now;
    this.checkBy(now, now);
  }

  onBurst(): void {
    this.#manager.env.clock.after(0, () => asCallback(() => this.#goOn()));
  }

  /** As in `#check`, nobody above could end this connection alone. */
  #goOn(): void {
    try {
      this.#codec.continueReading();
      this.#watchForEnd();
    } catch (error) {
      this.#manager.reportCrash(error, undefined);
      this.#connection.reset();
    }
  }

  // === the transport tells

  onData(bytes: Uint8Array): void {
    this.#codec.receive(bytes);
    if (this.#http2 !== undefined) this.#http2.wasRead();
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
    this.#countEnd(this.#endedByUs || (reason === undefined && !this.#clientEnded), this.#open.size > 0);
    this.#countBytes();
    const { env, stats } = this.#manager;
    try {
      this.#codec.transportClosed(reason ?? this.#reason ?? CLIENT_GONE);
    } catch (error) {
      this.#manager.reportCrash(error, undefined); // what follows gives back what the connection holds
    }
    env.wheel.cancel(this.#watch);
    this.#http2?.stop();
    stats.cxActive.add(-1);
    if (this.#speaksHttp1) stats.cxHttp1Active.add(-1);
    else if (this.#h2 !== undefined) stats.cxHttp2Active.add(-1);
    stats.cxLengthMs.record(env.clock.now() - this.#startMs);
    this.#onClosed();
  }

  // === the watch of HTTP/2 tells

  get openExchanges(): number {
    return this.#open.size;
  }

  giveUp(): void {
    if (this.#codec.ended) return; // a client that leaves takes everything back at once
    this.#manager.reportPrematureResets(this.downstream);
    this.#h2?.giveUp("too many requests were taken back");
    this.#watchForEnd();
  }

  cutOff(reason: Failure): void {
    this.#reason = reason;
    this.#connection.destroy();
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
    if (this.#closing.isOver(now, this.#connection.bytesQueued)) {
      if (config.delayedCloseTimeoutMs > 0) stats.cxDelayedCloseTimeout.add();
      this.#connection.destroy();
      return;
    }
    if (this.#drainAtMs <= now && this.#h2 !== undefined && !this.#drainRead && now < this.#drainLimitMs) {
      this.#drainAtMs = this.#drainLimitMs;
    } else if (this.#drainAtMs <= now) {
      // A thread that was busy may have its next request in the kernel: it is read before this looks again.
      this.#drainAtMs = this.#looksAgain ? Infinity : now + 1;
      if (this.#looksAgain) this.#endBehindOpen();
      this.#looksAgain = !this.#looksAgain;
    }
    if (this.#restByMs <= now || this.#http2?.check(now) === false) {
      this.#restByMs = Infinity;
      if (!this.#speaksHttp1) stats.rqHeaderTimeout.add();
      this.#endBehindOpen();
    }
    if (this.#maxDurationAtMs <= now) {
      this.#maxDurationAtMs = Infinity;
      stats.cxMaxDuration.add();
      if (config.http1SafeMaxConnectionDuration && this.#h2 === undefined) this.#lastAnswer = true;
      else this.#endGently(Infinity);
    }
    const idleAtMs = config.idleTimeoutMs > 0 ? this.#idleSinceMs + config.idleTimeoutMs : Infinity;
    if (idleAtMs <= now) {
      this.#idleSinceMs = Infinity;
      stats.cxIdleTimeout.add();
      this.#endGently(Infinity); // as in Envoy: a request may be on its way
    }
    this.#open.checkDeadlines(now);
    const next = Math.min(
      this.#closing.atMs,
      this.#drainAtMs,
      this.#restByMs,
      this.#http2?.nextDeadline() ?? Infinity,
      this.#maxDurationAtMs,
      idleAtMs <= now ? Infinity : idleAtMs,
      this.#open.nextDeadline(),
    );
    this.checkBy(next, now);
  }

  /** From the moment on in which the codec has ended the connection. */
  #watchForEnd(): void {
    if (!this.#codec.ended || this.#closing.begun || this.#gone) return;
    this.#endedByUs = !this.#clientEnded;
    const now = this.#manager.env.clock.now();
    this.#closing.begin(now);
    this.checkBy(this.#closing.atMs, now);
  }
}

const CLIENT_GONE = failure("downstream-reset", "downstream", "the client closed the connection");
