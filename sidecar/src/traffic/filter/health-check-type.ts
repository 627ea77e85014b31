import { err, type Json, ok } from "@heddle/base";
import type { ConfigIssue, Exchange, HttpFilter, HttpFilterType, LocalReply } from "@heddle/filter";
import { ResponseFlag } from "@heddle/filter";
import type { RequestHead } from "@heddle/http";
import { compileHeaderMatcher, type HeaderMatcher, readHeaderMatcher } from "@heddle/traffic";
import { HttpExchange } from "../http/http-exchange.ts";
import { GrpcHealthCheck, type HealthOf, isGrpcHealthPath } from "./grpc-health-check.ts";

interface HealthCheckConfig {
  /** Checks go on to the upstream, unless `/healthcheck/fail` was said. */
  readonly passThrough: boolean;
  /** What makes a request a check: all of them. None: every request is one. */
  readonly matchers: readonly HeaderMatcher[];
  /** How much of a cluster has to be healthy, by its name. */
  readonly minHealthyPercent: readonly (readonly [cluster: string, percent: number])[];
}

/**
 * `envoy.filters.http.health_check`: answers the health checks of those before us, 503 after `/healthcheck/fail`. A check
 * that is a call of gRPC's health service is answered as such. While health checks fail
 * every other answer carries `x-envoy-immediate-health-check-fail`, so that an Envoy before us need not wait for its next check.
 */
export const healthCheckType: HttpFilterType<HealthCheckConfig> = {
  name: "envoy.filters.http.health_check",
  configType: "envoy.extensions.filters.http.health_check.v3.HealthCheck",
  parse(config) {
    const { passThroughMode, headers = [], clusterMinHealthyPercentages = {} } = config as Json & Fields;
    const issues: ConfigIssue[] = [];
    const matchers = headers.flatMap((json, index) => {
      const matcher = readHeaderMatcher(json);
      if (matcher.ok) return [compileHeaderMatcher(matcher.value)];
      issues.push({ path: `headers[${index}]`, message: matcher.error });
      return [];
    });
    const minHealthyPercent = Object.entries(clusterMinHealthyPercentages).map(
      ([cluster, { value = 0 }]) => [cluster, value] as const,
    );
    if (passThroughMode === true && minHealthyPercent.length > 0) {
      const message = "excludes passThroughMode: the upstream decides there";
      issues.push({ path: "clusterMinHealthyPercentages", message });
    }
    return issues.length > 0 ? err(issues) : ok({ passThrough: passThroughMode === true, matchers, minHealthyPercent });
  },
  create: (config) => ({ create: () => new HealthCheckFilter(config) }),
};

interface Fields {
  readonly passThroughMode?: boolean;
  readonly headers?: readonly Json[];
  readonly clusterMinHealthyPercentages?: Readonly<Record<string, { readonly value?: number }>>;
}

class HealthCheckFilter implements HttpFilter {
  readonly #config: HealthCheckConfig;
  #grpcCheck: GrpcHealthCheck | undefined = undefined;

  constructor(config: HealthCheckConfig) {
    this.#config = config;
  }

  requestHead(exchange: Exchange, endStream: boolean): "continue" | "pause" {
    if (!this.#isCheck(exchange.request)) return "continue";
    if (exchange instanceof HttpExchange) exchange.healthCheck = true;
    const failed = hasFailed(exchange);
    if (this.#config.passThrough && !failed) return "continue";
    if (exchange.isGrpc && isGrpcHealthPath(exchange.request.path)) {
      this.#grpcCheck = new GrpcHealthCheck(exchange, (service) => this.#healthOf(exchange, service));
      this.#grpcCheck.begin(endStream);
      return "pause";
    }
    exchange.reply(failed ? FAILED : this.#unhealthyCluster(exchange) ? CLUSTER_UNHEALTHY : HEALTHY);
    return "pause";
  }

  requestData(_exchange: Exchange, chunk: Uint8Array, endStream: boolean): "continue" | "drop" {
    if (this.#grpcCheck === undefined) return "continue";
    this.#grpcCheck.data(chunk, endStream);
    return "drop";
  }

  requestTrailers(): "continue" | "pause" {
    if (this.#grpcCheck === undefined) return "continue";
    this.#grpcCheck.end();
    return "pause";
  }

  responseHead(exchange: Exchange): "continue" {
    const { response } = exchange;
    if (response !== undefined && hasFailed(exchange) && !this.#isCheck(exchange.request)) {
      response.headers.set("x-envoy-immediate-health-check-fail", "true");
    }
    return "continue";
  }

  #isCheck(head: RequestHead): boolean {
    return this.#config.matchers.every((matcher) => matcher.matches(head));
  }

  /** "" is this proxy; a cluster that the configuration names can be asked after by its name. */
  #healthOf(exchange: Exchange, service: string): ReturnType<HealthOf> {
    if (service !== "" && !this.#config.minHealthyPercent.some(([name]) => name === service)) return undefined;
    const { details } = hasFailed(exchange)
      ? FAILED
      : this.#unhealthyCluster(exchange, service)
        ? CLUSTER_UNHEALTHY
        : HEALTHY;
    return { serving: details === HEALTHY.details, details };
  }

  /** `among`: that one alone; "": any of them. */
  #unhealthyCluster(exchange: Exchange, among = ""): boolean {
    if (!(exchange instanceof HttpExchange)) return false;
    const { clusters } = exchange.runtime;
    return this.#config.minHealthyPercent.some(([name, percent]) => {
      if (among !== "" && name !== among) return false;
      const priorities = clusters.get(name)?.endpoints?.priorities;
      if (priorities === undefined) return true;
      const total = priorities.reduce((sum, priority) => sum + priority.total, 0);
      const healthy = priorities.reduce((sum, priority) => sum + priority.healthy, 0);
      return total === 0 ? percent > 0 : healthy * 100 < percent * total;
    });
  }
}

function hasFailed(exchange: Exchange): boolean {
  return exchange instanceof HttpExchange && exchange.manager.env.serving.current.healthCheckFailed;
}

const HEALTHY: LocalReply = { status: 200, details: "health_check_ok" };
const FAILED: LocalReply = {
  status: 503,
  details: "health_check_failed",
  flags: ResponseFlag.FailedLocalHealthCheck,
};
const CLUSTER_UNHEALTHY: LocalReply = {
  status: 503,
  details: "health_check_failed_cluster_unhealthy",
  flags: ResponseFlag.FailedLocalHealthCheck,
};
