/** The open streams of each node. */
export class NodeStreams<Stream> {
  readonly #byNode: Map<string, Set<Stream>> = new Map();

  add(nodeId: string, stream: Stream): void {
    const streams = this.#byNode.get(nodeId);
    if (streams === undefined) this.#byNode.set(nodeId, new Set([stream]));
    else streams.add(stream);
  }

  delete(nodeId: string, stream: Stream): void {
    const streams = this.#byNode.get(nodeId);
    if (streams?.delete(stream) === true && streams.size === 0) this.#byNode.delete(nodeId);
  }

  others(nodeId: string, stream: Stream): Stream[] {
    return [...(this.#byNode.get(nodeId) ?? [])].filter((other) => other !== stream);
  }
}
