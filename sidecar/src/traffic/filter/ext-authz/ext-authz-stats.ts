import type { Exchange } from "@heddle/filter";
import type { Counter, MetricScope } from "@heddle/telemetry";
import { HttpExchange } from "../../http/http-exchange.ts";

const NAMES = [
  "ok",
  "denied",
  "error",
  "disabled",
  "failure_mode_allowed",
  "invalid",
  "ignored_dynamic_metadata",
  "request_header_limits_reached",
  "shadow_denied",
  "shadow_error",
] as const;
type Name = (typeof NAMES)[number];

/** Those that are counted for the route's cluster, too. */
const OF_CLUSTERS: ReadonlySet<Name> = new Set(["ok", "denied", "error", "failure_mode_allowed", "invalid"]);

/** `http.<prefix>.ext_authz.…`, and `cluster.<name>.ext_authz.…` of the cluster that the request would go to. */
export class ExtAuthzStats {
  readonly #prefix: string;
  readonly #counters: ReadonlyMap<Name, Counter>;

  constructor(metrics: MetricScope, statPrefix: string) {
    this.#prefix = statPrefix === "" ? "ext_authz" : `ext_authz.${statPrefix}`;
    this.#counters = new Map(NAMES.map((name) => [name, metrics.counter(`${this.#prefix}.${name}`)]));
  }

  count(name: Name, exchange: Exchange): void {
    this.#counters.get(name)?.add();
    if (OF_CLUSTERS.has(name)) clusterStatsOf(exchange)?.named(`${this.#prefix}.${name}`).add();
  }

  /** A denial counts as an answer of the cluster (`charge_cluster_response_stats`). */
  chargeResponse(status: number, exchange: Exchange): void {
    clusterStatsOf(exchange)?.countResponse(status);
  }
}

function clusterStatsOf(exchange: Exchange) {
  if (!(exchange instanceof HttpExchange)) return undefined;
  const cluster = exchange.route?.cluster;
  return cluster === undefined ? undefined : exchange.runtime.clusters.get(cluster)?.stats;
}
