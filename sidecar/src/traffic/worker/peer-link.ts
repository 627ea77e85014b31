import { type Clock, guarded, type Timer } from "@heddle/base";
import type { Connection, ConnectionMover } from "@heddle/net";
import type {
  ConnectionPast,
  ConnectionTaker,
  GivenConnection,
  OfferedConnection,
} from "../upstream/pool/pool-sharing.ts";
import { IDLE_COUNTS } from "./idle-board.ts";

/** What two workers say to each other. Numbers are the asker's. */
export type PeerMessage =
  /** Give me an idle connection of the pools with that key. Answered by "give" or "refuse". `claim`: see `Claim`. */
  | { readonly type: "ask"; readonly id: number; readonly key: string; readonly claim: Int32Array }
  /** The descriptor is yours; answered by "taken" before it is used. */
  | { readonly type: "give"; readonly id: number; readonly descriptor: number; readonly past: ConnectionPast }
  | { readonly type: "refuse"; readonly id: number }
  | { readonly type: "taken"; readonly id: number };

/** The part of a `MessagePort` that is used. "close" comes behind the other side's last message. */
export interface PeerPort {
  postMessage(message: PeerMessage): void;
  on(event: "message", listener: (message: PeerMessage) => void): unknown;
  on(event: "close", listener: () => void): unknown;
}

export interface PeerLinkEnv {
  readonly clock: Clock;
  readonly mover: ConnectionMover;
  /** Then the question is taken back, and the pool that asked makes a connection. */
  readonly answerWithinMs: number;
  /** Called when a callback throws, or a handler of a connection, which is reset. */
  readonly onThrow: (error: unknown) => void;
  /** What a pool of this worker gives for a key. */
  give(key: string): GivenConnection | undefined;
  onClosed(link: PeerLink): void;
}

/**
 * A question's state, one number that both workers see: who changes it first decides whether the connection moves. So one that
 * is not waited for any more stays where it is. If it came late instead, the asker would have it beside the one that it made
 * meanwhile, and the giver would have to make one too: busy workers would end up with more connections than if they shared none.
 */
const Claim = { OPEN: 0, ANSWERED: 1, TAKEN_BACK: 2 } as const;

/**
 * The way to one other worker.
 *
 * Whose a descriptor on its way is: the giver's until "taken" has come, the taker's from the moment before it sends that. If
 * the taker dies first, the port's close tells the giver, who closes the descriptor. What the giver sent before it died still
 * comes and is taken. Lost is at most a descriptor whose taker is ended by force within the one step in which it takes it, or
 * whose giver and taker die together.
 */
export class PeerLink {
  readonly slot: number;
  readonly #port: PeerPort;
  readonly #env: PeerLinkEnv;
  readonly #asked = new Map<number, Asked>();
  /** Questions without an answer, by place on the board: what is asked for is as good as gone. */
  readonly #pending = new Uint16Array(IDLE_COUNTS);
  readonly #given = new Map<number, GivenConnection>();
  #nextId = 0;
  /** Taken back, and not even refused yet. */
  #takenBack = 0;

  constructor(slot: number, port: PeerPort, env: PeerLinkEnv) {
    this.slot = slot;
    this.#port = port;
    this.#env = env;
    const { onThrow } = env;
    port.on(
      "message",
      guarded((message) => this.#receive(message), onThrow),
    );
    port.on(
      "close",
      guarded(() => this.#closed(), onThrow),
    );
  }

  /** It owes no answer for too long. */
  get answers(): boolean {
    return this.#takenBack === 0;
  }

  pending(place: number): number {
    return this.#pending[place] ?? 0;
  }

  ask(key: string, place: number, taker: ConnectionTaker): void {
    const id = this.#nextId++;
    const claim = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const timer = this.#env.clock.after(this.#env.answerWithinMs, () => {
      const asked = this.#asked.get(id);
      if (asked === undefined || !decide(claim, Claim.TAKEN_BACK)) return; // the answer is on its way
      asked.takenBack = true;
      this.#takenBack++;
      taker.onNothing();
    });
    this.#asked.set(id, { place, taker, timer, takenBack: false });
    this.#pending[place]! += 1; // places come from `placeOf`
    this.#port.postMessage({ type: "ask", id, key, claim });
  }

  #receive(message: PeerMessage): void {
    switch (message.type) {
      case "ask":
        this.#answer(message.id, message.key, message.claim);
        break;
      case "give":
        this.#take(message.id, message.descriptor, message.past);
        break;
      case "refuse": {
        const asked = this.#answered(message.id);
        if (asked?.takenBack === false) asked.taker.onNothing();
        break;
      }
      case "taken":
        this.#given.get(message.id)?.settle();
        this.#given.delete(message.id);
        break;
      default:
        throw new Error(`unknown message ${(message satisfies never as { type: string }).type}`);
    }
  }

  #answer(id: number, key: string, claim: Int32Array): void {
    let given: GivenConnection | undefined;
    try {
      if (decide(claim, Claim.ANSWERED)) given = this.#env.give(key);
    } finally {
      // Whatever happens here: the asker does not take the question back any more.
      if (given === undefined) this.#port.postMessage({ type: "refuse", id });
    }
    if (given === undefined) return;
    this.#given.set(id, given);
    this.#port.postMessage({ type: "give", id, descriptor: given.descriptor, past: given.past });
  }

  #take(id: number, descriptor: number, past: ConnectionPast): void {
    const offer = new Offer(id, descriptor, past, this.#port, this.#env);
    const asked = this.#answered(id);
    try {
      asked?.taker.onOffer(offer);
    } finally {
      offer.end();
    }
  }

  #answered(id: number): Asked | undefined {
    const asked = this.#asked.get(id);
    if (asked === undefined) return undefined;
    this.#asked.delete(id);
    this.#pending[asked.place]! -= 1;
    asked.timer.cancel();
    if (asked.takenBack) this.#takenBack--;
    return asked;
  }

  #closed(): void {
    for (const { descriptor, settle } of this.#given.values()) {
      this.#env.mover.close(descriptor);
      settle();
    }
    this.#given.clear();
    // First nobody finds the link any more: a pool that hears "nothing" may ask again at once.
    this.#env.onClosed(this);
    for (const id of Array.from(this.#asked.keys())) {
      const asked = this.#answered(id);
      if (asked?.takenBack === false) asked.taker.onNothing();
    }
  }
}

interface Asked {
  readonly place: number;
  readonly taker: ConnectionTaker;
  readonly timer: Timer;
  takenBack: boolean;
}

/** False: the other worker was first. */
function decide(claim: Int32Array, state: number): boolean {
  return Atomics.compareExchange(claim, 0, Claim.OPEN, state) === Claim.OPEN;
}

/** A descriptor that has come and that is adopted, or closed. */
class Offer implements OfferedConnection {
  readonly past: ConnectionPast;
  readonly #id: number;
  readonly #descriptor: number;
  readonly #port: PeerPort;
  readonly #env: PeerLinkEnv;
  #open = true;

  constructor(id: number, descriptor: number, past: ConnectionPast, port: PeerPort, env: PeerLinkEnv) {
    this.past = past;
    this.#id = id;
    this.#descriptor = descriptor;
    this.#port = port;
    this.#env = env;
  }

  adopt(highWatermarkBytes: number): Connection | undefined {
    if (!this.#accept()) return undefined;
    const { mover, onThrow } = this.#env;
    try {
      return mover.adopt(this.#descriptor, { side: "upstream", highWatermarkBytes, onThrow });
    } catch {
      return undefined; // the descriptor is closed, and another connection is made
    }
  }

  /** Closes what was not adopted. */
  end(): void {
    if (this.#accept()) this.#env.mover.close(this.#descriptor);
  }

  /** Said before the descriptor is used: closed twice it could be somebody else's the second time. */
  #accept(): boolean {
    if (!this.#open) return false;
    this.#open = false;
    this.#port.postMessage({ type: "taken", id: this.#id });
    return true;
  }
}
