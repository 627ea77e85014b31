import { backoffMs, type Failure } from "@heddle/base";
import { ResponseFlag } from "@heddle/filter";
import type { ResponseHead } from "@heddle/http";
import type { RetryDecision, RetryPolicy } from "@heddle/traffic";
import type { HttpExchange } from "../http/http-exchange.ts";
import type { Cluster } from "../upstream/cluster.ts";
import { retryDecision } from "./retry-policies.ts";

/** The retries of one exchange, where its route has a policy. While one runs it holds a place of the circuit breaker. */
export class RetryState {
  readonly #policy: RetryPolicy;
  readonly #decision: RetryDecision;
  #retries = 0;
  #holding: Cluster | undefined = undefined;

  constructor(policy: RetryPolicy) {
    this.#policy = policy;
    this.#decision = retryDecision(policy);
  }

  /** 0: none but the route's. */
  get perTryTimeoutMs(): number {
    return this.#policy.perTryTimeoutMs;
  }

  get retries(): number {
    return this.#retries;
  }

  names(result: ResponseHead | Failure): boolean {
    return "kind" in result ? this.#decision.retriesFailure(result) : this.#decision.retriesResponse(result);
  }

  /**
   * Begins another retry: the pause before it in ms. Undefined: the policy's retries or those of the cluster are used up,
   * which a flag of the exchange then tells.
   */
  begin(cluster: Cluster, exchange: HttpExchange): number | undefined {
    this.release();
    const { numRetries, baseIntervalMs, maxIntervalMs } = this.#policy;
    if (this.#retries >= numRetries) {
      cluster.stats.rqRetryLimitExceeded.add();
      exchange.responseFlags |= ResponseFlag.UpstreamRetryLimitExceeded;
      return undefined;
    }
    if (!cluster.breaker.tryAcquireRetry()) {
      cluster.stats.rqRetryOverflow.add();
      exchange.responseFlags |= ResponseFlag.UpstreamOverflow;
      return undefined;
    }
    this.#holding = cluster;
    cluster.stats.rqRetry.add();
    const { random } = exchange.manager.env;
    const limits = { baseMs: baseIntervalMs, maxMs: maxIntervalMs };
    return backoffMs(this.#retries++, limits, () => random() / RANDOM_RANGE);
  }

  /** The retry has ended, or its answer has begun. */
  release(): void {
    this.#holding?.breaker.releaseRetry();
    this.#holding = undefined;
  }
}

const RANDOM_RANGE = 2 ** 32;
