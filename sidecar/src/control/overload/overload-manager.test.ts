import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { defaultOverload, type OverloadConfig } from "@heddle/traffic";
import { MemoryLog, MemoryMetrics } from "../../traffic/http/testing-telemetry.ts";
import { OverloadManager } from "./overload-manager.ts";
import type { WorkerReading } from "./resource-monitor.ts";

const STOP = "envoy.overload_actions.stop_accepting_requests";
const HEAP = "envoy.resource_monitors.fixed_heap";

/** A manager whose process holds as many bytes as a test says. */
function managed(config: OverloadConfig, workers: WorkerReading[] = [{ worker: 1, heapShare: 0, delayMs: 0 }]) {
  const clock = new ManualClock();
  const metrics = new MemoryMetrics();
  const problems: string[] = [];
  const applied = new Map<string, number>();
  const state = { residentBytes: 0 };
  const manager = new OverloadManager({
    config,
    clock,
    log: new MemoryLog(problems),
    metrics,
    process: { nowMs: () => clock.now(), residentBytes: () => state.residentBytes },
    workers: () => workers,
    apply: (worker, action, strength) => void applied.set(`${worker} ${action}`, strength),
  });
  manager.start();
  return { manager, clock, metrics, problems, applied, state };
}

function heapConfig(trigger: OverloadConfig["actions"][number]["triggers"][number]): OverloadConfig {
  return {
    refreshIntervalMs: 250,
    monitors: [{ name: HEAP, type: "fixed-heap", maxBytes: 1000 }],
    actions: [{ name: STOP, triggers: [trigger] }],
    maxDownstreamConnections: undefined,
  };
}

describe("the overload manager", () => {
  test("begins an action at its threshold and ends it below, at every refresh", () => {
    const { clock, metrics, problems, applied, state } = managed(
      heapConfig({ monitor: HEAP, type: "threshold", value: 0.9 }),
    );
    const after = (bytes: number): number | undefined => {
      state.residentBytes = bytes;
      clock.advance(250);
      return applied.get(`1 ${STOP}`);
    };
    assert.deepEqual([899, 900, 950, 899].map(after), [0, 1, 1, 0]);
    assert.equal(metrics.values.get(`overload.${HEAP}.pressure`), 90);
    after(2000);
    assert.equal(metrics.values.get(`overload.${STOP}.active`), 1);
    assert.equal(metrics.values.get(`overload.${STOP}.scale_percent`), 100);
    assert.equal(problems.length, 2, "told when it begins, each time");
    assert.match(problems[0] ?? "", /stop_accepting_requests.*fixed_heap/);
  });

  test("scales an action between two thresholds", () => {
    const { clock, metrics, applied, state } = managed(
      heapConfig({ monitor: HEAP, type: "scaled", scalingThreshold: 0.5, saturationThreshold: 1 }),
    );
    const after = (bytes: number): number | undefined => {
      state.residentBytes = bytes;
      clock.advance(250);
      return applied.get(`1 ${STOP}`);
    };
    assert.deepEqual([500, 750, 1000].map(after), [0, 0.5, 1]);
    after(600);
    assert.equal(metrics.values.get(`overload.${STOP}.scale_percent`), 20);
    assert.equal(metrics.values.get(`overload.${STOP}.active`), 0, "only what is saturated is active");
  });

  test("by default sheds with a worker that is late all the time, and with that one alone", () => {
    const workers = [
      { worker: 1, heapShare: 0.1, delayMs: 5 },
      { worker: 2, heapShare: 0.1, delayMs: 2500 },
    ];
    const { clock, applied } = managed(defaultOverload, workers);
    clock.advance(1000);
    assert.equal(applied.get(`1 ${STOP}`), 0);
    assert.equal(applied.get(`2 ${STOP}`), 1);
  });

  test("by default sheds with a worker whose heap is full, after it has ended what is kept alive", () => {
    const workers = [{ worker: 1, heapShare: 0.93, delayMs: 0 }];
    const { clock, applied } = managed(defaultOverload, workers);
    clock.advance(1000);
    assert.equal(applied.get("1 envoy.overload_actions.disable_http_keepalive"), 1);
    assert.equal(applied.get(`1 ${STOP}`), 0);
    workers[0] = { worker: 1, heapShare: 0.96, delayMs: 0 };
    clock.advance(1000);
    assert.equal(applied.get(`1 ${STOP}`), 1);
  });

  test("leaves no timer behind", () => {
    const { manager, clock } = managed(defaultOverload);
    clock.advance(3000);
    manager.close();
    assert.equal(clock.pending, 0);
  });
});
