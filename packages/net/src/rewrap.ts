import { connect, createServer, type OnReadOpts, type Server, Socket } from "node:net";
import { loadedLibc, SO_LINGER, SOL_SOCKET } from "./libc.ts";

/*
 * Everything that touches the inside of Node's sockets (`_handle`) is in this file.
 *
 * Node lets a socket read into a buffer of ours (`onread`) only when the socket is made, and a server makes the accepted
 * sockets itself. So the handle of an accepted socket moves into a new socket that has `onread`: no allocation per
 * read, and one read buffer for a whole thread. The steps, each needed:
 *
 * - the server has `pauseOnConnect`, or the old socket would already read;
 * - the old socket loses its handle, or its end would close the new one's;
 * - the server still counts the old socket as open, so `server.close()` never calls back: whoever accepts counts itself.
 *
 * The inside of Node may change. `testRewrap` tries it at start; where it fails, accepted sockets are used as they are.
 */

/** Read at once at most; a connection that has more waiting is read again on the event loop's next turn. */
export const READ_BUFFER_BYTES = 64 * 1024;

/**
 * All connections of a thread read into the same buffer: a read and its callback are one synchronous step of libuv, on
 * every platform whose reads are not overlapped. (On Windows they are; there each connection has its own.)
 */
const shared = process.platform === "win32" ? undefined : Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);

/** Views that were made last, by length: messages of the same kind have the same lengths, and to make a view costs 100 ns. */
const views = new Array<Uint8Array | undefined>(64).fill(undefined);

/** The first bytes of the read buffer. They are used only until the call returns, so that a view may be given again. */
function firstBytes(buffer: Uint8Array, length: number): Uint8Array {
  if (length === buffer.byteLength) return buffer;
  if (buffer !== shared) return buffer.subarray(0, length);
  const kept = views[length % views.length];
  if (kept !== undefined && kept.length === length) return kept;
  const view = buffer.subarray(0, length);
  views[length % views.length] = view;
  return view;
}

/** Gets what a socket with `onread` reads. The bytes lie in the shared buffer. */
export interface Reader {
  receive(bytes: Uint8Array): void;
}

/** `onread` options whose reader is set once the connection exists. */
export class ReadHook {
  reader: Reader | undefined;
  readonly buffer = shared ?? Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  readonly callback = (length: number, buffer: Uint8Array): boolean => {
    this.reader?.receive(firstBytes(buffer, length));
    return true;
  };

  get onread(): OnReadOpts {
    return { buffer: this.buffer, callback: this.callback };
  }
}

interface Handle {
  readonly fd: number;
  /** Node's own note of which of the two was called last. */
  reading: boolean;
  /** 0, or the negative number of an error. */
  readStart(): number;
  readStop(): number;
  /** What is read from now on lies there. */
  useUserBuffer(buffer: unknown): void;
}

interface WithHandle {
  _handle: Handle | null;
}

/** Where a socket keeps its `onread`. */
const ONREAD = ((): readonly [symbol, symbol] | undefined => {
  const symbols = Object.getOwnPropertySymbols(new Socket());
  const [buffer, callback] = ["kBuffer", "kBufferCb"].map((name) => symbols.find((own) => own.description === name));
  return buffer === undefined || callback === undefined ? undefined : [buffer, callback];
})();

/**
 * Gives a socket that is open already what `onread` gives at birth, which a TLS socket over another one does not take: no
 * allocation per read, and no pass through its stream. What it has read before lies in its stream. Undefined: it does not
 * work with this Node, and the socket is read by `data` events.
 */
export function hookOf(socket: Socket): ReadHook | undefined {
  const { _handle: handle } = socket as unknown as WithHandle;
  if (ONREAD === undefined || handle === null || typeof handle.useUserBuffer !== "function") return undefined;
  const hook = new ReadHook();
  const [bufferKey, callbackKey] = ONREAD;
  Object.assign(socket, { [bufferKey]: hook.buffer, [callbackKey]: hook.callback });
  handle.useUserBuffer(hook.buffer);
  return hook;
}

/** Moves an accepted, paused socket's handle into a socket that reads through `hook`. The old one must not be used again. */
export function rewrap(accepted: Socket, hook: ReadHook): Socket {
  const old = accepted as unknown as WithHandle;
  const handle = old._handle;
  if (handle === null || handle === undefined) throw new TypeError("an accepted socket without a handle");
  old._handle = null;
  // `handle` and `pauseOnCreate` are what Node's own server passes; the typings leave them out.
  const options: unknown = { handle, allowHalfOpen: true, pauseOnCreate: true, onread: hook.onread };
  return new Socket(options as ConstructorParameters<typeof Socket>[0]);
}

/**
 * Starts and stops the reading of a socket that has `onread`. (`resume` and `pause` of the stream do too, but a `resume` takes
 * effect on the next tick once more, even if `pause` came in between.)
 */
export function startReading(socket: Socket): void {
  const handle = (socket as unknown as WithHandle)._handle;
  if (handle === null || handle.reading) return;
  handle.reading = true;
  if (handle.readStart() !== 0) socket.destroy();
}

export function stopReading(socket: Socket): void {
  const handle = (socket as unknown as WithHandle)._handle;
  if (handle === null || !handle.reading) return;
  handle.reading = false;
  if (handle.readStop() !== 0) socket.destroy();
}

/** `struct linger` (socket(7)): what is unsent is dropped, and RST sent in place of FIN. */
const NO_LINGER = new Uint8Array(Int32Array.of(1, 0).buffer);

/**
 * As `resetAndDestroy`; `isEnding`: nothing is left but the FIN, which is still on its way. libuv refuses a reset then, and Node loses the handle
 * over it: the descriptor would stay open for good, and nobody would hear of a close. (Without libc the peer gets the FIN.)
 */
export function resetSocket(socket: Socket, isEnding: boolean): void {
  if (!isEnding) {
    socket.resetAndDestroy();
    return;
  }
  const { _handle: handle } = socket as unknown as WithHandle;
  if (handle !== null) loadedLibc()?.setsockopt(handle.fd, SOL_SOCKET, SO_LINGER, NO_LINGER, NO_LINGER.length);
  socket.destroy();
}

/**
 * A socket's descriptor, asked for before each use: once the socket is destroyed its number is given to the next
 * connection. Node lets go of the handle in the same step in which it closes it, so a number that was read from a handle
 * is good as long as the socket has that handle. (Reading it each time is a call into C++, 80 ns.)
 *
 * A TLS socket has none: its handle tells the number of the socket beneath it, and what is written there goes out as it
 * is, unencrypted and between two records.
 */
export class Descriptor {
  readonly #socket: WithHandle;
  readonly #encrypted: boolean;
  #handle: Handle | null = null;
  #number = -1;

  constructor(socket: Socket) {
    this.#socket = socket as unknown as WithHandle;
    this.#encrypted = "encrypted" in socket; // by which Node tells a TLSSocket
  }

  /** -1: the socket is gone, not there yet, or encrypted. */
  get current(): number {
    if (this.#encrypted) return -1;
    const handle = this.#socket._handle;
    if (handle === this.#handle && handle !== null && this.#number >= 0) return this.#number;
    this.#handle = handle;
    this.#number = handle?.fd ?? -1;
    return this.#number;
  }
}

/** Whether re-wrapping works here: two bytes there and back, an orderly end on both sides, and `close` events. */
export function testRewrap(): Promise<boolean> {
  return new Promise((resolve) => {
    const server: Server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    let wrapped: Socket | undefined;
    let client: Socket | undefined;
    const finish = (works: boolean): void => {
      server.close();
      wrapped?.destroy();
      client?.destroy();
      resolve(works);
    };
    const fail = (): void => finish(false);
    server.on("error", fail);
    server.on("connection", (accepted) => {
      try {
        const hook = new ReadHook();
        const socket = rewrap(accepted, hook);
        const descriptor = new Descriptor(socket);
        const open = descriptor.current;
        wrapped = socket;
        hook.reader = { receive: (bytes) => socket.write(Buffer.from(bytes)) };
        socket.on("error", fail);
        socket.on("end", () => socket.end());
        socket.on("close", () => finish(echoed && open >= 0 && descriptor.current === -1));
        startReading(socket);
      } catch {
        fail();
      }
    });
    let echoed = false;
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") return fail();
      client = connect({ port: address.port, host: "127.0.0.1", allowHalfOpen: true });
      client.setTimeout(2000, fail);
      client.on("error", fail);
      client.on("data", (bytes) => {
        echoed = bytes.toString("latin1") === "ok";
        client?.end();
      });
      client.write("ok");
    });
  });
}
