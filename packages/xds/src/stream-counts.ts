import { status } from "@grpc/grpc-js";
import type { RequestProblem, XdsServerLimits } from "./request-limits.ts";

/** How many streams are open: in all, from each address, and of each node. */
export class StreamCounts {
  readonly #limits: XdsServerLimits;
  #all = 0;
  readonly #byPeer: Map<string, number> = new Map();
  readonly #byNode: Map<string, number> = new Map();

  constructor(limits: XdsServerLimits) {
    this.#limits = limits;
  }

  /** Counts a stream from "127.0.0.1:4711". One that is one too many is counted too, until it has been closed. */
  open(peer: string): RequestProblem | undefined {
    const { maxStreams, maxStreamsPerPeer } = this.#limits;
    this.#all += 1;
    const ofPeer = add(this.#byPeer, addressOf(peer), 1);
    if (this.#all > maxStreams) return exhausted("streams", `${maxStreams} streams are open; no more are taken`);
    if (ofPeer <= maxStreamsPerPeer) return undefined;
    return exhausted("streams_per_peer", `${maxStreamsPerPeer} streams from ${addressOf(peer)} are open`);
  }

  /** The stream has said which node it is. */
  introduce(nodeId: string): RequestProblem | undefined {
    const { maxStreamsPerNode } = this.#limits;
    if (add(this.#byNode, nodeId, 1) <= maxStreamsPerNode) return undefined;
    return exhausted("streams_per_node", `${maxStreamsPerNode} streams of this node are open`);
  }

  /** `nodeId` is undefined where the stream was not introduced. */
  close(peer: string, nodeId: string | undefined): void {
    this.#all -= 1;
    add(this.#byPeer, addressOf(peer), -1);
    if (nodeId !== undefined) add(this.#byNode, nodeId, -1);
  }
}

function add(counts: Map<string, number>, key: string, change: number): number {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
  return count;
}

/** Without the port. */
function addressOf(peer: string): string {
  return peer.slice(0, Math.max(0, peer.lastIndexOf(":")));
}

function exhausted(reason: RequestProblem["reason"], details: string): RequestProblem {
  return { code: status.RESOURCE_EXHAUSTED, reason, details };
}
