import { createSocket, type Socket, type SocketOptions } from "node:dgram";
import { isIPv6 } from "node:net";
import { guarded, type OnThrow } from "@heddle/base";
import type { ListenTarget } from "./listen-target.ts";
import { codeOf, listenErrorText } from "./node-errors.ts";
import { formatAddress, type SocketAddress } from "./socket-address.ts";

/** Hears what comes to a datagram socket. The bytes belong to the callee. */
export interface DatagramEvents {
  onDatagram(bytes: Uint8Array, address: string, port: number): void;
  /** The peer has refused a datagram (ICMP), or receiving failed. The socket goes on. */
  onError(code: string): void;
}

/** The same events; what they throw goes to `onThrow`, if there is one. */
function guardedEvents(events: DatagramEvents, onThrow: OnThrow | undefined): DatagramEvents {
  if (onThrow === undefined) return events;
  return {
    onDatagram: guarded((bytes, address, port) => events.onDatagram(bytes, address, port), onThrow),
    onError: guarded((code) => events.onError(code), onThrow),
  };
}

/** What is sent and not yet taken by the kernel; a datagram beyond that is dropped, as a full queue of the kernel would. */
const MAX_QUEUED_BYTES = 1024 * 1024;
/** Datagrams that wait for the socket to be connected, which takes a turn or two. */
const MAX_WAITING = 64;

/** Addresses are never names, so nothing is looked up. */
const SOCKET_OPTIONS: Omit<SocketOptions, "type"> = {
  lookup: (address, _options, callback) => callback(null, address, isIPv6(address) ? 6 : 4),
};

/**
 * A socket that takes datagrams from anybody. The system gives those of one sender to the same socket of all that share the
 * address (SO_REUSEPORT), as long as these stay the same.
 */
export class DatagramListener {
  readonly #socket: Socket;
  #closed = false;

  /** `onStopped`: there is no listening at all. `onThrow` hears what `events` throw; left out, it goes on to the thread. */
  constructor(
    target: ListenTarget,
    ipv6: boolean,
    unguarded: DatagramEvents,
    onStopped: (reason: string) => void,
    onThrow?: OnThrow,
  ) {
    const reusePort = target.type === "address" && target.reusePort;
    this.#socket = createSocket({
      ...SOCKET_OPTIONS,
      type: ipv6 ? "udp6" : "udp4",
      ...(ipv6 && { ipv6Only: true }),
      ...(reusePort && { reusePort }),
    });
    const events = guardedEvents(unguarded, onThrow);
    this.#socket.on("message", (bytes, { address, port }) => events.onDatagram(bytes, address, port));
    let listening = false;
    this.#socket.on("listening", () => {
      listening = true;
    });
    this.#socket.on("error", (error) => {
      if (this.#closed) return;
      if (listening) {
        events.onError(codeOf(error));
        return;
      }
      this.close();
      onStopped(listenErrorText(codeOf(error) || error.message, whereOf(target)));
    });
    this.#socket.bind(bindOptions(target));
  }

  /** False: it was dropped. */
  send(bytes: Uint8Array, address: string, port: number): boolean {
    if (this.#closed || this.#socket.getSendQueueSize() > MAX_QUEUED_BYTES) return false;
    this.#socket.send(bytes, port, address, ignore);
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}

/** A socket that exchanges datagrams with one peer alone. */
export class DatagramConnection {
  readonly #socket: Socket;
  readonly #events: DatagramEvents;
  #waiting: Uint8Array[] | undefined = [];
  #closed = false;

  /**
   * `from`: the source address; left out: the system chooses. `onThrow` hears what `events` throw; left out, it goes on to the
   * thread.
   */
  constructor(
    address: Extract<SocketAddress, { type: "socket" }>,
    unguarded: DatagramEvents,
    onThrow?: OnThrow,
    from?: Pick<Extract<SocketAddress, { type: "socket" }>, "address" | "port">,
  ) {
    const events = guardedEvents(unguarded, onThrow);
    this.#events = events;
    this.#socket = createSocket({ ...SOCKET_OPTIONS, type: isIPv6(address.address) ? "udp6" : "udp4" });
    this.#socket.on("message", (bytes) => events.onDatagram(bytes, address.address, address.port));
    this.#socket.on("error", (error) => {
      if (!this.#closed) events.onError(codeOf(error));
    });
    const connect = (): void => this.#socket.connect(address.port, address.address, this.#onConnected);
    if (from === undefined) connect();
    else
      this.#socket.bind({ address: from.address, port: from.port }, () => {
        if (!this.#closed) connect();
      });
  }

  /** False: it was dropped. */
  send(bytes: Uint8Array): boolean {
    if (this.#closed) return false;
    if (this.#waiting !== undefined) {
      if (this.#waiting.length >= MAX_WAITING) return false;
      this.#waiting.push(bytes);
      return true;
    }
    if (this.#socket.getSendQueueSize() > MAX_QUEUED_BYTES) return false;
    this.#socket.send(bytes, this.#onSent);
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = undefined;
    this.#socket.close();
  }

  // The typings leave the error out.
  readonly #onConnected = (error?: Error | null): void => {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    if (this.#closed) return;
    if (error) this.#events.onError(codeOf(error));
    else for (const bytes of waiting) this.send(bytes);
  };

  readonly #onSent = (error: Error | null): void => {
    if (error !== null && !this.#closed) this.#events.onError(codeOf(error));
  };
}

function bindOptions(target: ListenTarget): Parameters<Socket["bind"]>[0] {
  if (target.type === "descriptor") return { fd: target.descriptor };
  if (target.address.type === "pipe") throw new TypeError("a Unix socket takes no datagrams here");
  return { address: target.address.address, port: target.address.port };
}

function whereOf(target: ListenTarget): string {
  return target.type === "address" ? formatAddress(target.address) : `descriptor ${target.descriptor}`;
}

function ignore(): void {}
