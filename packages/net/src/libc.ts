/*
 * The few functions of the C library that Node has no face for, through koffi. Linux on x64 and arm64 only: numbers and layouts
 * below are those of its system calls. Elsewhere, and where koffi is not installed, `loadLibc` gives undefined and
 * its users fall back and say so.
 */

export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(descriptor: number, address: Uint8Array, length: number): number;
  connect(descriptor: number, address: Uint8Array, length: number): number;
  listen(descriptor: number, backlog: number): number;
  setsockopt(descriptor: number, level: number, option: number, value: Uint8Array, length: number): number;
  getsockopt(descriptor: number, level: number, option: number, value: Uint8Array, length: Uint8Array): number;
  getsockname(descriptor: number, address: Uint8Array, length: Uint8Array): number;
  /** Of `length` bytes from the start of `bytes`. How many the kernel took, or -1. */
  send(descriptor: number, bytes: Uint8Array, length: number, flags: number): number;
  /** A copy of the descriptor that child processes do not inherit, or -1. */
  duplicate(descriptor: number): number;
  flock(descriptor: number, operation: number): number;
  setrlimit(resource: number, limits: Uint8Array): number;
  /** malloc_trim(3); undefined where the C library is not glibc. 1: something was given back. */
  readonly mallocTrim: ((pad: number) => number) | undefined;
  /** `fs.closeSync` in a worker warns of a descriptor that `fs` has not opened there. */
  close(descriptor: number): number;
  /** "EADDRINUSE": of the call just made on this thread. */
  lastError(): string;
  /** The call just made on this thread failed since it would have had to wait. */
  wouldBlock(): boolean;
}

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_LINGER = 13;
export const SO_REUSEPORT = 15;
export const SO_PEERCRED = 17;
export const SO_MARK = 36;
export const IPPROTO_IP = 0;
/** Of IPv4 and IPv6; ip(7), ipv6(7), linux/in.h, linux/in6.h. */
export const IP_FREEBIND = 15;
export const IP_TRANSPARENT = 19;
export const IP_BIND_ADDRESS_NO_PORT = 24;
export const IPV6_TRANSPARENT = 75;
export const IPV6_FREEBIND = 78;
/** linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h. */
export const SO_ORIGINAL_DST = 80;
export const IP6T_SO_ORIGINAL_DST = 80;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;
/** No SIGPIPE where the peer is gone. */
export const MSG_NOSIGNAL = 0x4000;
export const RLIMIT_CORE = 4;
const F_DUPFD_CLOEXEC = 1030;

let loaded: Promise<Libc | undefined> | undefined;
let current: Libc | undefined;

/** Loads once for a thread; 20 ms and 5 MB, so only where it is needed. */
export function loadLibc(): Promise<Libc | undefined> {
  loaded ??= load();
  return loaded;
}

/** For who cannot wait: undefined too while nobody of this thread has awaited `loadLibc`, which a traffic worker does first. */
export function loadedLibc(): Libc | undefined {
  return current;
}

async function load(): Promise<Libc | undefined> {
  current = await open();
  return current;
}

async function open(): Promise<Libc | undefined> {
  if (process.platform !== "linux" || (process.arch !== "x64" && process.arch !== "arm64")) return undefined;
  try {
    const { default: koffi } = await import("koffi");
    const lib = koffi.load(null);
    const fcntl = lib.func("int fcntl(int descriptor, int command, ...)");
    const names = new Map(Object.entries(koffi.os.errno).map(([name, code]) => [code, name]));
    return {
      socket: lib.func("int socket(int domain, int type, int protocol)"),
      bind: lib.func("int bind(int descriptor, const void *address, uint32_t length)"),
      connect: lib.func("int connect(int descriptor, const void *address, uint32_t length)"),
      listen: lib.func("int listen(int descriptor, int backlog)"),
      setsockopt: lib.func("int setsockopt(int descriptor, int level, int option, const void *value, uint32_t length)"),
      getsockopt: lib.func("int getsockopt(int descriptor, int level, int option, void *value, void *length)"),
      getsockname: lib.func("int getsockname(int descriptor, void *address, void *length)"),
      // `ssize_t`, whose lower half holds all that is sent at once; a result of 64 bits costs 100 instructions more.
      send: lib.func("int send(int descriptor, const void *bytes, size_t length, int flags)"),
      duplicate: (descriptor) => fcntl(descriptor, F_DUPFD_CLOEXEC, "int", 0),
      flock: lib.func("int flock(int descriptor, int operation)"),
      setrlimit: lib.func("int setrlimit(int resource, const void *limits)"),
      mallocTrim: ofGlibc(() => lib.func("int malloc_trim(size_t pad)")),
      close: lib.func("int close(int descriptor)"),
      wouldBlock: () => koffi.errno() === koffi.os.errno["EAGAIN"],
      lastError: () => names.get(koffi.errno()) ?? `errno ${koffi.errno()}`,
    };
  } catch {
    return undefined; // not installed, or no binary for this system
  }
}

/** Throws nothing where the function is missing. */
function ofGlibc<T>(find: () => T): T | undefined {
  try {
    return find();
  } catch {
    return undefined;
  }
}
