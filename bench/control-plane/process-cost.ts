import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/** CPU of a process so far, in ms, from what the scheduler counts in ns: finer than the ticks of /proc/PID/stat. */
export function cpuMs(pid: number): number {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1").split(" ")[0]);
  }
  return ns / 1e6;
}

export function rssMb(pid: number): number {
  return statusMb(pid, "VmRSS");
}

/** The most that it has had since `forgetPeak`. */
export function peakMb(pid: number): number {
  return statusMb(pid, "VmHWM");
}

export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5"); // proc(5): resets the peak of the resident set
}

function statusMb(pid: number, field: string): number {
  const text = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) / 1024;
}
