import { Live } from "@heddle/base";
import type { FilterChain, FilterContext, HttpFilterRegistry } from "@heddle/filter";
import {
  type AccessLogConfig,
  compileRouteConfiguration,
  type HttpConnectionManagerConfig,
  type HttpFilterConfig,
  NO_RUNTIME,
} from "@heddle/traffic";
import type { AccessLogger } from "../http/access-logger.ts";
import { HttpConnectionManager } from "../http/http-connection-manager.ts";
import type { HttpEnv } from "../http/http-env.ts";
import { LocalReplies } from "../http/local-replies.ts";
import { Tracer } from "../http/tracing/tracer.ts";
import type { TracingEnv } from "../http/tracing/tracing-env.ts";
import { DrainDecision, type DrainSubject } from "../listener/drain-decision.ts";
import type { TcpEnv } from "../network/tcp-env.ts";
import { buildFilterChain } from "./build-filter-chain.ts";
import { DiscoveredChain } from "./discovered-chain.ts";
import { type Extensions, FilterBuilder, NO_EXTENSIONS } from "./filter-builder.ts";

/** What building needs besides what the built parts need. */
export interface BuildEnv extends HttpEnv, TcpEnv {
  readonly runtime: HttpEnv["runtime"];
  readonly filters: HttpFilterRegistry;
  /** Left out: no filter's configuration is discovered. */
  readonly extensions?: Live<Extensions>;
  /** Left out where nobody takes spans. */
  readonly tracing?: TracingEnv;
  makeAccessLogger(configs: readonly AccessLogConfig[]): AccessLogger;
}

/** Builds the connection manager of one filter chain of a listener. Throws on configuration that was not validated. */
export function buildHttpConnectionManager(
  config: HttpConnectionManagerConfig,
  listener: {
    readonly name: string;
    readonly bufferLimitBytes: number;
    /** How clients reach the chain. */
    readonly scheme: "http" | "https";
  } & DrainSubject,
  env: BuildEnv,
): HttpConnectionManager {
  const log = env.log.with({ listener: listener.name });
  const metrics = env.metrics.scope("http", { envoy_http_conn_manager_prefix: config.statPrefix });
  const contextOf = (name: string): FilterContext => ({
    name,
    clock: env.clock,
    log: log.with({ filter: name }),
    metrics,
    runtime: env.runtimeValues ?? NO_RUNTIME,
  });
  const discovered: DiscoveredChain[] = [];
  const build = (filters: readonly HttpFilterConfig[], onChange: (chain: FilterChain) => void): FilterChain => {
    if (!filters.some(({ discovery }) => discovery !== undefined))
      return buildFilterChain(filters, env.filters, listener.bufferLimitBytes, contextOf);
    const builder = new FilterBuilder(env.filters, contextOf);
    const onBroken = (error: unknown): void =>
      log.error("a discovered filter cannot be built; the one before goes on", { error: String(error) });
    const { extensions = NONE_COME } = env;
    const chain = new DiscoveredChain(filters, builder, listener.bufferLimitBytes, extensions, onChange, onBroken);
    discovered.push(chain);
    return chain.current;
  };
  const chain = build(config.httpFilters, (next) => {
    manager.chain = next;
  });
  const upgradeChains = new Map(
    config.upgradeConfigs.flatMap(({ upgradeType, filters }) =>
      filters === undefined
        ? []
        : [[upgradeType, build(filters, (next) => void upgradeChains.set(upgradeType, next))] as const],
    ),
  );
  const inlineRoutes =
    config.routes.type === "inline"
      ? compileRouteConfiguration(config.routes.routeConfig, env.runtimeValues)
      : undefined;
  const manager = new HttpConnectionManager({
    config,
    chain,
    upgradeChains,
    scheme: listener.scheme,
    inlineRoutes,
    accessLogger: env.makeAccessLogger(config.accessLog),
    localReplies: config.localReply && new LocalReplies(config.localReply, env.random, env.runtimeValues),
    tracer: makeTracer(config, listener, env),
    drain: new DrainDecision(env.clock, env.random, env.drain, env.serving, listener),
    ...(discovered.length > 0 && {
      onClose: () => {
        for (const one of discovered) one.stop();
      },
    }),
    env,
  });
  return manager;
}

const NONE_COME = new Live(NO_EXTENSIONS);

function makeTracer(
  { tracing, statPrefix, manners }: HttpConnectionManagerConfig,
  { trafficDirection }: DrainSubject,
  env: BuildEnv,
): Tracer | undefined {
  const config = tracing ?? env.tracing?.everywhere;
  if (env.tracing === undefined || config === undefined) return undefined;
  return new Tracer({
    ...env.tracing,
    config,
    provider: env.tracing.provider,
    requestId: manners.requestId,
    operation: trafficDirection === "OUTBOUND" ? "egress" : "ingress",
    randomHex: env.randomHex,
    metrics: env.metrics,
    statPrefix,
    runtime: env.runtimeValues ?? NO_RUNTIME,
  });
}
