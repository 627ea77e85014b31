/**
 * `--import turn-meter.ts`: in every thread that is no main thread, tells on standard error of each turn of the event loop
 * that was long, as `turn <thread> <at> <wall> <cpu>` in ms. A timer of 1 ms is what is late.
 */
import { writeSync } from "node:fs";
import { isMainThread, threadId } from "node:worker_threads";
import koffi from "koffi";

const TOLD_MS = 1;
const STDERR = 2;
/** clock_gettime(2), Linux. */
const CLOCK_THREAD_CPUTIME_ID = 3;
const clockGettime = koffi.load("libc.so.6").func("int clock_gettime(int, _Out_ int64_t *)");
const time = new BigInt64Array(2);
/** ASCII. */
let untold = "";

if (!isMainThread) {
  let [lastMs, lastCpuMs] = [wallMs(), cpuMs()];
  setInterval(() => {
    const [nowMs, nowCpuMs] = [wallMs(), cpuMs()];
    const [wall, cpu] = [nowMs - lastMs - 1, nowCpuMs - lastCpuMs];
    [lastMs, lastCpuMs] = [nowMs, nowCpuMs];
    if (Math.max(wall, cpu) < TOLD_MS) return;
    tell(`turn ${threadId} ${nowMs.toFixed(3)} ${wall.toFixed(3)} ${cpu.toFixed(3)}\n`);
  }, 1).unref();
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

function wallMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * Of this thread: what other processes take of the machine is not in it. Not `process.threadCpuUsage`: a thread that does not
 * sleep between slices sees that stand still and then leap by up to 4 ms, a tick of the scheduler, and so one turn is charged with
 * another's work.
 */
function cpuMs(): number {
  clockGettime(CLOCK_THREAD_CPUTIME_ID, time);
  return Number(time[0]) * 1e3 + Number(time[1]) / 1e6;
}
