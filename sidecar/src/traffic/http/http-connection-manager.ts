import { type Failure, ThrowPlaces } from "@heddle/base";
import type { DownstreamInfo, FilterChain } from "@heddle/filter";
import { defaultHttpLimits, type H1ServerOptions, type H2ServerOptions, HeaderMap, ResponseHead } from "@heddle/http";
import type { Connection } from "@heddle/net";
import type { AccessLogType } from "@heddle/telemetry";
import { type HttpConnectionManagerConfig, nameFrom, type RouteTable } from "@heddle/traffic";
import { Http2Stats } from "../http2/http2-stats.ts";
import type { DrainDecision } from "../listener/drain-decision.ts";
import type { NetworkFilter } from "../network/network-filter.ts";
import type { AccessLogger } from "./access-logger.ts";
import { ExchangeLogSource } from "./exchange-log-source.ts";
import { appendVia } from "./forwarded-headers.ts";
import { HttpConnection } from "./http-connection.ts";
import type { HttpEnv } from "./http-env.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { HttpStats } from "./http-stats.ts";
import type { LocalReplies } from "./local-replies.ts";
import { RequestPreparation } from "./prepare-request.ts";
import { addProxyStatus } from "./proxy-status.ts";
import type { Tracer } from "./tracing/tracer.ts";
import type { TrafficRuntime } from "./traffic-runtime.ts";
import { VirtualClusters } from "./virtual-clusters.ts";

/** How a connection manager is put together; everything in it has been built. */
export interface HttpConnectionManagerParts {
  readonly config: HttpConnectionManagerConfig;
  readonly chain: FilterChain;
  /** Chains of their own that upgrades have, by the type of upgrade (`upgrade_configs[].filters`). */
  readonly upgradeChains: ReadonlyMap<string, FilterChain>;
  /** How clients reach it: "https" behind TLS. Left out: "http". */
  readonly scheme?: "http" | "https";
  /** Of an inline route configuration; undefined where the table comes by name from the runtime. */
  readonly inlineRoutes: RouteTable | undefined;
  readonly accessLogger: AccessLogger;
  /** Undefined: local replies stay as they are. */
  readonly localReplies: LocalReplies | undefined;
  /** Undefined: trace context is passed on, and no span is made. */
  readonly tracer: Tracer | undefined;
  /** Closed together with the manager. */
  readonly drain: DrainDecision;
  /** Called when the manager is closed, before its chains are. */
  readonly onClose?: () => void;
  readonly env: HttpEnv;
}

/**
 * `envoy.filters.network.http_connection_manager`: turns connections into exchanges. One for each filter chain of a
 * listener, shared by all its connections; it is immutable but for discovered filters, and what changes without it (routes,
 * clusters) is read from the runtime once per exchange.
 */
export class HttpConnectionManager implements NetworkFilter {
  readonly config: HttpConnectionManagerConfig;
  /** Of exchanges to come: where a filter's configuration is discovered, it is replaced with each that comes. */
  chain: FilterChain;
  readonly upgradeChains: ReadonlyMap<string, FilterChain>;
  readonly env: HttpEnv;
  readonly stats: HttpStats;
  readonly virtualClusters: VirtualClusters;
  readonly tracer: Tracer | undefined;
  readonly localReplies: LocalReplies | undefined;
  /** Shows one exchange at a time to logs; see `HttpExchange.logSource`. */
  readonly logSource: ExchangeLogSource;
  readonly preparation: RequestPreparation;
  readonly codecOptions: H1ServerOptions;
  readonly http2Options: H2ServerOptions;
  /** Of all connection managers together, as in Envoy. */
  readonly http2Stats: Http2Stats;
  readonly drain: DrainDecision;
  readonly #inlineRoutes: RouteTable | undefined;
  readonly #onClose: (() => void) | undefined;
  /** Under which the runtime has the route table that came by RDS. */
  /** The key of the route configuration that comes by RDS; "" where it is inline. */
  readonly routesName: string;
  readonly #accessLogger: AccessLogger;
  /** Those whose stack has been logged. */
  readonly #reported = new ThrowPlaces();

  constructor(parts: HttpConnectionManagerParts) {
    const { config, chain, upgradeChains, inlineRoutes, accessLogger, localReplies, drain, tracer, env } = parts;
    const { scheme = "http" } = parts;
    this.config = config;
    this.chain = chain;
    this.upgradeChains = upgradeChains;
    this.env = env;
    this.logSource = new ExchangeLogSource(env.format);
    this.tracer = tracer;
    this.virtualClusters = new VirtualClusters(env.metrics);
    this.stats = new HttpStats(env.metrics, config.statPrefix);
    const limits = {
      ...defaultHttpLimits,
      maxHeadBytes: config.maxRequestHeadersKb * 1024,
      maxHeaderCount: config.maxHeadersCount,
    };
    this.codecOptions = {
      scheme,
      ignoresForeign: config.codecType === "AUTO", // it may be a preface that went wrong (RFC 9113 §3.4)
      allowAbsoluteUrl: config.manners.allowAbsoluteUrl,
      allowCustomMethods: config.manners.allowCustomMethods,
      ...(config.manners.headerNames !== undefined && { headerNames: config.manners.headerNames }),
      refusalFields: () => this.#refusalFields(),
      limits,
    };
    this.http2Stats = new Http2Stats(env.metrics.scope("http2"));
    this.http2Options = {
      ...config.http2,
      scheme,
      streamBufferBytes: Math.min(config.http2.initialStreamWindowSize, MAX_STREAM_BUFFER_BYTES),
      allowCustomMethods: config.manners.allowCustomMethods,
      limits,
      stats: this.http2Stats,
    };
    this.preparation = new RequestPreparation(config, scheme, () => env.randomHex.uuid());
    this.#inlineRoutes = inlineRoutes;
    const { routes } = config;
    this.routesName = routes.type === "rds" ? nameFrom(routes.routeConfigName, routes.source?.from) : "";
    this.#accessLogger = accessLogger;
    this.localReplies = localReplies;
    this.drain = drain;
    this.#onClose = parts.onClose;
  }

  /** Serves a connection from now on. `onClosed` is called once, when it is closed. */
  serve(connection: Connection, downstream: DownstreamInfo, onClosed: () => void): HttpConnection {
    return new HttpConnection(this, connection, downstream, onClosed);
  }

  drainGradually(): void {
    this.drain.begin();
  }

  close(): void {
    this.#onClose?.();
    this.drain.close();
    this.chain.close();
    for (const chain of this.upgradeChains.values()) chain.close();
    this.#accessLogger.close();
  }

  routeTable(runtime: TrafficRuntime): RouteTable | undefined {
    const { routes } = this.config;
    return routes.type === "rds" ? runtime.routeTables.get(this.routesName) : this.#inlineRoutes;
  }

  /** What every answer gets, whoever gave it. */
  prepareResponse(head: ResponseHead, exchange: HttpExchange): void {
    const { config } = this;
    const { headers } = head;
    if (config.manners.proxyStatus !== undefined) addProxyStatus(head, exchange, config.manners.proxyStatus);
    let hasServer = false;
    let hasDate = false;
    const { fields } = headers;
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] === "date") hasDate = true;
      else if (fields[i] === "server") hasServer = true;
    }
    switch (config.serverHeaderTransformation) {
      case "OVERWRITE":
        if (hasServer) headers.set("server", config.serverName);
        else headers.append("server", config.serverName);
        break;
      case "APPEND_IF_ABSENT":
        if (!hasServer) headers.append("server", config.serverName);
        break;
      case "PASS_THROUGH":
        break;
      default:
        throw new Error(`unknown transformation ${String(config.serverHeaderTransformation satisfies never)}`);
    }
    if (head.status >= 200 && !hasDate) headers.append("date", this.env.date.value);
    if (config.via !== "") appendVia(headers, config.via);
    const wantsId =
      config.alwaysSetRequestIdInResponse || (exchange.internal && exchange.request.headers.has("x-envoy-force-trace"));
    if (wantsId && exchange.requestId !== "") headers.set("x-request-id", exchange.requestId);
  }

  /** Of answers that the codec gives by itself. */
  #refusalFields(): string {
    const { serverName, serverHeaderTransformation } = this.config;
    const date = `date: ${this.env.date.value}\r\n`;
    return serverHeaderTransformation === "PASS_THROUGH" ? date : `${date}server: ${serverName}\r\n`;
  }

  continueHead(): ResponseHead {
    return new ResponseHead(100, new HeaderMap());
  }

  exchangeEnded(exchange: HttpExchange): void {
    const { stats } = this;
    stats.rqActive.add(-1);
    stats.rqTime.record(exchange.endMs - exchange.startMs);
    const { response } = exchange;
    if (exchange.responseBegun && response !== undefined && !exchange.healthCheck) stats.countResponse(response.status);
    if (exchange.virtualCluster !== undefined) exchange.virtualCluster.count(exchange);
    if (exchange.span !== undefined) exchange.span.end();
    this.logExchange(exchange, "DownstreamEnd");
  }

  logExchange(exchange: HttpExchange, type: AccessLogType): void {
    try {
      this.#accessLogger.log(exchange, type);
    } catch (error) {
      this.reportCrash(error, undefined);
    }
  }

  /** Something threw. Counted always; the stack is logged once for each place, or a broken filter would fill the disk. */
  reportCrash(error: unknown, filterName: string | undefined): void {
    this.stats.internalError.add();
    if (!this.#reported.isNew(error)) return;
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.env.log.error("an exchange was ended by an exception", { filter: filterName ?? "", stack });
  }

  reportPrematureResets({ directRemoteAddress, listener }: DownstreamInfo): void {
    this.stats.rqTooManyPrematureResets.add();
    this.env.log.info("a client that takes its requests back too often was cut off", {
      client: directRemoteAddress,
      listener,
    });
  }

  logProtocolError(reason: Failure, answeredStatus: number | undefined, downstream: DownstreamInfo): void {
    this.env.log.info("a client broke the protocol", {
      client: downstream.directRemoteAddress,
      listener: downstream.listener,
      reason: reason.detail,
      answered: answeredStatus ?? 0,
    });
  }
}

/**
 * Of one stream's answer, whatever its window: as in Envoy the window that a client gets for its requests is also what we keep
 * for it, and a large one shall not let it keep the same of us.
 */
const MAX_STREAM_BUFFER_BYTES = 1024 * 1024;
