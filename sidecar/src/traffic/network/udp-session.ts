import { callbackTimer, type WheelTimer } from "@heddle/base";
import { type DownstreamInfo, UpstreamState } from "@heddle/filter";
import type { DatagramEvents, SocketAddress } from "@heddle/net";
import type { Endpoint, Outcome } from "@heddle/traffic";
import type { DatagramReply } from "../listener/datagram-filter.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { UdpEnv } from "./udp-env.ts";
import type { UdpProxy } from "./udp-proxy.ts";
import type { UdpClusterStats } from "./udp-stats.ts";

/** Who the datagrams come from, and the way back. */
export interface UdpClient {
  readonly address: string;
  readonly port: number;
  readonly reply: DatagramReply;
}

let nextId = 1;

/** The datagrams between one client and one endpoint, until neither has sent any for a while. */
export class UdpSession implements DatagramEvents {
  readonly key: string;
  readonly cluster: Cluster;
  readonly endpoint: Endpoint;
  readonly #proxy: UdpProxy;
  readonly #client: UdpClient;
  readonly #done: ((outcome: Outcome) => void) | undefined;
  readonly #clusterStats: UdpClusterStats;
  readonly #idle: WheelTimer;
  readonly #id = nextId++;
  readonly #startMs: number;
  readonly #startWallMs: number;
  #upstream: ReturnType<UdpEnv["openDatagrams"]> | undefined = undefined;
  #activeMs: number;
  #received = 0;
  #sent = 0;
  #over = false;

  constructor(
    proxy: UdpProxy,
    key: string,
    cluster: Cluster,
    endpoint: Endpoint,
    done: ((outcome: Outcome) => void) | undefined,
    client: UdpClient,
  ) {
    const { clock } = proxy.env;
    this.key = key;
    this.cluster = cluster;
    this.endpoint = endpoint;
    this.#proxy = proxy;
    this.#client = client;
    this.#done = done;
    this.#clusterStats = proxy.statsOf(cluster);
    this.#idle = callbackTimer(() => this.#checkIdle());
    this.#startMs = clock.now();
    this.#startWallMs = clock.wallNow();
    this.#activeMs = this.#startMs;
  }

  /** Once. */
  start(address: SocketAddress & { type: "socket" }): void {
    const { env, config } = this.#proxy;
    this.endpoint.activeRequests++; // what the balancer counts
    this.endpoint.activeConnections++;
    this.#upstream = env.openDatagrams(address, this, this.cluster.sourceOf(this.endpoint));
    if (config.idleTimeoutMs > 0) env.wheel.start(this.#idle, config.idleTimeoutMs);
  }

  fromClient(bytes: Uint8Array): void {
    this.#activeMs = this.#proxy.env.clock.now();
    this.#received += bytes.byteLength;
    if (this.#upstream?.send(bytes) === true) this.#clusterStats.txDatagrams.add();
    else this.#clusterStats.txErrors.add();
  }

  onDatagram(bytes: Uint8Array): void {
    const { env, stats, config } = this.#proxy;
    if (this.#over) return;
    this.#activeMs = env.clock.now();
    this.#clusterStats.rxDatagrams.add();
    if (bytes.byteLength > config.maxUpstreamDatagramBytes) {
      this.#clusterStats.rxDatagramsDropped.add();
      return;
    }
    if (!this.#client.reply(bytes, this.#client.address, this.#client.port)) {
      stats.txErrors.add();
      return;
    }
    this.#sent += bytes.byteLength;
    stats.txDatagrams.add();
    stats.txBytes.add(bytes.byteLength);
  }

  /** Nobody listens there, say (ICMP). Whoever comes to listen gets the next one. */
  onError(): void {
    this.#clusterStats.rxErrors.add();
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    const { env, logger } = this.#proxy;
    env.wheel.cancel(this.#idle);
    this.#upstream?.close();
    this.endpoint.activeRequests--;
    this.endpoint.activeConnections--;
    this.cluster.breaker.releaseConnection();
    this.#done?.({ type: "response", status: 200 });
    this.#proxy.ended(this);
    if (logger === undefined) return;
    const upstream = new UpstreamState();
    upstream.cluster = this.cluster.name;
    upstream.address = this.endpoint.key;
    upstream.attempts = 1;
    logger.log({
      downstream: this.#downstream(),
      startWallMs: this.#startWallMs,
      durationMs: env.clock.now() - this.#startMs,
      bytesReceived: this.#received,
      bytesSent: this.#sent,
      responseFlags: 0,
      details: "",
      upstream,
      logType: "UdpSessionEnd",
    });
  }

  #downstream(): DownstreamInfo {
    const { address, port } = this.#client;
    return {
      ...this.#proxy.info,
      directRemoteAddress: address,
      remoteAddress: address,
      remotePort: port,
      connectionId: this.#id,
      filterChain: "",
    };
  }

  #checkIdle(): void {
    const { env, config, stats } = this.#proxy;
    const leftMs = this.#activeMs + config.idleTimeoutMs - env.clock.now();
    if (leftMs > 0) {
      env.wheel.start(this.#idle, leftMs);
      return;
    }
    stats.idleTimeout.add();
    this.end();
  }
}
