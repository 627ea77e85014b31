import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { H2_TABLES, printHttp2 } from "./h2-bench.ts";
import { printHandshakes } from "./handshake-bench.ts";
import { type Memory, measure, median, memory, type PathOptions, ratio, round, type Sample } from "./measure.ts";
import { MeshIdentity } from "./mesh-identity.ts";
import { freePort, type Peer, stop } from "./peer.ts";
import { startAdsSidecar, startControlPlane, startHaproxy, startNginx, startUpstream } from "./peers.ts";
import { startSidecar } from "./sidecar-config.ts";

const DEFAULT_ENTRY = join(import.meta.dirname, "../../sidecar/dist/bundle/main.js");

const LOADS = [
  { name: "HTTP/1 keep-alive, 32 connections, 170-byte answers", path: "/small", connections: 32, close: false },
  { name: "HTTP/1 keep-alive, 32 connections, 64 KiB answers", path: "/large", connections: 32, close: false },
] as const;

/** Each request meets any of the workers: how many of them then need an upstream connection of their own? */
const MANY_WORKERS_LOADS = [
  { name: "HTTP/1, a connection for each request, one at a time", path: "/small", connections: 1, close: true },
  { name: "HTTP/1, a connection for each request, 8 at a time", path: "/small", connections: 8, close: true },
] as const;

/** What is to be reached, of the sidecar that has everything by ADS and no traffic. */
const IDLE_GOAL = { readyMs: 700, rssMb: 115, privateDirtyMb: 55 };

/** Until what starting has left is given back. */
const SETTLE_MS = 3000;

const TABLES = ["idle", "h1", ...H2_TABLES, "handshakes"] as const;

/**
 * The built sidecar beside its peers in front of the same upstream, alternating in one run: on a noisy machine only
 * ratios from one run mean anything. bench/README.md tells of the tables and the options.
 */
export async function pathBench(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      tables: { type: "string", default: TABLES.join() },
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "3" },
      entry: { type: "string", default: DEFAULT_ENTRY },
      against: { type: "string" },
      "peers-only": { type: "boolean", default: false },
      concurrency: { type: "string", default: "1" },
    },
  });
  const tables = values.tables.split(",");
  for (const table of tables)
    if (!TABLES.some((known) => known === table)) throw new Error(`no table ${table}: ${TABLES.join(", ")}`);
  const options: PathOptions = {
    entry: values["peers-only"] ? undefined : values.entry,
    against: values.against,
    workers: Number(values.concurrency),
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
  };
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  try {
    if (tables.includes("idle")) await printIdleWithAds(folder, options);
    if (tables.includes("h1")) await printHttp1(folder, options);
    for (const table of H2_TABLES) if (tables.includes(table)) await printHttp2(folder, table, options);
    if (tables.includes("handshakes")) await printHandshakes(folder, options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Start-up and memory as in a mesh: one listener, route configuration, cluster and endpoint from our control plane. */
async function printIdleWithAds(folder: string, { entry, against, rounds }: PathOptions): Promise<void> {
  const entries = [entry, against].filter((file) => file !== undefined);
  if (entries.length === 0) return;
  const plain = await idleWithAds(folder, entries, rounds);
  const byIdentity = await idleWithAds(folder, entries, rounds, new MeshIdentity(folder, entries.length * rounds));
  const row = (of: (field: keyof typeof IDLE_GOAL) => number): object => ({
    "ready ms": round(of("readyMs"), 0),
    "RSS MB": round(of("rssMb"), 1),
    "private dirty MB": round(of("privateDirtyMb"), 1),
  });
  const medians = (samples: readonly IdleSample[]): object =>
    row((field) => median(samples.map((sample) => sample[field])));
  console.log(`\nIdle with ADS, ${SETTLE_MS / 1000} s after it is ready`);
  console.table({
    sidecar: medians(plain[0]!),
    ...(plain[1] && { against: medians(plain[1]) }),
    "at most": row((field) => IDLE_GOAL[field]),
    "with identity": medians(byIdentity[0]!),
    ...(byIdentity[1] && { "against, with identity": medians(byIdentity[1]) }),
  });
}

type IdleSample = Memory & { readonly readyMs: number };

/** Samples of each of the programs. `identity`: they join the mesh, and what they are told to is by mutual TLS. */
async function idleWithAds(
  folder: string,
  entries: readonly string[],
  rounds: number,
  identity?: MeshIdentity,
): Promise<readonly (readonly IdleSample[])[]> {
  const port = await freePort();
  const controlPlane = await startControlPlane(folder, port, await freePort(), identity);
  const seen = entries.map((): IdleSample[] => []);
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const [index, entry] of entries.entries()) {
        const sidecar = await startAdsSidecar(controlPlane, port, entry, identity);
        await sleep(SETTLE_MS);
        seen[index]!.push({ readyMs: sidecar.readyMs, ...memory(sidecar.process.pid!) });
        await stop(sidecar);
      }
    }
  } finally {
    await stop(controlPlane);
  }
  return seen;
}

/** The tables of HTTP/1, beside HAProxy and nginx. */
async function printHttp1(folder: string, options: PathOptions): Promise<void> {
  const { entry, against, workers, rounds, seconds } = options;
  const peers: Peer[] = [];
  const upstream = await startUpstream(folder);
  try {
    peers.push(await startHaproxy(folder, upstream.port));
    peers.push(await startNginx(folder, upstream.port));
    if (entry !== undefined) peers.push(await startSidecar(folder, upstream.port, entry, "heddle", workers));
    if (against !== undefined) peers.push(await startSidecar(folder, upstream.port, against, "against", workers));

    await sleep(SETTLE_MS);
    const idle = new Map(peers.map((peer) => [peer, memory(peer.process.pid!)]));
    for (const load of workers > 1 ? [...LOADS, ...MANY_WORKERS_LOADS] : LOADS) {
      const samples = new Map<Peer, Sample[]>(peers.map((peer) => [peer, []]));
      const countUrl = `http://127.0.0.1:${upstream.port}/count`;
      const run = (peer: Peer, runSeconds: number): Promise<Sample> =>
        measure(peer.process.pid!, urlOf(peer, load.path), countUrl, load.connections, runSeconds, load.close);
      for (const peer of peers) await run(peer, 2); // warm up
      for (let round = 0; round < rounds; round += 1)
        for (const peer of peers) samples.get(peer)!.push(await run(peer, seconds));
      print(load.name, peers, samples, idle);
    }
  } finally {
    for (const peer of [...peers, upstream]) await stop(peer);
  }
}

function urlOf(peer: Peer, path: string): string {
  return `http://127.0.0.1:${peer.port}${path}`;
}

function print(
  name: string,
  peers: readonly Peer[],
  samples: ReadonlyMap<Peer, readonly Sample[]>,
  idle: ReadonlyMap<Peer, Memory>,
): void {
  console.log(`\n${name}`);
  console.table(
    Object.fromEntries(
      peers.map((peer) => {
        const of = (field: keyof Sample): number => median(samples.get(peer)!.map((sample) => sample[field]));
        const now = memory(peer.process.pid!);
        return [
          peer.name,
          {
            "CPU µs/request": round(of("cpuMicrosPerRequest"), 1),
            "to HAProxy": round(ratio(peer, peers[0]!, samples, "cpuMicrosPerRequest"), 2),
            "requests/s": round(of("requestsPerSecond"), 0),
            "p50 ms": round(of("p50Ms"), 2),
            "p99 ms": round(of("p99Ms"), 2),
            "requests/upstream connection": round(of("requestsPerUpstreamConnection"), 0),
            errors: samples.get(peer)!.reduce((sum, sample) => sum + sample.errors, 0),
            "idle RSS MB": round(idle.get(peer)!.rssMb, 0),
            "idle private dirty MB": round(idle.get(peer)!.privateDirtyMb, 0),
            "RSS MB": round(now.rssMb, 0),
            "ready ms": round(peer.readyMs, 0),
          },
        ];
      }),
    ),
  );
}
