import { chmodSync, closeSync, lstatSync, unlinkSync } from "node:fs";
import { createServer, isIPv6 } from "node:net";
import { err, ok, type Result } from "@heddle/base";
import { encodeKernelAddress, kernelAddressPort, MAX_ADDRESS_BYTES } from "./kernel-address.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  type Libc,
  loadLibc,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./libc.ts";
import { type ListenOptions, type ListenSocket, type ListenTarget, MAX_BACKLOG } from "./listen-target.ts";
import { codeOf, listenErrorText } from "./node-errors.ts";
import { formatAddress, type SocketAddress } from "./socket-address.ts";

/*
 * Listening sockets. The control thread opens one per address and owns it; each worker listens on a duplicate of its
 * descriptor. All duplicates share the kernel's one queue, so connections wait there while a worker dies or is replaced.
 *
 * Without the C library's functions every worker opens its own socket with SO_REUSEPORT: there each has a queue of its
 * own, and a dying worker takes its queue along. A Unix socket then has one accepting worker.
 */

export interface SocketOpener {
  /** How workers share an address; told in `status`. */
  readonly sharing: "one-queue" | "reuse-port";
  /** The error names the address and the reason. */
  open(address: SocketAddress, options: ListenOptions): Promise<Result<ListenSocket, string>>;
}

/** The best way of this system. */
export async function socketOpener(): Promise<SocketOpener> {
  const libc = await loadLibc();
  return libc === undefined ? reusePortOpener() : descriptorOpener(libc);
}

export function descriptorOpener(libc: Libc): SocketOpener {
  return { sharing: "one-queue", open: async (address, options) => openDescriptor(libc, address, options) };
}

export function reusePortOpener(): SocketOpener {
  return { sharing: "reuse-port", open: (address) => reserve(address) };
}

function openDescriptor(libc: Libc, address: SocketAddress, options: ListenOptions): Result<ListenSocket, string> {
  const encoded = encodeKernelAddress(address);
  if (!encoded.ok) return err(`cannot listen on ${formatAddress(address)}: ${encoded.error}`);
  const name = encoded.value;
  if (isFile(address)) removeAbandoned(libc, address.path, name);

  const v6 = address.type === "socket" && isIPv6(address.address);
  const family = address.type === "pipe" ? AF_UNIX : v6 ? AF_INET6 : AF_INET;
  const descriptor = libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return err(listenErrorText(libc.lastError(), formatAddress(address)));
  const failed = (code = libc.lastError()): Result<ListenSocket, string> => {
    closeSync(descriptor);
    return err(listenErrorText(code, formatAddress(address)));
  };

  // Connections in TIME_WAIT must not keep a restarted sidecar from its port.
  if (address.type === "socket" && !switchOn(libc, descriptor, SOL_SOCKET, SO_REUSEADDR)) return failed();
  // "::" is IPv6 only, as Envoy's `ipv4_compat` is false by default.
  if (v6 && !switchOn(libc, descriptor, IPPROTO_IPV6, IPV6_V6ONLY)) return failed();
  if (libc.bind(descriptor, name, name.length) !== 0) return failed();
  if (isFile(address) && address.mode !== undefined) {
    try {
      chmodSync(address.path, address.mode);
    } catch (error) {
      return failed(codeOf(error));
    }
  }
  if (libc.listen(descriptor, options.backlog ?? MAX_BACKLOG) !== 0) return failed();
  const bound = boundAddress(libc, descriptor, address);
  return bound === undefined ? failed() : ok(new DescriptorSocket(libc, descriptor, bound));
}

class DescriptorSocket implements ListenSocket {
  readonly address: SocketAddress;
  readonly #libc: Libc;
  #descriptor: number;

  constructor(libc: Libc, descriptor: number, address: SocketAddress) {
    this.address = address;
    this.#libc = libc;
    this.#descriptor = descriptor;
  }

  newTarget(): ListenTarget | undefined {
    if (this.#descriptor < 0) return undefined;
    const descriptor = this.#libc.duplicate(this.#descriptor);
    return descriptor < 0 ? undefined : { type: "descriptor", descriptor };
  }

  close(): void {
    if (this.#descriptor < 0) return;
    closeSync(this.#descriptor);
    this.#descriptor = -1;
    if (isFile(this.address)) unlinkQuietly(this.address.path);
  }
}

/** Finds out the port and whether the address is free; the workers open it. */
function reserve(address: SocketAddress): Promise<Result<ListenSocket, string>> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", (error) => resolve(err(listenErrorText(codeOf(error), formatAddress(address)))));
    server.on("listening", () => {
      const bound = server.address();
      const port = bound !== null && typeof bound === "object" ? bound.port : 0;
      const resolved = address.type === "socket" ? { ...address, port } : address;
      server.close(() => resolve(ok(new ReservedAddress(resolved))));
    });
    if (address.type === "pipe") server.listen({ path: address.path });
    else
      server.listen({ host: address.address, port: address.port, reusePort: true, ipv6Only: isIPv6(address.address) });
  });
}

class ReservedAddress implements ListenSocket {
  readonly address: SocketAddress;
  #given = false;

  constructor(address: SocketAddress) {
    this.address = address;
  }

  newTarget(): ListenTarget | undefined {
    const reusePort = this.address.type === "socket";
    if (this.#given && !reusePort) return undefined;
    this.#given = true;
    return { type: "address", address: this.address, reusePort };
  }

  close(): void {
    // Nothing is held: the workers' acceptors close what they opened.
  }
}

function switchOn(libc: Libc, descriptor: number, level: number, option: number): boolean {
  const one = Buffer.alloc(4);
  one.writeInt32LE(1);
  return libc.setsockopt(descriptor, level, option, one, one.length) === 0;
}

function boundAddress(libc: Libc, descriptor: number, asked: SocketAddress): SocketAddress | undefined {
  if (asked.type === "pipe" || asked.port !== 0) return asked;
  const name = Buffer.alloc(MAX_ADDRESS_BYTES);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(name.length);
  if (libc.getsockname(descriptor, name, length) !== 0) return undefined;
  return { ...asked, port: kernelAddressPort(name) };
}

/** A Unix socket with a place in the file system. */
function isFile(address: SocketAddress): address is Extract<SocketAddress, { type: "pipe" }> {
  return address.type === "pipe" && !address.path.startsWith("@");
}

/** A killed process leaves the path of its Unix socket behind. It is removed only if it is a socket that nobody serves. */
function removeAbandoned(libc: Libc, path: string, name: Buffer): void {
  try {
    if (!lstatSync(path).isSocket()) return;
  } catch {
    return;
  }
  const probe = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return;
  const refused = libc.connect(probe, name, name.length) !== 0 && libc.lastError() === "ECONNREFUSED";
  closeSync(probe);
  if (refused) unlinkQuietly(path);
}

function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody else removed it first.
  }
}
