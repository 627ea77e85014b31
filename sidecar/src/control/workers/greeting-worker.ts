import type { Failure } from "@heddle/base";
import type { Connection, ConnectionHandler } from "@heddle/net";
import { runWorker, type WorkerHost } from "../../traffic/worker/run-worker.ts";
import { workerStart } from "../../traffic/worker/worker-start.ts";

/*
 * For tests of the supervisor: a worker that greets with its number and the listener's name, and then echoes. What a
 * client says can make it misbehave.
 */

class Echo implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #onClosed: () => void;
  #draining = false;

  constructor(connection: Connection, greeting: string, onClosed: () => void) {
    this.#connection = connection;
    this.#onClosed = onClosed;
    connection.start(this);
    connection.writeLatin1(greeting);
  }

  onData(bytes: Uint8Array): void {
    const said = Buffer.from(bytes).toString("latin1");
    if (said === "die")
      queueMicrotask(() => { throw new Error("told to die"); }); // biome-ignore format: one step
    else if (said === "block") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
    else if (said === "hoard") hoard();
    else if (said === "spin")
      for (;;); // biome-ignore format: one step
    else if (said === "throw") throw new Error("told to throw");
    else if (said === "reject") void Promise.reject(new Error("told to reject"));
    else this.#connection.writeBytes(bytes);
    if (this.#draining) this.#connection.end();
  }

  onEnd(): void {
    this.#connection.end();
  }

  onDrain(): void {}

  onClose(_failure: Failure | undefined): void {
    this.#onClosed();
  }

  drain(): void {
    this.#draining = true;
  }

  destroy(): void {
    this.#connection.destroy();
  }
}

/** Holds more and more, until the heap is full. */
function hoard(): void {
  for (const held: unknown[] = []; ; ) held.push(Array.from({ length: 10_000 }, (_, i) => ({ i })));
}

const host = (worker: number): WorkerHost => ({
  prepare: async () => undefined,
  apply: () => [],
  settle: async () => undefined,
  makeFilter: (chain, listener) => {
    if (chain.name === "broken") throw new Error("cannot be built");
    return {
      serve: (connection, _info, onClosed) => new Echo(connection, `${worker} ${listener} ${chain.name}\n`, onClosed),
    };
  },
  makeConnectionLogger: () => ({ log: () => undefined }),
  makeDatagramFilter: () => {
    throw new Error("it greets connections alone");
  },
  inspect: () => ({ greeting: true }),
  endpointRows: () => [],
  load: () => [],
  reopenLogs: () => undefined,
  close: () => undefined,
});

const { port, start } = await workerStart();
await runWorker(port, start, ({ worker }) => host(worker));
