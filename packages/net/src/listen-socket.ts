import { createSocket as createDatagramSocket } from "node:dgram";
import { chmodSync, closeSync, lstatSync, unlinkSync } from "node:fs";
import { createServer, isIPv6 } from "node:net";
import { err, ok, type Result } from "@heddle/base";
import { encodeKernelAddress, kernelAddressPort, MAX_ADDRESS_BYTES } from "./kernel-address.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IP_FREEBIND,
  IP_TRANSPARENT,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_FREEBIND,
  IPV6_TRANSPARENT,
  IPV6_V6ONLY,
  type Libc,
  loadLibc,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
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
  return {
    sharing: "one-queue",
    open: async (address, options) =>
      options.datagrams === true ? openDatagrams(libc, address) : openDescriptor(libc, address, options),
  };
}

export function reusePortOpener(): SocketOpener {
  return {
    sharing: "reuse-port",
    open: async (address, options) => {
      if (options.transparent === true || options.freebind === true)
        return err(`cannot listen on ${formatAddress(address)}: ${NO_OPTIONS}`);
      return options.datagrams === true ? reserveDatagrams(address) : reserve(address);
    },
  };
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
  const configured = configure(libc, descriptor, v6, options);
  if (!configured.ok) {
    closeSync(descriptor);
    return err(`cannot listen on ${formatAddress(address)}: ${configured.error}`);
  }
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

/** Options of IP that Envoy's listeners have. Off is what a socket is made with, and what it goes back to. */
function configure(libc: Libc, descriptor: number, v6: boolean, options: ListenOptions): Result<void, string> {
  const level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  const choices = [
    { name: "IP_TRANSPARENT", option: v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, on: options.transparent === true },
    { name: "IP_FREEBIND", option: v6 ? IPV6_FREEBIND : IP_FREEBIND, on: options.freebind === true },
  ];
  for (const { name, option, on } of choices) {
    if (on && !switchOn(libc, descriptor, level, option)) {
      const code = libc.lastError();
      return err(`${name}: ${code}${code === "EPERM" ? " (it needs CAP_NET_ADMIN or CAP_NET_RAW)" : ""}`);
    }
    if (!on) switchOff(libc, descriptor, level, option);
  }
  return ok(undefined);
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

  configure(options: ListenOptions): Result<void, string> {
    if (this.#descriptor < 0 || this.address.type === "pipe") return ok(undefined);
    return configure(this.#libc, this.#descriptor, isIPv6(this.address.address), options);
  }

  close(): void {
    if (this.#descriptor < 0) return;
    closeSync(this.#descriptor);
    this.#descriptor = -1;
    if (isFile(this.address)) unlinkQuietly(this.address.path);
  }
}

/**
 * Datagrams have no connection whose bytes would stay together, so each slot has a socket and a queue of its own, and the
 * kernel gives those of one sender to the same one by a hash. That holds as long as the sockets stay the same: they are
 * opened here and live as long as the address, whatever workers come and go.
 */
function openDatagrams(libc: Libc, address: SocketAddress): Result<ListenSocket, string> {
  if (address.type === "pipe")
    return err(`cannot listen on ${formatAddress(address)}: a Unix socket takes no datagrams`);
  const first = openDatagramSocket(libc, address);
  if (!first.ok) return first;
  return ok(new DatagramSockets(libc, first.value.address, first.value.descriptor));
}

function openDatagramSocket(
  libc: Libc,
  address: SocketAddress & { type: "socket" },
): Result<{ readonly descriptor: number; readonly address: SocketAddress & { type: "socket" } }, string> {
  const encoded = encodeKernelAddress(address);
  if (!encoded.ok) return err(`cannot listen on ${formatAddress(address)}: ${encoded.error}`);
  const v6 = isIPv6(address.address);
  const descriptor = libc.socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return err(listenErrorText(libc.lastError(), formatAddress(address)));
  const done =
    switchOn(libc, descriptor, SOL_SOCKET, SO_REUSEPORT) &&
    (!v6 || switchOn(libc, descriptor, IPPROTO_IPV6, IPV6_V6ONLY)) &&
    libc.bind(descriptor, encoded.value, encoded.value.length) === 0;
  const bound = done ? boundAddress(libc, descriptor, address) : undefined;
  if (bound?.type === "socket") return ok({ descriptor, address: bound });
  const code = libc.lastError();
  closeSync(descriptor);
  return err(listenErrorText(code, formatAddress(address)));
}

class DatagramSockets implements ListenSocket {
  readonly address: SocketAddress & { type: "socket" };
  readonly #libc: Libc;
  /** By slot. */
  readonly #descriptors: (number | undefined)[];
  #closed = false;

  constructor(libc: Libc, address: SocketAddress & { type: "socket" }, first: number) {
    this.#libc = libc;
    this.address = address;
    this.#descriptors = [first];
  }

  newTarget(slot = 0): ListenTarget | undefined {
    if (this.#closed) return undefined;
    let descriptor = this.#descriptors[slot];
    if (descriptor === undefined) {
      const opened = openDatagramSocket(this.#libc, this.address);
      if (!opened.ok) return undefined;
      descriptor = opened.value.descriptor;
      this.#descriptors[slot] = descriptor;
    }
    const copy = this.#libc.duplicate(descriptor);
    return copy < 0 ? undefined : { type: "descriptor", descriptor: copy };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const descriptor of this.#descriptors) if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** As `reserve`, for datagrams. */
function reserveDatagrams(address: SocketAddress): Promise<Result<ListenSocket, string>> {
  return new Promise((resolve) => {
    if (address.type === "pipe") {
      resolve(err(`cannot listen on ${formatAddress(address)}: a Unix socket takes no datagrams`));
      return;
    }
    const ipv6 = isIPv6(address.address);
    const socket = createDatagramSocket({ type: ipv6 ? "udp6" : "udp4", reusePort: true, ipv6Only: ipv6 });
    socket.on("error", (error) => {
      socket.close();
      resolve(err(listenErrorText(codeOf(error), formatAddress(address))));
    });
    socket.bind({ address: address.address, port: address.port }, () => {
      const { port } = socket.address();
      socket.close(() => resolve(ok(new ReservedAddress({ ...address, port }))));
    });
  });
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
  return setNumber(libc, descriptor, level, option, 1);
}

function switchOff(libc: Libc, descriptor: number, level: number, option: number): boolean {
  return setNumber(libc, descriptor, level, option, 0);
}

function setNumber(libc: Libc, descriptor: number, level: number, option: number, value: number): boolean {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return libc.setsockopt(descriptor, level, option, bytes, bytes.length) === 0;
}

const NO_OPTIONS = "transparent and freebind need koffi, which is not there";

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
