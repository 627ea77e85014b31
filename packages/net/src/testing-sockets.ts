import assert from "node:assert/strict";
import { type AddressInfo, createServer, connect as netConnect, type Socket } from "node:net";
import { type Failure, systemClock } from "@heddle/base";
import { Acceptor } from "./acceptor.ts";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { dial } from "./dial.ts";
import type { SocketAddress } from "./socket-address.ts";

/* For this package's tests: connections over real loopback sockets, and a handler that writes down what it hears. */

export class Recorder implements ConnectionHandler {
  readonly connection: Connection;
  readonly chunks: Buffer[] = [];
  ended = 0;
  drained = 0;
  closed: { failure: Failure | undefined }[] = [];
  #waiting: { readonly met: () => boolean; readonly resolve: () => void }[] = [];
  onBytes: ((bytes: Uint8Array) => void) | undefined;

  constructor(connection: Connection) {
    this.connection = connection;
    connection.start(this);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  onData(bytes: Uint8Array): void {
    if (this.onBytes === undefined) this.chunks.push(Buffer.from(bytes));
    else this.onBytes(bytes);
    this.#look();
  }

  onEnd(): void {
    this.ended++;
    this.#look();
  }

  onDrain(): void {
    this.drained++;
    this.#look();
  }

  onClose(failure: Failure | undefined): void {
    this.closed.push({ failure });
    this.#look();
  }

  /** Resolves once the condition holds, looked at after every event. */
  until(met: () => boolean): Promise<void> {
    if (met()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ met, resolve }));
  }

  untilClosed(): Promise<void> {
    return this.until(() => this.closed.length > 0);
  }

  #look(): void {
    const met = this.#waiting.filter((waiter) => waiter.met());
    this.#waiting = this.#waiting.filter((waiter) => !met.includes(waiter));
    for (const waiter of met) waiter.resolve();
  }
}

/** A listener on loopback whose connections are ours, and a plain socket of Node's connected to it. */
export async function acceptedPair(
  options: { readonly highWatermarkBytes?: number; readonly rewrap?: boolean; onThrow?: (error: unknown) => void } = {},
): Promise<{ connection: Connection; peer: Socket; close: () => void }> {
  const { highWatermarkBytes = 64 * 1024, rewrap = true, onThrow } = options;
  const port = await freePort();
  const address: SocketAddress = { type: "socket", address: "127.0.0.1", port };
  return new Promise((resolve, reject) => {
    const acceptor = new Acceptor(
      { type: "address", address, reusePort: false },
      { backlog: undefined, highWatermarkBytes, rewrap, ...(onThrow && { onThrow }) },
      {
        onListening: () => {
          peer = netConnect({ port, host: "127.0.0.1", allowHalfOpen: true });
          peer.on("error", () => undefined);
        },
        onConnection: (connection) => {
          resolve({ connection, peer: peer!, close: () => acceptor.close() }); // it connected, so it was made
        },
        onStopped: (reason) => reject(new Error(reason)),
      },
    );
    let peer: Socket | undefined;
  });
}

/** A plain server of Node's on loopback, and our connection dialled to it. */
export async function dialledPair(
  highWatermarkBytes = 64 * 1024,
): Promise<{ connection: Connection; peer: Socket; close: () => void }> {
  return new Promise((resolve, reject) => {
    let connection: Connection | undefined;
    let peer: Socket | undefined;
    const ready = (): void => {
      if (connection !== undefined && peer !== undefined) resolve({ connection, peer, close: () => server.close() });
    };
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => undefined);
      peer = socket;
      ready();
    });
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      dial(
        { type: "socket", address: "127.0.0.1", port },
        { timeoutMs: 30_000, clock: systemClock, highWatermarkBytes },
        {
          onConnected: (connected) => {
            connection = connected;
            ready();
          },
          onFailed: (failure) => reject(new Error(failure.detail)),
        },
      );
    });
  });
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Fails if the process still holds open sockets or timers, once what is closing has closed. */
export async function assertNothingLeft(): Promise<void> {
  const left = (): string[] =>
    process
      .getActiveResourcesInfo()
      .filter((kind) => kind !== "PipeWrap" && kind !== "TTYWrap" && kind !== "Immediate");
  const deadline = systemClock.now() + 30_000;
  while (left().length > 0 && systemClock.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(left(), []);
}
