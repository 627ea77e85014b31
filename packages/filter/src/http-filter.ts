import type { Clock, Failure, Json, Result } from "@heddle/base";
import type { HeaderMap, RequestHead, ResponseHead } from "@heddle/http";
import type { Log, MetricScope } from "@heddle/telemetry";
import type { LiveRuntime } from "@heddle/traffic";
import type { ChainExchange } from "./chain-exchange.ts";
import type { Exchange, UpstreamChoice } from "./exchange.ts";
import type { TerminalFilter } from "./filter-chain.ts";

/**
 * "pause": nothing more of that direction passes this filter until `continueRequest` (`continueResponse`). Who pauses a request
 * until its body has come also says so (`askForBody`): clients may wait with it for a word of whom they have not reached.
 */
export type HeadResult = "continue" | "pause";

/**
 * - "continue": the chunk goes on.
 * - bytes: they go on in the chunk's place.
 * - "buffer": it is held back; above the buffer limit the request ends with 413 (a response with 500).
 * - "watermark": it is held back; above the buffer limit the sender is stopped instead.
 * - "drop": the filter has taken it.
 *
 * What was held back goes on, first, when the filter continues.
 */
export type DataResult = "continue" | "buffer" | "watermark" | "drop" | Uint8Array;

/** As for a head; bytes are the last of the body, which ends with them in place of the trailers. */
export type TrailersResult = HeadResult | Uint8Array;

/**
 * The phases of one exchange. All are optional; bodies pass a chain at once if none of its filters looks at them. Request phases run in the order of the list, response phases against it, `log` in order.
 * A phase must not block. What it throws ends this exchange with 500 (`filter_error`), and no other.
 *
 *   requestHead > requestData* > requestTrailers?
 *     > (router, once per attempt) selectUpstream > [connectFailure] > upstreamRequest
 *   responseHead < responseData* < responseTrailers?          (a local reply takes the same way back)
 *   log
 */
export interface HttpFilter {
  requestHead?(exchange: Exchange, endStream: boolean): HeadResult;
  /** `chunk` may be used until the call returns; copy what must live longer. */
  requestData?(exchange: Exchange, chunk: Uint8Array, endStream: boolean): DataResult;
  requestTrailers?(exchange: Exchange, trailers: HeaderMap): TrailersResult;

  /** Before each attempt. The first filter that answers decides; undefined leaves it to route and balancer. */
  selectUpstream?(exchange: Exchange, attempt: number): UpstreamChoice | undefined;
  /** No connection could be made. "retry" makes another attempt (within the attempts that limits allow). */
  connectFailure?(exchange: Exchange, failure: Failure, attempt: number): "default" | "retry" | "fail";
  /** The last look at the head as it goes to the upstream, a copy of `exchange.request` per attempt. */
  upstreamRequest?(exchange: Exchange, head: RequestHead, attempt: number): void;

  /** 1xx heads do not pass here, except 101. */
  responseHead?(exchange: Exchange, head: ResponseHead, endStream: boolean): HeadResult;
  responseData?(exchange: Exchange, chunk: Uint8Array, endStream: boolean): DataResult;
  responseTrailers?(exchange: Exchange, trailers: HeaderMap): TrailersResult;

  /** Once, after everything, however the exchange ended. For access logs and metrics; also the place to let go. */
  log?(exchange: Exchange): void;
}

/** What a filter gets besides its own configuration. */
export interface FilterContext {
  /** The filter's name in the chain. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Handles made here carry the listener's and the filter's name. Make them in `create`, add to them in phases. */
  readonly metrics: MetricScope;
  /** For settings that name a key of Envoy's runtime (`fractionSource`, `numberSource`). */
  readonly runtime: LiveRuntime;
}

/** Makes the filter of each exchange. One for each place in a chain, made when configuration changes. */
export interface HttpFilterFactory {
  /** May return one shared object if the filter keeps nothing between phases. */
  create(): HttpFilter;
  /** Of terminal types, and of them alone: makes what ends the chain for one exchange. */
  createTerminal?(exchange: ChainExchange): TerminalFilter;
  /** The configuration is gone and so is every exchange that used it. */
  close?(): void;
}

/** One thing wrong with a configuration. `path` is relative to what was handed in: "headers[0].name". */
export interface ConfigIssue {
  readonly path: string;
  /** What was found and what is allowed. */
  readonly message: string;
}

/**
 * A kind of HTTP filter: how its configuration is read and how it is built. `parse` runs where configuration is checked
 * (`heddle check`, the control plane, the sidecar before it ACKs), so a bad configuration is a NACK and never a surprise.
 */
export interface HttpFilterType<Config = unknown, RouteConfig = unknown> {
  /** Envoy's canonical name where it is Envoy's: "envoy.filters.http.router". */
  readonly name: string;
  /** Full message type of its configuration, and of its per-route configuration if it has one. */
  readonly configType: string;
  readonly routeConfigType?: string;
  /** The router: ends a chain and stands nowhere else. */
  readonly terminal?: boolean;
  parse(config: Json): Result<Config, readonly ConfigIssue[]>;
  parseRoute?(config: Json): Result<RouteConfig, readonly ConfigIssue[]>;
  /** Loads what `create` needs, where that is too much for those who do not use it. Awaited before `create`, each time. */
  load?(): Promise<void>;
  create(config: Config, context: FilterContext): HttpFilterFactory;
}

/**
 * What a module that `heddle.filters.http.v1.Module` names exports as `default`. Written with `defineFilter`:
 *
 *     export default defineFilter({
 *       parse: (config) => ok(config),
 *       create: (config, context) => ({ create: () => ({ requestHead(exchange) { …; return "continue"; } }) }),
 *     });
 */
export type FilterModule<Config = unknown, RouteConfig = unknown> = Pick<
  HttpFilterType<Config, RouteConfig>,
  "parse" | "parseRoute" | "create"
>;

export function defineFilter<Config, RouteConfig = never>(
  filter: FilterModule<Config, RouteConfig>,
): FilterModule<Config, RouteConfig> {
  return filter;
}
