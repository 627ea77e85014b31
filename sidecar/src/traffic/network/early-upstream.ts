import type { Failure } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { Connection, ConnectionHandler } from "@heddle/net";
import type { Cluster } from "../upstream/cluster.ts";
import { ConnectAttempt, type ConnectAttemptOwner } from "../upstream/connect-attempt.ts";
import type { UpstreamEnv } from "../upstream/upstream-env.ts";
import type { Prepared } from "./network-filter.ts";

/**
 * A connection to an endpoint of a cluster that is made while its client is silent, before it is known who serves the client.
 *
 *     dialling ─> listening ─> given ─> (dialling's owner: the heir)
 *        └───────────┴──────────────> over
 *
 * What the server says is not read further than to hear that it speaks. Where the connection fails, or ends, or comes to
 * nothing, it is as if nobody had dialled: whoever serves the client then dials anew and tells what went wrong.
 */
export class EarlyUpstream implements Prepared, ConnectAttemptOwner, ConnectionHandler {
  readonly attempt: ConnectAttempt;
  readonly cluster: string;
  readonly #onSpoken: () => void;
  #state: "dialling" | "listening" | "given" | "over" = "dialling";
  #connection: Connection | undefined = undefined;
  /** The connection has been let go by this handler: it waits for the next. */
  #released = false;
  #heir: ConnectAttemptOwner | undefined = undefined;

  constructor(name: string, cluster: Cluster, env: UpstreamEnv, downstream: DownstreamInfo, onSpoken: () => void) {
    this.cluster = name;
    this.#onSpoken = onSpoken;
    this.attempt = new ConnectAttempt(cluster, env, { downstream }, this);
  }

  start(): void {
    this.attempt.start();
  }

  /** Whether there is anything to give. */
  get usable(): boolean {
    return this.#state === "dialling" || this.#state === "listening";
  }

  /**
   * Gives the attempt, and the connection, away. The heir hears of the attempt from now on; what is open already is returned, to
   * be started.
   */
  give(heir: ConnectAttemptOwner): Connection | undefined {
    if (!this.usable) throw new Error(`an early connection is given that is ${this.#state}`);
    this.#state = "given";
    this.#heir = heir;
    if (!this.#released) this.#connection?.release(NOTHING);
    return this.#connection;
  }

  cancel(): void {
    if (this.#state === "dialling") this.attempt.cancel();
    this.#forget();
  }

  // === the attempt tells

  onConnected(connection: Connection): void {
    if (this.#heir !== undefined) {
      this.#heir.onConnected(connection);
      return;
    }
    this.#state = "listening";
    this.#connection = connection;
    connection.start(this);
  }

  onConnectFailed(reason: Failure): void {
    if (this.#heir === undefined) this.#state = "over";
    else this.#heir.onConnectFailed(reason);
  }

  // === the connection tells

  onData(bytes: Uint8Array): void {
    if (this.#state !== "listening") return;
    this.#connection!.release(bytes); // it is this one that tells
    this.#released = true;
    this.#onSpoken();
  }

  onEnd(): void {
    this.#forget();
  }

  onDrain(): void {}

  onClose(reason: Failure | undefined): void {
    this.#state = "over";
    this.attempt.ended(reason);
  }

  #forget(): void {
    if (this.#state === "over" || this.#state === "given") return;
    this.#state = "over";
    if (this.#released) this.#connection?.start(this); // to hear of its end
    this.#connection?.destroy();
  }
}

const NOTHING = new Uint8Array();
