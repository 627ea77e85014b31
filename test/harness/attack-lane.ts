import assert from "node:assert/strict";
import { readCanonicalRequests } from "./canonical-messages.ts";
import { cluster, inlineRoutes, type Json, listener, staticBootstrap, virtualHost } from "./envoy-config.ts";
import { eventually } from "./eventually.ts";
import { lastFirst, type Owner } from "./owner.ts";
import { RawPeer, RawUpstream } from "./raw-peer.ts";
import { type SidecarOptions, type SidecarProcess, startSidecar } from "./sidecar.ts";

/**
 * A listener of a sidecar with an upstream of its own behind it, which records every byte and answers each request that
 * it can read, unless told otherwise with that request's start line. Whatever the Host is, it leads there.
 */
export class AttackLane {
  readonly port: number;
  #received = "";
  /** Of each connection that has received anything since the lane was last wiped: what. */
  readonly #byConnection = new Map<RawPeer, string>();
  /** How the upstream answers. */
  answer: Answer = echo;

  constructor(port: number, upstream: RawUpstream) {
    this.port = port;
    upstream.serve(async (peer) => {
      peer.socket.on("data", (bytes: Buffer) => {
        const text = bytes.toString("latin1");
        this.#received += text;
        this.#byConnection.set(peer, (this.#byConnection.get(peer) ?? "") + text);
      });
      for (;;) {
        const { startLine } = await peer.message();
        await this.answer(peer, startLine);
      }
    });
  }

  /** Forgets what the upstream has received. */
  wipe(): void {
    this.#received = "";
    this.#byConnection.clear();
  }

  /** All that the upstream has received, in its order, without the fields that the sidecar adds. */
  get received(): string {
    return this.#received.replace(ADDED, "");
  }

  /**
   * The start lines of the requests that have reached the upstream whole, in no order. Fails where what a connection has
   * received has more than one meaning, and where it ended within a request and is not closed.
   */
  async requests(): Promise<readonly string[]> {
    const all: string[] = [];
    for (const [peer, text] of this.#byConnection) {
      const { startLines, rest } = readCanonicalRequests(text);
      all.push(...startLines);
      if (rest !== "") await eventually("a connection with half a request is closed", () => peer.ended);
    }
    return all;
  }

  async connect(): Promise<RawPeer> {
    return RawPeer.connect(this.port, { after: () => undefined });
  }

  /** All that the sidecar sends on a connection of its own until it closes it. */
  async tell(...pieces: readonly string[]): Promise<string> {
    const peer = await this.connect();
    try {
      for (const piece of pieces) await peer.send(piece);
      return await peer.readToEnd();
    } finally {
      peer.socket.destroy();
    }
  }

  /**
   * An ordinary request gets its own answer. Once it has, the upstream has also received whatever was sent to it before, on
   * whichever connection.
   */
  async checkHealth(name: string): Promise<void> {
    const peer = await this.connect();
    try {
      await peer.send(`GET /${name} HTTP/1.1\r\nHost: a\r\n\r\n`);
      const answer = await peer.message();
      assert.equal(answer.status, 200);
      assert.equal(String(answer.body), `GET /${name} HTTP/1.1`);
    } finally {
      peer.socket.destroy();
    }
  }
}

export type Answer = (peer: RawPeer, startLine: string) => Promise<void>;

/** With the start line of the request. */
export const echo: Answer = (peer, startLine) => {
  const body = startLine.startsWith("HEAD ") ? "" : startLine;
  return peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${startLine.length}\r\n\r\n${body}`);
};

/** Lines that the connection manager and the router add to a request. */
const ADDED = /(?:x-request-id|x-forwarded-proto|x-forwarded-for|traceparent|x-envoy-[a-z-]+): [^\r]*\r\n/g;

export interface AttackLanes {
  readonly sidecar: SidecarProcess;
  readonly lanes: readonly AttackLane[];
}

/** A sidecar with so many lanes. `http` has more fields of the connection manager. */
export async function startAttackLanes(
  owner: Owner,
  count: number,
  http: Json = {},
  options: SidecarOptions = {},
): Promise<AttackLanes> {
  const ends = lastFirst(owner);
  const upstreams: RawUpstream[] = [];
  for (let i = 0; i < count; i++) upstreams.push(await RawUpstream.listen(ends));
  const names = upstreams.map((_, i) => `lane-${i}`);
  const bootstrap = staticBootstrap(
    names.map((name) => listener({ name, http, routes: inlineRoutes([virtualHost("*", name)]) })),
    // A machine that is busy must not show as a connect failure.
    names.map((name, i) => cluster(name, [upstreams[i]?.port ?? 0], { connect_timeout: "20s" })),
  );
  const sidecar = await startSidecar(bootstrap, ends, options);
  const lanes: AttackLane[] = [];
  for (const [i, upstream] of upstreams.entries())
    lanes.push(new AttackLane(await sidecar.port(`lane-${i}`), upstream));
  return { sidecar, lanes };
}

/** Does each of the items in one of the lanes; resolves with what went wrong, by name. */
export async function inLanes<Item>(
  lanes: readonly AttackLane[],
  items: readonly Item[],
  name: (item: Item) => string,
  run: (lane: AttackLane, item: Item, index: number) => Promise<void>,
): Promise<readonly string[]> {
  const problems: string[] = [];
  let next = 0;
  const work = async (lane: AttackLane): Promise<void> => {
    while (next < items.length && problems.length < MAX_PROBLEMS) {
      const index = next++;
      const item = items[index]!; // `next` is below the length
      await run(lane, item, index).catch((error: unknown) => {
        problems.push(`${name(item)}: ${error instanceof Error ? error.message : String(error)}`);
      });
    }
  };
  await Promise.all(lanes.map(work));
  return problems;
}

/** Enough to see what is wrong; each may have waited for something that never came. */
const MAX_PROBLEMS = 20;
