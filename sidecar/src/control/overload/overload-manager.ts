import type { Clock, Json, Timer } from "@heddle/base";
import type { Counter, Gauge, Log, MetricScope } from "@heddle/telemetry";
import { type OverloadActionName, type OverloadConfig, triggerStrength } from "@heddle/traffic";
import {
  makeResourceMonitor,
  type ProcessReadings,
  type ResourceMonitor,
  type WorkerReading,
} from "./resource-monitor.ts";

export interface OverloadManagerOptions {
  readonly config: OverloadConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly process: ProcessReadings;
  readonly workers: () => readonly WorkerReading[];
  /** How strongly an action applies to a worker, 0 to 1. Told at every refresh. */
  readonly apply: (worker: number, action: OverloadActionName, strength: number) => void;
}

/**
 * Looks at the resources every `refresh_interval` and says how strongly each overload action applies; the workers act. Statistics
 * under Envoy's names (configuration/operations/overload_manager): `overload.<monitor>.pressure`, `.failed_updates`;
 * `overload.<action>.active`, `.scale_percent`.
 */
export class OverloadManager {
  readonly #options: OverloadManagerOptions;
  readonly #monitors: readonly {
    readonly monitor: ResourceMonitor;
    readonly pressure: Gauge;
    readonly failed: Counter;
  }[];
  readonly #actions: readonly Action[];
  /** By monitor. */
  readonly #shares = new Map<string, number>();
  readonly #workerShares = new Map<string, ReadonlyMap<number, number>>();
  #timer: Timer | undefined;

  constructor(options: OverloadManagerOptions) {
    const { config, metrics } = options;
    this.#options = options;
    this.#monitors = config.monitors.map((monitor) => ({
      monitor: makeResourceMonitor(monitor, options.process),
      pressure: metrics.gauge(`overload.${monitor.name}.pressure`),
      failed: metrics.counter(`overload.${monitor.name}.failed_updates`),
    }));
    this.#actions = config.actions.map(({ name, triggers }) => ({
      name,
      triggers,
      strength: 0,
      active: metrics.gauge(`overload.${name}.active`),
      scale: metrics.gauge(`overload.${name}.scale_percent`),
    }));
  }

  start(): void {
    if (this.#actions.length === 0 && this.#monitors.length === 0) return;
    this.#timer = this.#options.clock.after(
      this.#options.config.refreshIntervalMs,
      () => {
        this.refresh();
        this.start();
      },
      true,
    );
  }

  close(): void {
    this.#timer?.cancel();
  }

  refresh(): void {
    const workers = this.#options.workers();
    for (const { monitor, pressure, failed } of this.#monitors) {
      const share = monitor.of === "process" ? monitor.read() : this.#readWorkers(monitor, workers);
      if (share === undefined) {
        // As in Envoy: what was last known stays.
        failed.add();
        continue;
      }
      this.#shares.set(monitor.name, share);
      pressure.set(Math.round(share * 100));
    }
    for (const action of this.#actions) this.#decide(action, workers);
  }

  inspect(): Json {
    return {
      resources: Object.fromEntries(this.#shares),
      actions: Object.fromEntries(this.#actions.map(({ name, strength }) => [name, strength])),
    };
  }

  /** Answers the largest share. */
  #readWorkers(monitor: Extract<ResourceMonitor, { of: "worker" }>, workers: readonly WorkerReading[]): number {
    const shares = new Map(workers.map((worker) => [worker.worker, monitor.read(worker)]));
    this.#workerShares.set(monitor.name, shares);
    return Math.max(0, ...shares.values());
  }

  #shareOf(monitor: string, worker: number): number {
    const ofWorkers = this.#workerShares.get(monitor);
    return (ofWorkers === undefined ? this.#shares.get(monitor) : ofWorkers.get(worker)) ?? 0;
  }

  #decide(action: Action, workers: readonly WorkerReading[]): void {
    let strength = 0;
    let cause = "";
    for (const { worker } of workers) {
      let ofWorker = 0;
      for (const trigger of action.triggers) {
        const by = triggerStrength(trigger, this.#shareOf(trigger.monitor, worker));
        ofWorker = Math.max(ofWorker, by);
        if (by <= strength) continue;
        strength = by;
        cause = trigger.monitor;
      }
      this.#options.apply(worker, action.name, ofWorker);
    }
    action.active.set(strength === 1 ? 1 : 0);
    action.scale.set(Math.round(strength * 100));
    if (strength === action.strength) return;
    const began = action.strength === 0;
    action.strength = strength;
    const { log } = this.#options;
    if (began) log.warn("overloaded: an action begins", { action: action.name, resource: cause, strength });
    else if (strength === 0) log.info("no longer overloaded: an action ends", { action: action.name });
  }
}

interface Action {
  readonly name: OverloadActionName;
  readonly triggers: OverloadConfig["actions"][number]["triggers"];
  strength: number;
  readonly active: Gauge;
  readonly scale: Gauge;
}
