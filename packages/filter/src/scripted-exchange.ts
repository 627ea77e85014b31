import { type Failure, failure, type Json, ManualClock, type Result, type Timer } from "@heddle/base";
import { HeaderMap, RequestHead, ResponseHead } from "@heddle/http";
import type { Log, MetricScope } from "@heddle/telemetry";
import { LiveRuntime, type RouteEntry } from "@heddle/traffic";
import type { Cancellable } from "./belonging.ts";
import { ChainExchange, type ChainRoute } from "./chain-exchange.ts";
import type { DownstreamInfo, SideRequest, SideResponse } from "./exchange.ts";
import { type ChainPlace, FilterChain, type TerminalFilter } from "./filter-chain.ts";
import type { ConfigIssue, FilterContext, FilterModule, HttpFilterType } from "./http-filter.ts";
import { silentLog, unseenMetrics } from "./testing-context.ts";

/** One filter of a scripted chain. */
export interface ScriptedFilter {
  /** Default: "filter-1", "filter-2" … */
  readonly name?: string;
  readonly filter: FilterModule | HttpFilterType;
  /** As it would stand in a configuration; parsed by the filter, and a mistake in it throws. Default: `{}`. */
  readonly config?: Json;
  /** The same for the route that the request matches. */
  readonly routeConfig?: Json;
}

export interface ScriptedOptions {
  readonly filters: readonly ScriptedFilter[];
  /** For what one filter may hold back in one direction. Default: 1 MiB. */
  readonly bufferLimitBytes?: number;
  /** What `send` gets. Default: a failure, "no-cluster". */
  readonly side?: (cluster: string, request: SideRequest) => SideResponse | Failure;
  readonly downstream?: Partial<DownstreamInfo>;
  readonly log?: Log;
  readonly metrics?: MetricScope;
  readonly runtime?: LiveRuntime;
}

/** What has arrived at one end of an exchange. */
export interface Arrived<Head> {
  readonly head: Head | undefined;
  /** All bytes, read as UTF-8. */
  readonly body: string;
  readonly trailers: HeaderMap | undefined;
  /** Nothing more will come. */
  readonly ended: boolean;
}

/**
 * An exchange for tests of filters: no sockets, no waiting, the same chain driver as in the sidecar. A test plays the client
 * and the upstream, and looks at what reached either end.
 *
 *     const exchange = new ScriptedExchange({ filters: [{ filter: requestTag, config: { tag: "a" } }] });
 *     exchange.sendRequest("GET", "/hello");
 *     assert.equal(exchange.atUpstream.head?.headers.get("x-tag"), "a");
 *     exchange.respond(200, { "content-type": "text/plain" }, "hi");
 *     assert.equal(exchange.atClient.body, "hi");
 */
export class ScriptedExchange extends ChainExchange {
  readonly clock: ManualClock;
  /** What threw, with the name of the filter. The exchange was answered with 500. */
  readonly exceptions: { readonly error: unknown; readonly filter: string | undefined }[] = [];
  /** What `fail` was called with. */
  failure: Failure | undefined = undefined;
  /** Why the answer was broken off, if it was. */
  reset: Failure | undefined = undefined;
  /** The client's, the upstream's side is asked to stop sending. */
  requestPaused = false;
  responsePaused = false;
  readonly #options: ScriptedOptions;
  readonly #client = new Arrival<ResponseHead>();
  readonly #upstream = new Arrival<RequestHead>();
  #method = "GET";

  constructor(options: ScriptedOptions) {
    const clock = new ManualClock();
    let terminal: ScriptedUpstream | undefined;
    const chain = makeChain(options, clock, () => terminal!); // made in the next statement but one
    super(
      chain,
      new RequestHead("GET", "http", "localhost", "/", new HeaderMap()),
      { ...DOWNSTREAM, ...options.downstream },
      { traceId: "1".repeat(32), spanId: "2".repeat(16), parentSpanId: "", sampled: true, traceState: "" },
      clock.now(),
      clock.wallNow(),
    );
    terminal = new ScriptedUpstream(this, this.#upstream);
    this.clock = clock;
    this.#options = options;
    this.requestId = "00000000-0000-4000-8000-000000000000";
  }

  /** What has come through the filters to the upstream. */
  get atUpstream(): Arrived<RequestHead> {
    return this.#upstream;
  }

  /** What has come through the filters to the client. */
  get atClient(): Arrived<ResponseHead> {
    return this.#client;
  }

  // === the client

  /** Sends a head, and a body if there is one, and ends the request. */
  sendRequest(method: string, path: string, headers: Readonly<Record<string, string>> = {}, body = ""): void {
    this.sendHead(method, path, headers, body === "");
    if (body !== "") this.sendData(body, true);
  }

  /** A `host` among the headers becomes the authority. */
  sendHead(method: string, path: string, headers: Readonly<Record<string, string>> = {}, endStream = false): void {
    const { host = "localhost", ...others } = headers;
    this.#method = method;
    this.request = new RequestHead(method, "http", host, path, HeaderMap.from(others));
    this.receiveHead(endStream);
  }

  sendData(chunk: string | Uint8Array, endStream = false): void {
    this.receiveData(bytesOf(chunk), endStream);
  }

  sendTrailers(trailers: Readonly<Record<string, string>>): void {
    this.receiveTrailers(HeaderMap.from(trailers));
  }

  /** The client goes away. */
  disconnect(): void {
    this.receiveReset(failure("downstream-reset", "downstream", "the client went away"));
  }

  // === the upstream

  /** Answers with a head, and a body if there is one, and ends the answer. */
  respond(status: number, headers: Readonly<Record<string, string>> = {}, body = ""): void {
    this.sendResponseHead(status, headers, body === "");
    if (body !== "") this.sendResponseData(body, true);
  }

  sendResponseHead(status: number, headers: Readonly<Record<string, string>> = {}, endStream = false): void {
    this.responseCodeDetails = "via_upstream";
    this.respondHead(new ResponseHead(status, HeaderMap.from(headers)), endStream);
  }

  sendResponseData(chunk: string | Uint8Array, endStream = false): void {
    this.respondData(bytesOf(chunk), endStream);
  }

  sendResponseTrailers(trailers: Readonly<Record<string, string>>): void {
    this.respondTrailers(HeaderMap.from(trailers));
  }

  /** Time passes: timers of `after`, answers to `send`. */
  advance(ms: number): void {
    this.clock.advance(ms);
  }

  // === ChainExchange asks

  /**
   * The sidecar has an answer for every kind of failure. Here a failure is kept, and answered with 503 so that the
   * response phases are seen.
   */
  override fail(reason: Failure): void {
    this.failure = reason;
    if (this.responseBegun) this.abort(reason);
    else this.reply({ status: 503, details: reason.kind });
  }

  protected override admit(): boolean {
    return true;
  }

  protected override matchRoute(): ChainRoute | undefined {
    const { filters } = this.#options;
    return {
      entry: ROUTE,
      virtualHost: "scripted",
      routeConfigName: "scripted",
      cluster: "scripted",
      filterOverride: (name) => {
        const index = filters.findIndex((filter, i) => nameOf(filter, i) === name);
        const config = filters[index]?.routeConfig;
        return config === undefined ? undefined : overrideOf(filters[index]!, config);
      },
    };
  }

  override now(): number {
    return this.clock.now();
  }

  protected override startTimer(delayMs: number, callback: () => void): Timer {
    return this.clock.after(delayMs, callback);
  }

  protected override startSideRequest(
    cluster: string,
    request: SideRequest,
    callback: (result: Result<SideResponse, Failure>) => void,
  ): Cancellable {
    return this.clock.after(0, () => {
      const answer =
        this.#options.side?.(cluster, request) ?? failure("no-cluster", "local", `no cluster "${cluster}"`);
      callback("kind" in answer ? { ok: false, error: answer } : { ok: true, value: answer });
    });
  }

  protected override writeInformational(): void {}

  protected override writeHead(head: ResponseHead, endStream: boolean): void {
    this.#client.head = head;
    this.#client.ended = endStream || this.#method === "HEAD";
  }

  protected override writeData(chunk: Uint8Array, endStream: boolean): boolean {
    this.#client.add(chunk, endStream);
    return true;
  }

  protected override writeTrailers(trailers: HeaderMap): void {
    this.#client.trailers = trailers;
    this.#client.ended = true;
  }

  protected override writeReset(reason: Failure): void {
    this.reset = reason;
  }

  protected override pauseRequestSource(): void {
    this.requestPaused = true;
  }

  protected override resumeRequestSource(): void {
    this.requestPaused = false;
  }

  protected override crashed(error: unknown, filter: string | undefined): void {
    this.exceptions.push({ error, filter });
  }

  protected override ended(): void {}
}

/** Stands where the router stands in the sidecar. */
class ScriptedUpstream implements TerminalFilter {
  readonly #exchange: ScriptedExchange;
  readonly #arrival: Arrival<RequestHead>;

  constructor(exchange: ScriptedExchange, arrival: Arrival<RequestHead>) {
    this.#exchange = exchange;
    this.#arrival = arrival;
  }

  onRequestHead(endStream: boolean): void {
    const exchange = this.#exchange;
    exchange.upstream.attempts = 1;
    exchange.upstream.cluster = exchange.askSelectUpstream(1)?.cluster ?? exchange.route?.cluster ?? "";
    const { method, scheme, authority, path, headers } = exchange.request;
    const head = new RequestHead(method, scheme, authority, path, headers.clone());
    exchange.tellUpstreamRequest(head, 1);
    this.#arrival.head = head;
    this.#arrival.ended = endStream;
  }

  onRequestData(chunk: Uint8Array, endStream: boolean): boolean {
    this.#arrival.add(chunk, endStream);
    return true;
  }

  onRequestTrailers(trailers: HeaderMap): void {
    this.#arrival.trailers = trailers;
    this.#arrival.ended = true;
  }

  pauseResponse(): void {
    this.#exchange.responsePaused = true;
  }

  resumeResponse(): void {
    this.#exchange.responsePaused = false;
  }

  cancel(): void {}
}

class Arrival<Head> implements Arrived<Head> {
  head: Head | undefined = undefined;
  trailers: HeaderMap | undefined = undefined;
  ended = false;
  readonly #chunks: Uint8Array[] = [];

  get body(): string {
    return Buffer.concat(this.#chunks).toString("utf8");
  }

  add(chunk: Uint8Array, endStream: boolean): void {
    this.#chunks.push(chunk.slice());
    this.ended = endStream;
  }
}

function makeChain(options: ScriptedOptions, clock: ManualClock, terminal: () => TerminalFilter): FilterChain {
  const places = options.filters.map((scripted, index): ChainPlace => {
    const name = nameOf(scripted, index);
    const { filter, config = {} } = scripted;
    const parsed = filter.parse(config);
    if (!parsed.ok) throw new Error(`${name}: ${formatIssues(parsed.error)}`);
    const { log = silentLog, metrics = unseenMetrics, runtime = new LiveRuntime() } = options;
    const context: FilterContext = { name, clock, log, metrics, runtime };
    const factory = filter.create(parsed.value, context);
    return { name, factory, disabled: false, type: filter };
  });
  const last = { create: () => ({}), createTerminal: terminal };
  return new FilterChain(places, last, options.bufferLimitBytes ?? 1024 * 1024);
}

function nameOf({ name }: ScriptedFilter, index: number): string {
  return name ?? `filter-${index + 1}`;
}

const overrides = new WeakMap<
  ScriptedFilter,
  { readonly disabled: false; readonly config: { readonly config: Json } }
>();

/** The same object each time, since what is parsed of it is kept by it. */
function overrideOf(filter: ScriptedFilter, config: Json) {
  let override = overrides.get(filter);
  if (override === undefined) {
    override = { disabled: false, config: { config } };
    overrides.set(filter, override);
  }
  return override;
}

function formatIssues(issues: readonly ConfigIssue[]): string {
  return issues.map(({ path, message }) => `${path}: ${message}`).join("; ");
}

function bytesOf(chunk: string | Uint8Array): Uint8Array {
  return typeof chunk === "string" ? Buffer.from(chunk, "utf8") : chunk;
}

const DOWNSTREAM: DownstreamInfo = {
  directRemoteAddress: "192.0.2.1",
  remoteAddress: "192.0.2.1",
  remotePort: 40000,
  localAddress: "192.0.2.2",
  localPort: 15001,
  connectionId: 1,
  listener: "scripted",
  filterChain: "",
};

const ROUTE: RouteEntry = {
  name: "scripted",
  match: {
    path: { type: "prefix", value: "/" },
    caseSensitive: true,
    headers: [],
    queryParameters: [],
    grpc: false,
    runtimeFraction: undefined,
  },
  action: { type: "non-forwarding" },
  typedPerFilterConfig: {},
  statPrefix: "",
  requestHeadersToAdd: [],
  requestHeadersToRemove: [],
  responseHeadersToAdd: [],
  responseHeadersToRemove: [],
};
