import type { Counter, Gauge, MetricScope } from "@heddle/telemetry";
import { shortTypeName } from "./protocol/type-urls.ts";
import type { ResourceKind } from "./resource/resource-type.ts";

/** Where Envoy has the updates of listeners and clusters as a whole; those of the other types stand beside each resource. */
const SCOPES = { listener: "listener_manager.lds", cluster: "cluster_manager.cds" } as const;

/**
 * The client's metrics, under Envoy's "control_plane", "listener_manager.lds" and "cluster_manager.cds". A stream of one kind
 * has its "control_plane" below that of the kind, or, where that belongs to each resource, with the kind as a label.
 */
export class ClientMetrics {
  /** 1 while the control plane answers. */
  readonly connected: Gauge;
  readonly attempts: Counter;
  /** Reading was stopped for a while, since too much that came was rejected. */
  readonly rateLimitEnforced: Counter;
  /** A stream began with the word that nothing is there any more, and removals were held back. */
  readonly returnedEmpty: Counter;
  readonly #scope: MetricScope;
  readonly #byType: Map<string, Counter> = new Map();
  readonly #updates: ReadonlyMap<string, UpdateMetrics>;

  readonly #pending: Gauge;

  constructor(metrics: MetricScope, service?: ResourceKind) {
    this.#scope = controlPlaneScope(metrics, service);
    this.connected = this.#scope.gauge("connected_state");
    this.attempts = this.#scope.counter("connect_attempts");
    this.rateLimitEnforced = this.#scope.counter("rate_limit_enforced");
    this.returnedEmpty = this.#scope.counter("returned_empty");
    this.#pending = this.#scope.gauge("pending_requests");
    this.#updates = new Map(
      Object.entries(SCOPES)
        .filter(([type]) => service === undefined || type === service)
        .map(([type, scope]) => [type, new UpdateMetrics(metrics.scope(scope))]),
    );
  }

  /** That many requests wait for `rate_limit_settings`. */
  waiting(count: number): void {
    if (count > 0) this.rateLimitEnforced.add();
    this.#pending.set(count);
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

function controlPlaneScope(metrics: MetricScope, service: ResourceKind | undefined): MetricScope {
  if (service === undefined) return metrics.scope("control_plane");
  if (service === "listener" || service === "cluster") return metrics.scope(`${SCOPES[service]}.control_plane`);
  return metrics.scope("control_plane", { type: service });
}

/** The updates of a kind that come by no stream of ours, such as files and polling; undefined where they stand elsewhere. */
export function updateMetrics(metrics: MetricScope, kind: ResourceKind): UpdateMetrics | undefined {
  return kind === "listener" || kind === "cluster" ? new UpdateMetrics(metrics.scope(SCOPES[kind])) : undefined;
}

/** `update_*` of one subscription (Envoy, configuration/overview/xds_api, "subscription statistics"). */
export class UpdateMetrics {
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
