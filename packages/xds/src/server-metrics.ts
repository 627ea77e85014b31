import type { Counter, Gauge, MetricScope } from "@heddle/telemetry";
import { shortTypeName } from "./protocol/type-urls.ts";

/** The server's own counters, under "xds_server". */
export class ServerMetrics {
  readonly streams: Gauge;
  readonly requests: Counter;
  readonly #scope: MetricScope;
  readonly #byType: Map<string, Counter> = new Map();

  constructor(metrics: MetricScope) {
    this.#scope = metrics.scope("xds_server");
    this.streams = this.#scope.gauge("streams");
    this.requests = this.#scope.counter("requests");
  }

  responses(typeUrl: string): Counter {
    return this.#counter("responses", typeUrl);
  }

  /** How many resources went out. */
  resources(typeUrl: string): Counter {
    return this.#counter("resources_sent", typeUrl);
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
