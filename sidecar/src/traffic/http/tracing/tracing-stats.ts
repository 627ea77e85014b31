import type { Counter, MetricScope } from "@heddle/telemetry";
import type { TraceReason } from "./trace-reason.ts";

/** `http.<stat_prefix>.tracing.…` (config/http_conn_man/stats#tracing-statistics). */
export class TracingStats {
  readonly #byReason: Readonly<Record<TraceReason, Counter>>;

  constructor(metrics: MetricScope, statPrefix: string) {
    const scope = metrics.scope("http.tracing", { envoy_http_conn_manager_prefix: statPrefix });
    this.#byReason = {
      sampled: scope.counter("random_sampling"),
      "service-forced": scope.counter("service_forced"),
      "client-forced": scope.counter("client_enabled"),
      "not-traceable": scope.counter("not_traceable"),
    };
  }

  count(reason: TraceReason): void {
    this.#byReason[reason].add();
  }
}
