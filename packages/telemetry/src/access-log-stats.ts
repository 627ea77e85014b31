import type { Counter, Gauge, MetricScope } from "./metrics.ts";

/** What is counted of files that access logs are written to, under Envoy's names (`filesystem.*`, access_log/stats). */
export interface AccessLogStats {
  /** Lines that were taken. */
  readonly writeBuffered: Counter;
  readonly writeCompleted: Counter;
  readonly writeFailed: Counter;
  /** Flushes since the time was up, and not since enough had gathered. */
  readonly flushedByTimer: Counter;
  readonly reopenFailed: Counter;
  /** Characters that wait. */
  readonly writeTotalBuffered: Gauge;
  /** Heddle's own: lines that were dropped, since the disk or the reader was too slow, or failed. Envoy drops none, and grows. */
  readonly dropped: Counter;
}

/** `filesystem.*` of the process, and the drops by file. */
export function accessLogStats(metrics: MetricScope, path: string): AccessLogStats {
  const scope = metrics.scope("filesystem");
  return {
    writeBuffered: scope.counter("write_buffered"),
    writeCompleted: scope.counter("write_completed"),
    writeFailed: scope.counter("write_failed"),
    flushedByTimer: scope.counter("flushed_by_timer"),
    reopenFailed: scope.counter("reopen_failed"),
    writeTotalBuffered: scope.gauge("write_total_buffered"),
    dropped: metrics.counter("access_log.dropped", { path }),
  };
}
