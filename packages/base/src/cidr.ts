import { isIPv4, isIPv6 } from "node:net";
import { err, ok, type Result } from "./result.ts";

/**
 * An address as four 32-bit words, the highest first. IPv4 is held as an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2),
 * so that "10.0.0.1" and "::ffff:10.0.0.1", which is how a dual-stack socket names the same peer, are the same.
 */
export type IpWords = readonly [number, number, number, number];

/** Undefined: not an address. A zone ("fe80::1%eth0") is dropped. */
export function parseIp(text: string): IpWords | undefined {
  if (isIPv4(text)) return [0, 0, MAPPED, ipv4Word(text)];
  const zone = text.indexOf("%");
  const address = zone === -1 ? text : text.slice(0, zone);
  return isIPv6(address) ? ipv6Words(address) : undefined;
}

/** A block of addresses. Written with its own bits cleared: "10.1.2.3/8" is "10.0.0.0/8". */
export class Cidr {
  readonly #network: IpWords;
  /** In the bits of the IPv6 form: an IPv4 prefix plus 96. */
  readonly #length: number;

  constructor(network: IpWords, length: number) {
    this.#network = maskWords(network, length);
    this.#length = length;
  }

  /** Reads "10.0.0.0/8", "2001:db8::/32", or an address alone, which is a block of one. */
  static parse(text: string): Result<Cidr, string> {
    const slash = text.indexOf("/");
    const address = slash === -1 ? text : text.slice(0, slash);
    const words = parseIp(address);
    if (words === undefined || address.includes("%")) {
      return err(`"${text}" is not a block of addresses; write for example "10.0.0.0/8" or "2001:db8::/32"`);
    }
    const bits = isIPv4(address) ? 32 : 128;
    const lengthText = slash === -1 ? String(bits) : text.slice(slash + 1);
    const length = Number(lengthText);
    if (!/^[0-9]{1,3}$/.test(lengthText) || length > bits) {
      return err(`"${text}": the prefix length is a number from 0 to ${bits}`);
    }
    return ok(new Cidr(words, 128 - bits + length));
  }

  /** Number of leading bits that count, in the IPv6 form: the longer, the more specific. */
  get prefixLength(): number {
    return this.#length;
  }

  /** Its first address. */
  get network(): IpWords {
    return this.#network;
  }

  /** The first bits of the address are those of the block. */
  contains(address: IpWords): boolean {
    const whole = this.#length >>> 5;
    for (let i = 0; i < whole; i++) if (address[i] !== this.#network[i]) return false;
    const rest = this.#length & 31;
    if (rest === 0) return true;
    const mask = -1 << (32 - rest);
    return (address[whole]! & mask) === (this.#network[whole]! & mask); // whole is below 4, since 128 has no rest
  }

  /** Whether both are the same block, however they are written. */
  equals(other: Cidr): boolean {
    return this.#length === other.#length && this.contains(other.#network);
  }

  toString(): string {
    const isIpv4Block = this.#length >= 96 && this.#network[2] === MAPPED && this.#network[0] + this.#network[1] === 0;
    return `${formatIp(this.#network)}/${isIpv4Block ? this.#length - 96 : this.#length}`;
  }
}

/** The usual text of an address: dotted for IPv4 (mapped or not), RFC 5952 for IPv6. */
export function formatIp(address: IpWords): string {
  const [a, b, c, d] = address;
  if (a === 0 && b === 0 && c === MAPPED) return `${d >>> 24}.${(d >>> 16) & 255}.${(d >>> 8) & 255}.${d & 255}`;
  const text = address.flatMap((word) => [(word >>> 16).toString(16), (word & 0xffff).toString(16)]).join(":");
  let longest = ""; // run of zeros; of equal ones the first
  for (const [run] of text.matchAll(/(?:^|:)0(?::0)+(?::|$)/g)) if (zeros(run) > zeros(longest)) longest = run;
  return longest === "" ? text : text.replace(longest, "::");
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(address: IpWords): boolean {
  const [a, b, c, d] = address;
  if (a !== 0 || b !== 0) return false;
  return (c === MAPPED && d >>> 24 === 127) || (c === 0 && d === 1);
}

export function sameIp(a: IpWords, b: IpWords): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

const MAPPED = 0xffff;

function zeros(run: string): number {
  return run.replaceAll(":", "").length;
}

function maskWords(address: IpWords, length: number): IpWords {
  const word = (i: number): number => {
    const bits = Math.min(32, Math.max(0, length - 32 * i));
    return bits === 0 ? 0 : (address[i]! & (-1 << (32 - bits))) >>> 0; // a shift by 32 would be one by 0
  };
  return [word(0), word(1), word(2), word(3)];
}

function ipv4Word(text: string): number {
  let word = 0;
  for (const part of text.split(".")) word = (word << 8) | Number(part);
  return word >>> 0;
}

/** Takes what `isIPv6` has accepted. */
function ipv6Words(text: string): IpWords {
  const [head, tail] = text.split("::", 2);
  const front = groups(head!);
  const back = tail === undefined ? [] : groups(tail);
  const all = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  const word = (i: number): number => ((all[2 * i]! << 16) | all[2 * i + 1]!) >>> 0;
  return [word(0), word(1), word(2), word(3)];
}

function groups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((part) => {
    if (!part.includes(".")) return [Number.parseInt(part, 16)];
    const word = ipv4Word(part); // the last two groups may be written as an IPv4 address (RFC 4291 §2.2)
    return [word >>> 16, word & 0xffff];
  });
}
