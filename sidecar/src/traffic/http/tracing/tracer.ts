import type { MetricScope, TraceContext } from "@heddle/telemetry";
import type { LiveRuntime, Propagator, RequestIdOptions, TracingConfig, TracingProvider } from "@heddle/traffic";
import type { HttpExchange } from "../http-exchange.ts";
import type { RandomHex } from "../random-hex.ts";
import { type CustomTag, compileCustomTags } from "./custom-tags.ts";
import { ExchangeSpan } from "./exchange-span.ts";
import { extractContext, injectContext, type ParentContext } from "./propagation.ts";
import { RuntimeSampling } from "./runtime-sampling.ts";
import type { SpanSink, TracingNode } from "./span-sink.ts";
import { allowsOverall, decideTrace, type TraceDecision, withReason } from "./trace-reason.ts";
import { TracingStats } from "./tracing-stats.ts";

export interface TracerOptions {
  readonly config: TracingConfig;
  /** Of the bootstrap, for where the connection manager names none. */
  readonly provider: TracingProvider | undefined;
  readonly requestId: RequestIdOptions;
  /** By the listener's `traffic_direction`: egress where it is OUTBOUND. */
  readonly operation: "ingress" | "egress";
  readonly node: TracingNode;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly sink: SpanSink;
  readonly randomHex: RandomHex;
  readonly metrics: MetricScope;
  readonly statPrefix: string;
  readonly runtime: LiveRuntime;
}

/**
 * The tracing of one connection manager, as Envoy's: decides which exchanges are traced, continues the caller's trace or begins
 * one, tells the upstream, and gives spans that were sampled to the sink.
 *
 * A parent that has decided is followed (Envoy's tracers do so as well); only where there is none, or it leaves the decision
 * to us, do `x-request-id` and the sampling percentages count.
 */
export class Tracer {
  readonly operation: "ingress" | "egress";
  readonly maxPathTagLength: number;
  readonly spawnUpstreamSpan: boolean;
  readonly customTags: readonly CustomTag[];
  readonly node: TracingNode;
  /** The key of the provider in the sink; "" where spans go nowhere. */
  readonly providerKey: string;
  readonly #options: TracerOptions;
  readonly #propagators: readonly Propagator[];
  readonly #stats: TracingStats;
  readonly #sampling: RuntimeSampling;
  readonly #routeTags = new WeakMap<object, readonly CustomTag[]>();

  constructor(options: TracerOptions) {
    const { config } = options;
    const provider = config.provider ?? options.provider;
    this.#options = options;
    this.operation = options.operation;
    this.maxPathTagLength = config.maxPathTagLength;
    this.spawnUpstreamSpan = config.spawnUpstreamSpan;
    this.customTags = compileCustomTags(config.customTags, options.environment);
    this.node = options.node;
    this.providerKey = exports(provider) ? JSON.stringify(provider) : "";
    this.#propagators = propagatorsOf(provider);
    this.#sampling = new RuntimeSampling(options.runtime);
    this.#stats = new TracingStats(options.metrics, options.statPrefix);
  }

  /** Begins the exchange's span: sets its trace, and in the request's head what the upstream shall know. */
  begin(exchange: HttpExchange): void {
    const { headers } = exchange.request;
    const { entry } = exchange.selectedRoute ?? NO_ROUTE;
    const { config, requestId } = this.#options;
    const sampling = this.#sampling.of(entry?.tracing?.sampling ?? config.sampling);
    const forcedBy = { client: headers.has("x-client-trace-id"), service: headers.has("x-envoy-force-trace") };
    const decision = requestId.decidesTrace
      ? decideTrace(exchange.requestId, sampling, forcedBy, exchange.random)
      : ALWAYS;
    if (decision.fresh && requestId.packsTraceReason) {
      exchange.requestId = withReason(exchange.requestId, decision.reason);
      headers.set("x-request-id", exchange.requestId);
    }
    const traced =
      decision === ALWAYS || (decision.reason !== "not-traceable" && allowsOverall(exchange.requestId, sampling));
    this.#count(decision, traced);

    const parent = extractContext(headers, this.#propagators);
    const context = this.#contextOf(parent, traced);
    exchange.trace = context;
    const span = new ExchangeSpan(this, exchange, context, entry?.decorator);
    exchange.span = span;
    this.inject(exchange, context);
    span.tellOperation(headers);
  }

  inject(exchange: HttpExchange, context: TraceContext): void {
    injectContext(exchange.request.headers, context, this.#propagators);
  }

  /** An id for another span of the trace. */
  newSpanId(): string {
    return spanIdOf(this.#options.randomHex.traceparent());
  }

  /** The connection manager's tags and the route's. */
  tagsFor(exchange: HttpExchange): readonly CustomTag[] {
    const tracing = exchange.selectedRoute?.entry.tracing;
    if (tracing === undefined || tracing.customTags.length === 0) return this.customTags;
    let tags = this.#routeTags.get(tracing);
    if (tags === undefined) {
      // As in Envoy a route's tag stands in the place of the connection manager's of that name.
      const own = new Set(tracing.customTags.map(({ tag }) => tag));
      const inherited = this.#options.config.customTags.filter(({ tag }) => !own.has(tag));
      tags = compileCustomTags([...inherited, ...tracing.customTags], this.#options.environment);
      this.#routeTags.set(tracing, tags);
    }
    return tags;
  }

  get sink(): SpanSink {
    return this.#options.sink;
  }

  #contextOf(parent: ParentContext | undefined, traced: boolean): TraceContext {
    const fresh = this.#options.randomHex.traceparent();
    const sampled = parent?.sampled ?? traced;
    const spanId = spanIdOf(fresh);
    if (parent === undefined || parent.traceId === "") {
      return { traceId: fresh.substring(3, 35), spanId, parentSpanId: "", sampled, traceState: "" };
    }
    return { traceId: parent.traceId, spanId, parentSpanId: parent.spanId, sampled, traceState: parent.traceState };
  }

  #count({ reason }: TraceDecision, traced: boolean): void {
    this.#stats.count(traced ? reason : "not-traceable");
  }
}

const NO_ROUTE = { entry: undefined };
/** As in Envoy not even `overall_sampling` is asked where ids decide nothing. */
const ALWAYS: TraceDecision = { reason: "sampled", fresh: false };

function spanIdOf(traceparent: string): string {
  return traceparent.substring(36, 52);
}

function exports(provider: TracingProvider | undefined): boolean {
  return provider !== undefined && (provider.type === "zipkin" || provider.exporter !== undefined);
}

function propagatorsOf(provider: TracingProvider | undefined): readonly Propagator[] {
  if (provider === undefined) return ["w3c"];
  return provider.type === "zipkin" ? ["b3multi", "b3"] : provider.propagators;
}
