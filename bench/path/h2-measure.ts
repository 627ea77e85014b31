import { spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import http2 from "node:http2";
import { join } from "node:path";
import { cpuSeconds } from "./measure.ts";
import type { Peer } from "./peer.ts";
import type { CertificateFiles } from "./sidecar-config.ts";

/** What `h2load` is asked to do. */
export interface H2Load {
  readonly name: string;
  readonly path: string;
  readonly connections: number;
  /** On each connection at a time. */
  readonly streams: number;
  /** A file to POST. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** So many requests and no more, however long they take; else as many as there are seconds for. */
  readonly requests?: number;
  /** What is counted, and how many of them there are in a request. */
  readonly unit: "request" | "message" | "GiB";
  readonly unitsPerRequest: number;
  /** What one request gets, in the words of `prove`. Left out: nobody looks. */
  readonly expected?: string;
}

/** What one run of load through one peer showed. */
export interface H2Sample {
  readonly errors: number;
  readonly unitsPerSecond: number;
  /** Of the proxy's process (both of two in a row) and its children, user and system. */
  readonly cpuMicrosPerUnit: number;
  /** Of whole requests. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Open ones, right after the load. */
  readonly upstreamConnections: number;
}

/** One run of h2load, the proxy's CPU read before and after. */
export async function measureH2(
  peer: Peer,
  upstreamPort: number,
  load: H2Load,
  seconds: number,
  folder: string,
  tls: CertificateFiles | undefined,
): Promise<H2Sample> {
  const pid = peer.process.pid!;
  const last = peer.behind?.process.pid ?? pid;
  const cpuOfAll = (): number => cpuSeconds(pid) + (last === pid ? 0 : cpuSeconds(last));
  const log = join(folder, `h2load-${peer.port}.log`);
  const before = cpuOfAll();
  const began = performance.now();
  const output = await h2load(`${tls === undefined ? "http" : "https"}://127.0.0.1:${peer.port}`, load, seconds, log);
  const took = (performance.now() - began) / 1000;
  const cpu = cpuOfAll() - before;
  const upstreamConnections = connectionsTo(upstreamPort, last);
  const done = readFileSync(log, "latin1")
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t"));
  rmSync(log);
  const latenciesUs = done.map(([, , us]) => Number(us)).toSorted((a, b) => a - b);
  const percentileMs = (percent: number): number =>
    (latenciesUs[Math.min(latenciesUs.length - 1, Math.floor((latenciesUs.length * percent) / 100))] ?? Number.NaN) /
    1000;
  const [failed, errored, timedOut] =
    /(\d+) failed, (\d+) errored, (\d+) timeout/.exec(output)?.slice(1).map(Number) ?? [];
  const good = Number(/status codes: (\d+) 2xx/.exec(output)?.[1]);
  const units = good * load.unitsPerRequest;
  return {
    errors: failed! + errored! + timedOut! + done.filter(([, status]) => !status!.startsWith("2")).length,
    unitsPerSecond: units / (load.requests === undefined ? seconds : took),
    cpuMicrosPerUnit: (cpu * 1e6) / units,
    p50Ms: percentileMs(50),
    p99Ms: percentileMs(99),
    upstreamConnections,
  };
}

function h2load(origin: string, load: H2Load, seconds: number, log: string): Promise<string> {
  const amount = load.requests === undefined ? ["-D", String(seconds)] : ["-n", String(load.requests)];
  const headers = Object.entries(load.headers ?? {}).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const body = load.body === undefined ? [] : ["-d", load.body];
  const args = [
    "-t1",
    `-c${load.connections}`,
    `-m${load.streams}`,
    ...amount,
    ...headers,
    ...body,
    `--log-file=${log}`,
  ];
  return new Promise((resolve, reject) => {
    const child = spawn("h2load", [...args, `${origin}${load.path}`], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
    child.once("error", reject);
    child.once("exit", (code) => (code === 0 ? resolve(output) : reject(new Error(`h2load ended with ${code}`))));
  });
}

/** How many connections a process has to a port of loopback. */
function connectionsTo(port: number, pid: number): number {
  const remote = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const ESTABLISHED = "01";
  const inodes = new Set(
    readFileSync("/proc/net/tcp", "latin1")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , to, state]) => to === remote && state === ESTABLISHED)
      .map((fields) => `socket:[${fields[9]}]`),
  );
  const descriptors = readdirSync(`/proc/${pid}/fd`);
  return descriptors.filter((descriptor) => inodes.has(targetOf(`/proc/${pid}/fd/${descriptor}`))).length;
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return ""; // closed meanwhile
  }
}

/** One request by node:http2: a bench of a peer that answers something else would mean nothing. */
export async function prove(peer: Peer, load: H2Load, tls: CertificateFiles | undefined): Promise<void> {
  if (load.expected === undefined) return;
  const session =
    tls === undefined
      ? http2.connect(`http://127.0.0.1:${peer.port}`)
      : http2.connect(`https://${tls.host}:${peer.port}`, {
          ca: readFileSync(tls.certificate),
          lookup: (_host, _options, found) => found(null, [{ address: "127.0.0.1", family: 4 }]),
        });
  try {
    const answer = await new Promise<string>((resolve, reject) => {
      session.on("error", reject);
      const post = load.body !== undefined;
      const request = session.request(
        { ":path": load.path, ":method": post ? "POST" : "GET", ...load.headers },
        { endStream: !post },
      );
      if (post) request.end(readFileSync(load.body));
      let status = "";
      let bytes = 0;
      let trailers = "";
      request.once("response", (headers) => (status = `${headers[":status"]}`));
      request.once("trailers", (fields) => (trailers = `, grpc-status ${fields["grpc-status"]}`));
      request.on("data", (chunk: Buffer) => (bytes += chunk.length));
      request.once("end", () => resolve(`${status}, ${bytes} bytes${trailers}`));
      request.on("error", reject);
    });
    if (answer !== load.expected) throw new Error(`${peer.name}: ${load.name}: ${answer}, not ${load.expected}`);
  } finally {
    session.destroy();
  }
}
