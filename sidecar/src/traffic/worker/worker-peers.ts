import type { Connection } from "@heddle/net";
import type { ConnectionGiver, ConnectionTaker, PoolShare, PoolSharing } from "../upstream/pool/pool-sharing.ts";
import { type IdleBoard, placeOf } from "./idle-board.ts";
import { PeerLink, type PeerLinkEnv, type PeerPort } from "./peer-link.ts";

/**
 * Questions of one pool in a second. To move a connection costs about 100 µs of CPU: as little as making one costs a rare
 * request, but a pool that needs one this often keeps its own busy, and is cheaper with it (bench/path: 217 against 324 µs a
 * request that comes on a new connection, one at a time). So moving costs a pool at most 1 % of a core.
 */
const ASKS_PER_SECOND = 100;

/** The other workers, and the pools of this one that they may ask. */
export class WorkerPeers implements PoolSharing {
  readonly #board: IdleBoard;
  readonly #env: PeerLinkEnv;
  readonly #links = new Map<number, PeerLink>();
  readonly #givers = new Map<string, ConnectionGiver>();

  constructor(board: IdleBoard, env: Omit<PeerLinkEnv, "give" | "onClosed">) {
    const release = (connection: Connection): number => env.mover.release(connection);
    this.#board = board;
    this.#env = {
      ...env,
      give: (key) => this.#givers.get(key)?.give(release),
      // The slot may have its next worker already.
      onClosed: (link) => void (this.#links.get(link.slot) === link && this.#links.delete(link.slot)),
    };
  }

  /** There is a worker in that slot; the port leads to it. */
  connect(slot: number, port: PeerPort): void {
    this.#links.set(slot, new PeerLink(slot, port, this.#env));
  }

  /** Of two pools with one key the later one is asked: the earlier one belongs to a cluster that is replaced. */
  join(key: string, giver: ConnectionGiver): PoolShare {
    const place = placeOf(key);
    this.#givers.set(key, giver);
    const { clock } = this.#env;
    let secondBeganMs = -Infinity;
    let asks = 0;
    const mayAsk = (): boolean => {
      const nowMs = clock.now();
      if (nowMs - secondBeganMs >= 1000) {
        secondBeganMs = nowMs;
        asks = 0;
      }
      return asks < ASKS_PER_SECOND;
    };
    return {
      countIdle: (change) => this.#board.add(place, change),
      ask: (taker) => {
        if (!mayAsk() || !this.#ask(key, place, taker)) return false;
        asks++;
        return true;
      },
      leave: () => {
        if (this.#givers.get(key) === giver) this.#givers.delete(key);
      },
    };
  }

  #ask(key: string, place: number, taker: ConnectionTaker): boolean {
    let best: PeerLink | undefined;
    let most = 0;
    for (const link of this.#links.values()) {
      if (!link.answers) continue;
      const idle = this.#board.idle(link.slot, place) - link.pending(place);
      if (idle <= most) continue;
      most = idle;
      best = link;
    }
    best?.ask(key, place, taker);
    return best !== undefined;
  }
}
