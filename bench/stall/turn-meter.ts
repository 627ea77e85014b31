/**
 * `--import turn-meter.ts`: in every thread that is no main thread, tells on standard error of each turn of the event loop
 * that was long, as `turn <thread> <at> <wall> <cpu>` in ms. A timer of 1 ms is what is late.
 */
import { writeSync } from "node:fs";
import { isMainThread, threadId } from "node:worker_threads";

const TOLD_MS = 1;
const STDERR = 2;

if (!isMainThread) {
  let [lastMs, lastCpuMs] = [wallMs(), cpuMs()];
  setInterval(() => {
    const [nowMs, nowCpuMs] = [wallMs(), cpuMs()];
    const [wall, cpu] = [nowMs - lastMs - 1, nowCpuMs - lastCpuMs];
    [lastMs, lastCpuMs] = [nowMs, nowCpuMs];
    if (Math.max(wall, cpu) < TOLD_MS) return;
    writeSync(STDERR, `turn ${threadId} ${nowMs.toFixed(3)} ${wall.toFixed(3)} ${cpu.toFixed(3)}\n`);
  }, 1).unref();
}

function wallMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Of this thread: what other processes take of the machine is not in it. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
