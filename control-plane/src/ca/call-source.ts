import { parseIp } from "@heddle/base";

/**
 * Where a call comes from, for limits: the address without its port ("10.0.0.1" of "10.0.0.1:54321"). Of IPv6 the network of 64
 * bits: within that one host may have any address.
 */
export function callSource(peer: string): string {
  const address = peer.replace(/:\d+$/, "");
  const [first, second, third] = parseIp(address) ?? [0, 0, 0];
  if (first === 0 && second === 0) return third === MAPPED ? address.replace(/^::ffff:/i, "") : address;
  return `${(first >>> 0).toString(16)}:${(second >>> 0).toString(16)}::/64`;
}

/** RFC 4291 §2.5.5.2: "::ffff:10.0.0.1". */
const MAPPED = 0xffff;
