/**
 * `--import turn-meter.ts`: in every thread that is no main thread, tells on standard error of each turn of the event loop
 * that was long, as `turn <thread> <from> <to> <cpu> <queued>`, and of each collection, as `gc <thread> <from> <to> <kind>`, all in ms.
 * Queued is the time that the thread could have run and had no core.
 *
 * A turn is what lies between two looks at what the kernel has ready. An immediate that is not referenced marks it exactly: it
 * runs once in each, and neither keeps the loop awake nor waits for a time to pass, as a timer would, into whose ticks two turns fall.
 */
import { openSync, readSync, writeSync } from "node:fs";
import {
  constants,
  type NodeGCPerformanceDetail,
  type PerformanceEntry,
  PerformanceObserver,
  performance,
} from "node:perf_hooks";
import { isMainThread, threadId } from "node:worker_threads";
import koffi from "koffi";

const TOLD_MS = 0.5;
const STDERR = 2;
/** clock_gettime(2), Linux. */
const CLOCK_MONOTONIC = 1;
const CLOCK_THREAD_CPUTIME_ID = 3;
const clockGettime = koffi.load("libc.so.6").func("int clock_gettime(int, _Out_ uint32_t *)");
/** Seconds and nanoseconds, 64 bits each, little-endian. Not as BigInts: what measures must not fill the heap. */
const time = new Uint32Array(4);
const KINDS: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MINOR]: "young",
  [constants.NODE_PERFORMANCE_GC_MAJOR]: "whole",
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: "marking-begins",
};
type GcEntry = PerformanceEntry & { readonly detail: NodeGCPerformanceDetail };

const statistics = Buffer.alloc(64);

/** ASCII. */
let untold = "";

if (!isMainThread) {
  const schedstat = openSync("/proc/thread-self/schedstat", "r"); // of this thread, whoever reads it
  let [wallMs, cpuMs, idleMs, queuedMs] = [
    read(CLOCK_MONOTONIC),
    read(CLOCK_THREAD_CPUTIME_ID),
    idle(),
    queued(schedstat),
  ];
  const turn = (): void => {
    setImmediate(turn).unref();
    const [wall, cpu, idled] = [read(CLOCK_MONOTONIC), read(CLOCK_THREAD_CPUTIME_ID), idle()];
    const took = wall - wallMs - (idled - idleMs);
    // What the kernel does for others on a thread that waits is put on its account, and holds nobody up.
    const used = Math.min(cpu - cpuMs, took);
    const nowQueuedMs = took >= TOLD_MS ? queued(schedstat) : queuedMs; // what short turns waited counts for the next long one
    const waited = Math.min(nowQueuedMs - queuedMs, took - used);
    const [from, to] = [(wall - took).toFixed(3), wall.toFixed(3)];
    if (took >= TOLD_MS) tell(`turn ${threadId} ${from} ${to} ${used.toFixed(3)} ${waited.toFixed(3)}\n`);
    [wallMs, cpuMs, idleMs, queuedMs] = [wall, cpu, idled, nowQueuedMs];
  };
  setImmediate(turn).unref();

  const originMs = read(CLOCK_MONOTONIC) - performance.now();
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as GcEntry[]) {
      const [from, to] = [originMs + entry.startTime, originMs + entry.startTime + entry.duration];
      tell(`gc ${threadId} ${from.toFixed(3)} ${to.toFixed(3)} ${KINDS[entry.detail.kind ?? 0] ?? "other"}\n`);
    }
  }).observe({ entryTypes: ["gc"] });
}

/** What the reader was too slow for is told with the next one: a pipe that is full must not end the thread. */
function tell(line: string): void {
  untold += line;
  try {
    untold = untold.slice(writeSync(STDERR, untold));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
  }
}

/** From the kernel's "<ran> <queued> <times>", the first two in ns. */
function queued(schedstat: number): number {
  const length = readSync(schedstat, statistics, 0, statistics.length, 0);
  return Number(statistics.toString("latin1", 0, length).split(" ")[1]) / 1e6;
}

/** Time that the loop has spent waiting. */
function idle(): number {
  return performance.nodeTiming.idleTime;
}

/**
 * In ms. The CPU is this thread's: what other processes take of the machine is not in it. Not `process.threadCpuUsage`: a thread that
 * does not sleep between slices sees that stand still and then leap by up to 4 ms, a tick of the scheduler, and so one turn is charged
 * with another's work.
 */
function read(clock: number): number {
  clockGettime(clock, time);
  return time[0]! * 1e3 + time[2]! / 1e6; // four places
}
