import { type Failure, failure, type Result, type Timer } from "@heddle/base";
import { grpcMessageBytes, HeaderMap, type RequestHead, ResponseHead } from "@heddle/http";
import type { TraceContext } from "@heddle/telemetry";
import { Belonging, type Cancellable } from "./belonging.ts";
import { EMPTY } from "./byte-hold.ts";
import type {
  DownstreamInfo,
  Exchange,
  LocalReply,
  MatchedRoute,
  SideRequest,
  SideResponse,
  UpstreamChoice,
} from "./exchange.ts";
import { ExchangeRecord } from "./exchange-record.ts";
import type { ActiveFilter, FilterChain, FilterOverrides, TerminalFilter } from "./filter-chain.ts";
import { Flow, type FlowOwner, type Held, StopReason } from "./flow.ts";
import { grpcReplyHead } from "./grpc-reply.ts";
import type { DataResult, HeadResult, TrailersResult } from "./http-filter.ts";
import { CodePhase, enterCode, leaveCode } from "./running-code.ts";

/** A matched route that also knows what filters shall do differently on it. `SelectedRoute` of traffic is one. */
export type ChainRoute = MatchedRoute & FilterOverrides;

/**
 * Drives one exchange through a filter chain. The sidecar's exchange and the scripted one of the tests are both made of
 * it, so a filter cannot behave differently in a test.
 *
 *     downstream > receive…  > request phases, in order     > terminal filter
 *     downstream < write…    < response phases, in reverse  < respond…  (the terminal filter, or `reply`)
 *
 * Invariants
 * - Every call that comes in from outside (`receive…`, `respond…`, `…Drained`, the callbacks of `after` and `send`) passes
 *   one guard: what throws inside ends this exchange with 500 and no other.
 * - After `finish` nothing is called any more, in either direction.
 * - `#running` is the filter whose code runs now, or -1. It tells whose fault a throw is, and which of several filters that
 *   hold something `continueRequest` means.
 */
export abstract class ChainExchange extends ExchangeRecord implements Exchange, FlowOwner {
  /** Until the first filter is made the owner may choose another one. */
  chain: FilterChain;
  #filters: readonly ActiveFilter[] = [];
  #requestFlow: Flow | undefined = undefined;
  #responseFlow: Flow | undefined = undefined;
  #requestClosed = false;
  #terminal: TerminalFilter | undefined = undefined;
  #requestStops = 0;
  #responseStops = 0;
  #running = -1;
  #runningFlow: Flow | undefined = undefined;
  #route: ChainRoute | undefined = undefined;
  #routeKnown = false;
  #belongings: Set<Cancellable> | undefined = undefined;
  #crashes = 0;
  #begunAgain = false;

  constructor(
    chain: FilterChain,
    request: RequestHead,
    downstream: DownstreamInfo,
    trace: TraceContext,
    startMs: number,
    startWallMs: number,
  ) {
    super(request, downstream, trace, startMs, startWallMs);
    this.chain = chain;
  }

  // === what the owner of an exchange gives

  /**
   * The first look at a request, before any filter: false if it has been answered. May set `requestEnded`.
   */
  protected abstract admit(): boolean;
  protected abstract matchRoute(): ChainRoute | undefined;
  /** The answer that is given in place of one of ours (Envoy's `local_reply_config`). */
  protected rewriteReply(reply: LocalReply): LocalReply {
    return reply;
  }
  abstract now(): number;
  protected abstract startTimer(delayMs: number, callback: () => void): Timer;
  protected abstract startSideRequest(
    cluster: string,
    request: SideRequest,
    callback: (result: Result<SideResponse, Failure>) => void,
  ): Cancellable;
  /** The answer's way out. False: no more until `downstreamDrained`. */
  protected abstract writeHead(head: ResponseHead, endStream: boolean): void;
  protected abstract writeData(chunk: Uint8Array, endStream: boolean): boolean;
  protected abstract writeTrailers(trailers: HeaderMap): void;
  protected abstract writeInformational(head: ResponseHead): void;
  /** Ends an answer that cannot be completed so that the client can see it. */
  protected abstract writeReset(failure: Failure): void;
  protected abstract pauseRequestSource(): void;
  protected abstract resumeRequestSource(): void;
  /** Something threw: a filter of that name, or our own code. The exchange is ended by the caller. */
  protected abstract crashed(error: unknown, filterName: string | undefined): void;
  /** After the `log` phase; nothing follows. */
  protected abstract ended(): void;

  abstract fail(failure: Failure): void;

  // === from downstream

  receiveHead(endStream: boolean): void {
    const running = this.#running;
    const runningFlow = this.#runningFlow;
    this.#running = -1;
    try {
      this.requestEnded = endStream;
      if (this.admit()) this.#beginRequest(this.requestEnded);
    } catch (error) {
      this.#crash(error);
    }
    this.#running = running;
    this.#runningFlow = runningFlow;
  }

  receiveData(chunk: Uint8Array, endStream: boolean): void {
    if (endStream) this.requestEnded = true;
    this.requestBodyBytes += chunk.length;
    if (this.finished || this.#requestClosed) return;
    const running = this.#running;
    const runningFlow = this.#runningFlow;
    this.#running = -1;
    try {
      if (this.#requestFlow === undefined) this.#dataToTerminal(chunk, endStream);
      else this.#requestFlow.data(0, chunk, endStream);
      if (endStream && this.responseEnded) this.finish();
    } catch (error) {
      this.#crash(error);
    }
    this.#running = running;
    this.#runningFlow = runningFlow;
  }

  receiveTrailers(trailers: HeaderMap): void {
    this.requestEnded = true;
    this.requestTrailers = trailers;
    if (this.finished || this.#requestClosed) return;
    const running = this.#running;
    const runningFlow = this.#runningFlow;
    this.#running = -1;
    try {
      if (this.#requestFlow === undefined) this.#terminal?.onRequestTrailers(trailers);
      else this.#requestFlow.trailers(0, trailers);
    } catch (error) {
      this.#crash(error);
    }
    this.#running = running;
    this.#runningFlow = runningFlow;
  }

  /** The client is gone, or has broken the protocol: nobody waits for an answer. */
  receiveReset(reason: Failure): void {
    if (this.finished) return;
    this.#cancelTerminal(reason);
    this.finish();
  }

  downstreamDrained(): void {
    if (!this.finished) this.#guarded(-1, () => this.#restartResponse(StopReason.SinkFull));
  }

  // === from the terminal filter

  respondInformational(head: ResponseHead): void {
    if (!this.finished && !this.responseBegun) this.writeInformational(head);
  }

  respondHead(head: ResponseHead, endStream: boolean): void {
    if (this.finished) return;
    const running = this.#running;
    const runningFlow = this.#runningFlow;
    this.#running = -1;
    try {
      this.response = head;
      if (this.#requestFlow === undefined) this.#headToDownstream(head, endStream);
      else this.#beginResponseFlow(this.#filters.length - 1).head(this.#filters.length - 1, endStream);
    } catch (error) {
      this.#crash(error);
    }
    this.#running = running;
    this.#runningFlow = runningFlow;
  }

  respondData(chunk: Uint8Array, endStream: boolean): void {
    if (this.finished) return;
    const running = this.#running;
    const runningFlow = this.#runningFlow;
    this.#running = -1;
    try {
      if (this.#responseFlow === undefined) this.#dataToDownstream(chunk, endStream);
      else this.#responseFlow.data(this.#filters.length - 1, chunk, endStream);
    } catch (error) {
      this.#crash(error);
    }
    this.#running = running;
    this.#runningFlow = runningFlow;
  }

  respondTrailers(trailers: HeaderMap): void {
    if (this.finished) return;
    const running = this.#running;
    const runningFlow = this.#runningFlow;
    this.#running = -1;
    try {
      this.responseTrailers = trailers;
      if (this.#responseFlow === undefined) this.#trailersToDownstream(trailers);
      else this.#responseFlow.trailers(this.#filters.length - 1, trailers);
    } catch (error) {
      this.#crash(error);
    }
    this.#running = running;
    this.#runningFlow = runningFlow;
  }

  /** The terminal filter takes request data again. */
  terminalDrained(): void {
    if (!this.finished) this.#guarded(-1, () => this.#restartRequest(StopReason.SinkFull));
  }

  /** The terminal filter has caught an exception of its own code. */
  caught(error: unknown): void {
    const running = this.#running;
    const runningFlow = this.#runningFlow;
    this.#running = -1;
    this.#crash(error);
    this.#running = running;
    this.#runningFlow = runningFlow;
  }

  /** Runs a callback of the terminal filter (a timer, a connection that is ready) under this exchange's guard. */
  guard(callback: () => void): void {
    if (!this.finished) this.#guarded(-1, callback);
  }

  // === what filters ask

  get route(): ChainRoute | undefined {
    return this.#lookUpRoute();
  }

  /** The route of a request that has reached the filters, or that has been routed before; one that got no further has none. */
  get reachedRoute(): ChainRoute | undefined {
    return this.#requestFlow === undefined ? this.#route : this.#lookUpRoute();
  }

  clearRoute(): void {
    this.#route = undefined;
    this.#routeKnown = false;
  }

  /**
   * The request begins again at the first filter, with filters made for the route that it has now (Envoy's `recreateStream`): who
   * takes part, and what filters before the one that asks have decided, may have been for another route. For a filter
   * that waits with the head. What filters have changed in the request stays changed.
   *
   * False: it cannot, since it has done so before, or is further on; nothing has happened.
   */
  beginAgain(): boolean {
    const flow = this.#requestFlow;
    if (flow === undefined || flow.closed || this.finished || this.responseBegun) return false;
    if (this.#begunAgain || this.#terminal !== undefined || this.#responseFlow !== undefined) return false;
    this.#begunAgain = true;
    const wasFull = flow.full;
    const held = flow.take();
    if (this.#belongings !== undefined) for (const belonging of this.#belongings) belonging.cancel();
    this.#endFilters();
    this.#requestFlow = undefined;
    this.#filters = [];
    this.#guarded(-1, () => {
      this.#beginRequest(held.headEndStream);
      this.#passHeld(held);
      // Last, since a source may deliver at once, and what it delivers comes after what was held.
      if (wasFull && this.#requestFlow?.full !== true) this.#restartRequest(StopReason.HeldByFilter);
    });
    return true;
  }

  #passHeld({ bytes, dataEndStream, trailers }: Held): void {
    if (bytes.length > 0 || dataEndStream) {
      if (this.finished || this.#requestClosed) return;
      if (this.#requestFlow === undefined) this.#dataToTerminal(bytes, dataEndStream);
      else this.#requestFlow.data(0, bytes, dataEndStream);
    }
    if (trailers === undefined || this.finished || this.#requestClosed) return;
    if (this.#requestFlow === undefined) this.#terminal?.onRequestTrailers(trailers);
    else this.#requestFlow.trailers(0, trailers);
  }

  routeConfig(filterName: string): unknown {
    return this.chain.routeConfig(filterName, this.#lookUpRoute());
  }

  routeConfigs(filterName: string): readonly unknown[] {
    return this.chain.routeConfigs(filterName, this.#lookUpRoute());
  }

  continueRequest(): void {
    this.#continue(this.#requestFlow);
  }

  continueResponse(): void {
    this.#continue(this.#responseFlow);
  }

  raiseRequestBufferLimit(bytes: number): void {
    const flow = this.#requestFlow;
    if (flow !== undefined && flow.limitBytes < bytes) flow.limitBytes = bytes;
  }

  askForBody(): void {
    if (!this.request.headers.has("expect")) return;
    this.request.headers.remove("expect");
    this.respondInformational(new ResponseHead(100, new HeaderMap()));
  }

  get bufferedRequest(): Uint8Array {
    return this.#held(this.#requestFlow);
  }

  get bufferedResponse(): Uint8Array {
    return this.#held(this.#responseFlow);
  }

  reply(reply: LocalReply): void {
    if (this.finished) return;
    if (this.responseBegun) {
      this.abort(failure("internal", "local", `${reply.details} after the response had begun`));
      return;
    }
    this.#guarded(this.#running, () => this.#answer(reply, true));
  }

  /** Ends the exchange so that the client sees that its answer is not complete. */
  abort(reason: Failure): void {
    if (this.finished) return;
    this.#cancelTerminal(reason);
    try {
      this.writeReset(reason);
    } finally {
      this.finish();
    }
  }

  send(cluster: string, request: SideRequest, callback: (result: Result<SideResponse, Failure>) => void): Cancellable {
    const asker = this.#running;
    const belonging = new Belonging(this.#belong());
    belonging.inner = this.startSideRequest(cluster, request, (result) => {
      if (belonging.end()) this.#guarded(asker, () => callback(result));
    });
    return belonging;
  }

  after(delayMs: number, callback: () => void): Timer {
    const asker = this.#running;
    const belonging = new Belonging(this.#belong());
    belonging.inner = this.startTimer(delayMs, () => {
      if (belonging.end()) this.#guarded(asker, callback);
    });
    return belonging;
  }

  /**
   * A function that runs the callback as that of the filter that asks for it now, under this exchange's guard. It does nothing once
   * the exchange has ended.
   */
  asFilter(callback: () => void): () => void {
    const asker = this.#running;
    return () => {
      if (!this.finished) this.#guarded(asker, callback);
    };
  }

  // === the router's hooks

  askSelectUpstream(attempt: number): UpstreamChoice | undefined {
    for (let i = 0; i < this.#filters.length; i++) {
      this.#running = i;
      const before = enterCode(this.#filters[i]!.code + CodePhase.selectUpstream);
      const choice = this.#filters[i]!.filter.selectUpstream?.(this, attempt); // i is below the length
      leaveCode(before);
      this.#running = -1;
      if (choice !== undefined) return choice;
    }
    return undefined;
  }

  /** The first filter that has an opinion decides. */
  askConnectFailure(reason: Failure, attempt: number): "default" | "retry" | "fail" {
    for (let i = 0; i < this.#filters.length; i++) {
      this.#running = i;
      const before = enterCode(this.#filters[i]!.code + CodePhase.connectFailure);
      const verdict = this.#filters[i]!.filter.connectFailure?.(this, reason, attempt) ?? "default";
      leaveCode(before);
      this.#running = -1;
      if (verdict !== "default") return verdict;
    }
    return "default";
  }

  tellUpstreamRequest(head: RequestHead, attempt: number): void {
    for (let i = 0; i < this.#filters.length; i++) {
      this.#running = i;
      const before = enterCode(this.#filters[i]!.code + CodePhase.upstreamRequest);
      this.#filters[i]!.filter.upstreamRequest?.(this, head, attempt);
      leaveCode(before);
      this.#running = -1;
    }
  }

  /** Whether any filter looks at the head of each attempt: only then must it be a copy. */
  get hasUpstreamRequestHook(): boolean {
    for (const { filter } of this.#filters) if ("upstreamRequest" in filter) return true;
    return false;
  }

  /** Ends the exchange: lets go of everything, runs the `log` phase. */
  finish(): void {
    if (this.finished) return;
    this.finished = true;
    this.endMs = this.now();
    this.#requestFlow?.close();
    this.#responseFlow?.close();
    try {
      this.#cancelTerminal(EXCHANGE_ENDED);
      if (this.#belongings !== undefined) for (const belonging of this.#belongings) belonging.cancel();
    } catch (error) {
      this.crashed(error, undefined); // the log phase and the owner hear of the end whatever happens
    }
    this.#endFilters();
    this.ended();
  }

  #endFilters(): void {
    for (const { filter, place, code } of this.#filters) {
      const before = enterCode(code + CodePhase.log);
      try {
        filter.log?.(this);
      } catch (error) {
        this.crashed(error, place.name);
      }
      leaveCode(before);
    }
  }

  // === FlowOwner

  /** @internal */
  callHead(flow: Flow, index: number, endStream: boolean): HeadResult {
    const { filter, code } = this.#filters[index]!; // flows stay within the list
    const running = this.#running;
    const runningFlow = this.#runningFlow;
    this.#running = index;
    this.#runningFlow = flow;
    const before = enterCode(code + (flow === this.#requestFlow ? CodePhase.requestHead : CodePhase.responseHead));
    const result =
      flow === this.#requestFlow
        ? filter.requestHead?.(this, endStream)
        : filter.responseHead?.(this, this.response!, endStream); // a response flow begins with its head
    leaveCode(before);
    this.#running = running;
    this.#runningFlow = runningFlow;
    return result ?? "continue";
  }

  /** @internal */
  callData(flow: Flow, index: number, chunk: Uint8Array, endStream: boolean): DataResult {
    const { filter, code } = this.#filters[index]!;
    const running = this.#running;
    const runningFlow = this.#runningFlow;
    this.#running = index;
    this.#runningFlow = flow;
    const before = enterCode(code + (flow === this.#requestFlow ? CodePhase.requestData : CodePhase.responseData));
    const result =
      flow === this.#requestFlow
        ? filter.requestData?.(this, chunk, endStream)
        : filter.responseData?.(this, chunk, endStream);
    leaveCode(before);
    this.#running = running;
    this.#runningFlow = runningFlow;
    return result ?? (flow.isHolding(index) ? "watermark" : "continue");
  }

  /** @internal */
  callTrailers(flow: Flow, index: number, trailers: HeaderMap): TrailersResult {
    const { filter, code } = this.#filters[index]!;
    const running = this.#running;
    const runningFlow = this.#runningFlow;
    this.#running = index;
    this.#runningFlow = flow;
    const before = enterCode(
      code + (flow === this.#requestFlow ? CodePhase.requestTrailers : CodePhase.responseTrailers),
    );
    const result =
      flow === this.#requestFlow ? filter.requestTrailers?.(this, trailers) : filter.responseTrailers?.(this, trailers);
    leaveCode(before);
    this.#running = running;
    this.#runningFlow = runningFlow;
    return result ?? "continue";
  }

  /** @internal */
  passedHead(flow: Flow, endStream: boolean): void {
    if (flow === this.#requestFlow) this.#headToTerminal(endStream);
    else this.#headToDownstream(this.response!, endStream);
  }

  /** @internal */
  passedData(flow: Flow, chunk: Uint8Array, endStream: boolean): void {
    if (flow === this.#requestFlow) this.#dataToTerminal(chunk, endStream);
    else this.#dataToDownstream(chunk, endStream);
  }

  /** @internal */
  passedTrailers(flow: Flow, trailers: HeaderMap): void {
    if (flow === this.#requestFlow) this.#terminal?.onRequestTrailers(trailers);
    else this.#trailersToDownstream(trailers);
  }

  /** @internal */
  overLimit(flow: Flow): void {
    if (flow === this.#requestFlow)
      this.reply({ status: 413, body: "Payload Too Large", details: "request_payload_too_large" });
    else if (this.responseBegun) this.abort(RESPONSE_TOO_LARGE);
    else this.reply({ status: 500, body: "Internal Server Error", details: "response_payload_too_large" });
  }

  /** @internal */
  stopSource(flow: Flow, reason: number): void {
    if (flow === this.#requestFlow) this.#stopRequest(reason);
    else this.#stopResponse(reason);
  }

  /** @internal */
  restartSource(flow: Flow, reason: number): void {
    if (flow === this.#requestFlow) this.#restartRequest(reason);
    else this.#restartResponse(reason);
  }

  // === the two ends

  #beginRequest(endStream: boolean): void {
    if (this.chain.places.length > 0) this.#filters = this.chain.instantiate(this.#lookUpRoute());
    if (this.#filters.length === 0) {
      this.#headToTerminal(endStream);
      return;
    }
    this.#requestFlow = new Flow(this, this.#filters, this.chain.bufferLimitBytes, 0, 1);
    this.#requestFlow.head(0, endStream);
  }

  #headToTerminal(endStream: boolean): void {
    this.#terminal = this.chain.terminal.createTerminal!(this); // a chain without one cannot be made
    this.#terminal.onRequestHead(endStream);
  }

  #dataToTerminal(chunk: Uint8Array, endStream: boolean): void {
    if (this.#terminal?.onRequestData(chunk, endStream) === false) this.#stopRequest(StopReason.SinkFull);
  }

  #headToDownstream(head: ResponseHead, endStream: boolean): void {
    this.responseBegun = true;
    this.writeHead(head, endStream);
    if (endStream) this.#responseDone();
  }

  #dataToDownstream(chunk: Uint8Array, endStream: boolean): void {
    this.responseBodyBytes += chunk.length;
    const mayGoOn = this.writeData(chunk, endStream);
    if (endStream) this.#responseDone();
    else if (!mayGoOn) this.#stopResponse(StopReason.SinkFull);
  }

  #trailersToDownstream(trailers: HeaderMap): void {
    this.writeTrailers(trailers);
    this.#responseDone();
  }

  /** An answer that is complete ends the exchange, whether or not the request is; a tunnel has two ends. */
  #responseDone(): void {
    this.responseEnded = true;
    if (!this.tunnel || this.requestEnded) this.finish();
  }

  #stopRequest(reason: number): void {
    if (this.#requestStops === 0 && !this.finished) this.pauseRequestSource();
    this.#requestStops |= reason;
  }

  #restartRequest(reason: number): void {
    if (this.#requestStops === 0) return;
    this.#requestStops &= ~reason;
    if (this.#requestStops === 0 && !this.finished) this.resumeRequestSource();
  }

  #stopResponse(reason: number): void {
    if (this.#responseStops === 0) this.#terminal?.pauseResponse();
    this.#responseStops |= reason;
  }

  #restartResponse(reason: number): void {
    if (this.#responseStops === 0) return;
    this.#responseStops &= ~reason;
    if (this.#responseStops === 0) this.#terminal?.resumeResponse();
  }

  #cancelTerminal(reason: Failure): void {
    const terminal = this.#terminal;
    this.#terminal = undefined;
    terminal?.cancel(reason);
  }

  // === local answers

  /** Makes the head of an answer of ours, and notes it for the log. The body is what goes with it. */
  protected makeLocalHead(given: LocalReply): { readonly head: ResponseHead; readonly body: string } {
    this.responseFlags |= given.flags ?? 0;
    this.responseCodeDetails = given.details;
    this.localReplyBody = given.body ?? "";
    this.localReplyStatus = given.status;
    const reply = this.rewriteReply(given);
    if (this.isGrpc) {
      this.response = grpcReplyHead(reply, this.request.method === "HEAD");
      return { head: this.response, body: "" };
    }
    const { status, body = "", contentType, headers: added } = reply;
    const headers = added?.clone() ?? new HeaderMap();
    if (body === "") headers.remove("content-type");
    else if (contentType !== undefined || !headers.has("content-type"))
      headers.set("content-type", contentType ?? "text/plain");
    // RFC 9110 §8.6: none on 204; on 304 and for HEAD it would tell of a body that is not sent.
    if (status !== 204 && status !== 304) headers.set("content-length", String(Buffer.byteLength(body)));
    const head = new ResponseHead(status, headers);
    this.response = head;
    return { head, body };
  }

  #makeReply(given: LocalReply): { readonly head: ResponseHead; readonly body: string | Uint8Array } {
    const made = this.makeLocalHead(given);
    const { bytes, body = "" } = given;
    // What `local_reply_config` has written anew is text, and a gRPC status has no body.
    if (bytes === undefined || made.body !== body || body === "") return made;
    if (made.head.headers.has("content-length")) made.head.headers.set("content-length", String(bytes.length));
    return { head: made.head, body: bytes };
  }

  /** The message of a call that succeeds, and the head before it; the trailers follow. */
  #makeMessage(given: LocalReply, message: Uint8Array): { readonly head: ResponseHead; readonly body: Uint8Array } {
    this.responseFlags |= given.flags ?? 0;
    this.responseCodeDetails = given.details;
    this.localReplyStatus = given.status;
    this.response = new ResponseHead(200, new HeaderMap(["content-type", "application/grpc"]));
    return { head: this.response, body: grpcMessageBytes(message) };
  }

  #answer(given: LocalReply, throughFilters: boolean): void {
    const message = this.isGrpc ? given.grpcMessage : undefined;
    const trailers = message === undefined ? undefined : new HeaderMap(["grpc-status", "0"]);
    const { head, body: content } = message === undefined ? this.#makeReply(given) : this.#makeMessage(given, message);
    this.#requestClosed = true;
    this.#requestFlow?.close();
    this.#cancelTerminal(ANSWERED_LOCALLY);
    this.tunnel = false;
    // The client may send what is left of its request; it is dropped. Nothing of it may stay stopped.
    this.#restartRequest(StopReason.SinkFull | StopReason.HeldByFilter);
    this.#responseStops = 0;

    const body = content === "" ? EMPTY : typeof content === "string" ? Buffer.from(content) : content;
    const { status } = head;
    const headOnly = body.length === 0 || this.request.method === "HEAD" || status === 204 || status === 304;

    // Filters that have seen the request, but have not yet seen the head of an answer that is now replaced.
    const first = this.#responseFlow?.reached ?? (this.#requestFlow?.reached ?? 0) - 1;
    this.#responseFlow?.close();
    if (!throughFilters || first < 0) {
      this.#responseFlow = undefined;
      this.#headToDownstream(head, headOnly);
      if (!headOnly && !this.finished) this.#dataToDownstream(body, trailers === undefined);
      if (trailers !== undefined && !this.finished) this.respondTrailers(trailers);
      return;
    }
    const flow = this.#beginResponseFlow(first);
    flow.head(first, headOnly);
    if (!headOnly && !flow.closed && !this.finished) flow.data(first, body, trailers === undefined);
    if (trailers !== undefined && !flow.closed && !this.finished) {
      this.responseTrailers = trailers;
      flow.trailers(first, trailers);
    }
  }

  #beginResponseFlow(first: number): Flow {
    this.#responseFlow = new Flow(this, this.#filters, this.chain.bufferLimitBytes, first, -1);
    return this.#responseFlow;
  }

  // === the guard

  /** Runs a callback on behalf of a filter, or of nobody (-1). */
  #guarded(onBehalfOf: number, callback: () => void): void {
    if (this.finished) return;
    const running = this.#running;
    const runningFlow = this.#runningFlow;
    this.#running = onBehalfOf;
    this.#runningFlow = undefined;
    const before = enterCode(onBehalfOf < 0 ? 0 : (this.#filters[onBehalfOf]?.code ?? 0) + CodePhase.callback);
    try {
      callback();
    } catch (error) {
      this.#crash(error);
    }
    leaveCode(before);
    this.#running = running;
    this.#runningFlow = runningFlow;
  }

  #crash(error: unknown): void {
    const name = this.#running === -1 ? undefined : this.#filters[this.#running]?.place.name;
    this.#running = -1;
    this.#runningFlow = undefined;
    leaveCode(0); // a phase that throws does not leave
    this.#crashes++;
    this.crashed(error, name);
    if (this.finished) return;
    if (this.responseBegun || this.#crashes > 2) {
      this.abort(failure("internal", "local", "an exception while the response was being sent", "never", error));
      return;
    }
    const details = name === undefined ? "internal_error" : "filter_error";
    // A second throw may come from the response phases of the first answer: then the answer goes past them.
    const throughFilters = this.#crashes === 1;
    this.#guarded(-1, () => this.#answer({ status: 500, body: "Internal Server Error", details }, throughFilters));
  }

  // === who goes on

  #continue(flow: Flow | undefined): void {
    if (flow === undefined || flow.closed || this.finished) return;
    if (this.#running !== -1) {
      if (this.#runningFlow === flow) flow.continueRequested = true;
      else if (flow.isHolding(this.#running)) this.#release(flow, this.#running);
      return;
    }
    const holder = flow.holder();
    if (holder >= 0) this.#release(flow, holder);
    else if (holder === SEVERAL) {
      // Letting the wrong one go on could let a request past a check that has not been made yet.
      this.#guarded(-1, () => {
        throw new Error("several filters hold this exchange: continue it from a callback of `send` or `after`");
      });
    }
  }

  #release(flow: Flow, index: number): void {
    this.#guarded(-1, () => flow.release(index));
  }

  #held(flow: Flow | undefined): Uint8Array {
    if (flow === undefined) return EMPTY;
    const index = this.#running === -1 ? flow.holder() : this.#running;
    return index < 0 ? EMPTY : flow.held(index);
  }

  #lookUpRoute(): ChainRoute | undefined {
    if (!this.#routeKnown) {
      this.#routeKnown = true;
      this.#route = this.matchRoute();
    }
    return this.#route;
  }

  #belong(): Set<Cancellable> {
    this.#belongings ??= new Set();
    return this.#belongings;
  }
}

const SEVERAL = -2;
const EXCHANGE_ENDED = failure("internal", "local", "the exchange has ended");
const ANSWERED_LOCALLY = failure("internal", "local", "the request was answered locally");
const RESPONSE_TOO_LARGE = failure("internal", "local", "a filter held back more of the response than the limit");
