import type { Socket } from "node:net";
import { loadLibc, SO_PEERCRED, SOL_SOCKET } from "./libc.ts";
import { Descriptor } from "./rewrap.ts";

/** Who has opened the other end of a Unix socket, as the kernel has written it down then. */
export interface PeerProcess {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Asks the kernel (`SO_PEERCRED`, unix(7)) of one socket. */
export type PeerProcessOf = (socket: Socket) => PeerProcess | undefined;

/** What asks, or undefined where it cannot be asked here (see libc.ts). It gives undefined of a socket that is gone, and of TCP. */
export async function loadPeerProcess(): Promise<PeerProcessOf | undefined> {
  const libc = await loadLibc();
  if (libc === undefined) return undefined;
  return (socket) => {
    const descriptor = new Descriptor(socket).current;
    if (descriptor < 0) return undefined;
    const value = Buffer.alloc(UCRED_BYTES);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(UCRED_BYTES);
    if (libc.getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, value, length) !== 0) return undefined;
    const pid = value.readInt32LE(0);
    // Of what is no Unix socket the kernel gives these, and no error.
    if (pid === 0) return undefined;
    return { pid, uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) };
  };
}

/** `struct ucred`: three numbers of 32 bits. */
const UCRED_BYTES = 12;
