import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { Agent, createServer, get } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import { fromProtoJson } from "@heddle/proto";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "@heddle/sidecar";
import type { EncodedResource, Snapshot } from "@heddle/xds";
import { XdsServer, xdsServerOptions } from "@heddle/xds/server";
import { quietLog, quietMetrics, SettableSource } from "@heddle/xds/testing";
import { median, round } from "../path/measure.ts";
import { freePort } from "../path/peer.ts";

const DEFAULT_ENTRY = join(import.meta.dirname, "../../sidecar/dist/bundle/main.js");
const METER = join(import.meta.dirname, "turn-meter.ts");
const GOAL_MS = 5;
/** Long enough for a step to have gone all the way. */
const STEP_MS = 4000;
/** Of the light load: one request at a time, so often. */
const REQUEST_EVERY_MS = 5;

/** Resources by type and name, each as proto JSON. */
type World = Readonly<Record<"cluster" | "endpoints", Readonly<Record<string, object>>>>;

/** Of the event loop, or a collection; times of the worker's machine. */
interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

interface Turn extends Span {
  readonly cpuMs: number;
  /** Of it, the time in which the thread had no core. */
  readonly queuedMs: number;
}

/** What a worker's meter has told. */
interface Told {
  turns: Turn[];
  collections: Span[];
  readonly tell: (line: string) => void;
}

/** The longest of a step. */
interface Longest {
  readonly wall: number;
  /** Of the wall time of one turn, what was not waiting for a core that others had. */
  readonly own: number;
  readonly cpu: number;
  /** Of the turn with the most CPU: the time that its collections took. */
  readonly collecting: number;
  readonly request: number;
}

/** The longest turns of a traffic worker's event loop while much configuration arrives: bench/README.md. */
export async function stallBench(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      entry: { type: "string", default: DEFAULT_ENTRY },
      rounds: { type: "string", default: "5" },
      log: { type: "string" },
    },
  });
  const log = values.log === undefined ? undefined : createWriteStream(values.log);
  const rows: Record<string, Longest[]> = {};
  for (let done = 0; done < Number(values.rounds); done += 1) {
    for (const [what, longest] of await oneRun(values.entry, (line) => log?.write(`${line}\n`))) {
      rows[what] ??= [];
      rows[what].push(longest);
    }
  }
  console.log(
    `\nLongest turn of a traffic worker, median (worst) of ${values.rounds} rounds; at most ${GOAL_MS} ms is to be reached`,
  );
  const shown = (all: readonly number[]): string => `${round(median(all), 1)} (${round(Math.max(...all), 1)})`;
  console.table(
    Object.fromEntries(
      Object.entries(rows).map(([what, all]) => [
        what,
        {
          "wall ms": shown(all.map(({ wall }) => wall)),
          "without waiting for a core": shown(all.map(({ own }) => own)),
          "CPU ms": shown(all.map(({ cpu }) => cpu)),
          "collecting in that": shown(all.map(({ collecting }) => collecting)),
          "slowest request ms": shown(all.map(({ request }) => request)),
        },
      ]),
    ),
  );
}

/** `tell`: every line of the meter, and of each step when it begins. */
async function oneRun(entry: string, tell: (line: string) => void): Promise<Map<string, Longest>> {
  const upstream = createServer((_request, response) => response.end("ok"));
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const upstreamPort = (upstream.address() as { port: number }).port;
  const port = await freePort();
  const base = baseSnapshot(port, upstreamPort);
  const source = new SettableSource(snapshot(base, { cluster: {}, endpoints: {} }));
  const server = new Server(xdsServerOptions);
  const metrics = quietMetrics;
  new XdsServer({ source, log: quietLog, metrics, clock: systemClock, identifier: "bench" }).addTo(server);
  const xdsPort = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const told: Told = { turns: [], collections: [], tell };
  const sidecar = startSidecar(entry, xdsPort, await freePort(), told);
  const load = new LightLoad(port);
  const seen = new Map<string, Longest>();
  try {
    await load.begin();
    await sleep(1000);
    for (const [what, world] of steps()) {
      [told.turns, told.collections] = [[], []];
      tell(`step ${Number(process.hrtime.bigint()) / 1e6} ${what}`);
      load.forget();
      source.set(snapshot(base, world));
      await sleep(STEP_MS);
      seen.set(what, longest(told, load.slowestMs));
    }
  } finally {
    load.end();
    sidecar.kill("SIGKILL");
    server.forceShutdown();
    upstream.close();
    upstream.closeAllConnections();
  }
  return seen;
}

function longest({ turns, collections }: Told, request: number): Longest {
  const longer = (of: (turn: Turn) => number): Turn =>
    turns.reduce((most, turn) => (of(turn) > of(most) ? turn : most), { fromMs: 0, toMs: 0, cpuMs: 0, queuedMs: 0 });
  const wall = longer(msOf);
  const ownOf = (turn: Turn): number => msOf(turn) - turn.queuedMs;
  const busy = longer(({ cpuMs }) => cpuMs);
  const collecting = collections
    .map(({ fromMs, toMs }) => Math.max(0, Math.min(toMs, busy.toMs) - Math.max(fromMs, busy.fromMs)))
    .reduce((sum, ms) => sum + ms, 0);
  // Collections lie within each other where marking begins.
  const own = ownOf(longer(ownOf));
  return { wall: msOf(wall), own, cpu: busy.cpuMs, collecting: Math.min(collecting, msOf(busy)), request };
}

function msOf({ fromMs, toMs }: Span): number {
  return toMs - fromMs;
}

/** What arrives, one after the other. */
function* steps(): Generator<readonly [string, World]> {
  const nothing: World = { cluster: {}, endpoints: {} };
  yield ["nothing arrives", nothing];
  const one = (policy: object, change: number): World => ({
    cluster: { big: { ...cluster("big"), ...policy } },
    endpoints: { big: endpoints("big", 10_000, change) },
  });
  yield ["one cluster with 10,000 endpoints", one({}, 0)];
  yield ["one of its endpoints changes", one({}, 1)];
  yield ["all of its endpoints go", nothing];
  yield ["10,000 endpoints, least request", one({ lb_policy: "LEAST_REQUEST" }, 0)];
  const many = (change: number): World => {
    const names = Array.from({ length: 1000 }, (_, index) => `many-${index}`);
    return {
      cluster: Object.fromEntries(names.map((name) => [name, cluster(name)])),
      endpoints: Object.fromEntries(names.map((name) => [name, endpoints(name, 10, change)])),
    };
  };
  yield ["1,000 clusters with 10 endpoints", many(0)];
  yield ["an endpoint of each changes", many(1)];
  yield ["all of them go", nothing];
}

function startSidecar(entry: string, xdsPort: number, adminPort: number, told: Told): ChildProcess {
  const flags = ["--control-plane", `127.0.0.1:${xdsPort}`, "--node-id", "default/bench/1"];
  const admin = ["--admin-address", `127.0.0.1:${adminPort}`, "--concurrency", "1"];
  const child = spawn(process.execPath, [...NODE_FLAGS, "--import", METER, entry, ...flags, ...admin], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...NODE_ENVIRONMENT, ...process.env },
  });
  createInterface({ input: child.stderr }).on("line", (line) => {
    told.tell(line);
    const [, what, from, to, last, queued] = /^(turn|gc) \d+ (\S+) (\S+) (\S+)(?: (\S+))?$/.exec(line) ?? [];
    const span = { fromMs: Number(from), toMs: Number(to) };
    if (what === "turn") told.turns.push({ ...span, cpuMs: Number(last), queuedMs: Number(queued) });
    else if (what === "gc") told.collections.push(span);
    else if (/error|warn/i.test(line)) console.error(line);
  });
  return child;
}

/** One request at a time through the sidecar, and the slowest of them. */
class LightLoad {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #timer: NodeJS.Timeout | undefined;
  #busy = false;
  slowestMs = 0;

  constructor(port: number) {
    this.#port = port;
  }

  /** Resolves when the first request has been answered. */
  async begin(): Promise<void> {
    while (!(await this.#request().catch(() => false))) await sleep(50);
    this.#timer = setInterval(() => {
      if (this.#busy) return;
      this.#busy = true;
      const began = performance.now();
      this.#request()
        .catch(() => console.error("a request failed"))
        .finally(() => {
          this.#busy = false;
          this.slowestMs = Math.max(this.slowestMs, performance.now() - began);
        });
    }, REQUEST_EVERY_MS);
  }

  forget(): void {
    this.slowestMs = 0;
  }

  end(): void {
    clearInterval(this.#timer);
    this.#agent.destroy();
  }

  #request(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      get({ host: "127.0.0.1", port: this.#port, path: "/", agent: this.#agent }, (response) => {
        response.resume().once("end", () => resolve(response.statusCode === 200));
      }).once("error", reject);
    });
  }
}

const ADS = { resource_api_version: "V3", ads: {} };
const TYPE_NAMES = {
  cluster: "envoy.config.cluster.v3.Cluster",
  endpoints: "envoy.config.endpoint.v3.ClusterLoadAssignment",
  listener: "envoy.config.listener.v3.Listener",
  routes: "envoy.config.route.v3.RouteConfiguration",
} as const;

function cluster(name: string): object {
  return { name, type: "EDS", eds_cluster_config: { eds_config: ADS }, connect_timeout: "1s" };
}

function endpoints(name: string, count: number, change: number): object {
  const lb_endpoints = Array.from({ length: count }, (_, index) => ({
    endpoint: {
      address: {
        socket_address: { address: `10.${index === 0 ? change : 0}.${index >> 8}.${index & 255}`, port_value: 80 },
      },
    },
  }));
  return { cluster_name: name, endpoints: [{ locality: { region: "r", zone: "z" }, lb_endpoints }] };
}

function baseSnapshot(port: number, upstreamPort: number): Snapshot {
  const connectionManager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "bench",
    rds: { route_config_name: "routes", config_source: ADS },
    http_filters: [
      {
        name: "router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  const socket = (port_value: number): object => ({ socket_address: { address: "127.0.0.1", port_value } });
  const up = { endpoint: { address: socket(upstreamPort) } };
  return {
    resources: new Map([
      entryOf("listener", {
        listener: {
          name: "listener",
          address: socket(port),
          filter_chains: [{ filters: [{ name: "http", typed_config: connectionManager }] }],
        },
      }),
      entryOf("routes", {
        routes: {
          name: "routes",
          virtual_hosts: [
            { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "up" } }] },
          ],
        },
      }),
      entryOf("cluster", { up: cluster("up") }),
      entryOf("endpoints", { up: { cluster_name: "up", endpoints: [{ lb_endpoints: [up] }] } }),
    ]),
  };
}

function snapshot(base: Snapshot, world: World): Snapshot {
  const resources = new Map(base.resources);
  for (const kind of ["cluster", "endpoints"] as const) {
    const [typeUrl, added] = entryOf(kind, world[kind]);
    resources.set(typeUrl, new Map([...(base.resources.get(typeUrl) ?? []), ...added]));
  }
  return { resources };
}

function entryOf(
  kind: keyof typeof TYPE_NAMES,
  named: Readonly<Record<string, object>>,
): [string, Map<string, EncodedResource>] {
  const resources = Object.entries(named).map(([name, json]): [string, EncodedResource] => [
    name,
    encode(kind, name, json),
  ]);
  return [`type.googleapis.com/${TYPE_NAMES[kind]}`, new Map(resources)];
}

let versions = 0;

function encode(kind: keyof typeof TYPE_NAMES, name: string, json: object): EncodedResource {
  const encoded = fromProtoJson(TYPE_NAMES[kind], json);
  if (!encoded.ok) throw new Error(`${name}: ${JSON.stringify(encoded.error)}`);
  return { name, version: String(++versions), bytes: encoded.value };
}
