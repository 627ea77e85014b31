import { type NetConnectOpts, connect as netConnect, Socket, type SocketConnectOpts } from "node:net";
import { type Clock, type Failure, failure } from "@heddle/base";
import type { Connection } from "./connection.ts";
import { dialFailure } from "./node-errors.ts";
import { ReadHook } from "./rewrap.ts";
import { formatAddress, formatHostPort, type SocketAddress } from "./socket-address.ts";
import { SocketConnection } from "./socket-connection.ts";
import { boundSocket, type SocketSource } from "./socket-source.ts";

export interface DialOptions {
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Above this many queued bytes `writeBytes` answers false. */
  readonly highWatermarkBytes: number;
  /** TCP keep-alive: the first probe after this long without traffic. Left out: no probes. */
  readonly keepAliveDelayMs?: number;
  /** Where it comes from. Left out: the system chooses. */
  readonly source?: SocketSource;
  /** Called when a callback of the dial or a handler of the connection throws; the connection is reset. */
  readonly onThrow?: (error: unknown) => void;
}

/** Exactly one of the two is called, once, and never from within `dial`; neither after `cancel`. */
export interface DialCallbacks {
  /** The caller calls `start` before it returns, or destroys the connection. */
  onConnected(connection: Connection): void;
  onFailed(failure: Failure): void;
}

export interface Dialling {
  cancel(): void;
}

/** Connects to an address. Nagle's algorithm is off: whole messages are written at once anyway. */
export function dial(address: SocketAddress, options: DialOptions, callbacks: DialCallbacks): Dialling {
  const { clock, timeoutMs, highWatermarkBytes, keepAliveDelayMs, source, onThrow } = options;
  const hook = new ReadHook();
  const target =
    address.type === "pipe" ? { path: systemPath(address.path) } : { host: address.address, port: address.port };
  const connectOptions = {
    ...target,
    allowHalfOpen: true,
    noDelay: address.type === "socket",
    onread: hook.onread,
    ...(keepAliveDelayMs !== undefined && { keepAlive: true, keepAliveInitialDelay: keepAliveDelayMs }),
  } as NetConnectOpts;
  const socket =
    source === undefined || address.type === "pipe" ? netConnect(connectOptions) : connectFrom(source, connectOptions);
  socket.pause(); // reading begins with `start`

  const settle = (): void => {
    timer.cancel();
    socket.off("connect", connected);
    socket.off("error", failed);
  };
  const tell = (callback: () => void, connection?: Connection): void => {
    try {
      callback();
    } catch (error) {
      connection?.reset();
      if (onThrow === undefined) throw error;
      onThrow(error);
    }
  };
  const connected = (): void => {
    settle();
    const connectionOptions = { side: "upstream" as const, highWatermarkBytes, ...(onThrow && { onThrow }) };
    const connection = new SocketConnection(socket, connectionOptions, hook);
    tell(() => callbacks.onConnected(connection), connection);
  };
  const failed = (error: unknown): void => {
    settle();
    socket.on("error", ignore);
    tell(() => callbacks.onFailed(dialFailure(error, formatAddress(address))));
  };
  const timer = clock.after(timeoutMs, () => {
    settle();
    socket.on("error", ignore);
    socket.destroy();
    const detail = `${formatAddress(address)}: not connected within ${timeoutMs} ms`;
    tell(() => callbacks.onFailed(failure("connect-timeout", "upstream", detail, "safe")));
  });
  socket.on("connect", connected);
  socket.on("error", failed);
  return {
    cancel() {
      settle();
      socket.on("error", ignore);
      socket.destroy();
    },
  };
}

/** A source that cannot be bound is told as any failure of the dial is, and never from within. */
function connectFrom(source: SocketSource, options: NetConnectOpts): Socket {
  const bound = boundSocket(source, options);
  if (bound.ok && bound.value !== undefined) return bound.value.connect(options as SocketConnectOpts);
  if (bound.ok)
    return netConnect({ ...options, localAddress: source.address, localPort: source.port } as NetConnectOpts);
  const { step, code } = bound.error;
  const from = formatHostPort(source.address, source.port);
  return new Socket().destroy(new Error(`cannot come from ${from}: ${step}: ${code}`));
}

/** "@name" stands for a name in Linux's abstract namespace, which begins with a NUL (unix(7)). */
function systemPath(path: string): string {
  return path.startsWith("@") ? `\0${path.slice(1)}` : path;
}

// A destroyed socket may still report the error that was on its way.
function ignore(): void {}
