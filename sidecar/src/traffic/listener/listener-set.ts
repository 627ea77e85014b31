import { closeSync } from "node:fs";
import { isIPv6 } from "node:net";
import type { Json } from "@heddle/base";
import { Acceptor, type Connection, formatHostPort, type ListenTarget } from "@heddle/net";
import type { ListenerConfig } from "@heddle/traffic";
import { isBound, listenPlaces } from "./listen-key.ts";
import { Listener, type ListenerLookup } from "./listener.ts";
import type { ListenerEnv } from "./listener-env.ts";
import { listenForDatagrams, UdpListener } from "./udp-listener.ts";

export interface ListenerSetOptions {
  readonly env: ListenerEnv;
  /** The answer of `testRewrap`. */
  readonly rewrap: boolean;
  /** Accepting pauses everywhere: the process has as many connections as it may (`LoadShedder.mayAccept`). */
  readonly onPaused: () => void;
  /** Accepting on that place has ended; a new target for it may come through `addTarget`. */
  readonly onStopped: (key: string, reason: string, exhausted: boolean) => void;
}

/**
 * The listeners of one worker. A place to listen on (an address) lives as long as some listener has it, so an update that
 * keeps the address keeps accepting: only who gets the next connection changes.
 */
export class ListenerSet {
  readonly #options: ListenerSetOptions;
  readonly #listeners = new Map<string, AnyListener>();
  readonly #places = new Map<string, Place>();
  /** Targets that came before the listener that will use them. */
  readonly #targets = new Map<string, ListenTarget>();
  /** By address and port, for connections that were redirected; those without a socket are nowhere else. */
  #byAddress: ReadonlyMap<string, Listener> = new Map();
  /** Listeners that are gone and still have connections. */
  readonly #leaving = new Set<AnyListener>();
  #draining = false;

  constructor(options: ListenerSetOptions) {
    this.#options = options;
  }

  get connections(): number {
    let count = 0;
    for (const listener of [...this.#listeners.values(), ...this.#leaving]) count += listener.connections;
    return count;
  }

  /** The control thread has something to listen on for that place. */
  addTarget(key: string, target: ListenTarget): void {
    const place = this.#places.get(key);
    if (place !== undefined && place.acceptor === undefined) {
      this.#accept(key, place, target);
      return;
    }
    this.dropTarget(key);
    this.#targets.set(key, target);
  }

  /** Closes a target that no listener has taken; a port must not listen with nobody to accept. */
  dropTarget(key: string): void {
    const target = this.#targets.get(key);
    this.#targets.delete(key);
    if (target?.type === "descriptor") closeSync(target.descriptor);
  }

  /**
   * Puts listeners in the place of those of their names, and removes some, in one step: a place that changes its listener
   * never stops accepting. Answers those that cannot be built, with the reason; there the previous one goes on.
   */
  apply(changed: readonly ListenerConfig[], removed: readonly string[]): ReadonlyMap<string, string> {
    const refused = new Map<string, string>();
    const leaving: { readonly listener: AnyListener; readonly successor: AnyListener | undefined }[] = [];
    for (const name of removed) {
      const listener = this.#listeners.get(name);
      if (listener === undefined) continue;
      this.#listeners.delete(name);
      leaving.push({ listener, successor: undefined });
    }
    for (const config of changed) {
      const previous = this.#listeners.get(config.name);
      try {
        const listener = makeListener(config, this.#options.env, previous, this.#listenerAt);
        this.#listeners.set(config.name, listener);
        if (previous !== undefined) leaving.push({ listener: previous, successor: listener });
      } catch (error) {
        refused.set(config.name, error instanceof Error ? error.message : String(error));
      }
    }
    this.#arrangePlaces();
    for (const { listener, successor } of leaving) this.#retire(listener, successor);
    return refused;
  }

  /** Stops accepting, on all listeners or on the inbound ones. Their connections go on. */
  stopListening(inboundOnly: boolean): void {
    for (const place of this.#places.values()) {
      if (inboundOnly && place.listener.config.trafficDirection !== "INBOUND") continue;
      place.acceptor?.close();
      place.acceptor = undefined;
    }
    const stays = ({ config }: Listener): boolean => inboundOnly && config.trafficDirection !== "INBOUND";
    this.#byAddress = new Map([...this.#byAddress].filter(([, listener]) => stays(listener)));
  }

  /** Accepts no connection until targets come again; what runs goes on, datagrams too, which need no descriptor each. */
  pauseAccepting(): void {
    for (const place of this.#places.values()) {
      if (!(place.acceptor instanceof Acceptor)) continue;
      place.acceptor.close();
      place.acceptor = undefined;
    }
  }

  /** Accepts nowhere any more; what runs goes on. */
  stopAccepting(): void {
    for (const place of this.#places.values()) {
      place.acceptor?.close();
      place.acceptor = undefined;
    }
  }

  /** Stops accepting everywhere. Resolves when no connection is left, at the latest at the deadline. */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    this.stopAccepting();
    const all = [...this.#listeners.values(), ...this.#leaving];
    await Promise.all(all.map((listener) => listener.drain(deadlineMs)));
  }

  inspect(): Json {
    return [...this.#listeners.values()].map((listener) => ({
      name: listener.config.name,
      places: listenPlaces(listener.config).map(({ key }) => key),
      bound: isBound(listener.config),
      accepting:
        isBound(listener.config) &&
        listenPlaces(listener.config).every(({ key }) => this.#places.get(key)?.acceptor !== undefined),
      connections: listener.connections,
    }));
  }

  /** Gives every place to the listener that has it now, and ends those that nobody has. */
  #arrangePlaces(): void {
    const wanted = new Map<string, AnyListener>();
    const byAddress = new Map<string, Listener>();
    for (const listener of this.#listeners.values()) {
      for (const { key, address } of listenPlaces(listener.config)) {
        if (isBound(listener.config)) wanted.set(key, listener);
        // A free port is nobody's destination; the control thread gives an address to one listener alone.
        if (listener instanceof Listener && address.type === "socket" && address.port !== 0)
          byAddress.set(key, listener);
      }
    }
    this.#byAddress = byAddress;
    for (const [key, place] of this.#places) {
      if (wanted.has(key)) continue;
      place.acceptor?.close();
      this.#places.delete(key);
    }
    for (const [key, listener] of wanted) {
      const place = this.#places.get(key);
      if (place !== undefined) place.listener = listener;
      else this.#places.set(key, { listener, acceptor: undefined });
    }
    for (const [key, place] of this.#places) {
      const target = place.acceptor === undefined ? this.#targets.get(key) : undefined;
      if (target === undefined) continue;
      this.#targets.delete(key);
      this.#accept(key, place, target);
    }
  }

  // Envoy's `getBalancedHandlerByAddress`: the very address, then any address with its port.
  readonly #listenerAt: ListenerLookup = (address, port) =>
    this.#byAddress.get(formatHostPort(address, port)) ??
    this.#byAddress.get(formatHostPort(address.includes(":") ? "::" : "0.0.0.0", port));

  #accept(key: string, place: Place, target: ListenTarget): void {
    if (this.#draining) return;
    if (place.listener instanceof UdpListener) {
      this.#receive(key, place, target);
      return;
    }
    const { env, rewrap, onStopped } = this.#options;
    const { onThrow } = env;
    const options = {
      backlog: place.listener.config.tcpBacklogSize,
      // Asked for each connection: another listener may have taken the place over.
      get highWatermarkBytes() {
        return place.listener.config.perConnectionBufferLimitBytes;
      },
      rewrap,
      onThrow,
    };
    const acceptor = new Acceptor(target, options, {
      onListening: () => undefined,
      onConnection: (connection: Connection) => {
        try {
          if (place.listener instanceof Listener) place.listener.accept(connection);
          else connection.reset(); // keys of datagrams differ, so this place has none
        } catch (error) {
          connection.reset();
          onThrow(error);
        }
        if (env.shedder.mayAccept(env.connectionLimit.held)) return;
        this.pauseAccepting();
        this.#options.onPaused();
      },
      onStopped: (reason, exhausted) => {
        if (place.acceptor === acceptor) place.acceptor = undefined;
        onStopped(key, reason, exhausted);
      },
    });
    place.acceptor = acceptor;
  }

  #receive(key: string, place: Place, target: ListenTarget): void {
    const address = listenPlaces(place.listener.config).find((one) => one.key === key)?.address;
    const ipv6 = address?.type === "socket" && isIPv6(address.address);
    const current = (): UdpListener | undefined => (place.listener instanceof UdpListener ? place.listener : undefined);
    const socket = listenForDatagrams(
      target,
      ipv6,
      current,
      (reason) => {
        if (place.acceptor === socket) place.acceptor = undefined;
        this.#options.onStopped(key, reason, false);
      },
      this.#options.env.onThrow,
    );
    place.acceptor = socket;
  }

  #retire(listener: AnyListener, successor: AnyListener | undefined): void {
    this.#leaving.add(listener);
    const retired =
      listener instanceof UdpListener
        ? listener.retire()
        : listener.retire(successor instanceof Listener ? successor : undefined);
    void retired.then(() => this.#leaving.delete(listener));
  }
}

type AnyListener = Listener | UdpListener;

function makeListener(
  config: ListenerConfig,
  env: ListenerEnv,
  previous: AnyListener | undefined,
  siblings: ListenerLookup,
): AnyListener {
  if (config.udp !== undefined) return new UdpListener(config, config.udp, env);
  return new Listener(config, env, previous instanceof Listener ? previous : undefined, siblings);
}

interface Place {
  listener: AnyListener;
  acceptor: { close(): void } | undefined;
}
