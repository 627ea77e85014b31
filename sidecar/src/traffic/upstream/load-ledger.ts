import {
  type Address,
  addMetric,
  type Endpoint,
  type EndpointSet,
  type LocalityMembers,
  type MetricLoad,
  type MetricSum,
  metricLoads,
  type ReportedLoad,
} from "@heddle/traffic";

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
  /** What endpoints have said of their own load; left out: nothing that was asked for. */
  readonly metrics?: readonly MetricLoad[];
  /** Of those that requests went to, where they were asked for. */
  readonly endpoints?: readonly EndpointLoad[];
};

export type EndpointLoad = {
  readonly address: Address;
  readonly issued: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly inProgress: number;
  readonly metrics?: readonly MetricLoad[];
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
  /** Somebody has asked for endpoints. */
  #byEndpoint = false;
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
      if (endpoint.requests === 0) continue; // nothing to write down, and there may be ten thousand of these
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

  /** `byEndpoint`: with the figures of each endpoint, which begin with the first reading that asks for them. */
  read(
    clusters: Iterable<{ readonly name: string; readonly endpoints: EndpointSet | undefined }>,
    byEndpoint = false,
  ): WorkerLoad {
    this.#watched = true;
    this.#byEndpoint = byEndpoint;
    for (const account of this.#allAccounts()) {
      account.inProgress = 0;
      if (!byEndpoint) account.byAddress = undefined;
      for (const one of account.byAddress?.values() ?? []) {
        one.inProgress = 0;
        one.absence += 1;
      }
    }
    for (const [endpoint, account] of this.#leaving) {
      this.#writeDown(endpoint, account);
      this.#countRunning(endpoint, account);
      if (endpoint.activeRequests > 0) continue;
      this.#leaving.delete(endpoint);
      this.#written.delete(endpoint);
    }
    for (const { name, endpoints } of clusters) {
      for (const [locality, priority, endpoint] of endpoints === undefined ? [] : members(endpoints)) {
        if (endpoint.requests === 0) continue; // most endpoints of a large mesh
        const account = this.#account(name, locality, priority);
        this.#writeDown(endpoint, account);
        this.#countRunning(endpoint, account);
      }
    }
    return [...new Set([...this.#accounts.keys(), ...this.#dropped.keys()])].map((cluster) => ({
      cluster,
      dropped: this.#dropped.get(cluster) ?? 0,
      localities: [...(this.#accounts.get(cluster)?.values() ?? [])].map(toLocality),
    }));
  }

  #countRunning(endpoint: Endpoint, account: Account): void {
    account.inProgress += endpoint.activeRequests;
    const own = account.byAddress?.get(endpoint.key);
    if (own === undefined) return;
    own.inProgress += endpoint.activeRequests;
    own.absence = 0;
  }

  *#allAccounts(): Generator<Account> {
    for (const accounts of this.#accounts.values()) yield* accounts.values();
  }

  #writeDown(endpoint: Endpoint, account: Account): void {
    const { requests, requestsAnswered, requestsFailed, reportedLoad } = endpoint;
    if (requests === 0) return;
    let written = this.#written.get(endpoint);
    if (written === undefined) {
      written = { requests: 0, requestsAnswered: 0, requestsFailed: 0 };
      this.#written.set(endpoint, written);
    }
    for (const counts of this.#byEndpoint ? [account, accountOf(endpoint, account)] : [account]) {
      counts.issued += requests - written.requests;
      counts.succeeded += requestsAnswered - written.requestsAnswered;
      counts.failed += requestsFailed - written.requestsFailed;
      if (reportedLoad !== undefined) addMetrics(counts, reportedLoad);
    }
    reportedLoad?.metrics.clear();
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
      account = { ...locality, priority, ...NO_COUNTS, metrics: undefined, byAddress: undefined };
      accounts.set(key, account);
    }
    return account;
  }
}

const NO_COUNTS = { issued: 0, succeeded: 0, failed: 0, inProgress: 0 };

type Account = { -readonly [field in keyof Omit<LocalityLoad, "endpoints" | "metrics">]: LocalityLoad[field] } & {
  metrics: Map<string, MetricSum> | undefined;
  byAddress: Map<string, EndpointAccount> | undefined;
};
/** `absence`: in so many readings, one behind the other, there was no such endpoint. */
type EndpointAccount = { -readonly [field in keyof Omit<EndpointLoad, "metrics">]: EndpointLoad[field] } & {
  metrics: Map<string, MetricSum> | undefined;
  absence: number;
};

/** What an endpoint that has left counted last is in two readings, since one of them may come to nobody; then it is forgotten. */
const READINGS_OF_GONE = 2;

function accountOf({ key, config }: Endpoint, account: Account): EndpointAccount {
  account.byAddress ??= new Map();
  let own = account.byAddress.get(key);
  if (own === undefined) {
    own = { address: config.address, ...NO_COUNTS, metrics: undefined, absence: 0 };
    account.byAddress.set(key, own);
  }
  return own;
}

function toLocality({ byAddress, metrics, ...locality }: Account): LocalityLoad {
  if (byAddress === undefined) return { ...locality, ...toMetrics(metrics) };
  const endpoints = [...byAddress].map(([key, { absence, metrics: own, ...load }]) => {
    if (absence >= READINGS_OF_GONE) byAddress.delete(key);
    return { ...load, ...toMetrics(own) };
  });
  return { ...locality, ...toMetrics(metrics), endpoints };
}

function toMetrics(sums: Account["metrics"]): Pick<LocalityLoad, "metrics"> {
  return sums === undefined ? {} : { metrics: metricLoads(sums) };
}

function addMetrics(account: Pick<Account, "metrics">, { metrics }: ReportedLoad): void {
  for (const [name, { requests, total }] of metrics) {
    account.metrics ??= new Map();
    addMetric(account.metrics, name, requests, total);
  }
}

type Counts = { -readonly [field in "requests" | "requestsAnswered" | "requestsFailed"]: number };

function* members(set: EndpointSet): Generator<[LocalityMembers, number, Endpoint]> {
  for (const [priority, { localities }] of set.priorities.entries())
    for (const locality of localities) for (const endpoint of locality.all) yield [locality, priority, endpoint];
}
