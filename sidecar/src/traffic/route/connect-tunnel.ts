import { callbackTimer, type Failure, type WheelTimer } from "@heddle/base";
import { ByteHold, ResponseFlag, type TerminalFilter } from "@heddle/filter";
import { HeaderMap, ResponseHead } from "@heddle/http";
import type { Connection, ConnectionHandler } from "@heddle/net";
import type { SelectedRoute } from "@heddle/traffic";
import type { HttpExchange } from "../http/http-exchange.ts";
import type { Cluster } from "../upstream/cluster.ts";
import { ConnectAttempt, type ConnectAttemptOwner } from "../upstream/connect-attempt.ts";

/** Whether the route ends a CONNECT here, instead of sending it on (Envoy `upgrade_configs.connect_config`). */
export function terminatesConnect({ entry: { action } }: SelectedRoute): boolean {
  if (action.type !== "forward") return false;
  return action.forward.upgradeConfigs.some(
    ({ upgradeType, enabled, terminates }) => upgradeType === "connect" && enabled && terminates === true,
  );
}

/**
 * In the router's place where a route ends a CONNECT: what comes in the tunnel goes to an endpoint of the route's cluster
 * as it is, over a connection of its own (RFC 9110 §9.3.6). The client gets 200 when that connection is made.
 *
 *     connecting ─> open ─> over
 *         └──────────────────^
 */
export class ConnectTunnel implements TerminalFilter, ConnectAttemptOwner, ConnectionHandler {
  readonly #exchange: HttpExchange;
  readonly #route: SelectedRoute;
  #cluster: Cluster | undefined = undefined;
  #attempt: ConnectAttempt | undefined = undefined;
  #connection: Connection | undefined = undefined;
  /** What a client sends without waiting for the answer. */
  #early: ByteHold | undefined = undefined;
  #flushDeadline: WheelTimer | undefined = undefined;
  #requestEnded = false;
  #responseEnded = false;
  #over = false;

  constructor(exchange: HttpExchange, route: SelectedRoute) {
    this.#exchange = exchange;
    this.#route = route;
  }

  // === TerminalFilter: the client's direction

  onRequestHead(endStream: boolean): void {
    const exchange = this.#exchange;
    const { entry, cluster: name } = this.#route;
    const cluster = exchange.runtime.clusters.get(name);
    this.#requestEnded = endStream;
    if (cluster === undefined) {
      const status = entry.action.type === "forward" ? entry.action.forward.clusterNotFoundResponseCode : 503;
      exchange.manager.stats.noCluster.add();
      exchange.reply({ status, details: "cluster_not_found", flags: ResponseFlag.NoClusterFound });
      return;
    }
    this.#cluster = cluster;
    exchange.upstream.cluster = name;
    exchange.upstream.attempts = 1;
    cluster.stats.rqTotal.add();
    this.#attempt = new ConnectAttempt(cluster, exchange.manager.env, exchange, this, exchange.request);
    this.#attempt.start();
  }

  onRequestData(chunk: Uint8Array, endStream: boolean): boolean {
    if (this.#over) return true;
    this.#requestEnded = endStream;
    const connection = this.#connection;
    if (connection === undefined) {
      this.#early ??= new ByteHold();
      this.#early.append(chunk);
      return endStream;
    }
    const mayGoOn = chunk.length === 0 || connection.writeBytes(chunk);
    if (endStream) connection.end();
    return mayGoOn;
  }

  onRequestTrailers(): void {
    this.onRequestData(NOTHING, true);
  }

  pauseResponse(): void {
    this.#connection?.pause();
  }

  resumeResponse(): void {
    this.#connection?.resume();
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    const connection = this.#connection;
    if (connection === undefined) this.#attempt?.cancel();
    else if (this.#requestEnded && this.#responseEnded) this.#letFlush(connection);
    else connection.destroy();
  }

  // === ConnectAttemptOwner

  onConnectFailed(reason: Failure): void {
    const { upstream } = this.#exchange;
    upstream.address = this.#attempt?.address ?? "";
    this.#attempt = undefined;
    this.#over = true;
    this.#exchange.fail(reason);
  }

  onConnected(connection: Connection): void {
    this.#connection = connection;
    connection.start(this);
    this.#exchange.guard(() => this.#open(connection));
  }

  #open(connection: Connection): void {
    const exchange = this.#exchange;
    const { upstream } = exchange;
    upstream.address = this.#attempt!.address; // it has connected
    upstream.localAddress = connection.localAddress;
    upstream.connectedMs = exchange.now() - exchange.startMs;
    exchange.responseCodeDetails = "via_upstream";
    exchange.tunnel = true;
    this.#cluster?.stats.countResponse(200);
    const head = new ResponseHead(200, new HeaderMap());
    exchange.response = head; // values of headers may be made of it
    this.#route.finalizeResponse(head.headers, exchange);
    exchange.respondHead(head, false);
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined && !this.#over) connection.writeBytes(early.view());
    if (this.#requestEnded) connection.end();
    exchange.terminalDrained();
  }

  // === ConnectionHandler: the upstream's direction

  onData(bytes: Uint8Array): void {
    if (!this.#over) this.#exchange.respondData(bytes, false);
  }

  onEnd(): void {
    this.#responseEnded = true;
    if (!this.#over) this.#exchange.respondData(NOTHING, true);
  }

  onDrain(): void {
    if (!this.#over) this.#exchange.terminalDrained();
  }

  onClose(reason: Failure | undefined): void {
    if (this.#flushDeadline !== undefined) this.#exchange.manager.env.wheel.cancel(this.#flushDeadline);
    this.#attempt?.ended(reason);
    this.#attempt = undefined;
    if (this.#over) return;
    this.#over = true;
    // In order both directions have ended; anything else must not look to the client like an end.
    if (reason !== undefined) this.#exchange.fail(reason);
    else if (!this.#responseEnded) this.#exchange.respondData(NOTHING, true);
  }

  /** Both directions have ended: what is queued has the time that connecting had, and then it is dropped. */
  #letFlush(connection: Connection): void {
    if (connection.closed) return;
    this.#flushDeadline = callbackTimer(() => connection.destroy());
    this.#exchange.manager.env.wheel.start(this.#flushDeadline, this.#cluster!.config.connectTimeoutMs); // it has connected
  }
}

const NOTHING = new Uint8Array(0);
