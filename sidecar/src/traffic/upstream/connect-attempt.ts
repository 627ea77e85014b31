import { callbackTimer, type Failure, failure, type WheelTimer } from "@heddle/base";
import { HeaderMap, RequestHead } from "@heddle/http";
import type { Connection, Dialling } from "@heddle/net";
import type { Endpoint, Outcome } from "@heddle/traffic";
import type { Cluster } from "./cluster.ts";
import type { Asker } from "./original-dst-hosts.ts";
import type { UpstreamEnv } from "./upstream-env.ts";

/** Who wants the connection. Exactly one of the two is called, once, unless the attempt is cancelled; possibly from within `start`. */
export interface ConnectAttemptOwner {
  /** The callee starts the connection before it returns, and calls `ended` when it is gone. */
  onConnected(connection: Connection): void;
  onConnectFailed(reason: Failure): void;
}

/**
 * One attempt to connect to an endpoint of a cluster, for one downstream connection alone: picks, asks the circuit breaker,
 * dials. What it has taken (a place in the breaker, the endpoint's counts) it gives back when the connection is gone.
 *
 *     picking ─> dialling ─> open ─> over
 *        └──────────┴─────────────────^
 */
export class ConnectAttempt {
  readonly #cluster: Cluster;
  readonly #env: UpstreamEnv;
  readonly #asker: Asker;
  readonly #owner: ConnectAttemptOwner;
  readonly #request: RequestHead;
  #state: "new" | "picking" | "dialling" | "open" | "over" = "new";
  #endpoint: Endpoint | undefined = undefined;
  #pickDone: ((outcome: Outcome) => void) | undefined = undefined;
  #leavePicker: (() => void) | undefined = undefined;
  #patience: WheelTimer | undefined = undefined;
  #dialling: Dialling | undefined = undefined;

  /** `request`: what the connection is made for, where that is known. */
  constructor(cluster: Cluster, env: UpstreamEnv, asker: Asker, owner: ConnectAttemptOwner, request = CONNECTION_HEAD) {
    this.#request = request;
    this.#asker = asker;
    this.#cluster = cluster;
    this.#env = env;
    this.#owner = owner;
  }

  /** "" before one was picked. */
  get address(): string {
    return this.#endpoint?.key ?? "";
  }

  start(): void {
    const { breaker, stats } = this.#cluster;
    // Asked first, as in Envoy: nobody's connection would become free for this one.
    if (!breaker.tryAcquireConnection()) {
      this.#state = "over";
      stats.cxOverflow.add();
      this.#owner.onConnectFailed(OVERFLOW);
      return;
    }
    this.#state = "picking";
    this.#pick();
  }

  /** The owner hears nothing more. Not for an open connection, which the owner ends. */
  cancel(): void {
    this.#dialling?.cancel();
    this.#release(CANCELLED);
  }

  /** The connection is gone. Undefined: it ended in order. */
  ended(reason: Failure | undefined): void {
    const { stats } = this.#cluster;
    stats.cxActive.add(-1);
    this.#endpoint!.activeConnections--; // an open connection leads somewhere
    this.#release(reason);
  }

  #pick(): void {
    const pick = this.#cluster.pick(this.#request, this.#asker);
    switch (pick.type) {
      case "endpoint":
        this.#stopWaiting();
        this.#dial(pick.endpoint, pick.done);
        return;
      case "wait":
        this.#leavePicker = this.#cluster.nextPicker(() => this.#pick());
        if (this.#patience !== undefined) return;
        this.#patience = callbackTimer(() => this.#fail(NO_ENDPOINT_YET));
        this.#env.wheel.start(this.#patience, this.#cluster.config.connectTimeoutMs);
        return;
      case "fail":
        this.#cluster.countNoEndpoint(pick.failure);
        this.#fail(pick.failure);
        return;
      default:
        throw new Error(`unknown pick ${JSON.stringify(pick satisfies never)}`);
    }
  }

  #dial(endpoint: Endpoint, done: ((outcome: Outcome) => void) | undefined): void {
    const { stats } = this.#cluster;
    const startedMs = this.#env.clock.now();
    this.#state = "dialling";
    this.#endpoint = endpoint;
    this.#pickDone = done;
    endpoint.activeRequests++; // what the balancer counts; of a connection there is one
    const identity = this.#cluster.connectionIdentity(endpoint, this.#asker.downstream);
    this.#dialling = this.#env.dial(identity, this.#cluster.dialOptions, {
      onConnected: (connection) => {
        this.#state = "open";
        stats.cxConnectMs.record(this.#env.clock.now() - startedMs);
        stats.cxTotal.add();
        stats.cxActive.add(1);
        endpoint.connections++;
        endpoint.activeConnections++;
        this.#owner.onConnected(connection);
      },
      onFailed: (reason) => {
        stats.cxConnectFail.add();
        if (reason.kind === "connect-timeout") stats.cxConnectTimeout.add();
        endpoint.connectFailures++;
        this.#fail(reason);
      },
    });
  }

  #fail(reason: Failure): void {
    this.#release(reason);
    this.#owner.onConnectFailed(reason);
  }

  #stopWaiting(): void {
    this.#leavePicker?.();
    if (this.#patience !== undefined) this.#env.wheel.cancel(this.#patience);
  }

  #release(reason: Failure | undefined): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#stopWaiting();
    this.#cluster.breaker.releaseConnection();
    if (this.#endpoint === undefined) return;
    this.#endpoint.activeRequests--;
    this.#pickDone?.(reason === undefined ? ENDED : { type: "failure", failure: reason });
  }
}

/** What balancing policies are shown in place of a request. */
export const CONNECTION_HEAD = new RequestHead("CONNECT", "http", "", "", new HeaderMap());

/** To a policy that learns from answers a connection that ended in order is a good one. */
const ENDED: Outcome = { type: "response", status: 200 };
const OVERFLOW = failure("overflow", "local", "the cluster has as many connections as its circuit breaker allows");
const CANCELLED = failure("downstream-reset", "downstream", "the client has gone");
const NO_ENDPOINT_YET = failure("no-healthy-upstream", "upstream", "the cluster's endpoints have not come in time");
