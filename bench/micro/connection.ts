/**
 * CPU of a proxy that only copies bytes, per round trip: our Connection beside Node's own sockets.
 *
 *     node --conditions=heddle-src bench/micro/connection.ts [round trips]
 *
 * Each variant runs in a process of its own, twice in turn, against an echo server here; the smaller figure counts.
 */
import { type ChildProcess, fork } from "node:child_process";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { systemClock } from "@heddle/base";
import { Acceptor, type Connection, type ConnectionHandler, dial } from "@heddle/net";

const CONNECTIONS = 32;
const SIZES = [170, 64 * 1024];

type Variant = (upstream: number, listening: (port: number) => void) => void;

const VARIANTS: Readonly<Record<string, Variant>> = {
  "net.Socket, pipe()": (upstream, listening) => {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (downstream) => {
      const other = connect({ port: upstream, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
      downstream.pipe(other).pipe(downstream);
      downstream.on("error", () => other.destroy());
      other.on("error", () => downstream.destroy());
    });
    server.listen(0, "127.0.0.1", () => listening((server.address() as AddressInfo).port));
  },
  "net.Socket, data and write": (upstream, listening) => {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (downstream) => {
      const other = connect({ port: upstream, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
      forward(downstream, other);
      forward(other, downstream);
    });
    server.listen(0, "127.0.0.1", () => listening((server.address() as AddressInfo).port));
  },
  Connection: (upstream, listening) => {
    const reserve = createServer().listen(0, "127.0.0.1", () => {
      const { port } = reserve.address() as AddressInfo;
      reserve.close(() => {
        const target = {
          type: "address",
          address: { type: "socket", address: "127.0.0.1", port },
          reusePort: false,
        } as const;
        const options = { backlog: undefined, highWatermarkBytes: 1024 * 1024, rewrap: true };
        new Acceptor(target, options, {
          onListening: () => listening(port),
          onConnection: (downstream) => {
            dial(
              { type: "socket", address: "127.0.0.1", port: upstream },
              { timeoutMs: 1000, clock: systemClock, highWatermarkBytes: 1024 * 1024 },
              {
                onConnected(other) {
                  downstream.start(new Copy(downstream, other));
                  other.start(new Copy(other, downstream));
                },
                onFailed: () => downstream.destroy(),
              },
            );
          },
          onStopped: (reason) => {
            throw new Error(reason);
          },
        });
      });
    });
  },
};

function forward(from: Socket, to: Socket): void {
  from.on("data", (chunk) => {
    if (!to.write(chunk)) from.pause();
  });
  to.on("drain", () => from.resume());
  from.on("end", () => to.end());
  from.on("error", () => to.destroy());
}

class Copy implements ConnectionHandler {
  readonly #from: Connection;
  readonly #to: Connection;

  constructor(from: Connection, to: Connection) {
    this.#from = from;
    this.#to = to;
  }

  onData(bytes: Uint8Array): void {
    if (!this.#to.writeBytes(bytes)) this.#from.pause();
  }

  onEnd(): void {
    this.#to.end();
  }

  onDrain(): void {
    this.#to.resume();
  }

  onClose(): void {
    this.#to.destroy();
  }
}

type FromProxy = { readonly port: number } | { readonly cpuUs: number };

if (process.send !== undefined) {
  const [name = "", upstream = ""] = process.argv.slice(2);
  let start = process.cpuUsage();
  process.on("message", (message) => {
    if (message === "begin") start = process.cpuUsage();
    else {
      const { user, system } = process.cpuUsage(start);
      process.send?.({ cpuUs: user + system });
    }
  });
  VARIANTS[name]?.(Number(upstream), (port) => process.send?.({ port }));
} else {
  const roundTrips = Number(process.argv[2] ?? 30_000);
  const echo = createServer({ noDelay: true }, (socket) => {
    socket.on("data", (chunk) => socket.write(chunk));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  const upstream = (echo.address() as AddressInfo).port;
  for (const size of SIZES) {
    const trips = size > 10_000 ? Math.ceil(roundTrips / 4) : roundTrips;
    const best = new Map<string, number>();
    for (let round = 0; round < 2; round++) {
      for (const name of Object.keys(VARIANTS)) {
        const us = await measure(name, upstream, size, trips);
        best.set(name, Math.min(us, best.get(name) ?? Infinity));
      }
    }
    console.log(`${size} bytes, ${CONNECTIONS} connections, ${trips} round trips: CPU µs of the proxy for each`);
    for (const [name, us] of best) console.log(`  ${name.padEnd(28)} ${us.toFixed(1)}`);
  }
  echo.close();
}

async function measure(name: string, upstream: number, size: number, trips: number): Promise<number> {
  const proxy = fork(import.meta.filename, [name, String(upstream)], { execArgv: process.execArgv });
  const { port } = (await answer(proxy)) as { port: number };
  await exchange(port, size, Math.ceil(trips / 4)); // the compiler's turn
  proxy.send("begin");
  await exchange(port, size, trips);
  proxy.send("end");
  const { cpuUs } = (await answer(proxy)) as { cpuUs: number };
  proxy.kill();
  return cpuUs / trips;
}

function answer(proxy: ChildProcess): Promise<FromProxy> {
  return new Promise((resolve) => proxy.once("message", (message) => resolve(message as FromProxy)));
}

/** That many round trips, spread over the connections, each waiting for its answer. */
async function exchange(port: number, size: number, trips: number): Promise<void> {
  const message = Buffer.alloc(size, "x");
  let left = trips;
  const client = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      let got = 0;
      const next = (): void => {
        if (left-- > 0) socket.write(message);
        else socket.end();
      };
      socket.on("connect", next);
      socket.on("data", (chunk) => {
        got += chunk.length;
        if (got < size) return;
        got = 0;
        next();
      });
      socket.on("close", () => resolve());
      socket.on("error", reject);
    });
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
}
