import type { Counter, Gauge, MetricScope } from "@heddle/telemetry";
import { shortTypeName } from "./protocol/type-urls.ts";

/** Where Envoy has the updates of listeners and clusters as a whole; those of the other types stand beside each resource. */
const SCOPES = { listener: "listener_manager.lds", cluster: "cluster_manager.cds" } as const;

/** The client's metrics, under Envoy's "control_plane", "listener_manager.lds" and "cluster_manager.cds". */
export class ClientMetrics {
  /** 1 while the control plane answers. */
  readonly connected: Gauge;
  readonly attempts: Counter;
  /** Reading was stopped for a while, since too much that came was rejected. */
  readonly rateLimitEnforced: Counter;
  readonly #scope: MetricScope;
  readonly #byType: Map<string, Counter> = new Map();
  readonly #updates: ReadonlyMap<string, UpdateMetrics>;

  constructor(metrics: MetricScope) {
    this.#scope = metrics.scope("control_plane");
    this.connected = this.#scope.gauge("connected_state");
    this.attempts = this.#scope.counter("connect_attempts");
    this.rateLimitEnforced = this.#scope.counter("rate_limit_enforced");
    this.#scope.gauge("pending_requests"); // requests are not held back: it stays 0
    this.#updates = new Map(
      Object.entries(SCOPES).map(([type, scope]) => [type, new UpdateMetrics(metrics.scope(scope))]),
    );
  }

  /** A response has come. `rejected`: something in it was refused. */
  received(typeUrl: string, rejected: boolean, wallNowMs: number): void {
    this.#counter("responses", typeUrl).add();
    if (rejected) this.#counter("rejections", typeUrl).add();
    this.#updates.get(shortTypeName(typeUrl))?.count(rejected ? "rejected" : "success", wallNowMs);
  }

  /** The stream has ended without being asked to. */
  lost(wallNowMs: number): void {
    for (const update of this.#updates.values()) update.count("failure", wallNowMs);
  }

  #counter(name: string, typeUrl: string): Counter {
    const key = `${name} ${typeUrl}`;
    let counter = this.#byType.get(key);
    if (counter === undefined) {
      counter = this.#scope.counter(name, { type: shortTypeName(typeUrl) });
      this.#byType.set(key, counter);
    }
    return counter;
  }
}

/** `update_*` of one subscription (Envoy, configuration/overview/xds_api, "subscription statistics"). */
class UpdateMetrics {
  readonly #attempt: Counter;
  readonly #outcomes: Readonly<Record<"success" | "rejected" | "failure", Counter>>;
  readonly #time: Gauge;

  constructor(scope: MetricScope) {
    this.#attempt = scope.counter("update_attempt");
    this.#outcomes = {
      success: scope.counter("update_success"),
      rejected: scope.counter("update_rejected"),
      failure: scope.counter("update_failure"),
    };
    this.#time = scope.gauge("update_time");
  }

  count(outcome: "success" | "rejected" | "failure", wallNowMs: number): void {
    this.#attempt.add();
    this.#outcomes[outcome].add();
    if (outcome === "success") this.#time.set(wallNowMs);
  }
}
