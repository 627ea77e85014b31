import type { DownstreamInfo } from "@heddle/filter";
import type { Connection } from "@heddle/net";
import { type TcpProxyConfig, WeightedDraw } from "@heddle/traffic";
import type { ConnectionLogger } from "../listener/connection-logger.ts";
import type { Cluster } from "../upstream/cluster.ts";
import { EarlyUpstream } from "./early-upstream.ts";
import type { NetworkFilter, Prepared } from "./network-filter.ts";
import { chosenCluster } from "./sni-cluster.ts";
import type { TcpEnv } from "./tcp-env.ts";
import { TcpStats } from "./tcp-stats.ts";
import { TcpTunnel } from "./tcp-tunnel.ts";

/**
 * `envoy.filters.network.tcp_proxy`: joins each connection with one to an endpoint of a cluster. One for each filter chain
 * of a listener.
 */
export class TcpProxy implements NetworkFilter {
  readonly config: TcpProxyConfig;
  readonly env: TcpEnv;
  readonly stats: TcpStats;
  readonly logger: ConnectionLogger | undefined;
  readonly #draw: WeightedDraw;

  constructor(config: TcpProxyConfig, env: TcpEnv) {
    this.config = config;
    this.env = env;
    this.stats = new TcpStats(env.metrics, config.statPrefix);
    this.logger = config.accessLog.length === 0 ? undefined : env.makeConnectionLogger(config.accessLog);
    this.#draw = new WeightedDraw(config.clusters.map(({ weight }) => weight));
  }

  serve(connection: Connection, downstream: DownstreamInfo, onClosed: () => void, prepared?: Prepared): TcpTunnel {
    const tunnel = new TcpTunnel(this, connection, downstream, onClosed);
    tunnel.start(prepared instanceof EarlyUpstream && prepared.usable ? prepared : undefined);
    return tunnel;
  }

  /** Dials for a client that is silent; its server may be about to speak. */
  prepare(downstream: DownstreamInfo, onSpoken: () => void): EarlyUpstream | undefined {
    const name = this.clusterFor(downstream);
    const cluster = this.cluster(name);
    if (cluster === undefined) return undefined;
    const early = new EarlyUpstream(name, cluster, this.env, downstream, onSpoken);
    early.start();
    return early;
  }

  close(): void {
    this.logger?.close?.();
  }

  /** The name of the cluster that a filter before this one has chosen, else one that is drawn anew for each attempt as in Envoy. */
  clusterFor(downstream: DownstreamInfo): string {
    return chosenCluster(downstream) ?? this.#drawCluster();
  }

  #drawCluster(): string {
    const { clusters } = this.config;
    const place = clusters.length === 1 ? 0 : this.#draw.place(this.env.random());
    return clusters[place]!.name; // a place of the draw, which was made of these
  }

  cluster(name: string): Cluster | undefined {
    return this.env.runtime.current.clusters.get(name);
  }
}
