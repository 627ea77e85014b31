import { formatIp, type IpWords, parseIp } from "@heddle/base";
import {
  type ProxyHeader,
  type ProxyTlv,
  V2_FIXED_BYTES,
  V2_LOCAL,
  V2_PROXY,
  V2_SIGNATURE,
  V2_TCP4,
  V2_TCP6,
  V2_VERSION,
} from "./proxy-header.ts";

/**
 * The bytes of a header, as latin1 text. Where there are no addresses, or one is IPv4 and the other is not, it says that
 * nothing is known (version 1) or that the connection is the proxy's own (version 2). TLVs that do not fit are left out.
 */
export function encodeProxyHeader({ version, addresses, tlvs }: ProxyHeader): string {
  const source = addresses && parseIp(addresses.sourceAddress);
  const destination = addresses && parseIp(addresses.destinationAddress);
  const known = source !== undefined && destination !== undefined && isIPv4(source) === isIPv4(destination);
  if (version === 1) {
    if (addresses === undefined || !known) return "PROXY UNKNOWN\r\n";
    const protocol = isIPv4(source) ? "TCP4" : "TCP6";
    const hosts = `${formatIp(source)} ${formatIp(destination)}`;
    return `PROXY ${protocol} ${hosts} ${addresses.sourcePort} ${addresses.destinationPort}\r\n`;
  }
  if (addresses === undefined || !known) return encodeV2(V2_LOCAL, 0, Buffer.alloc(0), []);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(addresses.sourcePort, 0);
  ports.writeUInt16BE(addresses.destinationPort, 2);
  const block = Buffer.concat([addressBytes(source), addressBytes(destination), ports]);
  return encodeV2(V2_PROXY, isIPv4(source) ? V2_TCP4 : V2_TCP6, block, tlvs);
}

function encodeV2(command: number, family: number, addresses: Buffer, tlvs: readonly ProxyTlv[]): string {
  const parts: Uint8Array[] = [addresses];
  let length = addresses.length;
  for (const { type, value } of tlvs) {
    if (length + 3 + value.length > MAX_LENGTH) continue;
    length += 3 + value.length;
    parts.push(Uint8Array.of(type, value.length >> 8, value.length & 0xff), value);
  }
  const fixed = Buffer.alloc(V2_FIXED_BYTES);
  fixed.set(V2_SIGNATURE);
  fixed[12] = V2_VERSION | command;
  fixed[13] = family;
  fixed.writeUInt16BE(length, 14);
  return Buffer.concat([fixed, ...parts]).toString("latin1");
}

const MAX_LENGTH = 0xffff;

/** Of IPv4 the four bytes of its own. */
function addressBytes(words: IpWords): Buffer {
  const bytes = Buffer.alloc(16);
  for (const [i, word] of words.entries()) bytes.writeUInt32BE(word >>> 0, i * 4);
  return isIPv4(words) ? bytes.subarray(12) : bytes;
}

function isIPv4([a, b, c]: IpWords): boolean {
  return a === 0 && b === 0 && c === 0xffff;
}
