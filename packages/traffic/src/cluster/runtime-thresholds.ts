import { type LiveRuntime, unsignedOf } from "../runtime/live-runtime.ts";
import type { RuntimeValues } from "../runtime/runtime-values.ts";
import type { CircuitBreakerThresholds } from "./cluster-config.ts";

/**
 * The limits of a cluster and priority with what the runtime says of them (`circuit_breakers.<cluster>.<priority>.max_requests`,
 * as Envoy's `ResourceManagerImpl`).
 */
export function thresholdsBy(
  get: (key: string) => RuntimeValues[string] | undefined,
  configured: CircuitBreakerThresholds,
  clusterName: string,
  priority: "default" | "high",
): CircuitBreakerThresholds {
  const said = (key: string, limit: number): number =>
    unsignedOf(get(`circuit_breakers.${clusterName}.${priority}.${key}`)) ?? limit;
  return {
    maxConnections: said("max_connections", configured.maxConnections),
    maxPendingRequests: said("max_pending_requests", configured.maxPendingRequests),
    maxRequests: said("max_requests", configured.maxRequests),
    maxRetries: said("max_retries", configured.maxRetries),
  };
}

/**
 * The same, as it is at each look. The keys are looked up when the runtime has changed, and not per request; ten thousand clusters
 * hold one such object each.
 */
export class RuntimeThresholds implements CircuitBreakerThresholds {
  readonly #configured: CircuitBreakerThresholds;
  readonly #clusterName: string;
  readonly #runtime: LiveRuntime;
  #seen = 0; // of a runtime in which nothing has been published
  #now: CircuitBreakerThresholds;

  /** Of the default priority, the one that is counted. */
  constructor(configured: CircuitBreakerThresholds, clusterName: string, runtime: LiveRuntime) {
    this.#configured = configured;
    this.#clusterName = clusterName;
    this.#runtime = runtime;
    this.#now = configured;
  }

  get maxConnections(): number {
    return this.#current.maxConnections;
  }

  get maxPendingRequests(): number {
    return this.#current.maxPendingRequests;
  }

  get maxRequests(): number {
    return this.#current.maxRequests;
  }

  get maxRetries(): number {
    return this.#current.maxRetries;
  }

  get #current(): CircuitBreakerThresholds {
    if (this.#seen !== this.#runtime.version) {
      this.#seen = this.#runtime.version;
      this.#now = thresholdsBy((key) => this.#runtime.get(key), this.#configured, this.#clusterName, "default");
    }
    return this.#now;
  }
}
