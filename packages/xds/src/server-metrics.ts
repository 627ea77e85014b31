import type { Counter, Gauge, MetricScope } from "@heddle/telemetry";
import { traitsOf } from "./protocol/type-urls.ts";
import type { RefusalReason } from "./request-limits.ts";

/** The server's own counters, under "xds_server". */
export class ServerMetrics {
  readonly streams: Gauge;
  readonly requests: Counter;
  readonly #scope: MetricScope;
  readonly #byLabel: Map<string, Counter> = new Map();

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

  /** Streams that were ended for breaking a rule or passing a limit. */
  refused(reason: RefusalReason): Counter {
    return this.#labelled("refused", reason, { reason });
  }

  /** What a client calls a type makes no counter of its own: there would be as many as clients think of. */
  #counter(name: string, typeUrl: string): Counter {
    const type = traitsOf(typeUrl).kind ?? "other";
    return this.#labelled(name, type, { type });
  }

  #labelled(name: string, value: string, labels: { readonly [label: string]: string }): Counter {
    const key = `${name} ${value}`;
    let counter = this.#byLabel.get(key);
    if (counter === undefined) {
      counter = this.#scope.counter(name, labels);
      this.#byLabel.set(key, counter);
    }
    return counter;
  }
}
