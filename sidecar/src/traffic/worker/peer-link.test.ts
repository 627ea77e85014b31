import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { Connection, ConnectionMover } from "@heddle/net";
import { MemoryConnection } from "../http/testing-connection.ts";
import type {
  ConnectionGiver,
  ConnectionTaker,
  GivenConnection,
  OfferedConnection,
} from "../upstream/pool/pool-sharing.ts";
import { IdleBoard, newIdleBoard } from "./idle-board.ts";
import type { PeerMessage, PeerPort } from "./peer-link.ts";
import { WorkerPeers } from "./worker-peers.ts";

/** One end of a channel whose messages wait for the test. */
class Port implements PeerPort {
  other: Port | undefined;
  readonly sent: PeerMessage[] = [];
  #onMessage: (message: PeerMessage) => void = () => undefined;
  #onClose: () => void = () => undefined;

  postMessage(message: PeerMessage): void {
    this.sent.push(message);
  }

  on(event: "message" | "close", listener: never): void {
    if (event === "message") this.#onMessage = listener;
    else this.#onClose = listener;
  }

  /** Delivers what this end has sent. */
  deliver(): void {
    const { other } = this;
    assert.ok(other !== undefined);
    for (const message of this.sent.splice(0)) other.#onMessage(structuredClone(message));
  }

  /** The other end's thread has ended. */
  close(): void {
    this.#onClose();
  }
}

/** Descriptors by number: what has become of each. */
class Mover implements ConnectionMover {
  readonly fate = new Map<number, "on its way" | "adopted" | "closed">();
  adoptFails = false;
  next = 10;

  readonly release = (): number => {
    this.fate.set(this.next, "on its way");
    return this.next++;
  };

  readonly adopt = (descriptor: number): Connection => {
    assert.equal(this.fate.get(descriptor), "on its way");
    this.fate.set(descriptor, this.adoptFails ? "closed" : "adopted");
    if (this.adoptFails) throw new Error("no socket");
    return new MemoryConnection();
  };

  readonly close = (descriptor: number): void => {
    assert.equal(this.fate.get(descriptor), "on its way");
    this.fate.set(descriptor, "closed");
  };
}

/** A pool that has so many idle connections, and takes what it is offered. */
class SomePool implements ConnectionGiver, ConnectionTaker {
  has = 0;
  settled = 0;
  readonly heard: string[] = [];
  ignoresOffers = false;
  throws = false;

  give(release: (connection: Connection) => number): GivenConnection | undefined {
    if (this.throws) throw new Error("a fault");
    if (this.has === 0) return undefined;
    this.has--;
    const past = { requests: 1, ageMs: 5, idleLeftMs: Infinity, announcedIdleMs: undefined, counted: true };
    return { descriptor: release(new MemoryConnection()), past, settle: () => void this.settled++ };
  }

  onOffer(offer: OfferedConnection): void {
    const adopted = this.ignoresOffers ? undefined : offer.adopt(1000);
    this.heard.push(adopted === undefined ? "lost" : `after ${offer.past.requests}`);
  }

  onNothing(): void {
    this.heard.push("nothing");
  }
}

const KEY = "app|10.0.0.1:80";

/** Two workers with a pool each; the first asks. */
function pair() {
  const clock = new ManualClock();
  const mover = new Mover();
  const board = newIdleBoard(2);
  const problems: unknown[] = [];
  const env = { clock, mover, onThrow: (error: unknown) => void problems.push(error), answerWithinMs: 5 };
  const [asker, owner] = [0, 1].map((slot) => new WorkerPeers(new IdleBoard(board, slot), env)) as [
    WorkerPeers,
    WorkerPeers,
  ];
  const [askerPort, ownerPort] = [new Port(), new Port()];
  askerPort.other = ownerPort;
  ownerPort.other = askerPort;
  asker.connect(1, askerPort);
  owner.connect(0, ownerPort);
  const [taking, giving] = [new SomePool(), new SomePool()];
  const share = asker.join(KEY, taking);
  const theirs = owner.join(KEY, giving);
  const has = (count: number): void => {
    giving.has = count;
    for (let i = 0; i < count; i++) theirs.countIdle(1);
  };
  return { clock, mover, askerPort, ownerPort, taking, giving, share, theirs, has, problems };
}

describe("two workers", () => {
  test("a connection goes to the one that asks, which says so before it uses the descriptor", () => {
    const { share, taking, giving, mover, askerPort, ownerPort, has, clock } = pair();
    has(1);
    assert.equal(share.ask(taking), true);
    askerPort.deliver();
    assert.equal(giving.settled, 0);
    ownerPort.deliver();
    assert.deepEqual(
      askerPort.sent.map(({ type }) => type),
      ["taken"],
    );
    assert.deepEqual([...mover.fate], [[10, "adopted"]]);
    askerPort.deliver();
    assert.equal(giving.settled, 1);
    assert.deepEqual(taking.heard, ["after 1"]);
    assert.equal(clock.pending, 0);
  });

  test("nobody is asked who has none, nor for more than there are", () => {
    const { share, taking, askerPort, has, clock } = pair();
    assert.equal(share.ask(taking), false);
    has(2);
    assert.deepEqual([share.ask(taking), share.ask(taking), share.ask(taking)], [true, true, false]);
    assert.equal(askerPort.sent.length, 2);
    clock.advance(5);
    assert.equal(clock.pending, 0);
  });

  test("a pool that asks a hundred times within a second makes connections of its own until the next", () => {
    const { share, taking, askerPort, ownerPort, giving, has, clock } = pair();
    has(1);
    giving.has = 0;
    const asks = (): number => {
      let count = 0;
      while (count < 1000 && share.ask(taking)) {
        count++;
        askerPort.deliver();
        ownerPort.deliver();
      }
      return count;
    };
    assert.equal(asks(), 100);
    clock.advance(999);
    assert.equal(asks(), 0);
    clock.advance(1);
    assert.equal(asks(), 100);
  });

  test("a refusal comes back", () => {
    const { share, taking, giving, askerPort, ownerPort, has, clock } = pair();
    has(1);
    giving.has = 0; // taken since the board was read
    share.ask(taking);
    askerPort.deliver();
    ownerPort.deliver();
    assert.deepEqual(taking.heard, ["nothing"]);
    assert.equal(clock.pending, 0);
    assert.equal(share.ask(taking), true);
  });

  test("a pool that has left is not asked any more", () => {
    const { share, taking, theirs, askerPort, ownerPort, has } = pair();
    has(1);
    theirs.leave();
    share.ask(taking);
    askerPort.deliver();
    ownerPort.deliver();
    assert.deepEqual(taking.heard, ["nothing"]);
  });

  test("who does not answer within 5 ms keeps its connections, and is not asked again until it has refused", () => {
    const { share, taking, giving, askerPort, ownerPort, has, clock, mover } = pair();
    has(2);
    share.ask(taking);
    clock.advance(5);
    assert.deepEqual(taking.heard, ["nothing"]);
    assert.equal(share.ask(taking), false);
    askerPort.deliver();
    assert.equal(giving.has, 2);
    ownerPort.deliver();
    assert.deepEqual(taking.heard, ["nothing"]);
    assert.equal(mover.fate.size, 0);
    assert.equal(share.ask(taking), true);
  });

  test("an answer that was under way after 5 ms is waited for", () => {
    const { share, taking, askerPort, ownerPort, has, clock, mover } = pair();
    has(1);
    share.ask(taking);
    askerPort.deliver();
    clock.advance(5);
    assert.deepEqual(taking.heard, []);
    ownerPort.deliver();
    assert.deepEqual(taking.heard, ["after 1"]);
    assert.deepEqual([...mover.fate.values()], ["adopted"]);
  });

  test("whoever is asked answers, even if its pool throws", () => {
    const { share, taking, giving, askerPort, ownerPort, has, problems } = pair();
    has(1);
    giving.throws = true;
    share.ask(taking);
    askerPort.deliver();
    ownerPort.deliver();
    assert.deepEqual(taking.heard, ["nothing"]);
    assert.equal(problems.length, 1);
  });

  test("a descriptor whose taker died on the way is closed by the giver, and its counts are given back", () => {
    const { share, taking, giving, mover, askerPort, ownerPort, has } = pair();
    has(1);
    share.ask(taking);
    askerPort.deliver();
    ownerPort.close();
    assert.deepEqual([...mover.fate], [[10, "closed"]]);
    assert.equal(giving.settled, 1);
  });

  test("a descriptor that was taken before the taker died is the dead thread's, and closed once", () => {
    const { share, taking, giving, mover, askerPort, ownerPort, has } = pair();
    has(1);
    share.ask(taking);
    askerPort.deliver();
    ownerPort.deliver();
    askerPort.deliver();
    ownerPort.close();
    assert.deepEqual([...mover.fate], [[10, "adopted"]]);
    assert.equal(giving.settled, 1);
  });

  test("who waits for a worker that died hears that nothing comes, and it is asked no more", () => {
    const { share, taking, askerPort, has, clock } = pair();
    has(2);
    share.ask(taking);
    askerPort.close();
    assert.deepEqual(taking.heard, ["nothing"]);
    assert.equal(share.ask(taking), false);
    assert.equal(clock.pending, 0);
  });

  test("what a worker gave before it died is taken", () => {
    const { share, taking, mover, askerPort, ownerPort, has } = pair();
    has(1);
    share.ask(taking);
    askerPort.deliver();
    ownerPort.deliver();
    askerPort.close();
    assert.deepEqual(taking.heard, ["after 1"]);
    assert.deepEqual([...mover.fate], [[10, "adopted"]]);
  });

  test("a descriptor that cannot be adopted, or that nobody adopts, is closed and told as taken", () => {
    for (const ignoresOffers of [true, false]) {
      const { share, taking, giving, mover, askerPort, ownerPort, has } = pair();
      taking.ignoresOffers = ignoresOffers;
      mover.adoptFails = !ignoresOffers;
      has(1);
      share.ask(taking);
      askerPort.deliver();
      ownerPort.deliver();
      askerPort.deliver();
      assert.deepEqual([...mover.fate.values()], ["closed"]);
      assert.deepEqual(taking.heard, ["lost"]);
      assert.equal(giving.settled, 1);
    }
  });
});
