import type { Connection } from "./connection.ts";
import { decodeKernelAddress } from "./kernel-address.ts";
import {
  IP_TRANSPARENT,
  IP6T_SO_ORIGINAL_DST,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_TRANSPARENT,
  type Libc,
  loadedLibc,
  loadLibc,
  SO_ORIGINAL_DST,
} from "./libc.ts";
import { SocketConnection } from "./socket-connection.ts";

/** Where a client has connected to before anybody redirected it. */
export interface OriginalDestination {
  readonly address: string;
  readonly port: number;
}

/** Whether the kernel can be asked here; without, whoever relies on it must be refused. */
export async function knowsOriginalDestination(): Promise<boolean> {
  return (await loadLibc()) !== undefined;
}

/**
 * The original destination of an accepted connection, as Envoy finds it (`Network::Utility::getOriginalDst`): what connection
 * tracking has written down (REDIRECT, DNAT), else the socket's own address where it is transparent (TPROXY). Undefined: the
 * kernel knows of none, or the socket is gone or no plaintext one of IP. Costs 1 to 2 µs, on the caller's thread.
 */
export function originalDestination(connection: Connection): OriginalDestination | undefined {
  const libc = loadedLibc();
  const descriptor = connection instanceof SocketConnection ? connection.descriptor : -1;
  const { localAddress, localPort } = connection;
  if (libc === undefined || descriptor < 0 || localAddress === "") return undefined;
  const isV6 = localAddress.includes(":");
  const level = isV6 ? IPPROTO_IPV6 : IPPROTO_IP;
  length.writeUInt32LE(ADDRESS_BYTES);
  // Both families give the option the same number.
  if (libc.getsockopt(descriptor, level, isV6 ? IP6T_SO_ORIGINAL_DST : SO_ORIGINAL_DST, name, length) === 0)
    return decodeKernelAddress(name);
  return isTransparent(libc, descriptor, isV6) ? { address: localAddress, port: localPort } : undefined;
}

function isTransparent(libc: Libc, descriptor: number, isV6: boolean): boolean {
  length.writeUInt32LE(flag.length);
  const [level, option] = isV6 ? [IPPROTO_IPV6, IPV6_TRANSPARENT] : [IPPROTO_IP, IP_TRANSPARENT];
  return libc.getsockopt(descriptor, level, option, flag, length) === 0 && flag.readInt32LE(0) === 1;
}

/** `struct sockaddr_in6`, the longer one. */
const ADDRESS_BYTES = 28;
// Each call has read them before the next begins.
const name = Buffer.alloc(ADDRESS_BYTES);
const flag = Buffer.alloc(4);
const length = Buffer.alloc(4);
