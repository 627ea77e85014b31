import { setTimeout as sleep } from "node:timers/promises";
import { makeCertificate } from "./certificate.ts";
import { type H2Load, type H2Sample, measureH2, prove } from "./h2-measure.ts";
import {
  type H2Files,
  MESSAGES_A_CALL,
  makeH2Files,
  startH2Haproxy,
  startMessageServer,
  startNghttpd,
  startNghttpx,
  startNodeHttp2Proxy,
} from "./h2-peers.ts";
import { makeIdentities } from "./identities.ts";
import { median, memory, type PathOptions, ratio, round } from "./measure.ts";
import { startHaproxies, startSidecars } from "./mtls-peers.ts";
import { type Peer, stop } from "./peer.ts";
import { type Legs, startSidecar } from "./sidecar-config.ts";

export const H2_TABLES = ["h2", "h2-tls", "mtls", "grpc", "stream", "bulk", "bulk-tls"] as const;

type H2Table = (typeof H2_TABLES)[number];

/** What runs, and in front of what. The first peer is what the others are held against. */
interface H2Setup {
  readonly legs: Legs;
  readonly upstream: Peer;
  readonly nodeHttp2: boolean;
  readonly loads: readonly H2Load[];
}

/** Let the garbage and the compiler's work of what went before pass. */
const SETTLE_MS = 500;

const GRPC_HEADERS = { "content-type": "application/grpc", te: "trailers" };

/** One group of tables: HTTP/2 on both sides of each proxy, all proxies in front of one upstream. */
export async function printHttp2(folder: string, table: H2Table, options: PathOptions): Promise<void> {
  const peers: Peer[] = [];
  const { legs, upstream, nodeHttp2, loads } = await setUp(folder, table);
  try {
    const { entry, against, workers } = options;
    if (table === "mtls") {
      const identities = makeIdentities(folder);
      const { port } = upstream;
      peers.push(await startHaproxies(folder, port, identities));
      if (entry !== undefined) peers.push(await startSidecars(folder, port, entry, "heddle", workers, identities));
      if (against !== undefined) peers.push(await startSidecars(folder, port, against, "against", workers, identities));
    } else {
      peers.push(await startH2Haproxy(folder, upstream.port, legs));
      peers.push(await startNghttpx(folder, upstream.port, legs));
      if (nodeHttp2) peers.push(await startNodeHttp2Proxy(upstream.port));
      if (entry !== undefined) peers.push(await startSidecar(folder, upstream.port, entry, "heddle", workers, legs));
      if (against !== undefined)
        peers.push(await startSidecar(folder, upstream.port, against, "against", workers, legs));
    }
    for (const load of loads) {
      const samples = new Map<Peer, H2Sample[]>(peers.map((peer) => [peer, []]));
      const run = (peer: Peer, seconds: number): Promise<H2Sample> =>
        measureH2(peer, upstream.port, load, seconds, folder, legs.tls);
      for (const peer of peers) {
        await prove(peer, load, legs.tls);
        await run(peer, 2); // warm up
      }
      await sleep(SETTLE_MS);
      for (let turn = 0; turn < options.rounds; turn += 1)
        for (const peer of peers) samples.get(peer)!.push(await run(peer, options.seconds));
      print(load, peers, samples);
    }
  } finally {
    for (const peer of [...peers, upstream]) await stop(peer);
  }
}

async function setUp(folder: string, table: H2Table): Promise<H2Setup> {
  const files = await makeH2Files(folder);
  const tls = table.endsWith("-tls") ? makeCertificate(folder) : undefined;
  const legs: Legs = { http2: true, tls };
  const between = table === "mtls" ? ", mutual TLS between two in a row" : "";
  const suffix = tls === undefined ? between : " over TLS, both sides";
  const nodeHttp2 = table === "grpc" || table === "stream";
  switch (table) {
    case "h2":
    case "h2-tls":
    case "mtls":
      return { legs, nodeHttp2, upstream: await startNghttpd(folder, files, legs), loads: smallLoads(suffix) };
    case "bulk":
    case "bulk-tls":
      return { legs, nodeHttp2, upstream: await startNghttpd(folder, files, legs), loads: bulkLoads(files, suffix) };
    case "grpc":
      return {
        legs,
        nodeHttp2,
        upstream: await startNghttpd(folder, files, legs, "grpc-status"),
        loads: [unary(files)],
      };
    case "stream":
      return { legs, nodeHttp2, upstream: await startMessageServer(), loads: [messages(files)] };
  }
}

function smallLoads(suffix: string): readonly H2Load[] {
  return [
    { connections: 8, streams: 10 },
    { connections: 1, streams: 100 },
  ].map(({ connections, streams }) => ({
    name: `HTTP/2${suffix}, ${connections} x ${streams} streams, 23-byte bodies`,
    path: "/small",
    connections,
    streams,
    unit: "request",
    unitsPerRequest: 1,
    expected: "200, 23 bytes",
  }));
}

function bulkLoads({ huge }: H2Files, suffix: string): readonly H2Load[] {
  const one = { connections: 1, streams: 1, requests: 1, unit: "GiB", unitsPerRequest: 1 } as const;
  return [
    { ...one, name: `HTTP/2${suffix}, 1 GiB down`, path: "/huge" },
    { ...one, name: `HTTP/2${suffix}, 1 GiB up`, path: "/small", body: huge },
  ];
}

function unary({ message }: H2Files): H2Load {
  return {
    name: "gRPC unary, 8 x 10 calls, 23-byte messages",
    path: "/bench.Echo/Unary.grpc",
    connections: 8,
    streams: 10,
    body: message,
    headers: GRPC_HEADERS,
    unit: "request",
    unitsPerRequest: 1,
    expected: "200, 28 bytes, grpc-status 0",
  };
}

function messages({ message }: H2Files): H2Load {
  return {
    name: `gRPC server streaming, 8 x 10 calls, ${MESSAGES_A_CALL} messages of 1 KiB each`,
    path: "/bench.Echo/Stream",
    connections: 8,
    streams: 10,
    body: message,
    headers: GRPC_HEADERS,
    unit: "message",
    unitsPerRequest: MESSAGES_A_CALL,
    expected: `200, ${MESSAGES_A_CALL * 1029} bytes, grpc-status 0`,
  };
}

function print(load: H2Load, peers: readonly Peer[], samples: ReadonlyMap<Peer, readonly H2Sample[]>): void {
  console.log(`\n${load.name}`);
  const nodeHttp2 = peers.find(({ name }) => name === "node:http2");
  const bulk = load.unit === "GiB";
  console.table(
    Object.fromEntries(
      peers.map((peer) => {
        const of = (field: keyof H2Sample): number => median(samples.get(peer)!.map((sample) => sample[field]));
        const to = (base: Peer): number => round(ratio(peer, base, samples, "cpuMicrosPerUnit"), 2);
        return [
          peer.name,
          {
            ...(bulk
              ? { "CPU s/GiB": round(of("cpuMicrosPerUnit") / 1e6, 2) }
              : { [`CPU µs/${load.unit}`]: round(of("cpuMicrosPerUnit"), load.unit === "message" ? 2 : 1) }),
            "to HAProxy": to(peers[0]!),
            ...(nodeHttp2 && { "to node:http2": to(nodeHttp2) }),
            ...(bulk
              ? { "MB/s": round(of("unitsPerSecond") * 1073.7, 0) }
              : { [`${load.unit}s/s`]: round(of("unitsPerSecond"), 0) }),
            ...(!bulk && { "p50 ms": round(of("p50Ms"), 2), "p99 ms": round(of("p99Ms"), 2) }),
            "upstream connections": of("upstreamConnections"),
            errors: samples.get(peer)!.reduce((sum, sample) => sum + sample.errors, 0),
            "RSS MB": round(memory(peer.process.pid!).rssMb, 0),
            "ready ms": round(peer.readyMs, 0),
          },
        ];
      }),
    ),
  );
}
