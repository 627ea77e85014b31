import { Socket } from "node:net";
import type { Connection } from "./connection.ts";
import { type Libc, loadLibc } from "./libc.ts";
import { ReadHook } from "./rewrap.ts";
import { type ConnectionOptions, SocketConnection } from "./socket-connection.ts";

/**
 * Moves idle plaintext connections between threads of a process: one thread releases the descriptor, another adopts it. The
 * peer notices nothing, and what it sends meanwhile waits in the kernel.
 *
 * A descriptor that is on its way belongs to nobody but those who speak of it: whoever received it from `release`
 * adopts it, gives it to somebody who does, or closes it.
 */
export interface ConnectionMover {
  /**
   * A descriptor that stands for the connection, or -1 where it cannot move (it is closed or closing, bytes wait to be
   * written, it is TLS, no descriptor is left): then the connection goes on as before. Otherwise it is as after `destroy`.
   */
  release(connection: Connection): number;
  /** Takes the descriptor over, also if it throws: then it is closed. Nothing is read before `start`. */
  adopt(descriptor: number, options: ConnectionOptions): Connection;
  /** Ends the connection of a descriptor that nobody adopts. */
  close(descriptor: number): void;
}

/** Undefined where descriptors cannot be duplicated: without koffi, and on other systems than Linux. */
export async function connectionMover(): Promise<ConnectionMover | undefined> {
  const libc = await loadLibc();
  if (libc === undefined) return undefined;
  return {
    release: (connection) =>
      connection instanceof SocketConnection ? connection.detach((descriptor) => libc.duplicate(descriptor)) : -1,
    adopt: (descriptor, options) => adopt(libc, descriptor, options),
    close: (descriptor) => void libc.close(descriptor),
  };
}

function adopt(libc: Libc, descriptor: number, options: ConnectionOptions): Connection {
  const hook = new ReadHook();
  let socket: Socket;
  try {
    // `pauseOnCreate` is what Node's own server passes; the typings leave it out. Without it the socket reads at once.
    const socketOptions = { fd: descriptor, allowHalfOpen: true, pauseOnCreate: true, onread: hook.onread };
    socket = new Socket(socketOptions);
  } catch (error) {
    libc.close(descriptor); // a socket that could not be made has not taken it
    throw error;
  }
  return new SocketConnection(socket, options, hook);
}
