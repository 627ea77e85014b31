import type { Counter, Gauge, MetricScope } from "@heddle/telemetry";

/** Metrics of the workers as the control thread sees them. */
export class WorkerStats {
  /** Threads that run. */
  readonly active: Gauge;
  /** Threads that ended by themselves. */
  readonly died: Counter;
  /** Times that a thread was ended since it did not answer. */
  readonly killed: Counter;
  /** Times that a worker paused accepting, since the process had as many connections as it may. */
  readonly acceptPaused: Counter;
  readonly acceptStopped: Counter;
  readonly listenRefused: Counter;

  /** Listeners that workers could not build (Envoy's name). */
  readonly listenerFailed: Counter;

  constructor(metrics: MetricScope) {
    const scope = metrics.scope("workers");
    this.listenerFailed = metrics.counter("listener_manager.listener_create_failure");
    this.active = scope.gauge("active");
    this.died = scope.counter("died");
    this.killed = scope.counter("killed");
    this.acceptPaused = scope.counter("accept_paused");
    this.acceptStopped = scope.counter("accept_stopped");
    this.listenRefused = scope.counter("listen_refused");
  }
}
