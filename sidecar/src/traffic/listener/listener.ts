import { type Drainable, DrainGroup, parseIp } from "@heddle/base";
import { canonicalJson } from "@heddle/config/lanes";
import { type DownstreamInfo, ResponseFlag } from "@heddle/filter";
import { type Connection, SECRET_NOT_SUPPLIED } from "@heddle/net";
import type { Counter } from "@heddle/telemetry";
import {
  compileFilterChainMatch,
  type DownstreamTlsConfig,
  type FilterChainConfig,
  type FilterChainTable,
  type ListenerConfig,
  type ListenerFilterConfig,
  type NetworkFilterConfig,
} from "@heddle/traffic";
import type { ConnectionEnd, NetworkFilter, Prepared, ServedConnection } from "../network/network-filter.ts";
import type { ConnectionLimit } from "./connection-limit.ts";
import type { ConnectionLogger } from "./connection-logger.ts";
import { EarlyConnection } from "./early-connection.ts";
import type { ListenerEnv } from "./listener-env.ts";
import type { AppliedFilter } from "./listener-filter.ts";
import { listenerFilters, serverFirst } from "./listener-filters.ts";
import { ListenerStats } from "./listener-stats.ts";
import { PreparedFilter } from "./prepared-filter.ts";
import type { ServerFirst } from "./server-first.ts";
import { statPrefixOf } from "./stat-prefix.ts";
import { TlsTerminator } from "./tls-terminator.ts";

/**
 * A listener at work, made from one configuration and never changed: an update makes another, which takes over the chains
 * that stayed the same, with their connections. Chains that did not stay drain.
 */
export class Listener {
  readonly config: ListenerConfig;
  readonly #env: ListenerEnv;
  readonly #siblings: ListenerLookup;
  readonly #stats: ListenerStats;
  readonly #logger: ConnectionLogger | undefined;
  readonly #ownLimit: ConnectionLimit | undefined;
  readonly #chains: ReadonlyMap<string, Chain>;
  /** Chains of before, some of whose filters have another configuration by ECDS now: as in Envoy their connections go on. */
  readonly #outlived = new Set<Chain>();
  /** ECDS has nothing for one of its filters, and no default. */
  readonly #lacksFilter: boolean;
  readonly #table: FilterChainTable<Chain>;
  readonly #filters: readonly AppliedFilter[];
  readonly #serverFirst: ServerFirst | undefined;
  /** Connections whose first bytes are awaited, those of whom it has its place among them, and what forgets each. */
  readonly #early = new Map<EarlyConnection<PreparedFilter>, () => void>();
  /** Who has this listener's place now, and serves what its filters are done with. */
  #heir: Listener | undefined = undefined;
  /** Nobody has its place. */
  #ended = false;

  /**
   * Throws if the configuration cannot work, which validation should have told before; nothing has happened then, and
   * `previous` goes on.
   */
  constructor(
    config: ListenerConfig,
    env: ListenerEnv,
    previous: Listener | undefined,
    siblings: ListenerLookup = nobody,
  ) {
    this.config = config;
    this.#siblings = siblings;
    this.#env = env;
    this.#ownLimit = env.listenerLimit(config.name);
    this.#stats = new ListenerStats(env.metrics, statPrefixOf(config));
    this.#logger = config.accessLog.length === 0 ? undefined : env.makeConnectionLogger(config.accessLog);
    this.#filters = listenerFilters(config, env);
    this.#lacksFilter = config.listenerFilters.some(({ type }) => type === "missing");
    // What a server says first is the same to a client of TLS that is slow, and may be meant for either.
    const endsTls = [...config.filterChains, config.defaultFilterChain].some((one) => one?.tls !== undefined);
    this.#serverFirst = endsTls ? undefined : serverFirst(config, env);
    const frame = frameOf(config);
    const kept = previous !== undefined && frameOf(previous.config) === frame ? previous.#chains : NO_CHAINS;
    const chains = new Map<string, Chain>();
    const chainOf = (chain: FilterChainConfig): Chain => {
      const key = canonicalJson(chain);
      const running = chains.get(key) ?? kept.get(key) ?? this.#start(chain);
      chains.set(key, running);
      return running;
    };
    try {
      const candidates = config.filterChains.map((chain, index) => ({
        name: chain.name === "" ? `filter_chains[${index}]` : chain.name,
        match: chain.match,
        chain: chainOf(chain),
      }));
      const fallback = config.defaultFilterChain && chainOf(config.defaultFilterChain);
      const table = compileFilterChainMatch(candidates, fallback);
      if (!table.ok) throw new TypeError(`listener ${config.name}: ${table.error.join("; ")}`);
      this.#table = table.value;
    } catch (error) {
      // What was made for it has no other end.
      for (const [key, chain] of chains) if (kept.get(key) !== chain) chain.filter.close?.();
      throw error;
    }
    this.#chains = chains;
  }

  /** Connections of all its chains. */
  get connections(): number {
    let count = this.#early.size;
    for (const { group } of [...this.#chains.values(), ...this.#outlived]) count += group.size;
    return count;
  }

  /** Gives an accepted connection to the chain that matches, or to the listener for which it was meant. */
  accept(connection: Connection): void {
    this.#take(connection, describe(connection, this.config.name), false);
  }

  /** Takes a connection that another listener has accepted, for the address to which it was meant to go. */
  acceptRedirected(connection: Connection, info: DownstreamInfo): void {
    this.#take(connection, { ...info, listener: this.config.name }, true);
  }

  #take(connection: Connection, info: DownstreamInfo, redirected: boolean): void {
    // As in Envoy the listener counts that serves it.
    if (redirected || this.config.useOriginalDst !== true) this.#stats.cxTotal.add();
    if (!this.#admit()) {
      connection.reset();
      return;
    }
    if (this.#lacksFilter) {
      this.#stats.extensionMissing.add();
      this.#release();
      connection.reset();
      return;
    }
    if (this.#filters.length === 0) this.#serve(connection, info);
    else this.#look(connection, info, redirected);
  }

  /** Lets the listener filters look that need no byte, up to the first that does. */
  #look(connection: Connection, accepted: DownstreamInfo, redirected: boolean): void {
    let info = accepted;
    for (const [index, { filter, isDisabled }] of this.#filters.entries()) {
      if (isDisabled?.(info) === true) continue;
      if (!("look" in filter)) {
        this.#inspect(connection, info, redirected, index);
        return;
      }
      info = filter.look(connection, info);
    }
    this.#arrive(connection, info, redirected);
  }

  /**
   * Gives a connection on which the filters have looked to the listener for which it was meant, once (`use_original_dst`). What
   * was meant for nobody is served here, and what was meant for this very listener too.
   */
  #arrive(connection: Connection, info: DownstreamInfo, redirected: boolean, prepared?: PreparedFilter): void {
    if (!redirected && this.config.useOriginalDst === true) {
      const meant = this.#meantFor(info);
      if (meant !== undefined) {
        prepared?.cancel();
        this.#release();
        meant.acceptRedirected(connection, info);
        return;
      }
      this.#stats.cxTotal.add();
    }
    this.#serve(connection, info, prepared);
  }

  /** The other listener that a redirected connection was meant for. */
  #meantFor(info: DownstreamInfo): Listener | undefined {
    const meant = info.restored && this.#siblings(info.localAddress, info.localPort);
    return meant === this ? undefined : meant;
  }

  /** Asks the chain that a silent client would get to begin with what it will need (`heddle.filters.listener.server_first`). */
  #prepare(info: DownstreamInfo, redirected: boolean, onSpoken: () => void): PreparedFilter | undefined {
    const stats = this.#serverFirst;
    if (stats === undefined || this.#ended) return undefined;
    if (!redirected && this.config.useOriginalDst === true && this.#meantFor(info) !== undefined) return undefined;
    const chain = this.#choose(info);
    if (chain === undefined) return undefined;
    const made = chain.filter.prepare?.({ ...info, filterChain: chain.name }, () => {
      stats.spoken.add();
      onSpoken();
    });
    if (made === undefined) return undefined;
    stats.dialled.add();
    return new PreparedFilter(chain.filter, made, stats.unused);
  }

  /** Lets the listener filters look, from the first on that waits for bytes. */
  #inspect(connection: Connection, info: DownstreamInfo, redirected: boolean, first: number): void {
    const { clock, log } = this.#env;
    const leave = (): void => {
      this.#current.#early.delete(early);
      this.#stats.preCxActive.add(-1);
    };
    const forget = (): void => {
      leave();
      this.#release();
    };
    const lost = (counter: Counter): void => {
      forget();
      counter.add();
    };
    const options = {
      clock,
      filters: this.#filters,
      first,
      timeoutMs: this.config.listenerFiltersTimeoutMs,
      continueOnTimeout: this.config.continueOnListenerFiltersTimeout,
      ...(this.#serverFirst?.appliesTo(info) === true && { silentAfterMs: this.#serverFirst.afterMs }),
    };
    this.#stats.preCxActive.add(1);
    const early: EarlyConnection<PreparedFilter> = new EarlyConnection(connection, info, options, {
      onInspected: (known, prepared) => {
        leave();
        this.#current.#arrive(connection, known, redirected, prepared);
      },
      onSilent: (known) => this.#current.#prepare(known, redirected, () => early.settle()),
      onRefused: (reason) => {
        lost(this.#stats.filterError);
        log.info("a listener filter refused a connection", {
          listener: info.listener,
          peer: info.remoteAddress,
          reason,
        });
      },
      onTimeout: (served) => {
        if (served) this.#stats.preCxTimeout.add();
        else lost(this.#stats.preCxTimeout);
      },
      onGone: () => lost(this.#stats.filterRemoteClose),
    });
    this.#early.set(early, forget);
  }

  /** Who has this listener's place now. */
  get #current(): Listener {
    return this.#heir === undefined ? this : this.#heir.#current;
  }

  /** Ends connections that nobody serves yet. */
  #endEarly(): void {
    this.#ended = true;
    for (const [early, forget] of this.#early) {
      early.destroy();
      forget();
    }
  }

  /** They go on looking at what they looked at, and end with whoever has the place. */
  #leaveEarly(heir: Listener): void {
    this.#heir = heir;
    for (const [early, forget] of this.#early) heir.#early.set(early, forget);
    this.#early.clear();
  }

  #serve(connection: Connection, info: DownstreamInfo, prepared?: PreparedFilter): void {
    if (this.#ended) {
      prepared?.cancel();
      this.#release();
      connection.reset();
      return;
    }
    const chain = this.#choose(info);
    const begun = prepared?.takenBy(chain?.filter);
    if (chain === undefined) {
      this.#stats.noFilterChainMatch.add();
      this.#release();
      connection.reset();
      this.#log(connection, info, 0, ResponseFlag.NoRouteFound, "filter_chain_not_found");
      return;
    }
    this.#stats.cxActive.add(1);
    const startedMs = this.#env.clock.now();
    const downstream: DownstreamInfo = { ...info, filterChain: chain.name };
    if (chain.tls === undefined) this.#hand(connection, downstream, chain, startedMs, begun);
    else this.#secure(connection, downstream, chain, chain.tls, startedMs);
  }

  /** The TLS handshake, which belongs to the chain as what it serves does. */
  #secure(connection: Connection, info: DownstreamInfo, chain: Chain, tls: TlsTerminator, startedMs: number): void {
    const stats = this.#stats;
    const gone = (): void => {
      chain.group.delete(unit);
      this.#release();
      stats.closed(this.#env.clock.now() - startedMs);
    };
    const handshaking = tls.secure(connection, {
      onSecured: (secured) => {
        const { tls: known } = secured;
        if (known !== undefined) stats.ssl.countHandshake(known);
        // As in Envoy what tls_inspector has seen counts, by which the chain was chosen: a client may ask for another name in the
        // second ClientHello of its handshake (which RFC 8446 §4.1.2 forbids and OpenSSL takes).
        const serverName =
          info.sniffed?.transportProtocol === "tls" ? info.serverName : known?.serverName || info.serverName;
        const downstream = { ...info, ...(known && { tls: known }), ...(serverName && { serverName }) };
        // In this order, since a chain that drains is done when its group is empty.
        this.#hand(secured, downstream, chain, startedMs);
        chain.group.delete(unit);
      },
      onFailed: (failed) => {
        stats.ssl.countFailure(failed);
        if (failed.kind === "timeout") stats.transportSocketConnectTimeout.add();
        gone();
        const durationMs = this.#env.clock.now() - startedMs;
        this.#log(connection, { ...info, tlsFailure: failed.reason }, durationMs, ResponseFlag.DownstreamProtocolError);
      },
    });
    if (handshaking === undefined) {
      this.#refuseForSecret(connection, info);
      return;
    }
    const unit: Drainable = {
      drain() {}, // its time is limited, and a request may be about to come
      destroy() {
        handshaking.cancel();
        gone();
      },
    };
    chain.group.add(unit);
  }

  /** A secret that the chain's TLS needs has not come. */
  #refuseForSecret(connection: Connection, info: DownstreamInfo): void {
    this.#stats.ssl.countSecretNotReady();
    connection.reset();
    this.#release();
    this.#stats.closed(0);
    this.#log(connection, { ...info, tlsFailure: SECRET_NOT_SUPPLIED }, 0, ResponseFlag.DownstreamProtocolError);
  }

  /** Gives a connection to the chain's filters. */
  #hand(connection: Connection, downstream: DownstreamInfo, chain: Chain, startedMs: number, begun?: Prepared): void {
    const onClosed = (end?: ConnectionEnd): void => {
      chain.group.delete(unit);
      this.#release();
      const durationMs = this.#env.clock.now() - startedMs;
      this.#stats.closed(durationMs);
      const terminationDetails = end?.terminationDetails;
      this.#log(connection, end?.downstream ?? downstream, durationMs, end?.responseFlags, "", terminationDetails);
    };
    const served: ServedConnection = chain.filter.serve(connection, downstream, onClosed, begun);
    const unit = new Unit(served, chain);
    chain.group.add(unit);
  }

  /**
   * Lets the chains that `successor` has not taken over drain gently; without a successor all of them. Resolves when they
   * are done.
   */
  async retire(successor: Listener | undefined): Promise<void> {
    if (successor === undefined) this.#endEarly();
    else this.#leaveEarly(successor);
    const taken = new Set(successor === undefined ? [] : successor.#chains.values());
    // As in Envoy a listener that goes, or changes in more than its chains, may take its time; a chain that goes may not.
    const isWhole = successor === undefined || frameOf(successor.config) !== frameOf(this.config);
    const leaving = [...this.#chains.values(), ...this.#outlived].filter(
      (chain) => !taken.has(chain) && (isWhole || successor === undefined || !successor.#adopt(chain)),
    );
    const { strategy } = this.#env.drain;
    for (const chain of leaving) {
      chain.manner =
        isWhole && strategy === "gradual" && chain.filter.drainGradually !== undefined ? "gradual" : "gentle";
      if (chain.manner === "gradual") chain.filter.drainGradually?.();
    }
    await Promise.all(leaving.map((chain) => this.#end(chain, this.#env.drain.timeMs)));
    // Chains that have been taken over keep logging: to the files of a successor with the same logs.
    this.#logger?.close?.();
  }

  /**
   * The process ends: all chains drain, those too that do so already. A connection that is idle gets a moment for a request
   * that may be on its way, and no more, since the process waits for it.
   */
  async drain(deadlineMs: number): Promise<void> {
    this.#endEarly();
    const chains = [...this.#chains.values(), ...this.#outlived];
    for (const chain of chains) {
      chain.manner = "ending";
      if (chain.group.draining) for (const unit of chain.group) unit.drain();
    }
    await Promise.all(chains.map((chain) => this.#end(chain, deadlineMs)));
  }

  /** Takes a chain over whose connections may go on, since only what ECDS says has changed in it. */
  #adopt(chain: Chain): boolean {
    if (chain.shape === undefined || chain.group.size === 0) return false;
    const goesOn = [...this.#chains.values()].some(({ shape }) => shape === chain.shape);
    if (goesOn) this.#outlived.add(chain);
    return goesOn;
  }

  /** Counts a connection, unless there are too many, or the process is overloaded. */
  #admit(): boolean {
    const { shedder, connectionLimit } = this.#env;
    if (shedder.rejectsConnection) {
      this.#stats.cxOverloadReject.add();
      return false;
    }
    if (!connectionLimit.tryAcquire()) {
      this.#stats.globalCxOverflow.add();
      return false;
    }
    if (this.#ownLimit === undefined || this.#ownLimit.tryAcquire()) return true;
    connectionLimit.release();
    this.#stats.cxOverflow.add();
    return false;
  }

  #release(): void {
    this.#env.connectionLimit.release();
    this.#ownLimit?.release();
  }

  #end(chain: Chain, deadlineMs: number): Promise<void> {
    const drained = chain.group.drain(deadlineMs); // again, it may bring the deadline forward
    chain.ending ??= drained.then((forced) => {
      if (forced > 0) {
        const fields = { listener: this.config.name, filterChain: chain.name, connections: forced };
        this.#env.log.info("connections that did not drain in time were closed", fields);
      }
      chain.filter.close?.();
    });
    return chain.ending;
  }

  #log(
    connection: Connection,
    downstream: DownstreamInfo,
    durationMs: number,
    responseFlags = 0,
    details = "",
    terminationDetails = "",
  ): void {
    this.#logger?.log({
      downstream,
      startWallMs: this.#env.clock.wallNow() - durationMs,
      durationMs,
      bytesReceived: connection.bytesRead,
      bytesSent: connection.bytesWritten,
      responseFlags,
      details,
      ...(terminationDetails !== "" && { terminationDetails }),
      upstream: undefined,
    });
  }

  #start(config: FilterChainConfig): Chain {
    if (config.filters.length === 0)
      throw new TypeError(`listener ${this.config.name}: a filter chain without filters`);
    const { clock, onThrow } = this.#env;
    const options = { clock, onThrow, highWatermarkBytes: this.config.perConnectionBufferLimitBytes };
    // First, since it has nothing to be closed where the filter cannot be made.
    const tls = config.tls && this.#terminator(config, config.tls, options);
    return {
      name: config.name,
      shape: shapeOf(config),
      filter: this.#env.makeFilter(config, this.config.name),
      tls,
      group: new DrainGroup(clock),
      manner: "ending",
      ending: undefined,
    };
  }

  #terminator(
    { name: filterChain, transportSocketConnectTimeoutMs }: FilterChainConfig,
    tls: DownstreamTlsConfig,
    options: ConstructorParameters<typeof TlsTerminator>[2],
  ): TlsTerminator {
    const { log, secrets, tickets } = this.#env;
    const { name: listener } = this.config;
    const onProblem = (problem: string): void =>
      log.error("a secret cannot be used", { listener, filterChain, problem });
    return new TlsTerminator(tls, transportSocketConnectTimeoutMs, options, secrets, onProblem, tickets);
  }

  #choose(info: DownstreamInfo): Chain | undefined {
    // By far most listeners have one chain for everything; they need no addresses in words.
    if (this.config.filterChains.length === 1 && this.config.filterChains[0]?.match === undefined) {
      for (const chain of this.#chains.values()) return chain;
    }
    const source = parseIp(info.remoteAddress);
    const direct = info.directRemoteAddress === info.remoteAddress ? source : parseIp(info.directRemoteAddress);
    return this.#table.find({
      destinationAddress: parseIp(info.localAddress),
      destinationPort: info.localPort === 0 ? undefined : info.localPort,
      serverName: info.serverName ?? "",
      transportProtocol: info.sniffed?.transportProtocol ?? "raw_buffer",
      applicationProtocols: info.sniffed?.applicationProtocols ?? [],
      sourceAddress: source,
      sourcePort: info.remotePort === 0 ? undefined : info.remotePort,
      directSourceAddress: direct,
    });
  }
}

/** Who has an address: the listener of exactly that one, else that of any address with the port. */
export type ListenerLookup = (address: string, port: number) => Listener | undefined;

const nobody: ListenerLookup = () => undefined;

interface Chain {
  readonly name: string;
  /** Everything of its configuration that ECDS has no say in; undefined where that is all of it. */
  readonly shape: string | undefined;
  readonly filter: NetworkFilter;
  /** Undefined: its connections are plaintext. */
  readonly tls: TlsTerminator | undefined;
  readonly group: DrainGroup<Drainable>;
  /**
   * How its connections are asked to end. gradual: each when it suits, within the drain time. gentle: with the next
   * answer. ending: the process waits, so what is idle has a moment only.
   */
  manner: "gradual" | "gentle" | "ending";
  ending: Promise<void> | undefined;
}

/** A connection in its chain's group. */
class Unit implements Drainable {
  readonly #served: ServedConnection;
  readonly #chain: Chain;

  constructor(served: ServedConnection, chain: Chain) {
    this.#served = served;
    this.#chain = chain;
  }

  drain(): void {
    const { manner } = this.#chain;
    if (manner === "gradual") return; // its filter decides with each answer
    if (this.#served.drainGently === undefined) this.#served.drain();
    else this.#served.drainGently(manner === "ending" ? LAST_REQUEST_WITHIN_MS : undefined);
  }

  destroy(): void {
    this.#served.destroy();
  }
}

/**
 * How long a process that ends waits for a request on an idle connection. A client that sends one after the other has sent
 * its next by then, and one that does not is hardly sending at the moment in which we close.
 */
const LAST_REQUEST_WITHIN_MS = 1000;

const NO_CHAINS: ReadonlyMap<string, Chain> = new Map();

/** Everything of a listener but its chains. Where it changes, every chain begins anew. */
function frameOf(listener: ListenerConfig): string {
  const listenerFilters = listener.listenerFilters.map(fixedPart);
  return canonicalJson({ ...listener, listenerFilters, filterChains: [], defaultFilterChain: undefined });
}

function shapeOf(chain: FilterChainConfig): string | undefined {
  if (chain.filters.every(({ discovered }) => discovered === undefined)) return undefined;
  return canonicalJson({ ...chain, filters: chain.filters.map(fixedPart) });
}

/** Of a filter that has come by ECDS: whatever comes, it is the same filter. */
function fixedPart<Filter extends ListenerFilterConfig | NetworkFilterConfig>(filter: Filter): unknown {
  const { name, discovered } = filter;
  return discovered === undefined ? filter : { name, discovered };
}

function describe(connection: Connection, listener: string): DownstreamInfo {
  const { id, remoteAddress, remotePort, localAddress, localPort } = connection;
  return {
    directRemoteAddress: remoteAddress,
    remoteAddress,
    remotePort,
    localAddress,
    localPort,
    connectionId: id,
    listener,
    filterChain: "",
  };
}
