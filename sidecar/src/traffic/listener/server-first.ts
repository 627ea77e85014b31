import type { DownstreamInfo } from "@heddle/filter";
import type { Counter, MetricScope } from "@heddle/telemetry";

/**
 * `heddle.filters.listener.server_first`: of a connection whose client is silent the upstream is dialled while its first bytes are
 * awaited, so that a server that speaks first is heard at once. Who has a request has sent it by then: hardly a connection
 * is dialled for nothing.
 */
export class ServerFirst {
  /** How long a client may be silent. */
  readonly afterMs: number;
  readonly #isDisabled: ((info: DownstreamInfo) => boolean) | undefined;
  /** Upstreams were dialled, and have spoken first; dialled for nothing, since the client has spoken for another chain, or has gone. */
  readonly dialled: Counter;
  readonly spoken: Counter;
  readonly unused: Counter;

  constructor(afterMs: number, isDisabled: ((info: DownstreamInfo) => boolean) | undefined, metrics: MetricScope) {
    this.afterMs = afterMs;
    this.#isDisabled = isDisabled;
    const scope = metrics.scope("server_first");
    this.dialled = scope.counter("dialled");
    this.spoken = scope.counter("server_spoke");
    this.unused = scope.counter("unused");
  }

  appliesTo(info: DownstreamInfo): boolean {
    return this.#isDisabled?.(info) !== true;
  }
}
