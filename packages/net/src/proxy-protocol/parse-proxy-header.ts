import { isIPv4, isIPv6 } from "node:net";
import { err, formatIp, type IpWords, ok, parseIp, type Result } from "@heddle/base";
import { crc32c } from "./crc32c.ts";
import {
  type ProxyAddresses,
  type ProxyHeader,
  type ProxyTlv,
  TLV_CRC32C,
  TLV_NOOP,
  V1_MAX_BYTES,
  V1_SIGNATURE,
  V2_FIXED_BYTES,
  V2_LOCAL,
  V2_PROXY,
  V2_SIGNATURE,
  V2_VERSION,
} from "./proxy-header.ts";

/** What the first bytes of a connection are. */
export type ProxyHeaderParse =
  /** A header of so many bytes; what follows is the connection's. */
  | { readonly type: "header"; readonly header: ProxyHeader; readonly length: number }
  /** So far it may be the beginning of one. `version`: what is certain already. */
  | { readonly type: "more"; readonly version: 1 | 2 | undefined }
  /** It cannot be one. */
  | { readonly type: "none" }
  /** It begins as one, and is wrong. */
  | { readonly type: "bad"; readonly version: 1 | 2; readonly reason: string };

/**
 * Reads a header of either version at the beginning of a connection's bytes. To be asked again with all of them when more
 * have come. Nothing is guessed: a header that begins well and breaks the specification is bad, never somebody's data.
 */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeaderParse {
  if (beginsWith(bytes, V2_SIGNATURE)) {
    return bytes.length < V2_SIGNATURE.length ? { type: "more", version: undefined } : parseV2(bytes);
  }
  if (beginsWith(bytes, V1_BYTES)) {
    return bytes.length < V1_BYTES.length ? { type: "more", version: undefined } : parseV1(bytes);
  }
  return { type: "none" };
}

const V1_BYTES = Buffer.from(V1_SIGNATURE, "latin1");

/** One is the beginning of the other. */
function beginsWith(bytes: Uint8Array, signature: Uint8Array): boolean {
  const length = Math.min(bytes.length, signature.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== signature[i]) return false;
  return true;
}

// === version 1: one line of text (§2.1)

function parseV1(bytes: Uint8Array): ProxyHeaderParse {
  const bad = (reason: string): ProxyHeaderParse => ({ type: "bad", version: 1, reason });
  const end = bytes.indexOf(LF);
  if (end === -1 ? bytes.length >= V1_MAX_BYTES : end >= V1_MAX_BYTES) {
    return bad(`the line is longer than ${V1_MAX_BYTES} bytes`);
  }
  if (end === -1) return { type: "more", version: 1 };
  if (bytes[end - 1] !== CR) return bad("the line does not end with CR LF");
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, end - 1).toString("latin1");
  const addresses = readV1Line(line);
  if (!addresses.ok) return bad(addresses.error);
  return { type: "header", header: { version: 1, addresses: addresses.value, tlvs: [] }, length: end + 1 };
}

function readV1Line(line: string): Result<ProxyAddresses | undefined, string> {
  const [, protocol, ...words] = line.split(" ");
  if (protocol === "UNKNOWN") return ok(undefined); // whatever follows is to be ignored
  if (protocol !== "TCP4" && protocol !== "TCP6") return err("the protocol is none of TCP4, TCP6 and UNKNOWN");
  const [source = "", destination = "", sourcePort = "", destinationPort = ""] = words;
  if (words.length !== 4) return err("there are not two addresses and two ports, each after one blank");
  const isAddress = protocol === "TCP4" ? isIPv4 : isIPv6WithoutZone;
  if (!isAddress(source) || !isAddress(destination)) return err(`an address is not one of ${protocol}`);
  if (!isPort(sourcePort) || !isPort(destinationPort)) return err("a port is no number from 0 to 65535");
  // Both are addresses.
  return checkedAddresses(parseIp(source)!, Number(sourcePort), parseIp(destination)!, Number(destinationPort));
}

function isIPv6WithoutZone(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

function isPort(text: string): boolean {
  return /^(0|[1-9][0-9]{0,4})$/.test(text) && Number(text) <= 0xffff;
}

// === version 2: binary (§2.2)

function parseV2(bytes: Uint8Array): ProxyHeaderParse {
  const bad = (reason: string): ProxyHeaderParse => ({ type: "bad", version: 2, reason });
  const versionCommand = bytes[12];
  const family = bytes[13];
  if (versionCommand !== undefined) {
    const command = versionCommand & 0x0f;
    if ((versionCommand & 0xf0) !== V2_VERSION) return bad("the version is not 2");
    if (command !== V2_LOCAL && command !== V2_PROXY) return bad(`there is no command ${command}`);
  }
  if (versionCommand === undefined || family === undefined || bytes.length < V2_FIXED_BYTES) {
    return { type: "more", version: 2 };
  }
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = V2_FIXED_BYTES + view.readUInt16BE(14);
  // The receiver accepts and takes the addresses that it sees; everything else in the header is to be passed over.
  const isLocal = (versionCommand & 0x0f) === V2_LOCAL;
  const addressBytes = isLocal ? 0 : ADDRESS_BYTES.get(family);
  if (addressBytes === undefined) return bad(`there is no address family and transport 0x${family.toString(16)}`);
  if (length < V2_FIXED_BYTES + addressBytes) return bad("the addresses do not fit into the announced length");
  if (bytes.length < length) return { type: "more", version: 2 };
  if (isLocal) return { type: "header", header: { version: 2, addresses: undefined, tlvs: [] }, length };

  const whole = view.subarray(0, length);
  const addresses = readV2Addresses(whole, family);
  if (!addresses.ok) return bad(addresses.error);
  const tlvs = readTlvs(whole, V2_FIXED_BYTES + addressBytes);
  if (!tlvs.ok) return bad(tlvs.error);
  return { type: "header", header: { version: 2, addresses: addresses.value, tlvs: tlvs.value }, length };
}

/** Bytes of both addresses, with ports, by family and transport. */
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [0x00, 0], // UNSPEC
  [0x11, 12], // TCP over IPv4
  [0x12, 12], // UDP over IPv4
  [0x21, 36], // TCP over IPv6
  [0x22, 36], // UDP over IPv6
  [0x31, 216], // Unix stream
  [0x32, 216], // Unix datagram
]);

function readV2Addresses(header: Buffer, family: number): Result<ProxyAddresses | undefined, string> {
  switch (family >> 4) {
    case 1: {
      const source: IpWords = [0, 0, MAPPED, header.readUInt32BE(16)];
      const destination: IpWords = [0, 0, MAPPED, header.readUInt32BE(20)];
      return checkedAddresses(source, header.readUInt16BE(24), destination, header.readUInt16BE(26));
    }
    case 2:
      return checkedAddresses(
        readIPv6(header, 16),
        header.readUInt16BE(48),
        readIPv6(header, 32),
        header.readUInt16BE(50),
      );
    default:
      return ok(undefined);
  }
}

function readIPv6(header: Buffer, at: number): IpWords {
  return [
    header.readUInt32BE(at),
    header.readUInt32BE(at + 4),
    header.readUInt32BE(at + 8),
    header.readUInt32BE(at + 12),
  ];
}

function readTlvs(header: Buffer, from: number): Result<readonly ProxyTlv[], string> {
  const tlvs: ProxyTlv[] = [];
  for (let at = from; at < header.length; ) {
    if (at + 3 > header.length) return err("a TLV is cut off");
    const type = header[at]!; // three bytes are left
    const start = at + 3;
    const end = start + header.readUInt16BE(at + 1);
    if (end > header.length) return err(`the TLV of type ${type} is longer than the header`);
    if (type === TLV_CRC32C) {
      if (end - start !== 4) return err("the checksum has not 4 bytes");
      if (!hasChecksum(header, start)) return err("the checksum is wrong");
    } else if (type !== TLV_NOOP) {
      tlvs.push({ type, value: Uint8Array.from(header.subarray(start, end)) });
    }
    at = end;
  }
  return ok(tlvs);
}

/** The checksum is of the whole header, with zeros in its own place (§2.2.3). */
function hasChecksum(header: Buffer, at: number): boolean {
  const zeroed = Buffer.from(header);
  zeroed.fill(0, at, at + 4);
  return crc32c(zeroed) === header.readUInt32BE(at);
}

/** A connection is between two hosts: no multicast, no broadcast, and not "any", as in Envoy. */
function checkedAddresses(
  source: IpWords,
  sourcePort: number,
  destination: IpWords,
  destinationPort: number,
): Result<ProxyAddresses, string> {
  if (!isUnicast(source) || !isUnicast(destination)) return err("an address is not that of one host");
  return ok({
    sourceAddress: formatIp(source),
    sourcePort,
    destinationAddress: formatIp(destination),
    destinationPort,
  });
}

function isUnicast([a, b, c, d]: IpWords): boolean {
  if (a === 0 && b === 0 && c === MAPPED) return d !== 0 && d >>> 28 !== 0xe && d !== 0xffff_ffff;
  return a >>> 24 !== 0xff && (a | b | c | d) !== 0;
}

const MAPPED = 0xffff;
const CR = 0x0d;
const LF = 0x0a;
