import type { Counter, Gauge, MetricScope } from "@heddle/telemetry";

/** Metrics of the workers as the control thread sees them. */
export class WorkerStats {
  /** Threads that run. */
  readonly active: Gauge;
  /** Threads that ended by themselves. */
  readonly died: Counter;
  /** Times that a thread began not to answer. */
  readonly blocked: Counter;
  readonly acceptStopped: Counter;
  readonly listenRefused: Counter;

  constructor(scope: MetricScope) {
    this.active = scope.gauge("active");
    this.died = scope.counter("died");
    this.blocked = scope.counter("watchdog_miss");
    this.acceptStopped = scope.counter("accept_stopped");
    this.listenRefused = scope.counter("listen_refused");
  }
}
