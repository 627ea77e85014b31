import { createServer, isIPv6, type Server, type Socket } from "node:net";
import type { Connection } from "./connection.ts";
import { type ListenTarget, MAX_BACKLOG } from "./listen-target.ts";
import { codeOf, isExhaustion, listenErrorText } from "./node-errors.ts";
import { ReadHook, rewrap } from "./rewrap.ts";
import { formatAddress } from "./socket-address.ts";
import { SocketConnection } from "./socket-connection.ts";

export interface AcceptorOptions {
  readonly backlog: number | undefined;
  /** Above this many queued bytes `writeBytes` of a connection answers false. */
  readonly highWatermarkBytes: number;
  /** Whether accepted sockets read into the thread's buffer: the answer of `testRewrap`. */
  readonly rewrap: boolean;
  /** Called when accepting a connection or a handler of it throws; the connection is reset. */
  readonly onThrow?: (error: unknown) => void;
}

export interface AcceptorEvents {
  onListening(): void;
  /** The callee calls `start` before it returns, or ends the connection. */
  onConnection(connection: Connection): void;
  /**
   * Accepting has ended, and the target is closed. `exhausted`: the system is out of descriptors or memory; connections wait
   * in the kernel's queue, and the owner may accept again on a new target after a while. (As long as the process alone is
   * out of descriptors this does not come: libuv keeps one spare, with which it accepts and closes what cannot be held.)
   * Otherwise there was no listening at all.
   */
  onStopped(reason: string, exhausted: boolean): void;
}

/** Accepts connections on one target, until it is closed. Connections that it accepted live on without it. */
export class Acceptor {
  readonly #server: Server;
  readonly #options: AcceptorOptions;
  readonly #events: AcceptorEvents;
  #closed = false;

  constructor(target: ListenTarget, options: AcceptorOptions, events: AcceptorEvents) {
    this.#options = options;
    this.#events = events;
    this.#server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
    this.#server.on("connection", (socket) => {
      try {
        this.#accepted(socket);
      } catch (error) {
        socket.destroy();
        if (options.onThrow === undefined) throw error;
        options.onThrow(error);
      }
    });
    this.#server.on("listening", () => {
      if (!this.#closed) events.onListening();
    });
    this.#server.on("error", (error) => {
      if (this.#closed) return;
      this.close();
      const where = target.type === "address" ? formatAddress(target.address) : `descriptor ${target.descriptor}`;
      events.onStopped(listenErrorText(codeOf(error) || error.message, where), isExhaustion(error));
    });
    this.#server.listen(listenOptions(target, options.backlog ?? MAX_BACKLOG));
  }

  /** Accepts no more. What waits in the kernel's queue stays there for others that share it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#server.close();
  }

  #accepted(socket: Socket): void {
    const { highWatermarkBytes, onThrow } = this.#options;
    const options = { side: "downstream" as const, highWatermarkBytes, ...(onThrow && { onThrow }) };
    if (!this.#options.rewrap) {
      this.#events.onConnection(new SocketConnection(socket, options));
      return;
    }
    const hook = new ReadHook();
    this.#events.onConnection(new SocketConnection(rewrap(socket, hook), options, hook));
  }
}

function listenOptions(target: ListenTarget, backlog: number): Parameters<Server["listen"]>[0] {
  if (target.type === "descriptor") return { fd: target.descriptor, backlog } as never; // the typings know no `fd`
  const { address, reusePort } = target;
  if (address.type === "pipe") return { path: address.path, backlog } as never;
  return { host: address.address, port: address.port, backlog, reusePort, ipv6Only: isIPv6(address.address) } as never;
}
