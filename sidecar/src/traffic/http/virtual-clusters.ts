import { ResponseFlag } from "@heddle/filter";
import type { RequestHead } from "@heddle/http";
import type { Counter, Histogram, MetricScope } from "@heddle/telemetry";
import { compileHeaderMatcher, type HeaderMatcher, type VirtualHost } from "@heddle/traffic";
import type { HttpExchange } from "./http-exchange.ts";

/** Envoy's name for requests that match none of a host's virtual clusters. */
const OTHER = "other";

/**
 * Statistics of a part of a virtual host's requests (`virtual_clusters`): `vhost.<host>.vcluster.<name>.upstream_rq_*`. The
 * connection manager matches a request when it is routed, and counts it when it has ended.
 */
export class VirtualClusters {
  readonly #metrics: MetricScope;
  readonly #hosts = new WeakMap<VirtualHost, CompiledHost>();

  constructor(metrics: MetricScope) {
    this.#metrics = metrics;
  }

  /** The first that matches, as in Envoy. To be called for hosts that have any. */
  match(host: VirtualHost, head: RequestHead): VirtualCluster {
    let compiled = this.#hosts.get(host);
    if (compiled === undefined) {
      compiled = this.#compile(host);
      this.#hosts.set(host, compiled);
    }
    for (const [matchers, cluster] of compiled.clusters) {
      if (matchers.every((matcher) => matcher.matches(head))) return cluster;
    }
    return compiled.other;
  }

  #compile({ name, virtualClusters = [] }: VirtualHost): CompiledHost {
    return {
      clusters: virtualClusters.map((cluster) => [
        cluster.headers.map(compileHeaderMatcher),
        new VirtualCluster(this.#metrics, name, cluster.name),
      ]),
      other: new VirtualCluster(this.#metrics, name, OTHER),
    };
  }
}

interface CompiledHost {
  readonly clusters: readonly (readonly [readonly HeaderMatcher[], VirtualCluster])[];
  readonly other: VirtualCluster;
}

export class VirtualCluster {
  /** For logs. "": it stands for what matches none, which has no name there, as in Envoy. */
  readonly name: string;
  readonly #scope: MetricScope;
  readonly #total: Counter;
  readonly #completed: Counter;
  readonly #timeouts: Counter;
  readonly #retries: Counter;
  readonly #time: Histogram;
  /** By hundreds: place 2 counts 2xx. */
  readonly #byClass: readonly Counter[];
  readonly #byCode = new Map<number, Counter>();

  constructor(metrics: MetricScope, virtualHost: string, name: string) {
    const labels = { envoy_virtual_host: virtualHost, envoy_virtual_cluster: name };
    const scope = metrics.scope("vhost.vcluster", labels);
    this.name = name === OTHER ? "" : name;
    this.#scope = scope;
    this.#total = scope.counter("upstream_rq_total");
    this.#completed = scope.counter("upstream_rq_completed");
    this.#timeouts = scope.counter("upstream_rq_timeout");
    this.#retries = scope.counter("upstream_rq_retry");
    this.#time = scope.histogram("upstream_rq_time");
    this.#byClass = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"].map((of) => scope.counter(`upstream_rq_${of}`));
  }

  /** The exchange has ended. */
  count({ upstream, response, responseFlags, startMs, endMs }: HttpExchange): void {
    this.#total.add();
    if (upstream.attempts > 1) this.#retries.add(upstream.attempts - 1);
    if ((responseFlags & ResponseFlag.UpstreamRequestTimeout) !== 0) this.#timeouts.add();
    this.#time.record(endMs - startMs);
    if (response === undefined) return;
    const { status } = response;
    this.#completed.add();
    this.#byClass[Math.trunc(status / 100)]?.add();
    let code = this.#byCode.get(status);
    if (code === undefined) {
      code = this.#scope.counter(`upstream_rq_${status}`);
      this.#byCode.set(status, code);
    }
    code.add();
  }
}
