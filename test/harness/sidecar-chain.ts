import { cluster, http2Upstream, inlineRoutes, type Json, listener, staticBootstrap } from "./envoy-config.ts";
import type { Owner } from "./owner.ts";
import { type SidecarOptions, type SidecarProcess, startSidecar } from "./sidecar.ts";

/** One way through the chain. */
export interface Lane {
  /** Where the server listens. */
  readonly port: number;
  /** What the server speaks. */
  readonly speaks: "h1" | "h2";
  /** Of the connection managers of both sidecars. */
  readonly http?: Json;
  /** Of the one route of each sidecar; every path where it is left out. */
  readonly match?: Json;
  /** Of the routes' actions of both sidecars. */
  readonly route?: Json;
  /** Of the action of the back one alone. */
  readonly backRoute?: Json;
  /** Of the cluster before the server. */
  readonly cluster?: Json;
  /** Of Http2ProtocolOptions, of every cluster of HTTP/2. */
  readonly http2?: Json;
}

export interface ChainOptions extends SidecarOptions {
  /** Workers of the front sidecar, where it has not as many as the back one. */
  readonly frontConcurrency?: number;
}

/** What the way to the sidecars and between them has beyond the ordinary: TLS. */
export interface Hop {
  /** Of the front sidecar's listeners' one chain. */
  readonly frontChain: Json;
  /** Of the back sidecar's listeners' one chain. */
  readonly chain: Json;
  /** Of the front sidecar's clusters. */
  readonly cluster: Json;
}

/**
 * `client > front =h2=> back > server`, with a listener for each lane: who connects to `back` has one sidecar on the way,
 * who connects to `front` has two. Listeners take HTTP/1 and HTTP/2 on one port (`codec_type: AUTO`); between the sidecars
 * is HTTP/2 by prior knowledge, or what the hop says.
 */
export interface SidecarChain {
  readonly front: SidecarProcess;
  readonly back: SidecarProcess;
  frontPort(lane: string): number;
  backPort(lane: string): number;
}

export async function startChain(
  owner: Owner,
  lanes: Readonly<Record<string, Lane>>,
  { frontConcurrency, ...options }: ChainOptions = {},
  hop: Hop = { frontChain: {}, chain: {}, cluster: {} },
): Promise<SidecarChain> {
  const entries = Object.entries(lanes);
  const listeners = (chain: Json, at: "front" | "back"): Json[] =>
    entries.map(([name, { http = {}, match = { prefix: "/" }, route = {}, backRoute = {} }]) => {
      const action = { cluster: name, timeout: "0s", ...route, ...(at === "back" && backRoute) };
      const routes = inlineRoutes([{ name, domains: ["*"], routes: [{ match, route: action }] }]);
      const made = listener({ name, routes, http: { codec_type: "AUTO", ...http } });
      const [only] = made["filter_chains"] as Json[];
      return { ...made, filter_chains: [{ ...only, ...chain }] };
    });
  const ports = async (sidecar: SidecarProcess): Promise<ReadonlyMap<string, number>> =>
    new Map(await Promise.all(entries.map(async ([name]) => [name, await sidecar.port(name)] as const)));

  const toServers = entries.map(([name, lane]) => {
    const protocol = lane.speaks === "h2" ? http2Upstream(lane.http2) : {};
    return cluster(name, [lane.port], { ...protocol, ...lane.cluster });
  });
  const back = await startSidecar(staticBootstrap(listeners(hop.chain, "back"), toServers), owner, options);
  const backPorts = await ports(back);

  const toBack = entries.map(([name, { http2 }]) =>
    cluster(name, [backPorts.get(name)!], { ...http2Upstream(http2), ...hop.cluster }),
  );
  const front = await startSidecar(staticBootstrap(listeners(hop.frontChain, "front"), toBack), owner, {
    ...options,
    ...(frontConcurrency !== undefined && { concurrency: frontConcurrency }),
  });
  const frontPorts = await ports(front);
  return {
    front,
    back,
    frontPort: (lane) => frontPorts.get(lane)!,
    backPort: (lane) => backPorts.get(lane)!,
  };
}
