/**
 * `--import turn-meter.ts`: in every thread that is no main thread, tells on standard error of each turn of the event loop
 * that was long, as `turn <thread> <from> <to> <cpu>`, and of each collection, as `gc <thread> <from> <to> <kind>`, all in ms.
 *
 * A turn is what lies between two looks at what the kernel has ready. An immediate that is not referenced marks it exactly: it
 * runs once in each, and neither keeps the loop awake nor waits for a time to pass, as a timer would, into whose ticks two turns fall.
 */
import { writeSync } from "node:fs";
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

/** ASCII. */
let untold = "";

if (!isMainThread) {
  let [wallMs, cpuMs, idleMs] = [read(CLOCK_MONOTONIC), read(CLOCK_THREAD_CPUTIME_ID), idle()];
  const turn = (): void => {
    setImmediate(turn).unref();
    const [wall, cpu, idled] = [read(CLOCK_MONOTONIC), read(CLOCK_THREAD_CPUTIME_ID), idle()];
    const took = wall - wallMs - (idled - idleMs);
    // What the kernel does for others on a thread that waits is put on its account, and holds nobody up.
    const used = Math.min(cpu - cpuMs, took);
    if (took >= TOLD_MS) tell(`turn ${threadId} ${(wall - took).toFixed(3)} ${wall.toFixed(3)} ${used.toFixed(3)}\n`);
    [wallMs, cpuMs, idleMs] = [wall, cpu, idled];
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
