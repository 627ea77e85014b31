import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeH2Files, startNghttpd } from "./h2-peers.ts";
import { startHaproxyWith } from "./haproxy.ts";
import { type Identities, makeIdentities } from "./identities.ts";
import { cpuSeconds, median, type PathOptions, ratio, round } from "./measure.ts";
import { socket } from "./mtls-peers.ts";
import { freePort, type Peer, start, stop } from "./peer.ts";
import { address, cluster, endpoints, listener, NODE_ID, ROUTES, sidecarCommand } from "./sidecar-config.ts";

interface HandshakeLoad {
  readonly name: string;
  readonly kind: "full" | "resumed";
  readonly mutual: boolean;
  readonly groups: string;
}

interface HandshakeSample {
  readonly cpuMicros: number;
  readonly perSecond: number;
  readonly errors: number;
}

const LOADS: readonly HandshakeLoad[] = [
  { name: "full", kind: "full", mutual: false, groups: "X25519" },
  { name: "resumed (psk_dhe_ke)", kind: "resumed", mutual: false, groups: "X25519" },
  { name: "full, mutual", kind: "full", mutual: true, groups: "X25519" },
  { name: "resumed, mutual", kind: "resumed", mutual: true, groups: "X25519" },
  {
    name: "full, mutual, X25519MLKEM768 where the server has it",
    kind: "full",
    mutual: true,
    groups: "X25519MLKEM768:X25519",
  },
];

const AT_ONCE = 16;

/** TLS 1.3 handshakes of clients that come, say nothing and go: what a restart of everybody costs. */
export async function printHandshakes(folder: string, options: PathOptions): Promise<void> {
  const identities = makeIdentities(folder);
  const upstream = await startNghttpd(folder, await makeH2Files(folder), { http2: true, tls: undefined });
  const { entry, against, workers, rounds, seconds } = options;
  try {
    for (const load of LOADS) {
      const peers = [await startHaproxy(folder, upstream.port, identities, load.mutual)];
      try {
        for (const [name, file] of [["heddle", entry] as const, ["against", against] as const]) {
          if (file === undefined) continue;
          peers.push(await startSidecar(folder, upstream.port, file, name, workers, identities, load.mutual));
        }
        const samples = new Map<Peer, HandshakeSample[]>(peers.map((peer) => [peer, []]));
        for (const peer of peers) await measure(peer, load, 1, identities); // warm up
        for (let turn = 0; turn < rounds; turn += 1)
          for (const peer of peers) samples.get(peer)!.push(await measure(peer, load, seconds, identities));
        print(load, peers, samples);
      } finally {
        for (const peer of peers) await stop(peer);
      }
    }
  } finally {
    await stop(upstream);
  }
}

async function measure(
  peer: Peer,
  { kind, mutual, groups }: HandshakeLoad,
  seconds: number,
  { front }: Identities,
): Promise<HandshakeSample> {
  const pid = peer.process.pid!;
  const before = cpuSeconds(pid);
  const script = [
    join(import.meta.dirname, "handshake-client.ts"),
    String(peer.port),
    String(seconds),
    String(AT_ONCE),
  ];
  const shown = mutual ? [front.certificate, front.key] : [];
  const flags = ["--conditions=heddle-src", "--disable-warning=ExperimentalWarning"];
  const output = await run(process.execPath, [...flags, ...script, kind, groups, ...shown]);
  const { handshakes, resumed, errors } = JSON.parse(output) as Readonly<Record<string, number>>;
  const wrong = kind === "resumed" ? handshakes! - resumed! : resumed!;
  return {
    cpuMicros: ((cpuSeconds(pid) - before) * 1e6) / handshakes!,
    perSecond: handshakes! / seconds,
    errors: errors! + wrong,
  };
}

function run(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.once("error", reject);
    child.once("exit", (code) => (code === 0 ? resolve(output) : reject(new Error(`${command} ended with ${code}`))));
  });
}

async function startSidecar(
  folder: string,
  upstream: number,
  entry: string,
  name: string,
  workers: number,
  { authority, front, back }: Identities,
  mutual: boolean,
): Promise<Peer> {
  const [port, admin] = [await freePort(), await freePort()];
  const context = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
  const certificate = { certificate_chain: { filename: back.certificate }, private_key: { filename: back.key } };
  const common_tls_context = { alpn_protocols: ["h2"], tls_certificates: [certificate] };
  const oneWay = { transport_socket: { name: "tls", typed_config: { "@type": context, common_tls_context } } };
  const both = { "@type": context, require_client_certificate: true };
  const plain = listener(port, { route_config: ROUTES }, H2) as { readonly filter_chains: readonly object[] };
  const secured = { ...plain.filter_chains[0], ...(mutual ? socket(both, back, front, authority) : oneWay) };
  const bootstrap = {
    node: { id: NODE_ID, cluster: "bench" },
    admin: { address: address(admin) },
    static_resources: {
      listeners: [{ ...plain, filter_chains: [secured] }],
      clusters: [{ ...cluster(H2), type: "STATIC", load_assignment: endpoints(upstream) }],
    },
  };
  const config = join(folder, `${name}-${port}.json`);
  writeFileSync(config, JSON.stringify(bootstrap));
  return start(name, port, [...sidecarCommand(entry, workers), "-c", config]);
}

const H2 = { http2: true, tls: undefined };

function startHaproxy(
  folder: string,
  upstream: number,
  { authority, back }: Identities,
  mutual: boolean,
): Promise<Peer> {
  const verify = mutual ? `ca-file ${authority} verify required` : "";
  return startHaproxyWith(folder, upstream, {
    bind: `ssl crt ${back.both} ${verify} alpn h2`,
    server: "proto h2",
    options: [],
  });
}

function print(
  { name }: HandshakeLoad,
  peers: readonly Peer[],
  samples: ReadonlyMap<Peer, readonly HandshakeSample[]>,
): void {
  console.log(`\nTLS 1.3 handshakes, ${name}, ${AT_ONCE} at a time`);
  console.table(
    Object.fromEntries(
      peers.map((peer) => {
        const of = (field: keyof HandshakeSample): number => median(samples.get(peer)!.map((sample) => sample[field]));
        return [
          peer.name,
          {
            "CPU µs/handshake": round(of("cpuMicros"), 0),
            "to HAProxy": round(ratio(peer, peers[0]!, samples, "cpuMicros"), 2),
            "handshakes/s of one core": round(1e6 / of("cpuMicros"), 0),
            "handshakes/s here": round(of("perSecond"), 0),
            errors: samples.get(peer)!.reduce((sum, sample) => sum + sample.errors, 0),
          },
        ];
      }),
    ),
  );
}
