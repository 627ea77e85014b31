import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  cluster,
  inlineRoutes,
  type Json,
  jsonAccessLog,
  listener,
  staticBootstrap,
  virtualHost,
} from "./envoy-config.ts";
import { eventually } from "./eventually.ts";
import { lastFirst, type Owner } from "./owner.ts";
import { RawPeer, RawUpstream } from "./raw-peer.ts";
import { type SidecarOptions, type SidecarProcess, scratchFolder, startSidecar } from "./sidecar.ts";

/** What one test's route and cluster have beyond the ordinary. */
export interface SlotWish {
  /** Of the route's action. */
  readonly route?: Json;
  readonly cluster?: Json;
}

export interface LogLine {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly status: number;
  readonly flags: string;
  readonly details: string;
  readonly attempts: number;
  readonly received: number;
  readonly sent: number;
  readonly upstream: string | null;
  readonly cluster: string | null;
  readonly request_id: string;
}

export interface SlotsOptions extends SidecarOptions {
  readonly slots: Readonly<Record<string, SlotWish>>;
  /** Of the connection manager. */
  readonly http?: Json;
  readonly filters?: readonly Json[];
  /** More virtual hosts. */
  readonly hosts?: readonly Json[];
  readonly clusters?: readonly Json[];
}

/** One test's corner of a sidecar that many tests share: requests for the host reach the upstream and nothing else does. */
export interface Slot {
  readonly host: string;
  readonly upstream: RawUpstream;
  /** A connection to the sidecar. */
  client(): Promise<RawPeer>;
  /** The access log's lines of this host, once there are so many. */
  logged(count?: number): Promise<readonly LogLine[]>;
}

/** A sidecar with one listener and a virtual host, a cluster and a scripted upstream for each slot: starting one takes a while. */
export interface SidecarSlots {
  readonly sidecar: SidecarProcess;
  readonly port: number;
  slot(name: string, owner: Owner): Slot;
}

export async function startSlots(owner: Owner, options: SlotsOptions): Promise<SidecarSlots> {
  const ends = lastFirst(owner);
  const folder = options.folder ?? scratchFolder(ends);
  const upstreams = new Map<string, RawUpstream>();
  for (const name of Object.keys(options.slots)) upstreams.set(name, await RawUpstream.listen(ends));
  ends.after(() =>
    eventually("the sidecar has left no connection", () => [...upstreams.values()].every(({ open }) => open === 0)),
  );

  const accessLog = join(folder, "access.json");
  const hosts = Object.entries(options.slots).map(([name, { route }]) => virtualHost(name, name, route));
  const clusters = Object.entries(options.slots).map(([name, wish]) =>
    cluster(name, [upstreams.get(name)?.port ?? 0], wish.cluster),
  );
  const bootstrap = staticBootstrap(
    [
      listener({
        name: "in",
        routes: inlineRoutes([...hosts, ...(options.hosts ?? [])]),
        filters: options.filters ?? [],
        http: { access_log: [jsonAccessLog(accessLog)], ...options.http },
      }),
    ],
    [...clusters, ...(options.clusters ?? [])],
  );
  const sidecar = await startSidecar(bootstrap, ends, { ...options, folder });
  const port = await sidecar.port("in");
  return {
    sidecar,
    port,
    slot(name, test) {
      const upstream = upstreams.get(name);
      assert.ok(upstream !== undefined, `there is a slot ${name}`);
      return {
        host: name,
        upstream,
        client: () => RawPeer.connect(port, test),
        logged: (count = 1) => untilLogged(accessLog, name, count),
      };
    },
  };
}

/** The lines of a host in a JSON access log, once there are so many. */
export async function untilLogged(path: string, host: string, count: number): Promise<readonly LogLine[]> {
  let lines: readonly LogLine[] = [];
  await eventually(`${count} lines of ${host} are in the access log`, () => {
    lines = readLog(path).filter((line) => line.host === host);
    return lines.length >= count;
  });
  return lines;
}

export function readLog(path: string): readonly LogLine[] {
  if (!existsSync(path)) return [];
  const complete = readFileSync(path, "utf8").split("\n").slice(0, -1); // the last one may still be written
  return complete.map((line) => JSON.parse(line) as LogLine);
}
