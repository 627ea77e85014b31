import { type Failure, Live, ManualClock, TimerWheel } from "@heddle/base";
import type { Exchange, FilterModule } from "@heddle/filter";
import { HttpFilterRegistry } from "@heddle/filter";
import type { DialCallbacks, Dialling } from "@heddle/net";
import type { AccessLogType } from "@heddle/telemetry";
import {
  CIRCUIT_BREAKER_CELLS,
  type ClusterConfig,
  type HttpConnectionManagerConfig,
  type LiveRuntime,
  type RouteConfiguration,
} from "@heddle/traffic";
import { type BuildEnv, buildHttpConnectionManager } from "../build/build-http-connection-manager.ts";
import { RuntimeBuilder } from "../build/build-runtime.ts";
import { emptyRuntime, type Runtime, type RuntimeInput } from "../build/runtime.ts";
import { routerType } from "../filter/router-type.ts";
import { serveTunnelType } from "../filter/serve-tunnel-type.ts";
import type { EndedConnection } from "../listener/connection-logger.ts";
import { type DrainOptions, SERVING, type ServingState } from "../listener/serving-state.ts";
import { LoadShedder } from "../overload/load-shedder.ts";
import { NO_CEILING, newVitals } from "../overload/vitals.ts";
import { NO_SECRETS } from "../tls/live-secrets.ts";
import type { ConnectionIdentity } from "../upstream/pool/pool-key.ts";
import { DateHeader } from "./date-header.ts";
import type { HttpConnection } from "./http-connection.ts";
import type { HttpConnectionManager } from "./http-connection-manager.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { RandomHex } from "./random-hex.ts";
import { clusterConfig, endpointsConfig, managerConfig, routeTo } from "./testing-config.ts";
import { MemoryConnection } from "./testing-connection.ts";
import { MemoryLog, MemoryMetrics } from "./testing-telemetry.ts";
import type { TracingEnv } from "./tracing/tracing-env.ts";

export {
  clusterConfig,
  endpointsConfig,
  managerConfig,
  retryPolicy,
  routeEntry,
  routesOf,
  routeTo,
} from "./testing-config.ts";
export { MemoryConnection } from "./testing-connection.ts";

/*
 * For tests: the whole data path between connections that are arrays. What the event loop would do later is done by
 * `run`: connections that were dialled come up, queued bytes reach "the kernel", closed connections tell so.
 */

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
  readonly drain?: DrainOptions;
  readonly drainType?: "DEFAULT" | "MODIFY_ONLY";
  /** Left out: nobody takes spans. */
  readonly tracing?: TracingEnv;
  /** Left out: nobody sets a runtime. */
  readonly runtimeValues?: LiveRuntime;
  /** How clients reach it. */
  readonly scheme?: "http" | "https";
  readonly direction?: "INBOUND" | "OUTBOUND";
  /** What the router's configuration says. Default: `suppressEnvoyHeaders`. */
  readonly router?: {
    readonly suppressEnvoyHeaders?: boolean;
    readonly strictCheckHeaders?: readonly string[];
    readonly startChildSpan?: boolean;
  };
}

export class Harness {
  readonly clock = new ManualClock();
  readonly wheel = new TimerWheel(this.clock, 1);
  readonly metrics = new MemoryMetrics();
  readonly runtime = new Live<Runtime>(emptyRuntime);
  readonly vitals = new Int32Array(newVitals(NO_CEILING));
  readonly serving = new Live<ServingState>(SERVING);
  /** Exchanges that have ended, in that order. */
  readonly logged: Exchange[] = [];
  /** Sees each exchange that is logged, at that moment. */
  onLog: (exchange: HttpExchange) => void = () => undefined;
  /** Why there was a line in the access log, each time. */
  readonly logTypes: AccessLogType[] = [];
  readonly loggedConnections: EndedConnection[] = [];
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
      secrets: new Live(NO_SECRETS),
      breakerCells: (name) => this.#breakerCells(name),
      runtime: this.runtime,
      serving: this.serving,
      shedder: new LoadShedder(this.vitals, () => this.random),
      drain: options.drain ?? { strategy: "gradual", timeMs: 600_000 },
      date: new DateHeader(this.clock),
      randomHex: new RandomHex((buffer) => buffer.fill("aabb", "hex")), // spans "abab…"
      filters: new HttpFilterRegistry([
        routerType,
        serveTunnelType,
        ...Object.entries(filters).map(([name, module]) => ({ ...module, name, configType: `test.${name}` })),
      ]),
      ...(options.tracing !== undefined && { tracing: options.tracing }),
      ...(options.runtimeValues !== undefined && { runtimeValues: options.runtimeValues }),
      dnsResponders: new Map(),
      makeAccessLogger: () => ({
        log: (exchange, type) => {
          this.logTypes.push(type);
          this.onLog(exchange);
          if (type === "DownstreamEnd") this.logged.push(exchange);
        },
        close: () => undefined,
      }),
      format: { hostname: "test-host", variable: () => undefined, wallNow: () => this.clock.wallNow(), uuid: () => "" },
      makeConnectionLogger: () => ({ log: (connection) => void this.loggedConnections.push(connection) }),
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
          config: { suppressEnvoyHeaders: true, ...options.router },
        },
        disabled: false,
      },
    ];
    this.manager = buildHttpConnectionManager(
      { ...managerConfig, httpFilters, ...options.manager },
      {
        name: "test",
        bufferLimitBytes: options.bufferLimitBytes ?? 1024 * 1024,
        drainType: options.drainType ?? "DEFAULT",
        trafficDirection: options.direction ?? "UNSPECIFIED",
        scheme: options.scheme ?? "http",
      },
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
    const previous = this.runtime.current;
    const touched = {
      routeConfigurations: ["routes"],
      clusters: new Set([...previous.clusters.keys(), ...clusterConfigs.map(({ name }) => name)]),
    };
    const builder = new RuntimeBuilder(input, touched, previous, this.env, () => true);
    const slice = { clock: this.clock, leftMs: Number.POSITIVE_INFINITY };
    Array.from(builder.prepare(slice));
    const { runtime, leaving } = builder.finish();
    for (const { error } of builder.refused) throw error;
    this.runtime.publish(runtime);
    for (const cluster of leaving) cluster.drain();
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
