import { type Failure, failure, Live, ManualClock, TimerWheel } from "@heddle/base";
import type { Exchange, FilterModule } from "@heddle/filter";
import { HttpFilterRegistry } from "@heddle/filter";
import type { Connection, ConnectionHandler, DialCallbacks, Dialling } from "@heddle/net";
import type { Counter, Gauge, Histogram, Labels, Log, MetricScope } from "@heddle/telemetry";
import {
  CIRCUIT_BREAKER_CELLS,
  type ClusterConfig,
  type EndpointConfig,
  type HttpConnectionManagerConfig,
  type RouteConfiguration,
} from "@heddle/traffic";
import { type BuildEnv, buildHttpConnectionManager } from "../build/build-http-connection-manager.ts";
import { buildRuntime, takeOver } from "../build/build-runtime.ts";
import { emptyRuntime, type Runtime, type RuntimeInput } from "../build/runtime.ts";
import { routerType } from "../filter/router-type.ts";
import type { ConnectionIdentity } from "../upstream/pool/pool-key.ts";
import { DateHeader } from "./date-header.ts";
import type { HttpConnection } from "./http-connection.ts";
import type { HttpConnectionManager } from "./http-connection-manager.ts";
import { RandomHex } from "./random-hex.ts";

/*
 * For tests: the whole data path between connections that are arrays. What the event loop would do later is done by
 * `run`: connections that were dialled come up, queued bytes reach "the kernel", closed connections tell so.
 */

/** A connection without a socket. */
export class MemoryConnection implements Connection {
  static #ids = 0;
  readonly id = ++MemoryConnection.#ids;
  readonly remoteAddress = "192.0.2.1";
  readonly remotePort = 40000;
  readonly localAddress = "192.0.2.2";
  readonly localPort = 15001;
  bytesRead = 0;
  bytesWritten = 0;
  closed = false;
  ended = false;
  paused = false;
  /** Above this many bytes `writeBytes` answers false. */
  highWatermarkBytes = Infinity;
  readonly address: string;
  #handler: ConnectionHandler | undefined = undefined;
  #queued: Buffer[] = [];
  #sent: Buffer[] = [];
  #incoming: (Uint8Array | "end")[] = [];
  #closeReason: Failure | undefined = undefined;
  #toldClose = false;
  #stalled = false;
  #refused = false;

  constructor(address = "") {
    this.address = address;
  }

  // What the code under test calls.

  get bytesQueued(): number {
    return this.#queued.reduce((sum, { length }) => sum + length, 0);
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler;
  }

  writeLatin1(text: string): void {
    if (!this.closed && !this.ended) this.#queued.push(Buffer.from(text, "latin1"));
  }

  writeBytes(bytes: Uint8Array): boolean {
    if (!this.closed && !this.ended) this.#queued.push(Buffer.from(bytes));
    this.#refused ||= this.bytesQueued > this.highWatermarkBytes;
    return this.bytesQueued <= this.highWatermarkBytes;
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.closed = true;
  }

  reset(): void {
    this.destroy();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  // What the peer does.

  send(text: string | Uint8Array): void {
    this.#incoming.push(typeof text === "string" ? Buffer.from(text, "latin1") : text);
  }

  sendEnd(): void {
    this.#incoming.push("end");
  }

  /** The connection breaks: what is queued is lost. */
  break(reason?: Failure): void {
    this.#closeReason = reason ?? failure("reset-by-upstream", "upstream", "ECONNRESET", "if-connection-was-reused");
    this.closed = true;
    this.#queued = [];
  }

  /** The peer stops and starts reading. */
  stall(stalled: boolean): void {
    this.#stalled = stalled;
  }

  /** What the peer has got since it was last asked. */
  take(): string {
    const text = Buffer.concat(this.#sent).toString("latin1");
    this.#sent = [];
    return text;
  }

  /** One turn of the event loop for this connection. True if anything happened. */
  turn(): boolean {
    let moved = this.#flush();
    while (!this.paused && !this.closed && this.#handler !== undefined) {
      const next = this.#incoming.shift();
      if (next === undefined) break;
      moved = true;
      if (next === "end") this.#handler.onEnd();
      else {
        this.bytesRead += next.length;
        this.#handler.onData(next);
      }
      this.#flush();
    }
    if (this.closed && !this.#toldClose && this.#handler !== undefined) {
      this.#toldClose = true;
      this.#handler.onClose(this.#closeReason);
      moved = true;
    }
    return moved;
  }

  #flush(): boolean {
    if (this.#queued.length === 0 || this.#stalled) return false;
    for (const bytes of this.#queued) this.bytesWritten += bytes.length;
    this.#sent.push(...this.#queued);
    this.#queued = [];
    if (this.#refused) {
      this.#refused = false;
      this.#handler?.onDrain();
    }
    return true;
  }
}

/** What a test may say about the proxy that it wants. */
export interface HarnessOptions {
  readonly manager?: Partial<HttpConnectionManagerConfig>;
  readonly routes?: RouteConfiguration;
  readonly clusters?: readonly ClusterConfig[];
  /** By cluster name; each cluster without an entry has 10.0.0.1:80. */
  readonly endpoints?: Readonly<Record<string, readonly string[]>>;
  /** Filters before the router, by name. */
  readonly filters?: Readonly<Record<string, FilterModule>>;
  readonly bufferLimitBytes?: number;
  /** What the router's configuration says. Default: `suppressEnvoyHeaders`. */
  readonly router?: { readonly suppressEnvoyHeaders: boolean };
}

export class Harness {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock, 1);
  readonly metrics = new MemoryMetrics();
  readonly runtime = new Live<Runtime>(emptyRuntime);
  /** Exchanges that have ended, in that order. */
  readonly logged: Exchange[] = [];
  readonly problems: string[] = [];
  /** Connections to upstreams, in the order in which they were made. */
  readonly upstreams: MemoryConnection[] = [];
  readonly clients: MemoryConnection[] = [];
  /** Answers the next dials; each is used once. */
  readonly dialFailures: Failure[] = [];
  readonly identities: ConnectionIdentity[] = [];
  /** While true, dials neither succeed nor fail. */
  holdDials = false;
  random = 0;
  readonly manager: HttpConnectionManager;
  readonly env: BuildEnv;
  readonly #cells = new Map<string, Int32Array>();
  #dials: { readonly identity: ConnectionIdentity; readonly callbacks: DialCallbacks }[] = [];
  #openConnections = 0;

  constructor(options: HarnessOptions = {}) {
    const filters = options.filters ?? {};
    this.env = {
      clock: this.clock,
      wheel: this.wheel,
      random: () => this.random,
      log: new MemoryLog(this.problems),
      metrics: this.metrics,
      dial: (identity, _options, callbacks) => this.#dial(identity, callbacks),
      breakerCells: (name) => this.#breakerCells(name),
      runtime: this.runtime,
      date: new DateHeader(this.clock),
      randomHex: new RandomHex((buffer) => buffer.fill(0xab)),
      filters: new HttpFilterRegistry([
        routerType,
        ...Object.entries(filters).map(([name, module]) => ({ ...module, name, configType: `test.${name}` })),
      ]),
      makeAccessLogger: () => ({ log: (exchange) => void this.logged.push(exchange) }),
    };
    this.configure(options);
    const httpFilters = [
      ...Object.keys(filters).map((name) => ({
        name,
        config: { name, type: `test.${name}`, config: {} },
        disabled: false,
      })),
      {
        name: "router",
        config: {
          name: "router",
          type: routerType.configType,
          config: { suppressEnvoyHeaders: options.router?.suppressEnvoyHeaders ?? true },
        },
        disabled: false,
      },
    ];
    this.manager = buildHttpConnectionManager(
      { ...managerConfig, httpFilters, ...options.manager },
      { name: "test", bufferLimitBytes: options.bufferLimitBytes ?? 1024 * 1024 },
      this.env,
    );
  }

  /** Puts a configuration in force, as a worker does. */
  configure({ routes, clusters, endpoints = {} }: HarnessOptions): void {
    const routeConfig = routes ?? routeTo("app");
    const clusterConfigs = clusters ?? [clusterConfig("app")];
    const entry = <Config>(value: Config) => ({ hash: JSON.stringify(value), value });
    const input: RuntimeInput = {
      routeConfigurations: new Map([["routes", entry(routeConfig)]]),
      clusters: new Map(clusterConfigs.map((config) => [config.name, entry(config)])),
      endpoints: new Map(
        clusterConfigs.map(({ name }) => [name, entry(endpointsConfig(name, endpoints[name] ?? ["10.0.0.1:80"]))]),
      ),
    };
    const next = buildRuntime(input, this.runtime.current, this.env);
    const previous = this.runtime.publish(next);
    takeOver(next, previous, input.endpoints);
  }

  connect(): MemoryConnection & { http: HttpConnection } {
    const connection = new MemoryConnection();
    this.clients.push(connection);
    this.#openConnections++;
    const downstream = {
      directRemoteAddress: connection.remoteAddress,
      remoteAddress: connection.remoteAddress,
      remotePort: connection.remotePort,
      localAddress: connection.localAddress,
      localPort: connection.localPort,
      connectionId: connection.id,
      listener: "test",
      filterChain: "",
    };
    const http = this.manager.serve(connection, downstream, () => {
      this.#openConnections--;
    });
    return Object.assign(connection, { http });
  }

  /** Runs until nothing moves any more. */
  run(): void {
    for (let turns = 0; ; turns++) {
      if (turns > 1000) throw new Error("the event loop does not come to rest");
      let moved = this.#settleDials();
      for (const connection of [...this.clients, ...this.upstreams]) moved = connection.turn() || moved;
      if (!moved) return;
    }
  }

  advance(ms: number): void {
    this.run();
    for (let left = ms; left > 0; left -= 10) {
      this.clock.advance(Math.min(10, left));
      this.run();
    }
  }

  /** The n-th upstream connection; it must exist. */
  upstream(n = 0): MemoryConnection {
    const connection = this.upstreams[n];
    if (connection === undefined) throw new Error(`there is no upstream connection ${n}`);
    return connection;
  }

  value(name: string): number {
    return this.metrics.values.get(name) ?? 0;
  }

  /** Ends every connection and tells what has not been given back: "" if nothing leaks. */
  leaks(): string {
    for (const connection of this.clients) connection.destroy();
    this.run();
    for (const cluster of this.runtime.current.clusters.values()) cluster.destroy();
    this.run();
    this.wheel.stop();
    const leaks: string[] = [];
    if (this.#openConnections > 0) leaks.push(`${this.#openConnections} client connections`);
    for (const upstream of this.upstreams) if (!upstream.closed) leaks.push(`upstream ${upstream.id}`);
    for (const [name, value] of this.metrics.values) {
      if (name.endsWith("_active") && value !== 0) leaks.push(`${name} is ${value}`);
    }
    for (const [name, cells] of this.#cells) {
      if (cells.some((count) => count !== 0)) leaks.push(`circuit breaker of ${name}: ${cells.join(" ")}`);
    }
    if (this.wheel.running > 0) leaks.push(`${this.wheel.running} wheel timers`);
    if (this.clock.pending > 0) leaks.push(`${this.clock.pending} timers`);
    return leaks.join(", ");
  }

  #breakerCells(name: string): Int32Array {
    let cells = this.#cells.get(name);
    if (cells === undefined) this.#cells.set(name, (cells = new Int32Array(CIRCUIT_BREAKER_CELLS)));
    return cells;
  }

  #dial(identity: ConnectionIdentity, callbacks: DialCallbacks): Dialling {
    const dial = { identity, callbacks };
    this.#dials.push(dial);
    return {
      cancel: () => {
        this.#dials = this.#dials.filter((other) => other !== dial);
      },
    };
  }

  #settleDials(): boolean {
    const dial = this.holdDials ? undefined : this.#dials.shift();
    if (dial === undefined) return false;
    const failed = this.dialFailures.shift();
    if (failed !== undefined) {
      dial.callbacks.onFailed(failed);
      return true;
    }
    const { address } = dial.identity;
    const connection = new MemoryConnection(address.type === "socket" ? `${address.address}:${address.port}` : "");
    this.upstreams.push(connection);
    this.identities.push(dial.identity);
    dial.callbacks.onConnected(connection);
    return true;
  }
}

const managerConfig: HttpConnectionManagerConfig = {
  statPrefix: "test",
  codecType: "AUTO",
  routes: { type: "rds", routeConfigName: "routes" },
  httpFilters: [],
  upgradeConfigs: [],
  accessLog: [],
  serverName: "heddle",
  serverHeaderTransformation: "PASS_THROUGH",
  maxRequestHeadersKb: 60,
  maxHeadersCount: 100,
  maxRequestsPerConnection: 0,
  idleTimeoutMs: 3_600_000,
  maxConnectionDurationMs: 0,
  streamIdleTimeoutMs: 300_000,
  requestTimeoutMs: 0,
  requestHeadersTimeoutMs: 0,
  maxStreamDurationMs: 0,
  drainTimeoutMs: 5000,
  delayedCloseTimeoutMs: 1000,
  useRemoteAddress: false,
  xffNumTrustedHops: 0,
  skipXffAppend: false,
  generateRequestId: true,
  preserveExternalRequestId: false,
  alwaysSetRequestIdInResponse: false,
  via: "",
  normalizePath: false,
  mergeSlashes: false,
  pathWithEscapedSlashesAction: "KEEP_UNCHANGED",
  stripPort: "none",
  acceptHttp10: true,
  defaultHostForHttp10: "",
  proxy100Continue: false,
};

const NO_MUTATIONS = {
  requestHeadersToAdd: [],
  requestHeadersToRemove: [],
  responseHeadersToAdd: [],
  responseHeadersToRemove: [],
};

type Forward = Extract<RouteConfiguration["virtualHosts"][0]["routes"][0]["action"], { type: "forward" }>["forward"];
type RouteEntryConfig = RouteConfiguration["virtualHosts"][0]["routes"][0];

/** One route for everything, to that cluster. */
export function routeTo(
  cluster: string,
  forward: Partial<Forward> = {},
  entry: Partial<RouteEntryConfig> = {},
): RouteConfiguration {
  const action: RouteEntryConfig["action"] = {
    type: "forward",
    forward: {
      cluster: { type: "cluster", name: cluster },
      clusterNotFoundResponseCode: 503,
      prefixRewrite: undefined,
      regexRewrite: undefined,
      hostRewrite: { type: "none" },
      appendXForwardedHost: false,
      timeoutMs: 15_000,
      idleTimeoutMs: undefined,
      maxStreamDurationMs: undefined,
      retryPolicy: undefined,
      upgradeConfigs: [],
      ...forward,
    },
  };
  return routesOf([routeEntry({ action, ...entry })]);
}

export function routeEntry(entry: Partial<RouteEntryConfig> & Pick<RouteEntryConfig, "action">): RouteEntryConfig {
  return {
    ...NO_MUTATIONS,
    name: "all",
    match: {
      path: { type: "prefix", value: "/" },
      caseSensitive: true,
      headers: [],
      queryParameters: [],
      grpc: false,
      runtimeFraction: undefined,
    },
    typedPerFilterConfig: {},
    statPrefix: "",
    ...entry,
  };
}

export function routesOf(routes: readonly RouteEntryConfig[]): RouteConfiguration {
  return {
    ...NO_MUTATIONS,
    name: "routes",
    virtualHosts: [
      {
        ...NO_MUTATIONS,
        name: "any",
        domains: ["*"],
        routes,
        retryPolicy: undefined,
        includeRequestAttemptCount: false,
        includeAttemptCountInResponse: false,
        typedPerFilterConfig: {},
      },
    ],
    ignorePortInHostMatching: false,
    mostSpecificHeaderMutationsWins: false,
    validateClusters: false,
    typedPerFilterConfig: {},
  };
}

export const retryPolicy = {
  retryOn: ["5xx"],
  numRetries: 1,
  perTryTimeoutMs: 0,
  retriableStatusCodes: [],
  baseIntervalMs: 25,
  maxIntervalMs: 250,
};

export function clusterConfig(name: string, config: Partial<ClusterConfig> = {}): ClusterConfig {
  const thresholds = { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 };
  return {
    name,
    statName: name,
    discovery: { type: "EDS", serviceName: name },
    lbPolicy: { type: "round-robin" },
    connectTimeoutMs: 5000,
    perConnectionBufferLimitBytes: 1024 * 1024,
    circuitBreakers: { default: thresholds, high: thresholds },
    healthyPanicThresholdPercent: 50,
    upstreamProtocol: "http1",
    idleTimeoutMs: undefined,
    maxConnectionDurationMs: 0,
    maxRequestsPerConnection: 0,
    tcpKeepalive: undefined,
    metadata: {},
    extensions: [],
    ...config,
  };
}

export function endpointsConfig(clusterName: string, addresses: readonly string[]) {
  return {
    clusterName,
    localities: [
      {
        locality: { region: "", zone: "", subZone: "" },
        loadBalancingWeight: undefined,
        priority: 0,
        endpoints: addresses.map(endpointConfig),
      },
    ],
    overprovisioningFactorPercent: 140,
    dropOverloads: [],
  };
}

function endpointConfig(text: string): EndpointConfig {
  const [address = "", port = ""] = text.split(":");
  return {
    address: { type: "socket", address, port: Number(port) },
    hostname: `host-of-${address}`,
    healthStatus: "UNKNOWN",
    loadBalancingWeight: 1,
    metadata: {},
  };
}

/** Counts in a map, by name without labels. */
class MemoryMetrics implements MetricScope {
  readonly values: Map<string, number>;
  readonly #prefix: string;

  constructor(values = new Map<string, number>(), prefix = "") {
    this.values = values;
    this.#prefix = prefix;
  }

  counter(name: string): Counter {
    return { add: (by = 1) => this.#add(name, by) };
  }

  gauge(name: string): Gauge {
    return { add: (by) => this.#add(name, by), set: (to) => void this.values.set(this.#prefix + name, to) };
  }

  histogram(name: string): Histogram {
    return { record: () => this.#add(`${name}.count`, 1) };
  }

  scope(prefix: string, _labels?: Labels): MetricScope {
    return new MemoryMetrics(this.values, `${this.#prefix}${prefix}.`);
  }

  #add(name: string, by: number): void {
    const key = this.#prefix + name;
    this.values.set(key, (this.values.get(key) ?? 0) + by);
  }
}

/** Keeps warnings and errors. */
class MemoryLog implements Log {
  readonly #problems: string[];

  constructor(problems: string[]) {
    this.#problems = problems;
  }

  trace(): void {}
  debug(): void {}
  info(): void {}

  warn(message: string, fields?: object): void {
    this.#problems.push(`${message} ${JSON.stringify(fields ?? {})}`);
  }

  error(message: string, fields?: object): void {
    this.#problems.push(`${message} ${JSON.stringify(fields ?? {})}`);
  }

  with(): Log {
    return this;
  }

  enabled(): boolean {
    return false;
  }
}
