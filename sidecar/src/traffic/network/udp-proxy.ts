import type { Endpoint, Outcome, UdpProxyConfig } from "@heddle/traffic";
import type { ConnectionLogger } from "../listener/connection-logger.ts";
import type { DatagramFilter, DatagramReply } from "../listener/datagram-filter.ts";
import type { Cluster } from "../upstream/cluster.ts";
import { CONNECTION_HEAD } from "../upstream/connect-attempt.ts";
import type { UdpEnv } from "./udp-env.ts";
import { UdpSession } from "./udp-session.ts";
import { UdpClusterStats, UdpStats } from "./udp-stats.ts";

/** What the sessions of a listener have in common. */
export interface UdpListenerInfo {
  readonly listener: string;
  readonly localAddress: string;
  readonly localPort: number;
}

/**
 * `envoy.filters.udp_listener.udp_proxy`: the datagrams of one client (its address and port) are a session with one endpoint,
 * through a socket of its own, by which the endpoint's answers find back. One for each UDP listener.
 *
 * There are as many sessions as the cluster's circuit breaker allows connections (1024 of the process), so that datagrams with
 * invented senders cannot use up the descriptors.
 */
export class UdpProxy implements DatagramFilter {
  readonly config: UdpProxyConfig;
  readonly env: UdpEnv;
  readonly info: UdpListenerInfo;
  readonly stats: UdpStats;
  readonly logger: ConnectionLogger | undefined;
  readonly #sessions = new Map<string, UdpSession>();
  #clusterStats: { readonly name: string; readonly stats: UdpClusterStats } | undefined = undefined;
  #onEmpty: (() => void) | undefined = undefined;

  constructor(config: UdpProxyConfig, info: UdpListenerInfo, env: UdpEnv) {
    this.config = config;
    this.env = env;
    this.info = info;
    this.stats = new UdpStats(env.metrics, config.statPrefix);
    this.logger = config.accessLog.length === 0 ? undefined : env.makeConnectionLogger(config.accessLog);
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** A datagram has come from a client. */
  receive(bytes: Uint8Array, address: string, port: number, reply: DatagramReply): void {
    const { stats, config } = this;
    stats.rxDatagrams.add();
    stats.rxBytes.add(bytes.byteLength);
    const cluster = this.env.runtime.current.clusters.get(config.cluster);
    if (cluster === undefined) {
      stats.noRoute.add();
      return;
    }
    const client = `${address} ${port}`;
    if (config.perPacketLoadBalancing) {
      const pick = this.#pick(cluster);
      if (pick === undefined) return;
      const key = `${client} ${pick.endpoint.key}`;
      const known = this.#living(key, cluster);
      if (known !== undefined) pick.done?.(UNUSED);
      (known ?? this.#begin(key, cluster, pick, address, port, reply))?.fromClient(bytes);
      return;
    }
    const known = this.#living(client, cluster);
    if (known !== undefined) {
      known.fromClient(bytes);
      return;
    }
    const pick = this.#pick(cluster);
    if (pick !== undefined) this.#begin(client, cluster, pick, address, port, reply)?.fromClient(bytes);
  }

  /** Takes nothing new. Resolves when the last session has ended, which each does when it is idle. */
  untilEmpty(): Promise<void> {
    if (this.#sessions.size === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#onEmpty = resolve));
  }

  /** Ends all sessions. */
  close(): void {
    for (const session of Array.from(this.#sessions.values())) session.end();
    this.logger?.close?.();
  }

  ended(session: UdpSession): void {
    if (this.#sessions.get(session.key) !== session) return;
    this.#sessions.delete(session.key);
    this.stats.active.add(-1);
    if (this.#sessions.size === 0) this.#onEmpty?.();
  }

  statsOf(cluster: Cluster): UdpClusterStats {
    const name = cluster.config.statName;
    if (this.#clusterStats?.name !== name)
      this.#clusterStats = { name, stats: new UdpClusterStats(this.env.metrics, name) };
    return this.#clusterStats.stats;
  }

  /** A session whose endpoint, or cluster, is gone ends, and the next datagram begins another one. */
  #living(key: string, cluster: Cluster): UdpSession | undefined {
    const session = this.#sessions.get(key);
    if (session === undefined) return undefined;
    const { endpoint } = session;
    if (session.cluster === cluster && cluster.endpoints?.byKey.get(endpoint.key) === endpoint) return session;
    session.end();
    return undefined;
  }

  #pick(cluster: Cluster): EndpointChoice | undefined {
    const pick = cluster.pick(CONNECTION_HEAD);
    if (pick.type === "endpoint") return pick;
    cluster.stats.noneHealthy.add(); // also where none has come yet: a datagram waits for nobody
    return undefined;
  }

  #begin(
    key: string,
    cluster: Cluster,
    { endpoint, done }: EndpointChoice,
    address: string,
    port: number,
    reply: DatagramReply,
  ): UdpSession | undefined {
    const target = endpoint.address;
    if (target.type === "pipe" || !cluster.breaker.tryAcquireConnection()) {
      if (target.type === "pipe") this.stats.txErrors.add();
      else cluster.stats.cxOverflow.add();
      done?.(UNUSED);
      return undefined;
    }
    const session = new UdpSession(this, key, cluster, endpoint, done, { address, port, reply });
    this.#sessions.set(key, session);
    this.stats.total.add();
    this.stats.active.add(1);
    session.start(target);
    return session;
  }
}

interface EndpointChoice {
  readonly endpoint: Endpoint;
  readonly done?: (outcome: Outcome) => void;
}

/** Nothing was learned of the endpoint. */
const UNUSED: Outcome = { type: "response", status: 200 };
