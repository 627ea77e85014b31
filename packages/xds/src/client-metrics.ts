import type { Counter, Gauge, MetricScope } from "@heddle/telemetry";
import { shortTypeName } from "./protocol/type-urls.ts";

/** The client's counters, under Envoy's "control_plane". */
export class ClientMetrics {
  /** 1 while the control plane answers. */
  readonly connected: Gauge;
  readonly attempts: Counter;
  readonly #scope: MetricScope;
  readonly #byType: Map<string, Counter> = new Map();

  constructor(metrics: MetricScope) {
    this.#scope = metrics.scope("control_plane");
    this.connected = this.#scope.gauge("connected_state");
    this.attempts = this.#scope.counter("connect_attempts");
  }

  responses(typeUrl: string): Counter {
    return this.#counter("responses", typeUrl);
  }

  rejections(typeUrl: string): Counter {
    return this.#counter("rejections", typeUrl);
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
