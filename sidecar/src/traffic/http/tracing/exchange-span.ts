import { GrpcStatus } from "@heddle/base";
import { grpcStatusOf, type HeaderMap, isGrpcRequest } from "@heddle/http";
import { formatResponseFlags, type TraceContext } from "@heddle/telemetry";
import type { DecoratorConfig } from "@heddle/traffic";
import type { HttpExchange } from "../http-exchange.ts";
import type { Tracer } from "./tracer.ts";

const OPERATION_HEADER = "x-envoy-decorator-operation";

/**
 * The span of one exchange, with the names and tags of Envoy's OpenTelemetry tracer. Nothing is gathered while the exchange
 * runs: what a span tells is read from the exchange when it has ended, and only if it was sampled.
 */
export class ExchangeSpan {
  readonly #tracer: Tracer;
  readonly #exchange: HttpExchange;
  readonly #context: TraceContext;
  readonly #decorator: DecoratorConfig | undefined;
  /** "" as long as nobody has named the operation. */
  #operation: string;
  /** The decorator's name is not told the client: its own request has said another one. */
  #overridden = false;

  constructor(tracer: Tracer, exchange: HttpExchange, context: TraceContext, decorator: DecoratorConfig | undefined) {
    this.#tracer = tracer;
    this.#exchange = exchange;
    this.#context = context;
    this.#decorator = decorator;
    this.#operation = decorator?.operation ?? "";
  }

  /** Names the operation to the next proxy, or learns it from the one before. */
  tellOperation(request: HeaderMap): void {
    if (this.#tracer.operation === "egress") {
      if (this.#decorator?.propagate) request.set(OPERATION_HEADER, this.#decorator.operation);
      return;
    }
    const given = request.get(OPERATION_HEADER);
    if (given === undefined) return;
    if (given !== "") {
      this.#operation = given;
      this.#overridden = true;
    }
    request.remove(OPERATION_HEADER);
  }

  /** The same on the way back. */
  onResponse(response: HeaderMap): void {
    if (this.#tracer.operation === "ingress") {
      if (this.#decorator?.propagate && !this.#overridden) response.set(OPERATION_HEADER, this.#decorator.operation);
      return;
    }
    const given = response.get(OPERATION_HEADER);
    if (given === undefined) return;
    if (given !== "") this.#operation = given;
    response.remove(OPERATION_HEADER);
  }

  /** An attempt begins. Undefined where attempts have no spans of their own; `wanted`: the router wants one (`start_child_span`). */
  beginAttempt(wanted: boolean): AttemptSpan | undefined {
    if (!wanted && !this.#tracer.spawnUpstreamSpan) return undefined;
    const parent = this.#context;
    const context = { ...parent, spanId: this.#tracer.newSpanId(), parentSpanId: parent.spanId };
    this.#tracer.inject(this.#exchange, context);
    return new AttemptSpan(this.#tracer, this.#exchange, context);
  }

  /** The exchange has ended. */
  end(): void {
    const tracer = this.#tracer;
    if (!this.#context.sampled || tracer.providerKey === "") return;
    const exchange = this.#exchange;
    const { request, downstream } = exchange;
    const { headers } = request;
    const attributes: string[] = [];
    attributes.push("node_id", tracer.node.id, "zone", tracer.node.zone);
    if (exchange.requestId !== "") attributes.push("guid:x-request-id", exchange.requestId);
    attributes.push(
      "http.url", urlOf(exchange, tracer.maxPathTagLength),
      "http.method", request.method,
      "downstream_cluster", headers.get("x-envoy-downstream-service-cluster") ?? "-",
      "user_agent", headers.get("user-agent") ?? "-",
      "http.protocol", `HTTP/${request.httpVersion}`,
      "peer.address", downstream.directRemoteAddress,
    ); // biome-ignore format: a table
    const clientTraceId = headers.get("x-client-trace-id");
    if (clientTraceId !== undefined) attributes.push("guid:x-client-trace-id", clientTraceId);
    attributes.push(
      "request_size", String(exchange.requestBodyBytes),
      "response_size", String(exchange.responseBodyBytes),
    ); // biome-ignore format: a table
    const status = exchange.response?.status ?? 0;
    addCommon(exchange, tracer, status, attributes);
    const grpcFailed = addGrpc(exchange, status, attributes);
    // A proxy that makes a span of each attempt is a hop of its own: a server to its client (Envoy's getSpanKind).
    const kind = !tracer.spawnUpstreamSpan && tracer.operation === "egress" ? "client" : "server";
    tracer.sink.add(tracer.providerKey, {
      traceId: this.#context.traceId,
      spanId: this.#context.spanId,
      parentSpanId: this.#context.parentSpanId,
      traceState: this.#context.traceState,
      name: this.#operation === "" ? defaultName(tracer, request.authority) : this.#operation,
      kind,
      startWallMs: exchange.startWallMs,
      durationMs: exchange.endMs - exchange.startMs,
      isError: grpcFailed || isErrorStatus(status, kind),
      attributes,
    });
  }
}

/** The span of one attempt: "router <cluster> egress", a child of the exchange's. */
export class AttemptSpan {
  readonly #tracer: Tracer;
  readonly #exchange: HttpExchange;
  readonly #context: TraceContext;
  readonly #cluster: string;
  readonly #address: string;
  readonly #attempt: number;
  readonly #startedMs: number;

  constructor(tracer: Tracer, exchange: HttpExchange, context: TraceContext) {
    const { upstream } = exchange;
    this.#tracer = tracer;
    this.#exchange = exchange;
    this.#context = context;
    this.#cluster = upstream.cluster;
    this.#address = upstream.address;
    this.#attempt = upstream.attempts;
    this.#startedMs = exchange.now();
  }

  /** `status`: of the upstream's answer; 0 where none came. */
  end(status: number): void {
    const tracer = this.#tracer;
    if (!this.#context.sampled || tracer.providerKey === "") return;
    const exchange = this.#exchange;
    const attributes: string[] = [];
    if (this.#attempt > 1) attributes.push("retry.count", String(this.#attempt - 1));
    attributes.push(
      "http.protocol",
      `HTTP/${exchange.upstream.httpVersion}`,
      "peer.address",
      this.#address,
      "upstream_address",
      this.#address,
    );
    addCommon(exchange, tracer, status, attributes);
    const now = exchange.now();
    tracer.sink.add(tracer.providerKey, {
      traceId: this.#context.traceId,
      spanId: this.#context.spanId,
      parentSpanId: this.#context.parentSpanId,
      traceState: this.#context.traceState,
      name: `router ${this.#cluster} egress`,
      kind: "client",
      startWallMs: exchange.startWallMs + (this.#startedMs - exchange.startMs),
      durationMs: now - this.#startedMs,
      isError: isErrorStatus(status, "client"),
      attributes,
    });
  }
}

/** What spans of exchanges and of attempts have in common (Envoy's setCommonTags). */
function addCommon(exchange: HttpExchange, tracer: Tracer, status: number, attributes: string[]): void {
  const { cluster } = exchange.upstream;
  attributes.push("component", "proxy");
  if (cluster !== "") {
    const statName = exchange.runtime.clusters.get(cluster)?.config.statName ?? cluster;
    attributes.push("upstream_cluster", cluster, "upstream_cluster.name", statName);
  }
  attributes.push("http.status_code", String(status), "response_flags", formatResponseFlags(exchange.responseFlags));
  if (status === 0 || status >= 500) attributes.push("error", "true");
  for (const tag of tracer.tagsFor(exchange)) tag(exchange, attributes);
}

/** What is told of a gRPC call. True: it failed by the fault of who serves it (Envoy's addGrpcResponseTags). */
function addGrpc(exchange: HttpExchange, httpStatus: number, attributes: string[]): boolean {
  const { request, response, responseTrailers } = exchange;
  if (!isGrpcRequest(request)) return false;
  attributes.push("grpc.path", request.path, "grpc.authority", request.authority);
  attributes.push("grpc.content_type", request.headers.get("content-type") ?? "");
  const timeout = request.headers.get("grpc-timeout");
  if (timeout !== undefined) attributes.push("grpc.timeout", timeout);
  const of = responseTrailers?.has("grpc-status") ? responseTrailers : response?.headers;
  const status = of?.get("grpc-status");
  if (of === undefined || status === undefined) return false;
  attributes.push("grpc.status_code", status);
  const message = of.get("grpc-message");
  if (message !== undefined) attributes.push("grpc.message", message);
  const failed = SERVERS_FAULT.has(grpcStatusOf(of) ?? GrpcStatus.Ok);
  if (failed && httpStatus > 0 && httpStatus < 500) attributes.push("error", "true"); // above that it stands there
  return failed;
}

/** grpc/doc/statuscodes.md; the others tell of what the caller has asked for. */
const SERVERS_FAULT: ReadonlySet<number> = new Set([
  GrpcStatus.Unknown,
  GrpcStatus.DeadlineExceeded,
  GrpcStatus.ResourceExhausted,
  GrpcStatus.Unimplemented,
  GrpcStatus.Internal,
  GrpcStatus.Unavailable,
  GrpcStatus.DataLoss,
]);

function defaultName(tracer: Tracer, authority: string): string {
  return tracer.operation === "egress" ? `egress ${authority}` : "ingress";
}

/** As the client sees it; Envoy reads the scheme from x-forwarded-proto. */
function urlOf({ request }: HttpExchange, maxPathLength: number): string {
  const { headers } = request;
  const path = headers.get("x-envoy-original-path") ?? request.path;
  const scheme = headers.get("x-forwarded-proto") ?? request.scheme;
  return `${scheme}://${request.authority}${path.length > maxPathLength ? path.slice(0, maxPathLength) : path}`;
}

/** https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status: 4xx is an error of the client alone. */
function isErrorStatus(status: number, kind: "server" | "client"): boolean {
  return status === 0 || status >= (kind === "client" ? 400 : 500);
}
