/** How many calls of a service may be open at a time. */
export interface CallLimit {
  /** Of one connection. */
  readonly connectionCalls: number;
  /** Of all connections. */
  readonly calls: number;
}

/** Counts the open calls of those services that have a limit: one whose answer is not read holds that answer. */
export class OpenCalls {
  readonly #counts = new Map<CallLimit, { all: number; readonly of: Map<object, number> }>();

  /** @returns what ends the call; undefined: there is no room for it. */
  open(limit: CallLimit, connection: object): (() => void) | undefined {
    let counts = this.#counts.get(limit);
    if (counts === undefined) this.#counts.set(limit, (counts = { all: 0, of: new Map() }));
    const { of } = counts;
    const own = of.get(connection) ?? 0;
    if (counts.all >= limit.calls || own >= limit.connectionCalls) return undefined;
    counts.all += 1;
    of.set(connection, own + 1);
    return () => {
      counts.all -= 1;
      const left = (of.get(connection) ?? 1) - 1;
      if (left > 0) of.set(connection, left);
      else of.delete(connection);
    };
  }
}
