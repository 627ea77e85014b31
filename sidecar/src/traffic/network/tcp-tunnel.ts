import { callbackTimer, type Failure, type WheelTimer } from "@heddle/base";
import { type DownstreamInfo, ResponseFlag, UpstreamState } from "@heddle/filter";
import type { Connection, ConnectionHandler } from "@heddle/net";
import type { Cluster } from "../upstream/cluster.ts";
import { ConnectAttempt, type ConnectAttemptOwner } from "../upstream/connect-attempt.ts";
import type { EarlyUpstream } from "./early-upstream.ts";
import type { ServedConnection } from "./network-filter.ts";
import type { TcpProxy } from "./tcp-proxy.ts";

/**
 * A client's connection and the one to the upstream, joined.
 *
 *     connecting ─> open ─> closing ─> over
 *         └──────────────────^
 *
 * - The upstream is dialled at once, without waiting for the client's first byte: the server may speak first. The client is
 *   not read before there is somebody to hear it.
 * - A FIN is passed on and ends its own direction alone. A broken connection breaks the other one: RST is passed on as RST,
 *   so that nobody takes a stream that was cut for a whole one.
 * - Each side is read only as long as the other one takes what it sends: no more than a watermark and one read is held.
 */
export class TcpTunnel implements ServedConnection, ConnectAttemptOwner {
  readonly #proxy: TcpProxy;
  readonly #info: DownstreamInfo;
  readonly #onClosed: () => void;
  readonly #downstream: Side;
  readonly #upstreamInfo = new UpstreamState();
  readonly #startMs: number;
  readonly #startWallMs: number;
  #state: "connecting" | "open" | "closing" | "over" = "connecting";
  #upstream: Side | undefined = undefined;
  #attempt: ConnectAttempt | undefined = undefined;
  #flags = 0;
  #details = "";
  /** When a byte last went in either direction. */
  #activeMs = 0;
  /** Bytes that the kernel had taken of both sides when the idle timer last looked. */
  #takenBytes = 0;
  #idle: WheelTimer | undefined = undefined;
  #duration: WheelTimer | undefined = undefined;
  #logEvery: WheelTimer | undefined = undefined;
  /** The client is gone before the upstream has taken everything. */
  #flushing = false;

  constructor(proxy: TcpProxy, connection: Connection, info: DownstreamInfo, onClosed: () => void) {
    this.#proxy = proxy;
    this.#info = info;
    this.#onClosed = onClosed;
    this.#downstream = new Side(this, connection);
    this.#startMs = proxy.env.clock.now();
    this.#startWallMs = proxy.env.clock.wallNow();
  }

  /** @param early what was dialled for the client while nobody knew what it would say. */
  start(early?: EarlyUpstream): void {
    const { connection } = this.#downstream;
    const { config, env, stats } = this.#proxy;
    stats.cxTotal.add();
    connection.start(this.#downstream);
    connection.pause();
    if (config.maxDownstreamConnectionDurationMs > 0) {
      this.#duration = callbackTimer(() => this.#tooOld());
      env.wheel.start(this.#duration, config.maxDownstreamConnectionDurationMs);
    }
    if (config.accessLogFlushIntervalMs > 0 && this.#proxy.logger !== undefined) {
      this.#logEvery = callbackTimer(() => this.#logAgain());
      env.wheel.start(this.#logEvery, config.accessLogFlushIntervalMs);
    }
    if (early === undefined) this.#connect();
    else this.#take(early);
  }

  /** Nothing of TCP could tell the two to come to an end, so they have the time that there is. */
  drain(): void {}

  destroy(): void {
    this.#close();
  }

  // === connecting

  #connect(): void {
    const { env, stats } = this.#proxy;
    const name = this.#proxy.clusterFor(this.#info);
    const cluster = this.#proxy.cluster(name);
    this.#upstreamInfo.cluster = name;
    if (cluster === undefined) {
      stats.cxNoRoute.add();
      this.#refuse(ResponseFlag.NoClusterFound, "cluster_not_found");
      return;
    }
    if (this.#upstreamInfo.attempts >= this.#proxy.config.maxConnectAttempts) {
      cluster.stats.cxConnectAttemptsExceeded.add();
      this.#refuse(ResponseFlag.UpstreamRetryLimitExceeded, this.#details);
      return;
    }
    this.#attempt = new ConnectAttempt(cluster, env, { downstream: this.#info }, this);
    this.#upstreamInfo.attempts++;
    this.#attempt.start();
  }

  #take(early: EarlyUpstream): void {
    this.#upstreamInfo.cluster = early.cluster;
    this.#attempt = early.attempt;
    this.#upstreamInfo.attempts++;
    const connection = early.give(this);
    if (connection !== undefined) this.onConnected(connection);
  }

  onConnectFailed(reason: Failure): void {
    const { address } = this.#attempt!; // an attempt tells of itself
    this.#attempt = undefined;
    this.#upstreamInfo.address = address;
    this.#upstreamInfo.failure = reason;
    this.#details = "upstream_connection_failure";
    switch (reason.kind) {
      case "overflow":
        this.#upstreamInfo.attempts--; // none was made
        this.#refuse(ResponseFlag.UpstreamOverflow, "upstream_overflow");
        return;
      case "no-healthy-upstream":
        this.#upstreamInfo.attempts--;
        this.#refuse(ResponseFlag.NoHealthyUpstream, "no_healthy_upstream");
        return;
      case "drop-overload":
      case "unconditional-drop-overload":
        this.#upstreamInfo.attempts--;
        this.#refuse(ResponseFlag.DropOverload, "drop_overload");
        return;
      default:
        this.#flags |= ResponseFlag.UpstreamConnectionFailure;
        this.#connect();
    }
  }

  onConnected(connection: Connection): void {
    const { config, env, logger } = this.#proxy;
    const info = this.#upstreamInfo;
    const side = new Side(this, connection);
    this.#state = "open";
    this.#upstream = side;
    info.address = this.#attempt!.address; // it is open
    info.localAddress = formatLocal(connection);
    info.connectedMs = env.clock.now() - this.#startMs;
    side.peer = this.#downstream;
    this.#downstream.peer = side;
    this.#activeMs = env.clock.now();
    if (config.idleTimeoutMs > 0) {
      this.#idle = callbackTimer(() => this.#checkIdle());
      env.wheel.start(this.#idle, config.idleTimeoutMs);
    }
    connection.start(side);
    this.#downstream.connection.resume();
    if (config.flushAccessLogOnConnected && logger !== undefined) this.#log("TcpUpstreamConnected");
  }

  /** Nobody to talk to: the client is let go. */
  #refuse(flag: number, details: string): void {
    this.#flags |= flag;
    this.#details = details;
    this.#close();
  }

  // === the sides tell

  moved(): void {
    this.#activeMs = this.#proxy.env.clock.now();
  }

  pausedBy(side: Side): void {
    if (side === this.#downstream) this.#proxy.stats.pausedReading.add();
  }

  resumedBy(side: Side): void {
    if (side === this.#downstream) this.#proxy.stats.resumedReading.add();
  }

  sideClosed(side: Side, reason: Failure | undefined): void {
    if (side === this.#upstream) {
      if (this.#flushing) this.#proxy.stats.upstreamFlushActive.add(-1);
      if (this.#state === "open" && !this.#downstream.gone) this.#cluster?.stats.cxDestroyRemote.add();
      this.#upstreamInfo.failure = reason;
      this.#attempt?.ended(reason);
    } else if (this.#upstream === undefined) this.#attempt?.cancel();
    else if (!this.#upstream.gone && reason === undefined && this.#state === "open") {
      this.#flushing = true;
      this.#proxy.stats.upstreamFlushTotal.add();
      this.#proxy.stats.upstreamFlushActive.add(1);
    }
    // In order both directions have ended, and the other side ends when it has sent what it has.
    if (reason !== undefined) side.peer?.connection.reset();
    if (this.#downstream.gone && this.#upstream?.gone !== false) this.#finish();
  }

  get #cluster(): Cluster | undefined {
    return this.#proxy.cluster(this.#upstreamInfo.cluster);
  }

  // === time

  #checkIdle(): void {
    const { config, env, stats } = this.#proxy;
    const now = env.clock.now();
    const taken = this.#downstream.connection.bytesWritten + (this.#upstream?.connection.bytesWritten ?? 0);
    if (taken !== this.#takenBytes) {
      // What a slow reader takes out of our queue moves too; how long ago it was is not known.
      if (this.#queuedBytes > 0) this.#activeMs = now;
      this.#takenBytes = taken;
    }
    const leftMs = this.#activeMs + config.idleTimeoutMs - now;
    if (leftMs > 0) {
      env.wheel.start(this.#idle!, leftMs); // it has just fired
      return;
    }
    stats.idleTimeout.add();
    this.#details = "idle_timeout";
    this.#close();
  }

  get #queuedBytes(): number {
    return this.#downstream.connection.bytesQueued + (this.#upstream?.connection.bytesQueued ?? 0);
  }

  #tooOld(): void {
    this.#proxy.stats.maxDuration.add();
    this.#refuse(ResponseFlag.DurationTimeout, "max_connection_duration");
  }

  #logAgain(): void {
    this.#log("TcpPeriodic");
    this.#proxy.env.wheel.start(this.#logEvery!, this.#proxy.config.accessLogFlushIntervalMs); // it has just fired
  }

  // === the end

  #close(): void {
    if (this.#state === "over") return;
    this.#state = "closing";
    this.#downstream.connection.destroy();
    if (this.#upstream === undefined) this.#attempt?.cancel();
    else this.#upstream.connection.destroy();
  }

  #finish(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    const { env, stats } = this.#proxy;
    for (const timer of [this.#idle, this.#duration, this.#logEvery]) if (timer !== undefined) env.wheel.cancel(timer);
    stats.rxBytes.add(this.#downstream.connection.bytesRead);
    stats.txBytes.add(this.#downstream.connection.bytesWritten);
    this.#log();
    this.#onClosed();
  }

  #log(logType?: "TcpUpstreamConnected" | "TcpPeriodic"): void {
    const { logger, env } = this.#proxy;
    const { connection } = this.#downstream;
    logger?.log({
      downstream: this.#info,
      startWallMs: this.#startWallMs,
      durationMs: env.clock.now() - this.#startMs,
      bytesReceived: connection.bytesRead,
      bytesSent: connection.bytesWritten,
      responseFlags: this.#flags,
      details: this.#details,
      upstream: this.#upstreamInfo,
      ...(logType && { logType }),
    });
  }
}

/** One of the two connections, whose bytes go to the other. */
class Side implements ConnectionHandler {
  readonly connection: Connection;
  readonly #tunnel: TcpTunnel;
  peer: Side | undefined = undefined;
  gone = false;

  constructor(tunnel: TcpTunnel, connection: Connection) {
    this.#tunnel = tunnel;
    this.connection = connection;
  }

  onData(bytes: Uint8Array): void {
    this.#tunnel.moved();
    if (this.peer!.connection.writeBytes(bytes)) return; // nothing is read before there is one
    this.connection.pause();
    this.#tunnel.pausedBy(this);
  }

  onEnd(): void {
    this.peer?.connection.end();
  }

  onDrain(): void {
    this.#tunnel.moved();
    if (this.peer === undefined) return;
    this.peer.connection.resume();
    this.#tunnel.resumedBy(this.peer);
  }

  onClose(reason: Failure | undefined): void {
    this.gone = true;
    this.#tunnel.sideClosed(this, reason);
  }
}

function formatLocal({ localAddress, localPort }: Connection): string {
  if (localAddress === "") return "";
  return localAddress.includes(":") ? `[${localAddress}]:${localPort}` : `${localAddress}:${localPort}`;
}
