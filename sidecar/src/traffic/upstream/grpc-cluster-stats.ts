import { GrpcStatus } from "@heddle/base";
import type { HeaderMap } from "@heddle/http";
import { grpcStatusOf } from "@heddle/http";
import type { Counter, Histogram, MetricScope } from "@heddle/telemetry";

/** As Envoy's names have it: calls that came as gRPC-Web are counted apart by the filter that bridges them. */
export type GrpcProtocol = "grpc" | "grpc-web";

/**
 * The gRPC statistics of one cluster: `cluster.<name>.grpc.<service>.<method>.…`, or without service and method. Names come
 * from paths, so callers choose them: methods beyond a number, or with long names, are counted without their names.
 */
export class GrpcClusterStats {
  readonly #scope: MetricScope;
  readonly #unnamed = new Map<GrpcProtocol, GrpcCallStats>();
  readonly #byMethod = new Map<string, GrpcCallStats>();

  /** The cluster's. */
  constructor(scope: MetricScope) {
    this.#scope = scope;
  }

  /** Of all calls together. */
  ofAll(protocol: GrpcProtocol): GrpcCallStats {
    let stats = this.#unnamed.get(protocol);
    if (stats === undefined) {
      stats = new GrpcCallStats(this.#scope.scope(protocol));
      this.#unnamed.set(protocol, stats);
    }
    return stats;
  }

  ofMethod(protocol: GrpcProtocol, service: string, method: string): GrpcCallStats {
    const key = `${protocol}/${service}/${method}`; // neither holds a slash
    let stats = this.#byMethod.get(key);
    if (stats === undefined) {
      if (key.length > MAX_NAME_LENGTH || this.#byMethod.size >= MAX_METHODS) return this.ofAll(protocol);
      const labels = { envoy_grpc_bridge_service: service, envoy_grpc_bridge_method: method };
      stats = new GrpcCallStats(this.#scope.scope(protocol, labels));
      this.#byMethod.set(key, stats);
    }
    return stats;
  }
}

/** Counters of one method, or of all. Each begins with the first that it counts. */
export class GrpcCallStats {
  readonly #scope: MetricScope;
  readonly #counters = new Map<string, Counter>();
  #upstreamTime: Histogram | undefined = undefined;

  constructor(scope: MetricScope) {
    this.#scope = scope;
  }

  /** Counts a call by the status in that head or those trailers; nothing where they have none. */
  countStatus(headers: HeaderMap): void {
    const status = grpcStatusOf(headers);
    if (status === undefined) return;
    // An upstream chooses what it says: what gRPC does not know has no series of its own.
    if (status >= GrpcStatus.Ok && status <= GrpcStatus.Unauthenticated) this.#add(String(status), 1);
    this.#add(status === GrpcStatus.Ok ? "success" : "failure", 1);
    this.#add("total", 1);
  }

  countRequestMessages(count: number): void {
    this.#add("request_message_count", count);
  }

  countResponseMessages(count: number): void {
    this.#add("response_message_count", count);
  }

  /** In ms, from the request's last byte to the response's. */
  recordUpstreamTime(ms: number): void {
    this.#upstreamTime ??= this.#scope.histogram("upstream_rq_time");
    this.#upstreamTime.record(ms);
  }

  #add(name: string, by: number): void {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = this.#scope.counter(name);
      this.#counters.set(name, counter);
    }
    counter.add(by);
  }
}

/** Of a cluster. Some ten series each, of 8 bytes in shared memory and some hundred beside. */
const MAX_METHODS = 500;
const MAX_NAME_LENGTH = 256;
