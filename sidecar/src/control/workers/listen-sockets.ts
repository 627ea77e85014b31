import { err, ok, type Result } from "@heddle/base";
import type { ListenOptions, ListenSocket, ListenTarget, SocketOpener } from "@heddle/net";
import type { Address, ListenerConfig } from "@heddle/traffic";
import { isBound, type ListenPlace, listenPlaces } from "../../traffic/listener/listen-key.ts";

/** What a step did with the listeners that it was given. */
export interface ListenStep {
  /** Places opened in this step: every worker needs a target for each. */
  readonly opened: readonly string[];
  /** Places that nobody wants any more. */
  readonly closed: readonly string[];
  /** Listeners that cannot have their addresses, with the reason. They keep what they had. */
  readonly refused: ReadonlyMap<string, string>;
}

/**
 * The listening sockets of the process, by place. A socket is opened when the first listener wants its place and closed
 * when the last is gone; an update that keeps the place does not touch it, even if another listener takes it over.
 *
 * A listener without `bind_to_port` has its places too, since who gets a connection must not be chance, but no sockets.
 */
export class ListenSockets {
  readonly #opener: SocketOpener;
  readonly #held = new Map<string, Held>();

  constructor(opener: SocketOpener) {
    this.#opener = opener;
  }

  /** How workers share an address; for `status`. */
  get sharing(): SocketOpener["sharing"] {
    return this.#opener.sharing;
  }

  /** Where each listener really listens. */
  get addresses(): readonly { readonly name: string; readonly address: Address }[] {
    return [...this.#held.values()].map(({ owner, socket, place }) => {
      const address = socket?.address ?? place.address;
      return { name: owner, address: address.type === "pipe" ? { ...address, mode: address.mode } : address };
    });
  }

  /** Those that have a socket. */
  get places(): readonly string[] {
    return [...this.#held].flatMap(([key, { socket }]) => (socket === undefined ? [] : [key]));
  }

  /** A target of its own for the worker of that slot. */
  target(key: string, slot: number): ListenTarget | undefined {
    return this.#held.get(key)?.socket?.newTarget(slot);
  }

  /**
   * Applies one step. All changed listeners let go of their places first, so that two may exchange theirs; whoever is
   * refused takes its old places back.
   */
  async step(changed: readonly ListenerConfig[], removed: readonly string[]): Promise<ListenStep> {
    const before = new Map(
      changed.map(({ name }) => [name, this.#placesOf(name).map((held) => ({ held, bound: held.bound }))]),
    );
    for (const name of [...removed, ...before.keys()]) this.#letGo(name);
    const opened: string[] = [];
    const refused = new Map<string, string>();
    for (const listener of changed) {
      const taken = await this.#take(listener);
      if (taken.ok) opened.push(...taken.value);
      else refused.set(listener.name, taken.error);
    }
    for (const name of refused.keys()) {
      for (const { held, bound } of before.get(name) ?? []) {
        if (held.owner !== NOBODY) continue;
        held.owner = name;
        held.bound = bound;
      }
    }
    const closed: string[] = [];
    for (const [key, held] of this.#held) {
      if (held.owner === NOBODY) this.#held.delete(key);
      else if (held.bound) continue;
      if (held.socket === undefined) continue;
      held.socket.close();
      held.socket = undefined;
      closed.push(key);
    }
    return { opened: opened.filter((key) => this.#held.get(key)?.socket !== undefined), closed, refused };
  }

  close(): void {
    for (const { socket } of this.#held.values()) socket?.close();
    this.#held.clear();
  }

  #placesOf(name: string): Held[] {
    return [...this.#held.values()].filter(({ owner }) => owner === name);
  }

  #letGo(name: string): void {
    for (const held of this.#placesOf(name)) held.owner = NOBODY;
  }

  /** All places of the listener or none. Answers those that had to be opened. */
  async #take(listener: ListenerConfig): Promise<Result<string[], string>> {
    const mine: Held[] = [];
    const opened: string[] = [];
    for (const place of listenPlaces(listener)) {
      const taken = await this.#takePlace(place, listener);
      if (!taken.ok) {
        for (const held of mine) held.owner = NOBODY;
        return taken;
      }
      mine.push(taken.value.held);
      if (taken.value.opened) opened.push(place.key);
    }
    return ok(opened);
  }

  async #takePlace(
    place: ListenPlace,
    listener: ListenerConfig,
  ): Promise<Result<{ held: Held; opened: boolean }, string>> {
    const held = this.#held.get(place.key) ?? { owner: NOBODY, bound: false, place, socket: undefined };
    if (held.owner !== NOBODY) return err(`cannot listen on ${place.key}: listener "${held.owner}" does`);
    const bound = isBound(listener);
    const options = {
      backlog: listener.tcpBacklogSize,
      datagrams: listener.udp !== undefined,
      transparent: listener.transparent === true,
      freebind: listener.freebind === true,
    };
    const opens = bound && held.socket === undefined;
    const had = bound ? await this.#haveSocket(held, options) : ok(undefined);
    if (!had.ok) return had;
    held.owner = listener.name;
    held.bound = bound;
    this.#held.set(place.key, held);
    return ok({ held, opened: opens });
  }

  /** Opens the place's socket, or brings the open one in line. */
  async #haveSocket(held: Held, options: ListenOptions): Promise<Result<void, string>> {
    if (held.socket !== undefined) {
      const configured = held.socket.configure?.(options) ?? ok(undefined);
      return configured.ok ? configured : err(`cannot listen on ${held.place.key}: ${configured.error}`);
    }
    const socket = await this.#opener.open(held.place.address, options);
    if (!socket.ok) return socket;
    held.socket = socket.value;
    return ok(undefined);
  }
}

interface Held {
  owner: string;
  /** Its owner listens there. */
  bound: boolean;
  readonly place: ListenPlace;
  /** Undefined: nobody listens there. */
  socket: ListenSocket | undefined;
}

/** No listener has an empty name. */
const NOBODY = "";
