import { err, ok, type Result } from "@heddle/base";
import type { ListenSocket, ListenTarget, SocketOpener } from "@heddle/net";
import type { Address, ListenerConfig } from "@heddle/traffic";
import { type ListenPlace, listenPlaces } from "../../traffic/listener/listen-key.ts";

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
    return [...this.#held.values()].map(({ owner, socket: { address } }) => ({
      name: owner,
      address: address.type === "pipe" ? { ...address, mode: address.mode } : address,
    }));
  }

  get places(): readonly string[] {
    return [...this.#held.keys()];
  }

  /** A target of its own for the worker of that slot. */
  target(key: string, slot: number): ListenTarget | undefined {
    return this.#held.get(key)?.socket.newTarget(slot);
  }

  /**
   * Applies one step. All changed listeners let go of their places first, so that two may exchange theirs; whoever is
   * refused takes its old places back.
   */
  async step(changed: readonly ListenerConfig[], removed: readonly string[]): Promise<ListenStep> {
    const before = new Map(changed.map(({ name }) => [name, this.#placesOf(name)]));
    for (const name of [...removed, ...before.keys()]) this.#letGo(name);
    const opened: string[] = [];
    const refused = new Map<string, string>();
    for (const listener of changed) {
      const taken = await this.#take(listener);
      if (taken.ok) opened.push(...taken.value);
      else refused.set(listener.name, taken.error);
    }
    for (const name of refused.keys()) {
      for (const held of before.get(name) ?? []) if (held.owner === NOBODY) held.owner = name;
    }
    const closed: string[] = [];
    for (const [key, held] of this.#held) {
      if (held.owner !== NOBODY) continue;
      this.#held.delete(key);
      held.socket.close();
      closed.push(key);
    }
    return { opened: opened.filter((key) => this.#held.has(key)), closed, refused };
  }

  close(): void {
    for (const { socket } of this.#held.values()) socket.close();
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
    const held = this.#held.get(place.key);
    if (held !== undefined) {
      if (held.owner !== NOBODY) return err(`cannot listen on ${place.key}: listener "${held.owner}" does`);
      held.owner = listener.name;
      return ok({ held, opened: false });
    }
    const socket = await this.#opener.open(place.address, {
      backlog: listener.tcpBacklogSize,
      datagrams: listener.udp !== undefined,
    });
    if (!socket.ok) return socket;
    const made = { owner: listener.name, socket: socket.value };
    this.#held.set(place.key, made);
    return ok({ held: made, opened: true });
  }
}

interface Held {
  owner: string;
  readonly socket: ListenSocket;
}

/** No listener has an empty name. */
const NOBODY = "";
