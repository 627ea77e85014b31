import { type Clock, type Failure, failure, type Json } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import { defaultHttpLimits, type RequestHead } from "@heddle/http";
import { type SocketSource, sourceKey } from "@heddle/net";
import {
  type Address,
  addressKey,
  CircuitBreaker,
  type ClusterConfig,
  defaultHttp2Options,
  Endpoint,
  type EndpointSet,
  EndpointSetBuilder,
  type EndpointsConfig,
  failingPicker,
  makePicker,
  type OriginalDstDiscovery,
  type Pick,
  type Picker,
  RuntimeThresholds,
  type UpstreamBindConfig,
  unsignedOf,
  waitingPicker,
} from "@heddle/traffic";
import type { EndpointReports } from "@heddle/traffic/orca";
import { SslStats } from "../tls/ssl-stats.ts";
import { ClusterStats } from "./cluster-stats.ts";
import { endpointReports } from "./endpoint-reports.ts";
import { type EndpointRow, endpointRow } from "./endpoint-row.ts";
import { type Asker, OriginalDstHosts } from "./original-dst-hosts.ts";
import { Pool, type PoolOptions } from "./pool/pool.ts";
import { type ConnectionIdentity, poolKey } from "./pool/pool-key.ts";
import { proxyPreface } from "./proxy-preface.ts";
import type { UpstreamDialOptions, UpstreamEnv } from "./upstream-env.ts";
import { UpstreamTransports } from "./upstream-transports.ts";

/**
 * A cluster at work: its endpoints, who picks among them, and the pools. It lives as long as its configuration stays the
 * same; endpoints come and go meanwhile, each change being one assignment of `#picker`.
 */
export class Cluster {
  readonly config: ClusterConfig;
  readonly breaker: CircuitBreaker;
  /** Undefined: nobody wants to know what endpoints say of their load. */
  readonly reports: EndpointReports | undefined;
  readonly #env: UpstreamEnv;
  readonly #makeStats: () => ClusterStats;
  #stats: ClusterStats | undefined = undefined;
  readonly #poolOptions: PoolOptions;
  /** Of those that speak HTTP/1, or what TLS agrees on. */
  readonly #pools = new Map<Endpoint, Pool>();
  readonly #http2Pools = new Map<Endpoint, Pool>();
  readonly #transports: UpstreamTransports;
  /** Of connections that differ from others to the same endpoint, by their identity; forgotten when they are empty. */
  readonly #variedPools = new Map<string, Pool>();
  /** Addresses that a filter chose and that are no endpoints of the cluster; forgotten when they have no connection. */
  readonly #strays = new Map<string, Endpoint>();
  /** Of type ORIGINAL_DST: its endpoints, of which there is no set. */
  readonly #originalDst: OriginalDstHosts | undefined;
  /** Of its `upstream_bind_config`; undefined: the system chooses. */
  readonly #sources: UpstreamSources | undefined;
  #endpoints: EndpointSet | undefined = undefined;
  #endpointsHash: string | undefined = undefined;
  /** What `prepareEndpoints` has begun. */
  #prepared: { readonly hash: string; readonly builder: EndpointSetBuilder } | undefined = undefined;
  #picker: Picker = waitingPicker;
  /** What the picker was made by. */
  #panicThresholdPercent = 0;
  #waiting = new Set<() => void>();
  #drained = false;

  constructor(config: ClusterConfig, env: UpstreamEnv) {
    this.config = config;
    this.#env = env;
    this.#transports = new UpstreamTransports(config, env.secrets, {
      makeStats: () => new SslStats(env.metrics.scope("cluster", { envoy_cluster_name: config.statName }), "upstream"),
      onProblem: (problem) => env.log.error("a secret cannot be used", { cluster: config.name, problem }),
    });
    this.#makeStats = ClusterStats.of(env.metrics, config.statName);
    this.reports = endpointReports(config, env.clock, {
      endpoints: () => this.#endpoints?.byKey.values() ?? [],
      onWeights: () => this.#renewPicker(),
    });
    this.#sources = config.upstreamBindConfig && upstreamSources(config.upstreamBindConfig);
    this.#originalDst = config.discovery.type === "ORIGINAL_DST" ? this.#hosts(config.discovery) : undefined;
    const limits = config.circuitBreakers.default;
    const { runtimeValues } = env;
    this.breaker = new CircuitBreaker(
      env.breakerCells(config.name),
      runtimeValues === undefined ? limits : new RuntimeThresholds(limits, config.name, runtimeValues),
      env.breakerShare?.(config.name),
    );
    this.#poolOptions = {
      connectTimeoutMs: config.connectTimeoutMs,
      highWatermarkBytes: config.perConnectionBufferLimitBytes,
      keepAliveDelayMs: config.tcpKeepalive === undefined ? undefined : config.tcpKeepalive.idleSeconds * 1000,
      idleTimeoutMs: config.idleTimeoutMs,
      maxConnectionDurationMs: config.maxConnectionDurationMs,
      maxConnectionDurationJitterPercent: config.maxConnectionDurationJitterPercent,
      maxRequestsPerConnection: config.maxRequestsPerConnection,
      limits: {
        ...defaultHttpLimits,
        maxHeadBytes: config.maxResponseHeadersKb * 1024,
        maxHeaderCount: config.maxHeadersCount,
      },
      http2: config.http2 ?? defaultHttp2Options,
      ...(config.headerNames !== undefined && { headerNames: config.headerNames }),
    };
  }

  #hosts(discovery: OriginalDstDiscovery): OriginalDstHosts {
    const invalid = this.stats.named("original_dst_host_invalid");
    return new OriginalDstHosts(discovery, this.name, this.#env, {
      onInvalid: () => invalid.add(),
      onForgotten: (endpoint) => this.#drainPool(endpoint),
    });
  }

  get name(): string {
    return this.config.name;
  }

  get stats(): ClusterStats {
    this.#stats ??= this.#makeStats();
    return this.#stats;
  }

  get endpoints(): EndpointSet | undefined {
    return this.#endpoints;
  }

  /** `asker`: at whom a cluster of type ORIGINAL_DST looks. Left out: we ourselves. */
  pick(request: RequestHead, asker?: Asker): Pick {
    if (this.#originalDst !== undefined) return this.#originalDst.pick(request, asker);
    return this.#picker.pick(request);
  }

  /** Counts that no endpoint was picked: there is none to pick, or the request was dropped before. */
  countNoEndpoint({ kind }: Failure): void {
    if (kind !== "drop-overload" && kind !== "unconditional-drop-overload") {
      this.stats.noneHealthy.add();
      return;
    }
    this.stats.rqDropOverload.add();
    this.#env.load?.drop(this.name);
  }

  /** Calls back once when there is another picker to ask. The returned function takes the request back. */
  nextPicker(callback: () => void): () => void {
    this.#waiting.add(callback);
    return () => this.#waiting.delete(callback);
  }

  /**
   * Gets ready for `setEndpoints` with the same arguments, for at most about `budgetMs`. True when nothing is left to get
   * ready; until then nothing has changed for anybody.
   */
  prepareEndpoints(config: EndpointsConfig, hash: string, budgetMs: number, clock: Clock): boolean {
    if (hash === this.#endpointsHash || this.#originalDst !== undefined) return true;
    if (this.#prepared?.hash !== hash || this.#prepared.builder.previous !== this.#endpoints)
      this.#prepared = { hash, builder: new EndpointSetBuilder(config, this.#endpoints) };
    return this.#prepared.builder.step(budgetMs, clock);
  }

  /** Does nothing if the hash is that of the endpoints it has. Connections to endpoints that left are let go. */
  setEndpoints(config: EndpointsConfig, hash: string): void {
    if (hash === this.#endpointsHash || this.#originalDst !== undefined) return;
    const previous = this.#endpoints;
    const prepared = this.#prepared;
    this.#prepared = undefined;
    const isReady = prepared?.hash === hash && prepared.builder.previous === previous;
    const builder = isReady ? prepared.builder : new EndpointSetBuilder(config, previous);
    const next = builder.finish();
    if (previous !== undefined) this.#env.load?.settle(this.name, previous, next);
    this.#endpoints = next;
    this.#endpointsHash = hash;
    this.#panicThresholdPercent = this.#panicThreshold();
    this.#setPicker(this.#makePicker(next));
    for (const endpoint of builder.removed) this.#drainPool(endpoint);
  }

  /** The runtime has other values. Looks through all endpoints where that changes who is picked, and so is no part of a request. */
  followRuntime(): void {
    const before = this.#panicThresholdPercent;
    this.#panicThresholdPercent = this.#panicThreshold();
    if (this.#panicThresholdPercent !== before) this.#renewPicker();
  }

  /** There are no endpoints any more, and none are awaited. */
  clearEndpoints(): void {
    if (this.#endpointsHash === NO_ENDPOINTS || this.#originalDst !== undefined) return;
    if (this.#endpoints !== undefined) this.#env.load?.settle(this.name, this.#endpoints, undefined);
    this.#drainPools();
    this.#endpoints = undefined;
    this.#endpointsHash = NO_ENDPOINTS;
    const reason = failure("no-healthy-upstream", "upstream", `cluster "${this.name}" has no endpoints`);
    this.#setPicker(failingPicker(reason));
  }

  /**
   * What a connection to the endpoint has to be. `downstream` is whom it is made for; left out: for ourselves. `request` is
   * what it is made for; left out: bytes that nobody looks into.
   */
  connectionIdentity(
    endpoint: Endpoint,
    downstream?: DownstreamInfo,
    protocol: ConnectionIdentity["protocol"] = "bytes",
    request?: RequestHead,
  ): ConnectionIdentity {
    const { proxyProtocol, tls } = this.#transports.of(endpoint);
    const preface = proxyProtocol === undefined ? "" : proxyPreface(proxyProtocol, downstream);
    const { address } = endpoint;
    const source = this.#sourceFor(endpoint, downstream);
    const socketOptions = source === undefined ? "" : sourceKey(source);
    return { address, protocol, tls: tls?.identity(endpoint, request), source, socketOptions, preface };
  }

  /** As in Envoy what a listener filter says of the client comes before what the cluster says. */
  #sourceFor(endpoint: Endpoint, downstream: DownstreamInfo | undefined): SocketSource | undefined {
    if (downstream?.originalSource !== undefined) return { ...downstream.originalSource, port: 0, transparent: true };
    return this.sourceOf(endpoint);
  }

  /** By its `upstream_bind_config`. Undefined: the system chooses. */
  sourceOf({ address }: Endpoint): SocketSource | undefined {
    if (this.#sources === undefined || address.type === "pipe") return undefined;
    return address.address.includes(":") ? this.#sources.v6 : this.#sources.v4;
  }

  get dialOptions(): UpstreamDialOptions {
    return this.#poolOptions;
  }

  /**
   * The pool of an endpoint for such a request. Where connections to it differ (by whom PROXY protocol tells of, by the name
   * that TLS asks for) there is one for each kind.
   */
  pool(endpoint: Endpoint, request: RequestHead, downstream?: DownstreamInfo): Pool {
    const isHttp2 = this.#speaksHttp2(endpoint, request);
    if (this.#transports.vary || downstream?.originalSource !== undefined)
      return this.#variedPool(endpoint, isHttp2, request, downstream);
    const pool = (isHttp2 ? this.#http2Pools : this.#pools).get(endpoint);
    return pool === undefined ? this.#makePool(endpoint, isHttp2) : pool;
  }

  #speaksHttp2(endpoint: Endpoint, request: RequestHead): boolean {
    switch (this.config.upstreamProtocol) {
      case "http1":
      case "auto":
        return false;
      case "http2":
        return true;
      case "use-downstream":
        return request.httpVersion === "2";
      case "unset":
        // A sidecar of ours takes both. What becomes a tunnel has a connection to itself, as it had from its client.
        return endpoint.hasSidecar && request.upgrade === undefined && request.method !== "CONNECT";
      default:
        throw new Error(`unknown protocol ${JSON.stringify(this.config.upstreamProtocol satisfies never)}`);
    }
  }

  #protocol(isHttp2: boolean): ConnectionIdentity["protocol"] {
    if (isHttp2) return "http2";
    return this.config.upstreamProtocol === "auto" ? "auto" : "http1";
  }

  /** The endpoint of an address that somebody else than the picker chose. */
  endpointAt(address: Address): Endpoint {
    const key = addressKey(address);
    const known = this.#endpoints?.byKey.get(key) ?? this.#strays.get(key);
    if (known !== undefined) return known;
    const stray = new Endpoint({
      address,
      hostname: "",
      healthStatus: "UNKNOWN",
      loadBalancingWeight: 1,
      metadata: {},
    });
    this.#strays.set(key, stray);
    return stray;
  }

  /** The configuration has no such cluster any more. Exchanges that have it may still use it. */
  drain(): void {
    this.#drained = true;
    if (this.#endpoints !== undefined) this.#env.load?.settle(this.name, this.#endpoints, undefined);
    this.#originalDst?.close();
    this.reports?.close();
    for (const pool of this.#allPools()) pool.drain();
  }

  /** Ends every connection at once. */
  destroy(): void {
    this.#drained = true;
    this.#originalDst?.close();
    this.reports?.close();
    for (const pool of this.#allPools()) pool.destroy();
  }

  /** Of those that something has gone to, and of all that traffic alone has found; undefined of each other one. */
  *endpointRows(): Generator<EndpointRow | undefined> {
    const found = this.#originalDst?.endpoints;
    for (const endpoint of found ?? this.#endpoints?.byKey.values() ?? [])
      yield endpointRow(this.name, endpoint, found !== undefined);
  }

  inspect(): Json {
    return {
      name: this.name,
      draining: this.#drained,
      circuitBreaker: { ...this.breaker.counts },
      endpoints: [...(this.#originalDst?.endpoints ?? this.#endpoints?.byKey.values() ?? [])].map((endpoint) => ({
        address: endpoint.key,
        weight: endpoint.weight,
        ...(endpoint.reportedLoad !== undefined && { weightByReports: endpoint.reportedLoad.weight }),
        healthStatus: endpoint.config.healthStatus,
        activeRequests: endpoint.activeRequests,
        activeConnections: endpoint.activeConnections,
        connections: endpoint.connections,
        connectFailures: endpoint.connectFailures,
        requests: endpoint.requests,
        requestsAnswered: endpoint.requestsAnswered,
        requestsFailed: endpoint.requestsFailed,
        requestTimeouts: endpoint.requestTimeouts,
      })),
      pools: this.#allPools().map((pool) => pool.inspect()),
    };
  }

  #renewPicker(): void {
    if (this.#endpoints !== undefined) this.#setPicker(this.#makePicker(this.#endpoints));
  }

  #makePicker(endpoints: EndpointSet): Picker {
    const { random, runtimeValues: runtime } = this.#env;
    const healthyPanicThresholdPercent = this.#panicThresholdPercent;
    const named = { ...this.config, clusterName: this.name, healthyPanicThresholdPercent };
    return makePicker(endpoints, { ...named, ...(runtime !== undefined && { runtime }) }, random);
  }

  /** As in Envoy the runtime's figure stands above the cluster's. */
  #panicThreshold(): number {
    const said = unsignedOf(this.#env.runtimeValues?.get("upstream.healthy_panic_threshold"));
    return said === undefined ? this.config.healthyPanicThresholdPercent : Math.min(said, 100);
  }

  #setPicker(picker: Picker): void {
    this.#picker = picker;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const callback of waiting) callback();
  }

  #has(endpoint: Endpoint): boolean {
    return this.#endpoints?.byKey.get(endpoint.key) === endpoint || this.#originalDst?.has(endpoint) === true;
  }

  #variedPool(
    endpoint: Endpoint,
    isHttp2: boolean,
    request: RequestHead,
    downstream: DownstreamInfo | undefined,
  ): Pool {
    const identity = this.connectionIdentity(endpoint, downstream, this.#protocol(isHttp2), request);
    const key = poolKey(identity);
    const known = this.#variedPools.get(key);
    if (known !== undefined) return known;
    const isLeaving = this.#drained || !this.#has(endpoint);
    const forget = (empty: Pool): void => {
      if (this.#variedPools.get(key) === empty) this.#variedPools.delete(key);
    };
    const pool = new Pool(endpoint, identity, this.#poolOptions, this.breaker, this.stats, this.#env, forget);
    this.#variedPools.set(key, pool);
    if (isLeaving) pool.drain();
    return pool;
  }

  #makePool(endpoint: Endpoint, isHttp2: boolean): Pool {
    const identity = this.connectionIdentity(endpoint, undefined, this.#protocol(isHttp2));
    const isStray = !this.#has(endpoint);
    const pools = isHttp2 ? this.#http2Pools : this.#pools;
    const forget = (): void => {
      pools.delete(endpoint);
      if (!this.#pools.has(endpoint) && !this.#http2Pools.has(endpoint)) this.#strays.delete(endpoint.key);
    };
    const pool = new Pool(
      endpoint,
      identity,
      // Not shared: a pool that is forgotten when it is empty, and one that keeps nothing; the latter would stand in the way
      // of the cluster that has this one's name now.
      isStray || this.#drained ? this.#poolOptions : { ...this.#poolOptions, sharedAs: this.name },
      this.breaker,
      this.stats,
      this.#env,
      isStray ? forget : undefined,
    );
    pools.set(endpoint, pool);
    // An exchange that began before the cluster (the endpoint) left: its connection is not kept.
    if (this.#drained || (isStray && !this.#strays.has(endpoint.key))) pool.drain();
    return pool;
  }

  #allPools(): readonly Pool[] {
    return [...this.#pools.values(), ...this.#http2Pools.values(), ...this.#variedPools.values()];
  }

  /** Of all endpoints that it has. There may be ten thousand of them, and few that anything has gone to. */
  #drainPools(): void {
    for (const pool of Array.from(this.#variedPools.values())) if (this.#has(pool.endpoint)) pool.drain();
    for (const pools of [this.#pools, this.#http2Pools])
      for (const [endpoint, pool] of Array.from(pools)) {
        if (!this.#has(endpoint)) continue; // an address that a filter chose
        pools.delete(endpoint);
        pool.drain();
      }
  }

  #drainPool(endpoint: Endpoint): void {
    if (this.#variedPools.size > 0)
      for (const pool of Array.from(this.#variedPools.values())) if (pool.endpoint === endpoint) pool.drain();
    for (const pools of [this.#pools, this.#http2Pools]) {
      const pool = pools.get(endpoint);
      pools.delete(endpoint);
      pool?.drain();
    }
  }
}

/** By the family of what is dialled. */
interface UpstreamSources {
  readonly v4: SocketSource;
  readonly v6: SocketSource;
}

/** Envoy's default selector: the first of the endpoint's family, else the first of all, which the system then refuses. */
function upstreamSources({ sourceAddresses, freebind }: UpstreamBindConfig): UpstreamSources | undefined {
  const all = sourceAddresses.map((one): SocketSource => ({ ...one, ...(freebind !== undefined && { freebind }) }));
  const [first] = all;
  if (first === undefined) return undefined;
  return {
    v4: all.find(({ address }) => !address.includes(":")) ?? first,
    v6: all.find(({ address }) => address.includes(":")) ?? first,
  };
}

const NO_ENDPOINTS = "";
