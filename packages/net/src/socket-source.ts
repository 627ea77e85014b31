import { isIPv6, Socket, type SocketConstructorOpts } from "node:net";
import { err, ok, type Result } from "@heddle/base";
import { encodeKernelAddress } from "./kernel-address.ts";
import {
  AF_INET,
  AF_INET6,
  IP_BIND_ADDRESS_NO_PORT,
  IP_FREEBIND,
  IP_TRANSPARENT,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_FREEBIND,
  IPV6_TRANSPARENT,
  type Libc,
  loadedLibc,
  SO_MARK,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./libc.ts";

/** Where a dialled connection comes from. */
export interface SocketSource {
  readonly address: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** IP_FREEBIND: the address need not be one of ours. Undefined: as the system has it. */
  readonly freebind?: boolean;
  /** IP_TRANSPARENT: the address is somebody else's, and rules of the kernel bring the answers here. */
  readonly transparent?: boolean;
  /** SO_MARK; 0 is none. */
  readonly mark?: number;
}

/** One string for one source. */
export function sourceKey({ address, port, freebind, transparent, mark }: SocketSource): string {
  return `${address} ${port} ${freebind ?? ""} ${transparent ?? ""} ${mark ?? ""}`;
}

/**
 * A socket that is bound and not connected yet. Node has no face for options before `connect`, so the descriptor is made here;
 * the error says which step failed and why. Without the C library Node itself binds what needs no options: then undefined, and
 * the caller passes the address to `connect`.
 */
export function boundSocket(
  source: SocketSource,
  options: SocketConstructorOpts,
): Result<Socket | undefined, { readonly step: string; readonly code: string }> {
  const libc = loadedLibc();
  if (libc === undefined) {
    const needsOptions = source.freebind === true || source.transparent === true || (source.mark ?? 0) !== 0;
    return needsOptions ? err({ step: "koffi, which is not there", code: "ENOSYS" }) : ok(undefined);
  }
  const name = encodeKernelAddress({ type: "socket", address: source.address, port: source.port });
  if (!name.ok) return err({ step: name.error, code: "EINVAL" });
  const v6 = isIPv6(source.address);
  const descriptor = libc.socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return err({ step: "socket", code: libc.lastError() });
  const failed = prepare(libc, descriptor, v6, source, name.value);
  if (failed !== undefined) {
    libc.close(descriptor);
    return err(failed);
  }
  try {
    // `manualStart`: what is not connected is not read.
    return ok(new Socket({ ...options, fd: descriptor, manualStart: true } as SocketConstructorOpts));
  } catch (error) {
    libc.close(descriptor);
    throw error;
  }
}

function prepare(libc: Libc, descriptor: number, v6: boolean, source: SocketSource, name: Buffer) {
  const { port, freebind, transparent, mark = 0 } = source;
  const level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  const set = (at: number, option: number, value: number): boolean => {
    number.writeInt32LE(value | 0);
    return libc.setsockopt(descriptor, at, option, number, number.length) === 0;
  };
  const failed = (step: string) => ({ step, code: libc.lastError() });
  if (transparent === true && !set(level, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1)) return failed("IP_TRANSPARENT");
  if (freebind !== undefined && !set(level, v6 ? IPV6_FREEBIND : IP_FREEBIND, freebind ? 1 : 0))
    return failed("IP_FREEBIND");
  if (mark !== 0 && !set(SOL_SOCKET, SO_MARK, mark)) return failed("SO_MARK");
  // The port is then chosen with the connection, so that one address has as many as there are destinations times ports.
  if (port === 0) set(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  return libc.bind(descriptor, name, name.length) === 0 ? undefined : failed("bind");
}

const number = Buffer.alloc(4);
