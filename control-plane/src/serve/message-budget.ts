/** How many bytes of messages may be under way. */
export interface MessageBudgetLimits {
  /** Of one connection. */
  readonly connectionBytes: number;
  /** Of all connections. */
  readonly bytes: number;
}

/** Of nodes: one of the largest messages, with others beside it; and in all what a thousand of them send that come back at a time. */
export const NODES_BUDGET: MessageBudgetLimits = { connectionBytes: 80 * 1024 * 1024, bytes: 256 * 1024 * 1024 };

/** What one call holds of the budget. */
export interface CallShare {
  take(bytes: number): void;
  giveBack(bytes: number): void;
  /** The call has ended: nothing of it is held any more. */
  close(): void;
}

/**
 * The bytes of messages that have come in part, or are being answered, of all calls of one server. Counts of streams and the
 * size of a message bound each of them, and their product is more than any machine has.
 *
 * Who takes more than its connection may have ends. Where all together have too much, the largest call of the client that
 * has most ends, whoever was the last to take: a client cannot crowd out another one that has less, with however many connections.
 */
export class MessageBudget {
  readonly #limits: MessageBudgetLimits;
  /** Those that hold something. */
  readonly #connections = new Map<object, ConnectionShare>();
  #bytes = 0;

  constructor(limits: MessageBudgetLimits) {
    this.#limits = limits;
  }

  /** Bytes that are held now. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * @param client whose connection it is, the same for all of one client
   * @param end ends the call, and lets go of what it holds; called once at most, from a `take` of any call
   */
  open(connection: object, client: unknown, end: (why: string) => void): CallShare {
    const call: Call = { bytes: 0, end };
    return {
      take: (bytes) => this.#take(connection, client, call, bytes),
      giveBack: (bytes) => this.#giveBack(connection, call, bytes),
      close: () => this.#giveBack(connection, call, call.bytes),
    };
  }

  #take(connection: object, client: unknown, call: Call, bytes: number): void {
    let share = this.#connections.get(connection);
    if (share === undefined) this.#connections.set(connection, (share = { client, bytes: 0, calls: new Set() }));
    share.calls.add(call);
    share.bytes += bytes;
    call.bytes += bytes;
    this.#bytes += bytes;
    const { connectionBytes, bytes: all } = this.#limits;
    if (share.bytes > connectionBytes)
      this.#end(connection, call, `more than ${connectionBytes} bytes of messages are under way on the connection`);
    while (this.#bytes > all) {
      const [largest, its] = most(this.#connections);
      this.#end(largest, mostOf(its.calls), `more than ${all} bytes of messages are under way; try again`);
    }
  }

  #end(connection: object, call: Call, why: string): void {
    this.#giveBack(connection, call, call.bytes);
    call.end(why);
  }

  #giveBack(connection: object, call: Call, bytes: number): void {
    const share = this.#connections.get(connection);
    const held = Math.min(bytes, call.bytes);
    if (share === undefined || held === 0) return;
    call.bytes -= held;
    share.bytes -= held;
    this.#bytes -= held;
    if (call.bytes === 0) share.calls.delete(call);
    if (share.bytes === 0) this.#connections.delete(connection);
  }
}

interface Call {
  bytes: number;
  readonly end: (why: string) => void;
}

interface ConnectionShare {
  readonly client: unknown;
  bytes: number;
  readonly calls: Set<Call>;
}

/** The largest connection of the client that has most. There is one at least. */
function most(connections: ReadonlyMap<object, ConnectionShare>): readonly [object, ConnectionShare] {
  const byClient = new Map<unknown, number>();
  for (const { client, bytes } of connections.values()) byClient.set(client, (byClient.get(client) ?? 0) + bytes);
  const [largestClient] = [...byClient].reduce((largest, each) => (each[1] > largest[1] ? each : largest));
  return [...connections]
    .filter(([, { client }]) => client === largestClient)
    .reduce((largest, each) => (each[1].bytes > largest[1].bytes ? each : largest));
}

function mostOf(calls: ReadonlySet<Call>): Call {
  return [...calls].reduce((largest, each) => (each.bytes > largest.bytes ? each : largest));
}
