import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** What is measured, and how long. */
export interface PathOptions {
  /** The built sidecar, undefined for its peers alone; and another one to put beside it (an older build). */
  readonly entry: string | undefined;
  readonly against: string | undefined;
  readonly workers: number;
  readonly rounds: number;
  readonly seconds: number;
}

/** What one run of load through one peer showed. */
export interface Sample {
  readonly requests: number;
  readonly errors: number;
  readonly requestsPerSecond: number;
  /** Of the proxy's process and its children, user and system. */
  readonly cpuMicrosPerRequest: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requestsPerUpstreamConnection: number;
}

export interface Memory {
  readonly rssMb: number;
  readonly privateDirtyMb: number;
}

const TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** One run of wrk, the proxy's CPU read before and after. `close`: a connection for each request. */
export async function measure(
  pid: number,
  url: string,
  countUrl: string,
  connections: number,
  seconds: number,
  close = false,
): Promise<Sample> {
  const before = { cpu: cpuSeconds(pid), count: await upstreamCount(countUrl) };
  const output = await wrk(url, connections, seconds, close);
  const after = { cpu: cpuSeconds(pid), count: await upstreamCount(countUrl) };
  const requests = Number(/(\d+) requests in/.exec(output)?.[1]);
  const socketErrors =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/
      .exec(output)
      ?.slice(1)
      .reduce((sum, n) => sum + Number(n), 0) ?? 0;
  const badAnswers = Number(/Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? 0);
  return {
    requests,
    errors: socketErrors + badAnswers,
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]),
    cpuMicrosPerRequest: ((after.cpu - before.cpu) * 1e6) / requests,
    p50Ms: latency(output, "50"),
    p99Ms: latency(output, "99"),
    requestsPerUpstreamConnection: requests / Math.max(1, after.count.accepted - before.count.accepted),
  };
}

function wrk(url: string, connections: number, seconds: number, close: boolean): Promise<string> {
  const header = close ? ["-H", "Connection: close"] : [];
  return new Promise((resolve, reject) => {
    const child = spawn("wrk", ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency", ...header, url], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
    child.once("error", reject);
    child.once("exit", (code) => (code === 0 ? resolve(output) : reject(new Error(`wrk ended with ${code}`))));
  });
}

function latency(output: string, percentile: string): number {
  const [, value, unit] = new RegExp(`^\\s+${percentile}%\\s+([\\d.]+)(us|ms|s)`, "m").exec(output) ?? [];
  return Number(value) * { us: 0.001, ms: 1, s: 1000 }[(unit ?? "ms") as "us" | "ms" | "s"];
}

async function upstreamCount(url: string): Promise<{ accepted: number }> {
  const text = await (await fetch(url, { headers: { connection: "close" } })).text();
  const [accepted] = /(\d+) (\d+) (\d+)/.exec(text)!.slice(1).map(Number);
  return { accepted: accepted! };
}

/** User and system time of a process and of its children, from /proc. */
export function cpuSeconds(pid: number): number {
  const own = ticksOf(pid);
  const children = childrenOf(pid).map(cpuSeconds);
  return children.reduce((sum, seconds) => sum + seconds, own / TICKS_PER_SECOND);
}

function ticksOf(pid: number): number {
  // The second field may hold spaces and parentheses; what follows its last ")" is regular. utime and stime are fields 14 and 15.
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)!.split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "latin1")
      .split(" ")
      .filter((text) => text.trim() !== "")
      .map(Number),
  );
}

/** Of a process and its children. */
export function memory(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
  const kb = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1]);
  const own = { rssMb: kb("Rss") / 1024, privateDirtyMb: kb("Private_Dirty") / 1024 };
  return childrenOf(pid)
    .map(memory)
    .reduce(
      (sum, child) => ({ rssMb: sum.rssMb + child.rssMb, privateDirtyMb: sum.privateDirtyMb + child.privateDirtyMb }),
      own,
    );
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The median over rounds of the ratio within a round, so that what the machine did in a round cancels out. */
export function ratio<Peer, Field extends string>(
  peer: Peer,
  base: Peer,
  samples: ReadonlyMap<Peer, readonly Readonly<Record<Field, number>>[]>,
  field: Field,
): number {
  const bases = samples.get(base)!;
  return median(samples.get(peer)!.map((sample, index) => sample[field] / bases[index]![field]));
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
