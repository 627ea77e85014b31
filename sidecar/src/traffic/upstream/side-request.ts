import { err, type Failure, failure, ok, type Result, type Timer } from "@heddle/base";
import type { Cancellable, SideRequest, SideResponse } from "@heddle/filter";
import type { HeaderMap, RequestEncoder, ResponseDecoder, ResponseHead } from "@heddle/http";
import type { Endpoint, Outcome } from "@heddle/traffic";
import type { Cluster } from "./cluster.ts";
import type { Pool } from "./pool/pool.ts";
import type { PooledConnection } from "./pool/pooled-connection.ts";
import type { PoolWaiter } from "./pool/waiting-line.ts";
import type { UpstreamEnv } from "./upstream-env.ts";

const DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024;
const NO_BODY = new Uint8Array(0);

/**
 * A request that a filter makes of its own: through the cluster's balancer, pool and circuit breakers, the answer whole.
 * Calls back exactly once and never from within, unless it is cancelled before.
 */
export function sendSideRequest(
  cluster: Cluster | undefined,
  clusterName: string,
  request: SideRequest,
  env: UpstreamEnv,
  callback: (result: Result<SideResponse, Failure>) => void,
): Cancellable {
  const side = new SideExchange(cluster, request, env, callback);
  side.start(clusterName);
  return side;
}

class SideExchange implements PoolWaiter, ResponseDecoder, Cancellable {
  readonly #cluster: Cluster | undefined;
  readonly #request: SideRequest;
  readonly #env: UpstreamEnv;
  readonly #callback: (result: Result<SideResponse, Failure>) => void;
  #timer: Timer | undefined = undefined;
  #pool: Pool | undefined = undefined;
  #endpoint: Endpoint | undefined = undefined;
  #pickDone: ((outcome: Outcome) => void) | undefined = undefined;
  #encoder: RequestEncoder | undefined = undefined;
  #head: ResponseHead | undefined = undefined;
  #body: Uint8Array[] = [];
  #bodyBytes = 0;
  #done = false;
  #holdsRequest = false;

  constructor(
    cluster: Cluster | undefined,
    request: SideRequest,
    env: UpstreamEnv,
    callback: (result: Result<SideResponse, Failure>) => void,
  ) {
    this.#cluster = cluster;
    this.#request = request;
    this.#env = env;
    this.#callback = callback;
  }

  start(clusterName: string): void {
    const cluster = this.#cluster;
    if (cluster === undefined) {
      this.#failLater(failure("no-cluster", "local", `there is no cluster "${clusterName}"`));
      return;
    }
    const pick = cluster.pick(this.#request.head);
    if (pick.type !== "endpoint") {
      const none = failure("no-healthy-upstream", "upstream", `cluster "${clusterName}" has no endpoint yet`);
      this.#failLater(pick.type === "fail" ? pick.failure : none);
      return;
    }
    if (!cluster.breaker.tryAcquireRequest()) {
      cluster.stats.rqPendingOverflow.add();
      this.#failLater(failure("overflow", "local", "too many requests to the cluster"));
      return;
    }
    this.#holdsRequest = true;
    this.#endpoint = pick.endpoint;
    this.#pickDone = pick.done;
    this.#endpoint.activeRequests++;
    cluster.stats.rqActive.add(1);
    cluster.stats.rqTotal.add();
    const { timeoutMs } = this.#request;
    this.#timer = this.#env.clock.after(timeoutMs, () => {
      cluster.stats.rqTimeout.add();
      this.#finish(err(failure("response-timeout", "upstream", `no answer within ${timeoutMs} ms`)));
    });
    const pool = cluster.pool(pick.endpoint, this.#request.head);
    this.#pool = pool;
    const ready = pool.take();
    if (ready === undefined) pool.wait(this);
    else this.onConnection(ready);
  }

  cancel(): void {
    if (!this.#done) this.#release(failure("internal", "local", "the request was cancelled"));
  }

  onConnection(connection: PooledConnection): void {
    const { head, body } = this.#request;
    const encoder = connection.startExchange(this);
    this.#encoder = encoder;
    const empty = body === undefined || body.length === 0;
    encoder.sendHead(head, empty);
    if (!empty) encoder.sendData(body, true);
  }

  onNoConnection(reason: Failure): void {
    this.#failLater(reason);
  }

  onInformational(): void {}

  onHead(head: ResponseHead, endStream: boolean): void {
    this.#head = head;
    if (endStream) this.#complete(undefined);
    // What follows is a tunnel, which has no end of its own and in which nobody will say anything (RFC 9110 §9.3.6).
    else if (this.#request.head.method === "CONNECT" && head.status >= 200 && head.status < 300) {
      this.#cluster?.stats.countResponse(head.status);
      this.#finish(ok({ head, body: NO_BODY, trailers: undefined }));
    }
  }

  onData(chunk: Uint8Array, endStream: boolean): void {
    this.#bodyBytes += chunk.length;
    if (this.#bodyBytes > (this.#request.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES)) {
      this.#finish(err(failure("upstream-protocol-error", "upstream", "the answer is longer than it may be")));
      return;
    }
    if (chunk.length > 0) this.#body.push(chunk.slice());
    if (endStream) this.#complete(undefined);
  }

  onTrailers(trailers: HeaderMap): void {
    this.#complete(trailers);
  }

  onReset(reason: Failure): void {
    this.#encoder = undefined;
    this.#finish(err(reason));
  }

  onDrain(): void {}

  #complete(trailers: HeaderMap | undefined): void {
    this.#encoder = undefined; // it is over; a reset would close the connection
    const head = this.#head!; // bodies and trailers follow a head
    this.#cluster?.stats.countResponse(head.status);
    this.#finish(ok({ head, body: Buffer.concat(this.#body), trailers }));
  }

  #failLater(reason: Failure): void {
    this.#timer?.cancel();
    this.#timer = this.#env.clock.after(0, () => this.#finish(err(reason)));
  }

  #finish(result: Result<SideResponse, Failure>): void {
    if (this.#done) return;
    this.#release(result.ok ? undefined : result.error);
    this.#callback(result);
  }

  #release(reason: Failure | undefined): void {
    this.#done = true;
    this.#timer?.cancel();
    this.#pool?.leave(this);
    this.#encoder?.reset(reason ?? failure("internal", "local", "the answer is complete"));
    if (!this.#holdsRequest) return;
    this.#holdsRequest = false;
    this.#cluster?.breaker.releaseRequest();
    this.#cluster?.stats.rqActive.add(-1);
    if (this.#endpoint !== undefined) this.#endpoint.activeRequests--;
    const outcome: Outcome =
      reason === undefined
        ? { type: "response", status: this.#head?.status ?? 0 }
        : { type: "failure", failure: reason };
    this.#pickDone?.(outcome);
  }
}
