import type { ResourceMonitorConfig } from "@heddle/traffic";
import { CpuMeter, cgroupMemoryLimit, cgroupMemoryUsed } from "./resource-readers.ts";

/** What monitors see of one worker. */
export interface WorkerReading {
  readonly worker: number;
  /** Of its heap's limit, 0 to 1. */
  readonly heapShare: number;
  /** The least that it was late in the last looks, so that a single pause is none. */
  readonly delayMs: number;
}

/** The share of a limit that is used: 0 to 1, or above. */
export type ResourceMonitor = { readonly name: string } & (
  | {
      readonly of: "process";
      /** Undefined: it cannot be measured now. */
      read(): number | undefined;
    }
  /** What one worker has too much of is shed by that worker alone. */
  | { readonly of: "worker"; read(worker: WorkerReading): number }
);

/** Of the process itself, for tests to replace. */
export interface ProcessReadings {
  readonly nowMs: () => number;
  readonly residentBytes: () => number;
}

export function makeResourceMonitor(config: ResourceMonitorConfig, process: ProcessReadings): ResourceMonitor {
  const { name } = config;
  switch (config.type) {
    case "fixed-heap":
      return { name, of: "process", read: () => process.residentBytes() / config.maxBytes };
    case "cgroup-memory": {
      const limits = [config.maxBytes, cgroupMemoryLimit() ?? 0].filter((limit) => limit > 0);
      if (limits.length === 0) return { name, of: "process", read: () => 0 };
      const limit = Math.min(...limits);
      return { name, of: "process", read: () => (cgroupMemoryUsed() ?? process.residentBytes()) / limit };
    }
    case "cpu": {
      const meter = new CpuMeter(config.of, process.nowMs);
      return { name, of: "process", read: () => meter.next() };
    }
    case "worker-heap":
      return { name, of: "worker", read: ({ heapShare }) => heapShare };
    case "event-loop-delay":
      return { name, of: "worker", read: ({ delayMs }) => delayMs / config.fullAtMs };
    default:
      throw new Error(`unknown monitor ${(config satisfies never as { type: string }).type}`);
  }
}
