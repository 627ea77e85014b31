import { readdirSync, readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";

/*
 * What the process and its surroundings use, as the system tells it. Everything answers undefined where the system does not
 * tell: then nothing is measured, and nothing is shed.
 */

/** The smallest of the cgroup's memory limits, in bytes; undefined without one. `process.constrainedMemory` reads both versions. */
export function cgroupMemoryLimit(): number | undefined {
  const limit = process.constrainedMemory();
  // Without a limit it is 0, or a number that no machine has.
  return limit > 0 && limit < Number.MAX_SAFE_INTEGER ? limit : undefined;
}

/** What the limit counts, in bytes: not what could be given back at once (clean pages of files). */
export function cgroupMemoryUsed(): number | undefined {
  const folder = cgroupFolder("memory");
  if (folder === undefined) return undefined;
  const usage = numberIn(`${folder}/memory.current`) ?? numberIn(`${folder}/memory.usage_in_bytes`);
  const stat = textOf(`${folder}/memory.stat`) ?? "";
  const inactive = Number(/^(?:total_)?inactive_file (\d+)$/m.exec(stat)?.[1] ?? 0);
  return usage === undefined ? undefined : Math.max(0, usage - inactive);
}

/** Descriptors that the process may have; undefined: nobody knows. */
export function descriptorLimit(): number | undefined {
  const line = /^Max open files\s+(\d+)/m.exec(textOf("/proc/self/limits") ?? "");
  return line === null ? undefined : Number(line[1]);
}

/** Descriptors that the process has. Since Linux 6.2 one call; before, one step for each. */
export function openDescriptors(): number | undefined {
  try {
    const { size } = statSync("/proc/self/fd");
    return size > 0 ? size : readdirSync("/proc/self/fd").length;
  } catch {
    return undefined;
  }
}

/** How busy CPUs were between two looks, 0 to 1. */
export class CpuMeter {
  readonly #read: () => CpuTimes | undefined;
  #last: CpuTimes | undefined;

  constructor(of: "host" | "container", nowMs: () => number) {
    this.#read = of === "host" ? hostTimes : () => containerTimes(nowMs());
    this.#last = this.#read();
  }

  /** Undefined: it cannot be told, or no time has passed. */
  next(): number | undefined {
    const now = this.#read();
    const last = this.#last;
    this.#last = now;
    if (now === undefined || last === undefined || now.total <= last.total) return undefined;
    return Math.min(1, Math.max(0, (now.busy - last.busy) / (now.total - last.total)));
  }
}

interface CpuTimes {
  readonly busy: number;
  readonly total: number;
}

/** proc(5), /proc/stat: user nice system idle iowait irq softirq steal, in ticks. */
function hostTimes(): CpuTimes | undefined {
  const line = /^cpu +([\d ]+)$/m.exec(textOf("/proc/stat") ?? "")?.[1];
  if (line === undefined) return undefined;
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line
    .split(" ")
    .map(Number);
  const busy = user + nice + system + irq + softirq + steal;
  return { busy, total: busy + idle + iowait };
}

/** Microseconds of CPU time of the cgroup, against what its quota allows. */
function containerTimes(nowMs: number): CpuTimes | undefined {
  const folder = cgroupFolder("cpu");
  if (folder === undefined) return undefined;
  const used = Number(/^usage_usec (\d+)$/m.exec(textOf(`${folder}/cpu.stat`) ?? "")?.[1] ?? NaN);
  if (Number.isNaN(used)) return undefined; // cgroup version 1
  const [quota = "max", period = "100000"] = (textOf(`${folder}/cpu.max`) ?? "").trim().split(" ");
  const cpus = quota === "max" || quota === "" ? availableParallelism() : Number(quota) / Number(period);
  return { busy: used, total: nowMs * 1000 * cpus };
}

/** The folder of the process's own cgroup: within a container that is most often the root of the mount. */
function cgroupFolder(controller: "memory" | "cpu"): string | undefined {
  const lines = (textOf("/proc/self/cgroup") ?? "").split("\n");
  for (const line of lines) {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const mounts =
      controllers === ""
        ? ["/sys/fs/cgroup"]
        : controllers.split(",").includes(controller)
          ? [`/sys/fs/cgroup/${controllers}`]
          : [];
    for (const mount of mounts) {
      for (const folder of [`${mount}${path}`, mount]) {
        if (textOf(`${folder}/${controller}.stat`) !== undefined) return folder;
      }
    }
  }
  return undefined;
}

function numberIn(path: string): number | undefined {
  const text = textOf(path)?.trim();
  return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
