import { type Clock, isJsonObject, type JsonObject, Live, type Timer } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { KubeApi } from "./kube-client.ts";
import { KubeError, reasonOf } from "./kube-error.ts";
import { pause } from "./pause.ts";

export interface LeaseElectionOptions {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly log: Log;
  /** Where the Lease is, and its name. */
  readonly namespace: string;
  readonly name: string;
  /** Of this replica; no other has the same. */
  readonly identity: string;
  readonly random?: () => number;
}

// client-go's values for its leader election.
const LEASE_S = 15;
/** Whoever could not renew for so long is leader no more: five seconds before another one may be. */
const RENEW_DEADLINE_MS = 10_000;
const RETRY_MS = 2000;
/** To give it back: whoever ends waits no longer for an API server that does not answer. */
const RELEASE_MS = 2000;

/**
 * One replica of several, by a Lease (coordination.k8s.io/v1): the one that writes. Everything else every replica does. Times of
 * others' clocks are not compared with ours: a lease has ended when it has not been renewed for its whole length while we
 * looked.
 */
export class LeaseElection {
  readonly isLeader = new Live(false);
  readonly #options: LeaseElectionOptions;
  readonly #path: string;
  readonly #closing = new AbortController();
  /** The lease as it was when it last changed, and when we saw that. */
  #seen: { readonly record: string; readonly atMs: number } | undefined;
  #deadline: Timer | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: LeaseElectionOptions) {
    this.#options = options;
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Gives the lease back, so that another one need not wait. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    const wasLeader = this.isLeader.current;
    this.#stepDown();
    if (wasLeader) await this.#release().catch(() => undefined); // then it ends by itself
  }

  async #run(): Promise<void> {
    const { clock, log, random = Math.random } = this.#options;
    const { signal } = this.#closing;
    let told: string | undefined;
    while (!signal.aborted) {
      const askedMs = clock.now();
      try {
        if (await this.#take(signal)) this.#lead(askedMs);
        else this.#stepDown();
        told = undefined;
      } catch (error) {
        const why = reasonOf(error);
        if (!signal.aborted && why !== told) log.warn("leader election: no answer", { why });
        told = why;
      }
      await pause(clock, RETRY_MS * (1 + random() * 0.2), signal);
    }
  }

  /** Whether we have it, renewed. */
  async #take(signal: AbortSignal): Promise<boolean> {
    const { api, clock, name, identity } = this.#options;
    const nowText = microTime(clock.wallNow());
    let lease: unknown;
    try {
      lease = await api.request({ method: "GET", path: `${this.#path}/${name}`, signal });
    } catch (error) {
      if (!(error instanceof KubeError) || error.status !== 404) throw error;
      const spec = {
        holderIdentity: identity,
        leaseDurationSeconds: LEASE_S,
        acquireTime: nowText,
        renewTime: nowText,
      };
      return this.#write("POST", this.#path, { metadata: { name }, spec: { ...spec, leaseTransitions: 0 } }, signal);
    }
    const { metadata, spec } = readLease(lease);
    const record = JSON.stringify(spec);
    if (this.#seen?.record !== record) this.#seen = { record, atMs: clock.now() };
    const { holderIdentity: holder = "", leaseDurationSeconds: seconds = LEASE_S, leaseTransitions = 0 } = spec;
    const isOurs = holder === identity;
    const isHeld = holder !== "" && clock.now() < this.#seen.atMs + Number(seconds) * 1000;
    if (!isOurs && isHeld) return false;
    const next = {
      ...spec,
      holderIdentity: identity,
      leaseDurationSeconds: LEASE_S,
      renewTime: nowText,
      ...(!isOurs && { acquireTime: nowText, leaseTransitions: Number(leaseTransitions) + 1 }),
    };
    return this.#write("PUT", `${this.#path}/${name}`, { metadata, spec: next }, signal);
  }

  /** False: somebody else was first. */
  async #write(method: "POST" | "PUT", path: string, lease: JsonObject, signal: AbortSignal): Promise<boolean> {
    const body = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", ...lease };
    try {
      await this.#options.api.request({ method, path, body, signal });
      return true;
    } catch (error) {
      if (error instanceof KubeError && error.status === 409) return false;
      throw error;
    }
  }

  async #release(): Promise<void> {
    const { api, name, identity } = this.#options;
    const signal = AbortSignal.timeout(RELEASE_MS);
    const lease = await api.request({ method: "GET", path: `${this.#path}/${name}`, signal });
    const { metadata, spec } = readLease(lease);
    if (spec["holderIdentity"] !== identity) return;
    const next = { ...spec, holderIdentity: "", leaseDurationSeconds: 1 };
    await this.#write("PUT", `${this.#path}/${name}`, { metadata, spec: next }, signal);
  }

  /** @param askedMs before the request: the lease is no longer than from then. */
  #lead(askedMs: number): void {
    const { clock, log, identity } = this.#options;
    this.#deadline?.cancel();
    this.#deadline = clock.after(RENEW_DEADLINE_MS - (clock.now() - askedMs), () => {
      log.warn("leader election: the lease could not be renewed in time");
      this.#stepDown();
    });
    if (this.isLeader.current) return;
    log.info("leader election: this replica writes", { identity });
    this.isLeader.publish(true);
  }

  #stepDown(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
    if (!this.isLeader.current) return;
    this.#options.log.info("leader election: this replica writes no more");
    this.isLeader.publish(false);
  }
}

function readLease(json: unknown): { readonly metadata: JsonObject; readonly spec: JsonObject } {
  const { metadata, spec } = isJsonObject(json) ? json : {};
  return { metadata: isJsonObject(metadata) ? metadata : {}, spec: isJsonObject(spec) ? spec : {} };
}

/** `metav1.MicroTime` */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}
