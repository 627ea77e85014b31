import { isIP } from "node:net";
import type { Clock, Inspectable, Json, Timer } from "@heddle/base";
import type { Resolution } from "@heddle/net";
import type { Log } from "@heddle/telemetry";
import type { ClusterConfig, DnsConfig, EndpointConfig, EndpointsConfig } from "@heddle/traffic";

/** `NameResolver.resolve`: never rejects. */
export type Resolve = (name: string, family: DnsConfig["lookupFamily"]) => Promise<Resolution>;

export interface DnsClustersOptions {
  readonly resolve: Resolve;
  readonly clock: Clock;
  readonly log: Log;
  /** 0 to below 1. Spreads refreshes of many sidecars that started together. */
  readonly random: () => number;
  /** First when every name of the cluster was answered or failed, then whenever its addresses have changed. */
  /** For metrics: a lookup has ended. */
  readonly onLookup?: (clusterName: string, outcome: Resolution["type"]) => void;
  readonly onResolved: (config: ClusterConfig, endpoints: EndpointsConfig) => void;
}

/** A TTL of 0 would ask without pause. */
const LEAST_REFRESH_MS = 1000;
const JITTER = 0.1;

/**
 * Resolves the names of STRICT_DNS and LOGICAL_DNS clusters and keeps asking: every `dns_refresh_rate`, or as the TTL
 * says under `respect_dns_ttl`. A failure keeps the last good addresses, also over an update of the cluster.
 *
 * STRICT_DNS has an endpoint for every address, LOGICAL_DNS for the first one of each name.
 */
export class DnsClusters implements Inspectable {
  readonly name = "dns";
  readonly #options: DnsClustersOptions;
  readonly #clusters = new Map<string, DnsCluster>();
  /** By family and name; of names in use. */
  readonly #lastGood: LastGood = new Map();

  constructor(options: DnsClustersOptions) {
    this.#options = options;
  }

  /** Replaces the clusters to resolve. One that is the same object as before is left as it is. */
  update(clusters: ReadonlyMap<string, ClusterConfig>): void {
    for (const [name, cluster] of this.#clusters) {
      if (clusters.get(name) === cluster.config) continue;
      cluster.close();
      this.#clusters.delete(name);
    }
    const fresh: DnsCluster[] = [];
    for (const [name, config] of clusters) {
      if (this.#clusters.has(name)) continue;
      const cluster = new DnsCluster(config, this.#options, this.#lastGood);
      this.#clusters.set(name, cluster);
      fresh.push(cluster);
    }
    const inUse = new Set([...this.#clusters.values()].flatMap((cluster) => cluster.keys));
    for (const key of this.#lastGood.keys()) if (!inUse.has(key)) this.#lastGood.delete(key);
    for (const cluster of fresh) cluster.start();
  }

  close(): void {
    for (const cluster of this.#clusters.values()) cluster.close();
    this.#clusters.clear();
  }

  inspect(): Json {
    return Object.fromEntries([...this.#clusters].map(([name, cluster]) => [name, cluster.inspect()]));
  }
}

type LastGood = Map<string, readonly string[]>;

interface Query {
  readonly key: string;
  readonly name: string;
  answered: boolean;
  failure: string;
  timer: Timer | undefined;
}

class DnsCluster {
  readonly config: ClusterConfig;
  readonly #options: DnsClustersOptions;
  readonly #lastGood: LastGood;
  readonly #discovery: Extract<ClusterConfig["discovery"], { readonly dns: DnsConfig }>;
  readonly #queries: readonly Query[];
  /** What was told last, as text. */
  #told = "";
  #closed = false;

  constructor(config: ClusterConfig, options: DnsClustersOptions, lastGood: LastGood) {
    const { discovery } = config;
    if (discovery.type !== "STRICT_DNS" && discovery.type !== "LOGICAL_DNS")
      throw new TypeError(`cluster ${config.name} is not resolved by DNS`);
    this.config = config;
    this.#options = options;
    this.#lastGood = lastGood;
    this.#discovery = discovery;
    const names = discovery.loadAssignment.localities.flatMap(({ endpoints }) => endpoints.flatMap(nameToResolve));
    this.#queries = [...new Set(names)].map((name) => ({
      key: keyOf(discovery.dns, name),
      name,
      answered: false,
      failure: "",
      timer: undefined,
    }));
  }

  get keys(): readonly string[] {
    return this.#queries.map((query) => query.key);
  }

  start(): void {
    if (this.#queries.length === 0) this.#tell();
    for (const query of this.#queries) this.#ask(query);
  }

  close(): void {
    this.#closed = true;
    for (const query of this.#queries) query.timer?.cancel();
  }

  inspect(): Json {
    return this.#queries.map(({ key, name, failure }) => ({
      name,
      addresses: [...(this.#lastGood.get(key) ?? [])],
      failure,
    }));
  }

  #ask(query: Query): void {
    void this.#options.resolve(query.name, this.#discovery.dns.lookupFamily).then((resolution) => {
      if (!this.#closed) this.#answered(query, resolution);
    });
  }

  #answered(query: Query, resolution: Resolution): void {
    this.#options.onLookup?.(this.config.name, resolution.type);
    const { refreshRateMs, respectTtl } = this.#discovery.dns;
    switch (resolution.type) {
      case "found": {
        const { addresses, ttlMs = refreshRateMs } = resolution;
        this.#noteFailure(query, "");
        // A server gives another of several addresses first each time; what counts for STRICT_DNS is the set.
        this.#lastGood.set(query.key, this.#discovery.type === "STRICT_DNS" ? addresses.toSorted() : addresses);
        this.#next(query, respectTtl ? ttlMs : refreshRateMs);
        break;
      }
      case "not-found": // an answer, as in Envoy: there is nobody left under that name
        this.#noteFailure(query, "there is no such name");
        this.#lastGood.set(query.key, []);
        this.#next(query, refreshRateMs);
        break;
      case "failed":
        this.#noteFailure(query, resolution.detail);
        this.#next(query, refreshRateMs);
        break;
    }
  }

  /** Logs the first of a row of failures. */
  #noteFailure(query: Query, why: string): void {
    if (query.failure === "" && why !== "")
      this.#options.log.warn("a name was not resolved", { cluster: this.config.name, name: query.name, why });
    query.failure = why;
  }

  #next(query: Query, inMs: number): void {
    query.answered = true;
    const delayMs = Math.max(LEAST_REFRESH_MS, inMs) * (1 + JITTER * this.#options.random());
    query.timer = this.#options.clock.after(delayMs, () => this.#ask(query), true);
    if (this.#queries.every((other) => other.answered)) this.#tell();
  }

  #tell(): void {
    const told = JSON.stringify(this.#queries.map(({ key }) => this.#lastGood.get(key) ?? []));
    if (told === this.#told) return;
    this.#told = told;
    this.#options.onResolved(this.config, this.#endpoints());
  }

  #endpoints(): EndpointsConfig {
    const { loadAssignment } = this.#discovery;
    return {
      ...loadAssignment,
      localities: loadAssignment.localities.map((locality) => ({
        ...locality,
        endpoints: locality.endpoints.flatMap((endpoint) => this.#resolved(endpoint)),
      })),
    };
  }

  #resolved(endpoint: EndpointConfig): EndpointConfig[] {
    const { address } = endpoint;
    const [name] = nameToResolve(endpoint);
    if (name === undefined || address.type !== "socket") return [endpoint];
    const known = this.#lastGood.get(keyOf(this.#discovery.dns, name)) ?? [];
    const addresses = this.#discovery.type === "LOGICAL_DNS" ? known.slice(0, 1) : known;
    // As in Envoy the name stands for the host in host rewriting where the endpoint gives no hostname.
    const hostname = endpoint.hostname === "" ? name : endpoint.hostname;
    return addresses.map((ip) => ({ ...endpoint, hostname, address: { ...address, address: ip } }));
  }
}

function nameToResolve({ address }: EndpointConfig): string[] {
  return address.type === "socket" && isIP(address.address) === 0 ? [address.address] : [];
}

function keyOf({ lookupFamily }: DnsConfig, name: string): string {
  return `${lookupFamily}/${name}`;
}
