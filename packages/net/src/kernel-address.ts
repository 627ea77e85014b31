import { isIPv4, isIPv6 } from "node:net";
import { err, formatIp, ok, type Result } from "@heddle/base";
import { AF_INET, AF_INET6, AF_UNIX } from "./libc.ts";
import type { SocketAddress } from "./socket-address.ts";

/* `struct sockaddr` of Linux (ip(7), ipv6(7), unix(7)): the family in the host's order (little-endian), the port in the network's. */

/** Length of `sun_path`, its closing NUL included. */
const MAX_PATH_BYTES = 108;
export const MAX_ADDRESS_BYTES = 2 + MAX_PATH_BYTES;

export function encodeKernelAddress(address: SocketAddress): Result<Buffer, string> {
  if (address.type === "pipe") return encodePath(address.path);
  if (isIPv4(address.address)) {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt16LE(AF_INET, 0);
    bytes.writeUInt16BE(address.port, 2);
    bytes.set(address.address.split(".").map(Number), 4);
    return ok(bytes);
  }
  if (isIPv6(address.address) && !address.address.includes("%")) {
    const bytes = Buffer.alloc(28);
    bytes.writeUInt16LE(AF_INET6, 0);
    bytes.writeUInt16BE(address.port, 2);
    bytes.set(parseIPv6(address.address), 8);
    return ok(bytes);
  }
  return err(`"${address.address}" is no IPv4 or IPv6 address without zone`);
}

/** The port of an IPv4 or IPv6 address. */
export function kernelAddressPort(bytes: Buffer): number {
  return bytes.readUInt16BE(2);
}

/** Of IPv4 and IPv6, in the text that Node has for it; undefined: of another family. */
export function decodeKernelAddress(bytes: Buffer): { readonly address: string; readonly port: number } | undefined {
  const port = kernelAddressPort(bytes);
  switch (bytes.readUInt16LE(0)) {
    case AF_INET:
      return { address: `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`, port };
    case AF_INET6: {
      const word = (at: number): number => bytes.readUInt32BE(at);
      return { address: formatIp([word(8), word(12), word(16), word(20)]), port };
    }
    default:
      return undefined;
  }
}

function encodePath(path: string): Result<Buffer, string> {
  // "@name" is a name in Linux's abstract namespace, as in Envoy: a leading NUL, no closing one.
  const abstract = path.startsWith("@");
  const name = Buffer.from(abstract ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.length > MAX_PATH_BYTES) return err(`the path of a Unix socket has at most ${MAX_PATH_BYTES - 1} bytes`);
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX, 0);
  return ok(Buffer.concat([family, name]));
}

/** The 16 bytes of a textual IPv6 address that `isIPv6` has accepted (RFC 4291 §2.2). */
export function parseIPv6(text: string): Uint8Array {
  const [head = "", tail] = text.split("::");
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const words = [...before, ...new Array<number>(Math.max(0, 8 - before.length - after.length)).fill(0), ...after];
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

function groups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
