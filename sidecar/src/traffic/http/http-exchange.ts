import { type Drainable, type Failure, failure, type Result, type Timer } from "@heddle/base";
import {
  type Cancellable,
  ChainExchange,
  type ChainRoute,
  type LocalReply,
  type SideRequest,
  type SideResponse,
} from "@heddle/filter";
import {
  HeaderMap,
  type Refusal,
  type RequestDecoder,
  RequestHead,
  type ResponseEncoder,
  ResponseHead,
} from "@heddle/http";
import type { TraceContext } from "@heddle/telemetry";
import type { AccessLogOptions, SelectedRoute } from "@heddle/traffic";
import { sendSideRequest } from "../upstream/side-request.ts";
import { answerFailure, type FailedExchange } from "./answer-failure.ts";
import type { ExchangeLogSource } from "./exchange-log-source.ts";
import { valueAt } from "./forwarded-headers.ts";
import type { HttpConnection } from "./http-connection.ts";
import type { HttpConnectionManager } from "./http-connection-manager.ts";
import { prepareRequest } from "./prepare-request.ts";
import { passTrace, traceOf } from "./trace-context.ts";
import type { ExchangeSpan } from "./tracing/exchange-span.ts";
import type { TrafficRuntime } from "./traffic-runtime.ts";
import type { VirtualCluster } from "./virtual-clusters.ts";

/** The router's timeouts; their deadlines stand in the exchange, which is asked when time has passed. */
export interface RouteTimeouts {
  onRouteTimeout(): void;
  onTryTimeout(): void;
  onAttemptDuration(): void;
}

/**
 * One request that a client sent, and its answer. What filters see of it is `ChainExchange`; here is what ties it to the
 * downstream codec, to the configuration that was current at its head, and to the clock.
 *
 * Timeouts are deadlines in plain fields. The connection looks at them when the earliest can have passed, so an exchange
 * that ends in time has touched no timer.
 */
export class HttpExchange extends ChainExchange implements RequestDecoder {
  readonly manager: HttpConnectionManager;
  runtime: TrafficRuntime;
  /** A whole number, drawn once: `runtime_fraction` and the weighted cluster are decided by it. */
  readonly random: number;
  /** Comes from inside, by `internal_address_config`: its headers may steer the router. */
  internal = false;
  /** What was taken off the target of a CONNECT by `strip_…_host_port`. */
  connectPort: string | undefined = undefined;
  /** The connection that its tunnel carries, where the tunnel ends here. */
  inside: Drainable | undefined = undefined;
  /** Neighbours in the connection's list of open exchanges. */
  previousOpen: HttpExchange | undefined = undefined;
  nextOpen: HttpExchange | undefined = undefined;
  /** The client has taken its request back, broken the protocol without getting an answer, or gone away. */
  cutByClient = false;
  readonly #connection: HttpConnection;
  readonly #encoder: ResponseEncoder;
  /** The codec has asked what a request shall be answered that it refuses. */
  #refused = false;
  /** It only asks how we are (`envoy.filters.http.health_check`): no answer of the service, so none is counted. */
  healthCheck = false;
  /** Asks for a tunnel, and may. */
  #isUpgrade = false;

  /** When anything was last sent or received. */
  lastActivityMs = 0;
  /** When the request's last byte came, and the response's head left; -1 before. */
  requestEndMs = -1;
  responseBeginMs = -1;
  /** 0: no limit. */
  idleLimitMs: number;
  headDeadlineMs = Infinity;
  requestDeadlineMs = Infinity;
  durationDeadlineMs = Infinity;
  routeDeadlineMs = Infinity;
  tryDeadlineMs = Infinity;
  /** Of one attempt with its answer (the cluster's `max_stream_duration`). */
  attemptDeadlineMs = Infinity;
  /** When the next line of `access_log_flush_interval` is due. */
  logDeadlineMs = Infinity;
  routeTimeouts: RouteTimeouts | undefined = undefined;
  /** Undefined: the connection manager does not trace. */
  span: ExchangeSpan | undefined = undefined;
  /** Undefined: the virtual host has none, or the request was not forwarded. */
  virtualCluster: VirtualCluster | undefined = undefined;

  constructor(manager: HttpConnectionManager, connection: HttpConnection, encoder: ResponseEncoder) {
    const { clock, random, runtime } = manager.env;
    const startMs = clock.now();
    super(manager.chain, NO_HEAD, connection.downstream, NO_TRACE, startMs, clock.wallNow());
    this.manager = manager;
    this.runtime = runtime.current;
    this.random = random();
    this.#connection = connection;
    this.#encoder = encoder;
    this.lastActivityMs = startMs;
    const { config } = manager;
    this.idleLimitMs = config.streamIdleTimeoutMs;
    if (config.requestHeadersTimeoutMs > 0) this.headDeadlineMs = startMs + config.requestHeadersTimeoutMs;
    if (config.requestTimeoutMs > 0) this.requestDeadlineMs = startMs + config.requestTimeoutMs;
    if (config.maxStreamDurationMs > 0) this.durationDeadlineMs = startMs + config.maxStreamDurationMs;
    connection.checkBy(this.nextDeadline(), startMs);
  }

  // === RequestDecoder: the codec tells

  onHead(head: RequestHead, endStream: boolean): void {
    this.request = head;
    this.headDeadlineMs = Infinity;
    this.#touch();
    if (endStream) this.requestEndMs = this.lastActivityMs;
    this.receiveHead(endStream);
  }

  onData(chunk: Uint8Array, endStream: boolean): void {
    this.#touch();
    if (endStream) {
      this.requestDeadlineMs = Infinity;
      this.requestEndMs = this.lastActivityMs;
    }
    this.receiveData(chunk, endStream);
  }

  onTrailers(trailers: HeaderMap): void {
    this.#touch();
    this.requestDeadlineMs = Infinity;
    this.requestEndMs = this.lastActivityMs;
    this.receiveTrailers(trailers);
  }

  /** What the codec refuses gets the answer that any failure gets, `local_reply_config` included; no filter sees it. */
  onRefusal(reason: Failure): Refusal | undefined {
    if (this.finished || this.responseBegun) return undefined;
    this.#refused = true;
    try {
      const refusal = this.makeLocalHead(answerFailure(reason, this.#failed(true)));
      this.manager.prepareResponse(refusal.head, this);
      if (this.request.method !== "HEAD") this.responseBodyBytes = Buffer.byteLength(refusal.body);
      return refusal;
    } catch (error) {
      this.crashed(error, undefined);
      return undefined;
    }
  }

  onReset(reason: Failure): void {
    if (this.finished) return;
    this.cutByClient = reason.side === "downstream" && !this.#refused;
    this.manager.stats.rqRxReset.add();
    const { status, details, flags = 0 } = answerFailure(reason, this.#failed(true));
    this.responseFlags |= flags;
    this.responseCodeDetails = details;
    // The codec has answered a request that broke the protocol; counters and the log shall show it.
    if (!this.responseBegun && this.#refused) {
      this.response ??= new ResponseHead(status, new HeaderMap());
      this.manager.stats.countResponse(this.response.status);
      // Of a head that cannot be read HTTP/1 tells the connection, which ends for it.
      const isUntold = this.request !== NO_HEAD || this.#connection.carriesMany;
      if (isUntold) this.#connection.onProtocolError(reason, status);
    }
    this.receiveReset(reason);
  }

  onDrain(): void {
    this.#touch();
    this.downstreamDrained();
  }

  /** "2" too where no head has been read. */
  get httpVersion(): string {
    return this.request === NO_HEAD && this.#connection.carriesMany ? "2" : this.request.httpVersion;
  }

  // === what the router asks and tells

  get selectedRoute(): SelectedRoute | undefined {
    return this.route as SelectedRoute | undefined; // `matchRoute` gives nothing else
  }

  /** Routed anew, with what is in force now: something has come that the request waits for. */
  renewRuntime(): void {
    this.runtime = this.manager.env.runtime.current;
    this.clearRoute();
  }

  /** `nowMs` is the clock's. */
  setRouteDeadline(atMs: number, nowMs: number): void {
    this.routeDeadlineMs = atMs;
    this.#connection.checkBy(atMs, nowMs);
  }

  setTryDeadline(atMs: number): void {
    this.tryDeadlineMs = atMs;
    this.#connection.checkBy(atMs, this.now());
  }

  setAttemptDeadline(atMs: number): void {
    this.attemptDeadlineMs = atMs;
    this.#connection.checkBy(atMs, this.now());
  }

  /** A route's own limit replaces that of the listener; 0: none. */
  useIdleLimit(idleTimeoutMs: number): void {
    this.idleLimitMs = idleTimeoutMs;
    this.#connection.checkBy(this.nextDeadline(), this.now());
  }

  /** The same for how long all may last, from the first byte on; undefined: for ever. */
  useDurationLimit(maxDurationMs: number | undefined): void {
    this.durationDeadlineMs = maxDurationMs === undefined ? Infinity : this.startMs + maxDurationMs;
    this.#connection.checkBy(this.nextDeadline(), this.now());
  }

  /** The earliest moment at which something may have to be done. */
  nextDeadline(): number {
    const idle = this.idleLimitMs > 0 ? this.lastActivityMs + this.idleLimitMs : Infinity;
    return Math.min(
      idle,
      this.headDeadlineMs,
      this.requestDeadlineMs,
      this.durationDeadlineMs,
      this.routeDeadlineMs,
      this.tryDeadlineMs,
      this.attemptDeadlineMs,
      this.logDeadlineMs,
    );
  }

  checkDeadlines(now: number): void {
    if (this.nextDeadline() <= now) this.guard(() => this.#endOverdue(now));
  }

  /** `envoyHeaders`: the answer may have headers of Envoy's. */
  override fail(reason: Failure, envoyHeaders = true): void {
    if (this.finished) return;
    if (reason.side === "upstream") this.upstream.failure = reason;
    const reply = answerFailure(reason, this.#failed(envoyHeaders));
    if (!this.responseBegun) {
      this.reply(reply);
      return;
    }
    this.responseFlags |= reply.flags ?? 0;
    this.responseCodeDetails = reply.details.replace("before_response_started", "after_response_started");
    this.abort(reason);
  }

  /** Ends it without an answer, which only HTTP/2 can without ending the connection. */
  cutOff(reason: Failure): void {
    if (this.finished) return;
    const { details, flags = 0 } = answerFailure(reason, this.#failed(true));
    this.responseFlags |= flags;
    this.responseCodeDetails = details;
    this.abort(reason);
  }

  /** This exchange as access logs, local replies and header values see it; good until another exchange asks. */
  get logSource(): ExchangeLogSource {
    const source = this.manager.logSource;
    source.exchange = this;
    source.logType = "NotSet"; // whoever logs says more
    return source;
  }

  /** With head and framing; see `HttpConnection`. */
  get wireBytesReceived(): number {
    return this.#encoder.wireBytesReceived ?? this.#connection.wireBytesReceived;
  }

  get wireBytesSent(): number {
    return this.#encoder.wireBytesSent ?? this.#connection.wireBytesSent;
  }

  /** What is left of the request, if anything, is not waited for. */
  giveUpRequest(): void {
    this.#connection.giveUpRequest();
  }

  // === ChainExchange asks

  /** What is done before the filters see the request. */
  protected override admit(): boolean {
    const { manager, request: head } = this;
    if (manager.env.shedder.shedsRequest) {
      manager.stats.rqOverloadClose.add();
      this.giveUpRequest();
      this.fail(OVERLOADED);
      return false;
    }
    // RFC 7540 §3.2, deprecated by RFC 9113 §3.1: HTTP/2 over cleartext begins with prior knowledge only.
    if (head.upgrade === "h2c" && head.method !== "CONNECT") {
      head.upgrade = undefined;
      head.headers.remove("http2-settings");
      this.requestEnded = true; // a request that asks for an upgrade has no body
    }
    if (this.requestEnded) this.requestDeadlineMs = Infinity;
    const refusal = prepareRequest(head, manager.preparation, this);
    const { found } = manager.preparation.forwarding; // of this request, if it goes on
    if (refusal !== undefined) this.trace = traceOf(head.headers, manager.env.randomHex);
    else if (manager.tracer !== undefined) manager.tracer.begin(this);
    else {
      const traceparent = valueAt(head.headers, "traceparent", found.traceparentAt);
      this.trace = passTrace(head.headers, traceparent, found.traceState, manager.env.randomHex);
    }
    if (manager.config.accessLogOptions !== undefined) this.#beginLog(manager.config.accessLogOptions);
    if (refusal !== undefined) {
      this.reply(refusal);
      return false;
    }
    if ((head.upgrade !== undefined || head.method === "CONNECT") && !this.#beginUpgrade(head)) {
      this.fail(UPGRADE_REFUSED);
      return false;
    }
    const expectation = found.expects ? head.headers.joined("expect") : undefined;
    return expectation === undefined || this.#meetExpectation(expectation);
  }

  protected override rewriteReply(reply: LocalReply): LocalReply {
    const decorated = this.#decorated(reply);
    return this.manager.localReplies?.rewrite(decorated, this) ?? decorated;
  }

  /**
   * A route that forwards says what its answers carry, those in the upstream's place too, as in Envoy. What the reply has of
   * its own is not changed by it. Other routes have told the reply already.
   */
  #decorated(reply: LocalReply): LocalReply {
    const route = this.reachedRoute as SelectedRoute | undefined; // `matchRoute` gives nothing else
    if (route?.entry.action.type !== "forward") return reply;
    const headers = new HeaderMap();
    route.finalizeResponse(headers, this);
    const { attempts } = this.upstream;
    if (attempts > 0 && route.virtualHostConfig.includeAttemptCountInResponse) {
      headers.set("x-envoy-attempt-count", String(attempts));
    }
    if (headers.size === 0) return reply;
    const own = reply.headers?.fields ?? [];
    for (let i = 0; i < own.length; i += 2) headers.remove(own[i]!); // names stand at even places
    for (let i = 0; i < own.length; i += 2) headers.append(own[i]!, own[i + 1]!);
    return { ...reply, headers };
  }

  protected override matchRoute(): ChainRoute | undefined {
    const table = this.manager.routeTable(this.runtime);
    if (table?.config.internalOnlyHeaders !== undefined && !this.internal) {
      for (const name of table.config.internalOnlyHeaders) this.request.headers.remove(name);
    }
    return table?.match(this.request, this.random, this.downstream.tls);
  }

  override now(): number {
    return this.manager.env.clock.now();
  }

  protected override startTimer(delayMs: number, callback: () => void): Timer {
    return this.manager.env.clock.after(delayMs, callback, true);
  }

  protected override startSideRequest(
    clusterName: string,
    request: SideRequest,
    callback: (result: Result<SideResponse, Failure>) => void,
  ): Cancellable {
    return sendSideRequest(this.runtime.clusters.get(clusterName), clusterName, request, this.manager.env, callback);
  }

  protected override writeInformational(head: ResponseHead): void {
    if (head.status === 100 && !this.manager.config.proxy100Continue) return; // ours has been sent
    this.#encoder.sendInformational(head);
  }

  protected override writeHead(head: ResponseHead, endStream: boolean): void {
    this.#touch();
    this.responseBeginMs = this.lastActivityMs;
    this.requestDeadlineMs = Infinity; // as in Envoy: an answer has begun, or a tunnel
    this.manager.prepareResponse(head, this);
    if (this.span !== undefined) this.span.onResponse(head.headers);
    this.#connection.answerBegins();
    this.#encoder.sendHead(head, endStream);
    if (this.tunnel && this.manager.config.accessLogOptions?.onTunnel === true)
      this.manager.logExchange(this, "DownstreamTunnelSuccessfullyEstablished");
  }

  protected override writeData(chunk: Uint8Array, endStream: boolean): boolean {
    this.#touch();
    return this.#encoder.sendData(chunk, endStream);
  }

  protected override writeTrailers(trailers: HeaderMap): void {
    this.#encoder.sendTrailers(trailers);
  }

  protected override writeReset(reason: Failure): void {
    this.manager.stats.rqTxReset.add();
    this.#encoder.reset(reason);
  }

  protected override pauseRequestSource(): void {
    this.#encoder.pauseRequest();
  }

  protected override resumeRequestSource(): void {
    this.#encoder.resumeRequest();
  }

  protected override crashed(error: unknown, filterName: string | undefined): void {
    this.manager.reportCrash(error, filterName);
  }

  protected override ended(): void {
    if (this.#isUpgrade) this.manager.stats.upgradesActive.add(-1);
    if (this.responseEnded && !this.requestEnded) this.manager.stats.rqResponseBeforeRqComplete.add();
    this.manager.exchangeEnded(this);
    this.#connection.exchangeEnded(this);
  }

  // === private

  #beginLog({ onNewRequest, everyMs }: AccessLogOptions): void {
    if (onNewRequest) this.manager.logExchange(this, "DownstreamStart");
    if (everyMs === 0) return;
    this.logDeadlineMs = this.lastActivityMs + everyMs;
    this.#connection.checkBy(this.logDeadlineMs, this.lastActivityMs);
  }

  #failed(envoyHeaders: boolean): FailedExchange {
    return { requestComplete: this.requestEnded, retried: this.upstream.attempts > 1, envoyHeaders };
  }

  /**
   * Whether the upgrade may pass. A route's word counts more than the listener's (Envoy `upgrade_configs`); the chain is
   * the listener's for that type, whoever allowed it.
   */
  #beginUpgrade(head: RequestHead): boolean {
    const type = head.method === "CONNECT" && head.upgrade === undefined ? "connect" : (head.upgrade ?? "");
    const { config, upgradeChains, stats } = this.manager;
    const action = this.selectedRoute?.entry.action;
    const ofRoute = action?.type === "forward" ? action.forward.upgradeConfigs : NONE;
    const decided = [...ofRoute, ...config.upgradeConfigs].find((c) => c.upgradeType === type);
    if (decided?.enabled !== true) return false;
    this.chain = upgradeChains.get(type) ?? this.chain;
    this.#isUpgrade = true;
    stats.upgradesTotal.add();
    stats.upgradesActive.add(1);
    return true;
  }

  /**
   * RFC 9110 §10.1.1: there is one expectation. Any other is refused, as it allows: a peer that reads `y 100-continue` as
   * 100-continue answers before the body, and takes the body for a request.
   */
  #meetExpectation(expectation: string): boolean {
    if (expectation.toLowerCase() !== "100-continue") {
      if (!this.requestEnded) this.giveUpRequest();
      this.reply(UNKNOWN_EXPECTATION);
      return false;
    }
    // The same section: from HTTP/1.0 it does not count, and without content it has no meaning.
    const counts = !this.requestEnded && this.request.httpVersion !== "1.0";
    if (this.manager.config.proxy100Continue && counts) return true;
    this.request.headers.remove("expect");
    if (!this.requestEnded) this.#encoder.sendInformational(this.manager.continueHead());
    return true;
  }

  #touch(): void {
    this.lastActivityMs = this.manager.env.clock.now();
  }

  #endOverdue(now: number): void {
    const { stats } = this.manager;
    if (this.headDeadlineMs <= now) {
      stats.rqHeaderTimeout.add();
      this.#giveUpOnClient(HEAD_TIMEOUT);
    } else if (this.requestDeadlineMs <= now) {
      stats.rqTimeout.add();
      this.#giveUpOnClient(REQUEST_TIMEOUT);
    } else if (this.durationDeadlineMs <= now) {
      stats.rqMaxDuration.add();
      this.durationDeadlineMs = Infinity;
      this.#giveUpOnClient(DURATION_TIMEOUT);
    } else if (this.idleLimitMs > 0 && this.lastActivityMs + this.idleLimitMs <= now) {
      stats.rqIdleTimeout.add();
      this.idleLimitMs = 0;
      this.#giveUpOnClient(this.requestEnded ? UPSTREAM_SILENT : CLIENT_SILENT);
    } else if (this.routeDeadlineMs <= now) {
      this.routeDeadlineMs = Infinity;
      this.routeTimeouts?.onRouteTimeout();
    } else if (this.tryDeadlineMs <= now) {
      this.tryDeadlineMs = Infinity;
      this.routeTimeouts?.onTryTimeout();
    } else if (this.attemptDeadlineMs <= now) {
      this.attemptDeadlineMs = Infinity;
      this.routeTimeouts?.onAttemptDuration();
    } else if (this.logDeadlineMs <= now) {
      this.logDeadlineMs = now + (this.manager.config.accessLogOptions?.everyMs ?? Infinity);
      this.manager.logExchange(this, "DownstreamPeriodic");
    }
  }

  /** If the request is not complete, what comes of it later must not be waited for. */
  #giveUpOnClient(reason: Failure): void {
    this.headDeadlineMs = Infinity;
    this.requestDeadlineMs = Infinity;
    if (!this.requestEnded) this.giveUpRequest();
    this.fail(reason);
  }
}

const NO_HEAD = new RequestHead("", "http", "", "", new HeaderMap());
const NO_TRACE: TraceContext = { traceId: "", spanId: "", parentSpanId: "", sampled: false, traceState: "" };
const NONE: readonly { readonly upgradeType: string; readonly enabled: boolean }[] = [];
const OVERLOADED = failure("overload", "local", "the process is overloaded");
const UPGRADE_REFUSED = failure("upgrade-refused", "downstream", "no configuration allows this upgrade");
const UNKNOWN_EXPECTATION: LocalReply = { status: 417, details: "unknown_expectation" };
const HEAD_TIMEOUT = failure("request-headers-timeout", "downstream", "the request's head did not come in time");
const REQUEST_TIMEOUT = failure("request-timeout", "downstream", "the request did not come in time");
const DURATION_TIMEOUT = failure("max-duration", "local", "the exchange lasted longer than it may");
const CLIENT_SILENT = failure("downstream-idle-timeout", "downstream", "the client stopped sending its request");
const UPSTREAM_SILENT = failure("stream-idle-timeout", "upstream", "nothing moved for longer than the idle timeout");
