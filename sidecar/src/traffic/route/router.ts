import { type Failure, failure, httpStatusOfGrpc, type Timer } from "@heddle/base";
import { ResponseFlag, type TerminalFilter } from "@heddle/filter";
import {
  grpcStatusOf,
  HeaderMap,
  type RequestEncoder,
  RequestHead,
  type ResponseDecoder,
  type ResponseHead,
} from "@heddle/http";
import {
  type Endpoint,
  type ForwardAction,
  type Outcome,
  portStart,
  replaceAuthority,
  type SelectedRoute,
} from "@heddle/traffic";
import type { EndpointReports } from "@heddle/traffic/orca";
import type { HttpExchange, RouteTimeouts } from "../http/http-exchange.ts";
import type { AttemptSpan } from "../http/tracing/exchange-span.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { Pool } from "../upstream/pool/pool.ts";
import type { PooledConnection } from "../upstream/pool/pooled-connection.ts";
import type { PoolWaiter } from "../upstream/pool/waiting-line.ts";
import { limitStream, routeTimeoutMs, tellCallee, tellsTimeoutToCallee } from "./call-deadline.ts";
import { isIdempotent } from "./idempotent.ts";
import { RequestCopy } from "./request-copy.ts";
import { RetryState } from "./retry-state.ts";
import type { RouterConfig } from "./router-config.ts";
import { maySteer, senselessHeader, takeSteering } from "./steering-headers.ts";

/**
 * One exchange from its route to the end of its answer, over as many attempts as it takes.
 *
 *     start ─> waiting ─> sending ─> done           waiting: for a picker or for a connection
 *                ^  └────────┘│                      sending: an attempt has a connection
 *                └─ pausing <─┘                      pausing: before a retry
 *
 * An attempt may be followed by another one for three reasons, asked in this order:
 * 1. Replay, without any byte of an answer: after the upstream has said that it did not process the request (a stream above
 *    the last of its GOAWAY, REFUSED_STREAM; RFC 9113 §8.7), a few times; or, once, after a pooled connection was closed
 *    while it was idle: only on a reused connection, and only if no byte was handed to the kernel or the method is
 *    idempotent (RFC 9110 §9.2.2).
 * 2. A filter's `connectFailure` says so.
 * 3. The route's retry policy.
 * All of them need the request from its beginning, which `RequestCopy` holds within the buffer limit.
 */
export class Router implements TerminalFilter, ResponseDecoder, PoolWaiter, RouteTimeouts {
  readonly #exchange: HttpExchange;
  readonly #config: RouterConfig;
  #state: "start" | "waiting" | "sending" | "pausing" | "done" = "start";
  #route: SelectedRoute | undefined = undefined;
  /** Of the whole exchange, retries included; 0: without end. */
  #timeoutMs = 0;
  /** `grpc-timeout` tells the upstream of it. */
  #tellsCallee = false;
  /** The endpoint's name has taken the place of the request's host. */
  #hostReplaced = false;
  /** Undefined: the route has no retry policy. */
  #retry: RetryState | undefined = undefined;

  // The request.
  #copy: RequestCopy | undefined = undefined;
  #requestComplete = false;
  #trailers: HeaderMap | undefined = undefined;
  #requestCompleteMs = -1;
  #sourceStopped = false;

  // The attempt.
  #cluster: Cluster | undefined = undefined;
  #endpoint: Endpoint | undefined = undefined;
  #pickDone: ((outcome: Outcome) => void) | undefined = undefined;
  #pool: Pool | undefined = undefined;
  #connection: PooledConnection | undefined = undefined;
  #encoder: RequestEncoder | undefined = undefined;
  /** The encoder of the attempt, for what it has counted, to its end. */
  #carried: RequestEncoder | undefined = undefined;
  #span: AttemptSpan | undefined = undefined;
  /** Replayed after a stale connection. */
  #replayed = false;
  #unprocessed = 0;
  #timer: Timer | undefined = undefined;
  #leavePicker: (() => void) | undefined = undefined;

  // The answer.
  #responseBegun = false;
  #responseComplete = false;
  #status = 0;
  /** What the answer says of the endpoint: its status, or the one that stands for the status of a gRPC call. */
  #outcome = 0;
  /** The head of the attempt's answer had a report of the endpoint's load, and the trailers are not asked. */
  #loadReported = false;
  #responsePaused = false;

  constructor(exchange: HttpExchange, config: RouterConfig) {
    this.#exchange = exchange;
    this.#config = config;
  }

  // === TerminalFilter: the request comes out of the filters

  onRequestHead(endStream: boolean): void {
    const exchange = this.#exchange;
    this.#requestComplete = endStream;
    const route = exchange.selectedRoute;
    if (route === undefined) {
      exchange.manager.stats.noRoute.add();
      this.#fail(NO_ROUTE);
      return;
    }
    this.#route = route;
    const { action } = route.entry;
    switch (action.type) {
      case "forward":
        this.#begin(route, action.forward);
        return;
      case "redirect":
        exchange.manager.stats.rqRedirect.add();
        this.#answer(action.redirect.responseCode, "", ["location", route.redirectLocation(exchange.request) ?? ""]);
        return;
      case "direct-response":
        exchange.manager.stats.rqDirectResponse.add();
        this.#answer(action.status, action.body, []);
        return;
      case "non-forwarding":
        this.#fail(NO_ROUTE);
        return;
      default:
        throw new Error(`unknown action ${JSON.stringify(action satisfies never)}`);
    }
  }

  onRequestData(chunk: Uint8Array, endStream: boolean): boolean {
    if (this.#state === "done") return true;
    this.#copy ??= new RequestCopy(
      this.#retry !== undefined || isIdempotent(this.#exchange.request.method),
      this.#exchange.chain.bufferLimitBytes,
    );
    if (endStream) this.#requestComplete = true;
    if (this.#state !== "sending") {
      this.#copy.hold(chunk);
      this.#sourceStopped = !endStream;
      return endStream;
    }
    if (chunk.length > 0) {
      if (this.#mayNeedCopy()) this.#copy.keep(chunk);
      else this.#copy.drop();
    }
    const mayGoOn = this.#encoder?.sendData(chunk, endStream) ?? true;
    if (endStream) this.#requestSent();
    return mayGoOn;
  }

  onRequestTrailers(trailers: HeaderMap): void {
    if (this.#state === "done") return;
    this.#requestComplete = true;
    this.#trailers = trailers;
    if (this.#state !== "sending") return;
    this.#encoder?.sendTrailers(trailers);
    this.#requestSent();
  }

  pauseResponse(): void {
    this.#responsePaused = true;
    this.#encoder?.pauseResponse();
  }

  resumeResponse(): void {
    this.#responsePaused = false;
    this.#encoder?.resumeResponse();
  }

  cancel(reason: Failure): void {
    if (this.#state === "done") return;
    this.#state = "done";
    this.#exchange.routeDeadlineMs = Infinity;
    this.#exchange.tryDeadlineMs = Infinity;
    this.#stopWaiting();
    this.#endAttempt(reason);
  }

  // === PoolWaiter

  onConnection(connection: PooledConnection): void {
    this.#pool = undefined;
    this.#connection = connection;
    try {
      this.#send(connection);
    } catch (error) {
      this.#exchange.caught(error);
    }
  }

  onNoConnection(reason: Failure): void {
    this.#pool = undefined;
    try {
      this.#endAttempt(reason);
      this.#noConnection(reason);
    } catch (error) {
      this.#exchange.caught(error);
    }
  }

  // === ResponseDecoder: the answer comes from the upstream

  onInformational(head: ResponseHead): void {
    this.#exchange.respondInformational(head);
  }

  onHead(head: ResponseHead, endStream: boolean): void {
    try {
      this.#onHead(head, endStream);
    } catch (error) {
      this.#exchange.caught(error);
    }
  }

  onData(chunk: Uint8Array, endStream: boolean): void {
    if (endStream) this.#completed();
    this.#exchange.respondData(chunk, endStream);
  }

  onTrailers(trailers: HeaderMap): void {
    this.#outcome = outcomeOf(this.#status, trailers);
    if (this.#cluster?.reports !== undefined && !this.#loadReported) this.#takeReport(this.#cluster.reports, trailers);
    this.#completed();
    this.#exchange.respondTrailers(trailers);
  }

  onReset(reason: Failure): void {
    try {
      this.#onReset(reason);
    } catch (error) {
      this.#exchange.caught(error);
    }
  }

  onDrain(): void {
    this.#exchange.terminalDrained();
  }

  // === RouteTimeouts

  onRouteTimeout(): void {
    if (this.#state === "done") return;
    this.#cluster?.stats.rqTimeout.add();
    this.#stopWaiting();
    this.#endAttempt(ROUTE_TIMEOUT);
    this.#fail(ROUTE_TIMEOUT);
  }

  onTryTimeout(): void {
    if (this.#state !== "sending" && this.#state !== "waiting") return;
    this.#cluster?.stats.rqPerTryTimeout.add();
    this.#stopWaiting();
    this.#endAttempt(TRY_TIMEOUT);
    if (this.#responseBegun || !this.#retryAfter(TRY_TIMEOUT)) this.#fail(TRY_TIMEOUT);
  }

  onAttemptDuration(): void {
    if (this.#state !== "sending") return;
    this.#cluster?.stats.rqMaxDuration.add();
    this.#endAttempt(ATTEMPT_TOO_LONG);
    if (this.#responseBegun || !this.#retryAfter(ATTEMPT_TOO_LONG)) this.#fail(ATTEMPT_TOO_LONG);
  }

  // === the first attempt

  #begin(route: SelectedRoute, forward: ForwardAction): void {
    const exchange = this.#exchange;
    const cluster = exchange.runtime.clusters.get(route.cluster);
    if (cluster === undefined) {
      this.#noCluster(forward.clusterNotFoundResponseCode);
      return;
    }
    const { request } = exchange;
    const timeoutMs = routeTimeoutMs(forward, request);
    this.#timeoutMs = timeoutMs;
    let { retryPolicy } = route;
    // Only a caller inside may steer by headers, or a filter: the connection manager has taken them from others.
    if ((exchange.internal || exchange.chain.places.length > 0) && maySteer(exchange.request.headers)) {
      const { respectExpectedRqTimeout, strictCheckHeaders } = this.#config;
      const { headers } = exchange.request;
      const senseless = strictCheckHeaders.length === 0 ? undefined : senselessHeader(headers, strictCheckHeaders);
      if (senseless !== undefined) {
        this.#refuseHeader(senseless);
        return;
      }
      const steering = takeSteering(headers, timeoutMs, retryPolicy, respectExpectedRqTimeout);
      this.#timeoutMs = steering.timeoutMs;
      retryPolicy = steering.retryPolicy;
    }
    if (retryPolicy !== undefined) this.#retry = new RetryState(retryPolicy);
    this.#cluster = cluster;
    const host = route.virtualHostConfig;
    if (host.virtualClusters !== undefined) {
      exchange.virtualCluster = exchange.manager.virtualClusters.match(host, exchange.request);
    }
    exchange.routeTimeouts = this;
    if (forward.idleTimeoutMs !== undefined) exchange.useIdleLimit(forward.idleTimeoutMs);
    if (forward.maxStreamDuration !== undefined) {
      const { maxStreamDurationMs } = exchange.manager.config;
      exchange.useDurationLimit(limitStream(forward.maxStreamDuration, maxStreamDurationMs, request));
    }
    this.#tellsCallee = tellsTimeoutToCallee(forward, request);
    exchange.upstream.cluster = cluster.name; // values of headers may be made of it
    route.finalizeRequest(exchange.request, exchange, !this.#config.suppressEnvoyHeaders);
    if (!this.#config.suppressEnvoyHeaders || this.#tellsCallee) this.#tellExpectedTimeout();
    // One that asks for WebSocket has no end, but the answer has to come in time (Envoy: `setupRouteTimeoutForWebsocketUpgrade`).
    if (this.#requestComplete || exchange.request.upgrade === "websocket") this.#startRouteTimeout(exchange.now());
    this.#attempt();
  }

  #attempt(): void {
    const exchange = this.#exchange;
    const attempt = ++exchange.upstream.attempts;
    this.#state = "waiting";
    if (attempt > 1 && (!this.#config.suppressEnvoyHeaders || this.#tellsCallee)) this.#tellExpectedTimeout();
    const choice = exchange.askSelectUpstream(attempt);
    if (choice?.cluster !== undefined) {
      this.#cluster = exchange.runtime.clusters.get(choice.cluster);
      if (this.#cluster === undefined) {
        this.#noCluster(503);
        return;
      }
    }
    const cluster = this.#cluster!; // `#begin` has found one
    exchange.upstream.cluster = cluster.name;
    if (choice?.endpoint !== undefined) this.#connectTo(cluster, cluster.endpointAt(choice.endpoint), undefined);
    else this.#pick(cluster);
  }

  #pick(cluster: Cluster): void {
    const pick = cluster.pick(this.#exchange.request, this.#exchange);
    switch (pick.type) {
      case "endpoint":
        this.#connectTo(cluster, pick.endpoint, pick.done);
        return;
      case "wait": {
        const again = (): void => this.#exchange.guard(() => this.#pickAgain(cluster));
        this.#leavePicker = cluster.nextPicker(again);
        this.#timer ??= this.#after(cluster.config.connectTimeoutMs, () => {
          this.#stopWaiting();
          this.#fail(NO_ENDPOINT_YET);
        });
        return;
      }
      case "fail":
        cluster.countNoEndpoint(pick.failure);
        this.#fail(pick.failure);
        return;
      default:
        throw new Error(`unknown pick ${JSON.stringify(pick satisfies never)}`);
    }
  }

  #pickAgain(cluster: Cluster): void {
    this.#stopWaiting();
    this.#pick(cluster);
  }

  #connectTo(cluster: Cluster, endpoint: Endpoint, done: ((outcome: Outcome) => void) | undefined): void {
    if (!cluster.breaker.tryAcquireRequest()) {
      cluster.stats.rqPendingOverflow.add();
      this.#fail(REQUEST_OVERFLOW);
      return;
    }
    const { upstream } = this.#exchange;
    upstream.address = endpoint.key;
    upstream.endpoint = endpoint;
    upstream.connectionReused = false;
    this.#endpoint = endpoint;
    this.#pickDone = done;
    endpoint.activeRequests++;
    cluster.stats.rqActive.add(1);
    if (this.#exchange.span !== undefined) this.#span = this.#exchange.span.beginAttempt(this.#config.startChildSpan);
    const pool = cluster.pool(endpoint, this.#exchange.request, this.#exchange.downstream);
    // Where one pooled connection was stale others may be: a replay asks for one that is not.
    const ready = this.#replayed ? undefined : pool.take();
    if (ready === undefined) {
      this.#pool = pool;
      pool.wait(this);
    } else {
      this.#connection = ready;
      this.#send(ready);
    }
  }

  /** For the pool. */
  get wantsFresh(): boolean {
    return this.#replayed;
  }

  // === sending

  #send(connection: PooledConnection): void {
    const exchange = this.#exchange;
    const { upstream } = exchange;
    const encoder = connection.startExchange(this);
    this.#state = "sending";
    this.#encoder = encoder;
    this.#carried = encoder;
    this.#cluster?.stats.rqTotal.add();
    this.#endpoint!.requests++; // an attempt that has a connection has one
    upstream.connectionReused = connection.reused;
    upstream.httpVersion = connection.httpVersion;
    upstream.connectionId = connection.connection.id;
    upstream.tls = connection.connection.tls;
    upstream.localAddress = connection.connection.localAddress;
    upstream.connectedMs = exchange.now() - exchange.startMs;
    if (this.#responsePaused) encoder.pauseResponse();
    const maxStreamDurationMs = this.#cluster?.config.maxStreamDurationMs ?? 0;
    if (maxStreamDurationMs > 0) exchange.setAttemptDeadline(exchange.now() + maxStreamDurationMs);

    const body = this.#copy?.length ?? 0;
    const complete = this.#requestComplete;
    encoder.sendHead(this.#attemptHead(), complete && body === 0 && this.#trailers === undefined);
    if (body > 0 && this.#encoder === encoder) {
      encoder.sendData(this.#copy!.view(), complete && this.#trailers === undefined); // it has the bytes
    }
    if (this.#trailers !== undefined && this.#encoder === encoder) encoder.sendTrailers(this.#trailers);
    if (this.#encoder !== encoder) return; // it could not be sent; `onReset` has been called
    if (body > 0 && (!this.#mayNeedCopy() || this.#copy!.isOverLimit)) this.#copy!.drop();
    if (complete) this.#requestSent();
    if (this.#sourceStopped) {
      this.#sourceStopped = false;
      exchange.terminalDrained();
    }
  }

  /** The head as this attempt sends it: a copy only where somebody looks at each attempt. */
  #attemptHead(): RequestHead {
    const exchange = this.#exchange;
    const { request, upstream } = exchange;
    const route = this.#route!; // an attempt has a route
    if (route.virtualHostConfig.includeRequestAttemptCount) {
      request.headers.set("x-envoy-attempt-count", String(upstream.attempts));
    }
    if (route.rewritesHostToEndpoint && this.#endpoint?.hostname) this.#replaceHost(route, this.#endpoint.hostname);
    if (exchange.connectPort !== undefined && portStart(request.authority) === -1) {
      request.authority = `${request.authority}:${exchange.connectPort}`;
    }
    if (!exchange.hasUpstreamRequestHook) return request;
    const { method, scheme, authority, path, headers, httpVersion, upgrade } = request;
    const head = new RequestHead(method, scheme, authority, path, headers.clone(), httpVersion, upgrade);
    exchange.tellUpstreamRequest(head, upstream.attempts);
    return head;
  }

  /** What the host was before is told once, however many endpoints are tried. */
  #replaceHost(route: SelectedRoute, hostname: string): void {
    const { request } = this.#exchange;
    if (this.#hostReplaced) request.authority = hostname;
    else replaceAuthority(request, hostname, route.appendsForwardedHost, !this.#config.suppressEnvoyHeaders);
    this.#hostReplaced = true;
  }

  /** Whether what is sent now might have to be sent again. */
  #mayNeedCopy(): boolean {
    if (this.#responseBegun) return false;
    if (this.#retry !== undefined) return true;
    const connection = this.#connection;
    if (connection === undefined) return false;
    if (connection.httpVersion === "2" && this.#unprocessed < MAX_UNPROCESSED) return true; // a GOAWAY may come at any time
    if (!this.#exchange.upstream.connectionReused || this.#replayed) return false;
    return isIdempotent(this.#exchange.request.method) || !connection.handedToKernel(this.#carried!); // it has been sent
  }

  #requestSent(): void {
    if (this.#responseComplete) {
      this.#encoder = undefined; // both halves of a tunnel have ended
      this.#endAttempt(undefined);
      return;
    }
    const now = this.#exchange.now();
    this.#exchange.upstream.sentMs = now - this.#exchange.startMs;
    if (this.#requestCompleteMs === -1) {
      this.#requestCompleteMs = now;
      this.#startRouteTimeout(now);
    }
    const perTryTimeoutMs = this.#retry?.perTryTimeoutMs ?? 0;
    if (perTryTimeoutMs > 0 && !this.#exchange.tunnel) this.#exchange.setTryDeadline(now + perTryTimeoutMs);
  }

  /** The route's timeout runs from the end of the request; a tunnel that is open has none (Envoy `RouteAction.timeout`). */
  #startRouteTimeout(now: number): void {
    const exchange = this.#exchange;
    const timeoutMs = this.#timeoutMs;
    if (timeoutMs === 0 || exchange.tunnel || exchange.routeDeadlineMs !== Infinity) return;
    exchange.setRouteDeadline(now + timeoutMs, now);
  }

  // === the answer

  #onHead(head: ResponseHead, endStream: boolean): void {
    const exchange = this.#exchange;
    const cluster = this.#cluster!; // an attempt has one
    const now = exchange.now();
    if (exchange.upstream.firstByteMs === -1) exchange.upstream.firstByteMs = now - exchange.startMs;
    if (cluster.reports !== undefined) this.#loadReported = this.#takeReport(cluster.reports, head.headers);
    if (this.#retryInstead(head, endStream)) return;
    if (this.#retry !== undefined) {
      if (this.#retry.retries > 0 && head.status < 500) cluster.stats.rqRetrySuccess.add();
      this.#retry.release();
    }
    this.#responseBegun = true;
    this.#status = head.status;
    this.#outcome = endStream ? outcomeOf(head.status, head.headers) : head.status;
    this.#copy?.drop();
    exchange.responseCodeDetails = "via_upstream";
    exchange.upstream.failure = undefined;
    cluster.stats.countResponse(head.status);
    this.#decorate(head, now);
    if (opensTunnel(exchange.request.method, head.status)) {
      exchange.tunnel = true;
      exchange.routeDeadlineMs = Infinity;
      exchange.tryDeadlineMs = Infinity;
    }
    if (endStream) this.#completed();
    exchange.respondHead(head, endStream);
  }

  /** The fields go on to the client, as in Envoy: it may be another proxy that picks by them. */
  #takeReport(reports: EndpointReports, fields: HeaderMap): boolean {
    return this.#endpoint !== undefined && reports.take(this.#endpoint, fields);
  }

  #decorate(head: ResponseHead, now: number): void {
    const { headers } = head;
    this.#exchange.response = head; // values of headers may be made of it
    const route = this.#route!; // an attempt has a route
    // Counted from the request's end: an answer that comes before it has taken no time that could be told.
    if (!this.#config.suppressEnvoyHeaders && this.#requestCompleteMs !== -1) {
      headers.set("x-envoy-upstream-service-time", String(Math.round(now - this.#requestCompleteMs)));
    }
    if (route.virtualHostConfig.includeAttemptCountInResponse) {
      headers.set("x-envoy-attempt-count", String(this.#exchange.upstream.attempts));
    }
    route.finalizeResponse(headers, this.#exchange);
  }

  /** The answer is whole. The codec gives the connection back by itself. */
  #completed(): void {
    if (this.#responseComplete) return;
    this.#responseComplete = true;
    const exchange = this.#exchange;
    exchange.routeDeadlineMs = Infinity;
    exchange.tryDeadlineMs = Infinity;
    exchange.attemptDeadlineMs = Infinity;
    const begun = this.#requestCompleteMs;
    const now = exchange.now();
    exchange.upstream.lastByteMs = now - exchange.startMs;
    if (begun !== -1) this.#cluster?.stats.rqTime.record(now - begun);
    if (!this.#requestComplete) return; // `cancel` ends the attempt, or the other half of a tunnel
    this.#encoder = undefined;
    this.#endAttempt(undefined);
  }

  // === what goes wrong

  #onReset(reason: Failure): void {
    const connection = this.#connection;
    const carried = this.#carried;
    this.#encoder = undefined;
    this.#cluster?.stats.rqRxReset.add();
    this.#endAttempt(reason);
    if (this.#responseBegun) {
      this.#fail(reason);
      return;
    }
    if (connection !== undefined && carried !== undefined && this.#mayReplay(connection, carried, reason)) {
      if (reason.retry === "safe") this.#unprocessed++;
      else this.#replayed = true;
      this.#cluster?.stats.rqReplay.add();
      this.#attempt();
      return;
    }
    if (!this.#retryAfter(reason)) this.#fail(reason);
  }

  #mayReplay(connection: PooledConnection, carried: RequestEncoder, { retry }: Failure): boolean {
    if (retry === "never" || !this.#isIntact()) return false;
    if (retry === "safe") return this.#unprocessed < MAX_UNPROCESSED;
    if (this.#replayed || !this.#exchange.upstream.connectionReused) return false;
    return !connection.handedToKernel(carried) || isIdempotent(this.#exchange.request.method);
  }

  #noConnection(reason: Failure): void {
    const { upstream } = this.#exchange;
    const isConnectFailure = reason.side === "upstream";
    const verdict = isConnectFailure ? this.#exchange.askConnectFailure(reason, upstream.attempts) : "default";
    if (verdict === "retry" && upstream.attempts <= MAX_CONNECT_RETRIES && this.#isIntact()) {
      this.#attempt();
      return;
    }
    if (verdict === "default" && this.#retryAfter(reason)) return;
    this.#fail(reason);
  }

  /** Gives the answer of a retriable status up for another attempt. */
  #retryInstead(head: ResponseHead, endStream: boolean): boolean {
    if (!this.#retryAfter(head)) return false;
    if (endStream && this.#requestComplete) this.#encoder = undefined; // it ends by itself, and may be used again
    this.#status = head.status;
    this.#outcome = outcomeOf(head.status, head.headers);
    this.#cluster?.stats.countRetried(head.status);
    this.#endAttempt(undefined);
    return true;
  }

  /** Schedules another attempt if the policy names the result and all limits allow one. */
  #retryAfter(result: ResponseHead | Failure): boolean {
    const retry = this.#retry;
    if (retry === undefined || this.#cluster === undefined || !this.#isIntact() || !retry.names(result)) return false;
    const pauseMs = retry.begin(this.#cluster, this.#exchange);
    if (pauseMs === undefined) return false;
    this.#state = "pausing";
    this.#exchange.tryDeadlineMs = Infinity;
    this.#timer = this.#after(pauseMs, () => {
      this.#timer = undefined;
      this.#attempt();
    });
    return true;
  }

  #isIntact(): boolean {
    return this.#copy?.intact ?? true;
  }

  #fail(reason: Failure): void {
    const exchange = this.#exchange;
    const cluster = this.#responseBegun ? undefined : this.#cluster;
    exchange.fail(reason, !this.#config.suppressEnvoyHeaders);
    // As in Envoy, what we answer in the upstream's place counts for its cluster, as it was before it became gRPC's.
    if (exchange.response !== undefined) cluster?.stats.countResponse(exchange.localReplyStatus);
  }

  /** Envoy `strict_check_headers` */
  #refuseHeader(name: string): void {
    this.#exchange.reply({
      status: 400,
      body: `invalid header '${name}' with value '${this.#exchange.request.headers.joined(name)}'`,
      details: `request_headers_failed_strict_check{${name}}`,
      flags: ResponseFlag.InvalidEnvoyRequestHeaders,
    });
  }

  #noCluster(status: number): void {
    this.#exchange.manager.stats.noCluster.add();
    this.#exchange.reply({ status, details: "cluster_not_found", flags: ResponseFlag.NoClusterFound });
  }

  #answer(status: number, body: string, fields: string[]): void {
    const headers = new HeaderMap(fields);
    const details = "direct_response";
    this.#exchange.responseCodeDetails = details; // values of headers may be made of it
    this.#route?.finalizeResponse(headers, this.#exchange);
    this.#exchange.reply({ status, body, headers, details });
  }

  /** How long this attempt may take: the shorter of its own time and what is left of the whole. */
  #tellExpectedTimeout(): void {
    const exchange = this.#exchange;
    const perTryMs = this.#retry?.perTryTimeoutMs ?? 0;
    const spentMs = this.#requestCompleteMs === -1 ? 0 : Math.round(exchange.now() - this.#requestCompleteMs);
    const leftMs = this.#timeoutMs === 0 ? 0 : Math.max(1, this.#timeoutMs - spentMs);
    const expectedMs = perTryMs > 0 && (leftMs === 0 || perTryMs < leftMs) ? perTryMs : leftMs;
    if (expectedMs === 0) return;
    const { headers } = exchange.request;
    if (!this.#config.suppressEnvoyHeaders) headers.set("x-envoy-expected-rq-timeout-ms", millisecondsText(expectedMs));
    if (this.#tellsCallee) tellCallee(headers, expectedMs);
  }

  // === letting go

  #stopWaiting(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#leavePicker?.();
    this.#leavePicker = undefined;
    const pool = this.#pool;
    this.#pool = undefined;
    pool?.leave(this);
  }

  /** Gives back what an attempt has taken. `reason`: why it failed. Where it still has an encoder it is broken off. */
  #endAttempt(reason: Failure | undefined): void {
    const endpoint = this.#endpoint;
    if (endpoint === undefined) {
      if (this.#state === "done") this.#retry?.release();
      return;
    }
    this.#endpoint = undefined;
    const cluster = this.#cluster!; // an attempt has one
    const encoder = this.#encoder;
    const connection = this.#connection;
    const carried = this.#carried;
    this.#encoder = undefined;
    this.#connection = undefined;
    this.#carried = undefined;
    this.#exchange.attemptDeadlineMs = Infinity;
    if (connection !== undefined && carried !== undefined) {
      const { upstream } = this.#exchange;
      upstream.wireBytesSent = connection.wireBytesSent(carried);
      upstream.wireBytesReceived = connection.wireBytesReceived(carried);
    }
    endpoint.activeRequests--;
    if (reason === undefined || this.#responseComplete) endpoint.countAnswer(this.#outcome);
    else countFailure(endpoint, reason);
    cluster.breaker.releaseRequest();
    cluster.stats.rqActive.add(-1);
    if (encoder !== undefined) {
      cluster.stats.rqTxReset.add();
      encoder.reset(reason ?? NOT_WANTED);
    }
    if (this.#span !== undefined) {
      this.#span.end(reason === undefined || this.#responseComplete ? this.#status : 0);
      this.#span = undefined;
    }
    if (this.#state === "done") this.#retry?.release();
    const done = this.#pickDone;
    this.#pickDone = undefined;
    done?.(
      reason === undefined || this.#responseComplete
        ? { type: "response", status: this.#outcome }
        : { type: "failure", failure: reason },
    );
  }

  #after(delayMs: number, callback: () => void): Timer {
    return this.#exchange.manager.env.clock.after(delayMs, () => this.#exchange.guard(callback), true);
  }
}

/** A call that fails has HTTP status 200, and says so in its trailers, or in a head that is all (Envoy's router). */
function outcomeOf(status: number, fields: HeaderMap): number {
  const grpcStatus = status === 200 ? grpcStatusOf(fields) : undefined;
  return grpcStatus === undefined ? status : httpStatusOfGrpc(grpcStatus);
}

/** Of the same number the same text, which whoever encodes it finds again without comparing. */
function millisecondsText(milliseconds: number): string {
  if (milliseconds !== lastMilliseconds) {
    lastMilliseconds = milliseconds;
    lastText = String(milliseconds);
  }
  return lastText;
}

let lastMilliseconds = -1;
let lastText = "";

/** Who left before its answer says nothing about the endpoint. */
function countFailure(endpoint: Endpoint, { kind, side }: Failure): void {
  if (side !== "upstream") return;
  endpoint.requestsFailed++;
  if (kind === "response-timeout" || kind === "per-try-timeout") endpoint.requestTimeouts++;
}

/** 101, or 2xx to CONNECT (RFC 9110 §7.8, §9.3.6). */
function opensTunnel(method: string, status: number): boolean {
  return status === 101 || (method === "CONNECT" && status >= 200 && status < 300);
}

/**
 * How often a request is sent again that no upstream has processed. With one is met who ends a connection; with more, many
 * connections that end at the same time. An upstream that refuses everything gets its requests that many times more.
 */
const MAX_UNPROCESSED = 3;

/** However often a filter asks for another connection. */
const MAX_CONNECT_RETRIES = 5;

const NO_ROUTE = failure("no-route", "local", "no route matches");
const NO_ENDPOINT_YET = failure("no-healthy-upstream", "upstream", "the cluster's endpoints have not come yet");
const REQUEST_OVERFLOW = failure("overflow", "local", "too many requests to the cluster");
const ROUTE_TIMEOUT = failure("response-timeout", "upstream", "the upstream did not answer within the route's timeout");
const TRY_TIMEOUT = failure(
  "per-try-timeout",
  "upstream",
  "the upstream did not answer within the timeout per attempt",
);
const ATTEMPT_TOO_LONG = failure(
  "upstream-max-duration",
  "upstream",
  "the exchange with the upstream lasted longer than the cluster allows",
);
const NOT_WANTED = failure("internal", "local", "the answer is not wanted any more");
