import type { Endpoint, EndpointSet, LocalityMembers } from "@heddle/traffic";

/** What a worker has sent, since it began: by cluster, and within it by locality and priority. Plain data; it crosses threads. */
export type WorkerLoad = readonly ClusterLoad[];

// Types, since an interface is no Json.
export type ClusterLoad = {
  readonly cluster: string;
  /** By `drop_overloads`; these are in no locality. */
  readonly dropped: number;
  readonly localities: readonly LocalityLoad[];
};

export type LocalityLoad = {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
  readonly priority: number;
  readonly issued: number;
  readonly succeeded: number;
  readonly failed: number;
  /** At this moment; the others only ever grow. */
  readonly inProgress: number;
};

/**
 * Adds up a worker's requests by cluster and locality, for load reports (LRS). Totals grow through every change of endpoints
 * and clusters, so whoever reads them now and then misses nothing between two readings.
 *
 * What runs is counted on the endpoints; when endpoints are replaced, what they have counted so far is written down here.
 * Before the first reading nothing is written down, since nobody asks: a sidecar without load reports pays nothing.
 */
export class LoadLedger {
  #watched = false;
  readonly #dropped: Map<string, number> = new Map();
  /** By cluster, then by locality and priority. */
  readonly #accounts: Map<string, Map<string, Account>> = new Map();
  /** How much of an endpoint's counters has been written down. */
  readonly #written: Map<Endpoint, Counts> = new Map();
  /** Endpoints that have left with requests under way. */
  readonly #leaving: Map<Endpoint, Account> = new Map();

  /** A cluster's endpoints are replaced; `next` is undefined where it is let go, or has none any more. */
  settle(cluster: string, previous: EndpointSet, next: EndpointSet | undefined): void {
    if (!this.#watched) return;
    for (const [locality, priority, endpoint] of members(previous)) {
      const account = this.#account(cluster, locality, priority);
      this.#writeDown(endpoint, account);
      if (next?.byKey.get(endpoint.key) === endpoint) continue;
      if (endpoint.activeRequests > 0) this.#leaving.set(endpoint, account);
      else this.#written.delete(endpoint);
    }
  }

  /** A request to the cluster was dropped before an endpoint was picked. */
  drop(cluster: string): void {
    this.#dropped.set(cluster, (this.#dropped.get(cluster) ?? 0) + 1);
  }

  read(clusters: Iterable<{ readonly name: string; readonly endpoints: EndpointSet | undefined }>): WorkerLoad {
    this.#watched = true;
    for (const accounts of this.#accounts.values()) for (const account of accounts.values()) account.inProgress = 0;
    for (const [endpoint, account] of this.#leaving) {
      this.#writeDown(endpoint, account);
      account.inProgress += endpoint.activeRequests;
      if (endpoint.activeRequests > 0) continue;
      this.#leaving.delete(endpoint);
      this.#written.delete(endpoint);
    }
    for (const { name, endpoints } of clusters) {
      for (const [locality, priority, endpoint] of endpoints === undefined ? [] : members(endpoints)) {
        if (endpoint.requests === 0) continue; // most endpoints of a large mesh
        const account = this.#account(name, locality, priority);
        this.#writeDown(endpoint, account);
        account.inProgress += endpoint.activeRequests;
      }
    }
    return [...new Set([...this.#accounts.keys(), ...this.#dropped.keys()])].map((cluster) => ({
      cluster,
      dropped: this.#dropped.get(cluster) ?? 0,
      localities: [...(this.#accounts.get(cluster)?.values() ?? [])].map((account) => ({ ...account })),
    }));
  }

  #writeDown(endpoint: Endpoint, account: Account): void {
    const { requests, requestsAnswered, requestsFailed } = endpoint;
    if (requests === 0) return;
    let written = this.#written.get(endpoint);
    if (written === undefined) {
      written = { requests: 0, requestsAnswered: 0, requestsFailed: 0 };
      this.#written.set(endpoint, written);
    }
    account.issued += requests - written.requests;
    account.succeeded += requestsAnswered - written.requestsAnswered;
    account.failed += requestsFailed - written.requestsFailed;
    written.requests = requests;
    written.requestsAnswered = requestsAnswered;
    written.requestsFailed = requestsFailed;
  }

  #account(cluster: string, { name, locality }: LocalityMembers, priority: number): Account {
    let accounts = this.#accounts.get(cluster);
    if (accounts === undefined) {
      accounts = new Map();
      this.#accounts.set(cluster, accounts);
    }
    const key = `${priority} ${name}`;
    let account = accounts.get(key);
    if (account === undefined) {
      account = { ...locality, priority, issued: 0, succeeded: 0, failed: 0, inProgress: 0 };
      accounts.set(key, account);
    }
    return account;
  }
}

type Account = { -readonly [field in keyof LocalityLoad]: LocalityLoad[field] };
type Counts = { -readonly [field in "requests" | "requestsAnswered" | "requestsFailed"]: number };

function* members(set: EndpointSet): Generator<[LocalityMembers, number, Endpoint]> {
  for (const [priority, { localities }] of set.priorities.entries())
    for (const locality of localities) for (const endpoint of locality.all) yield [locality, priority, endpoint];
}
