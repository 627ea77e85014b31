import type { Cidr, IpWords } from "@heddle/base";

/**
 * Ranges of addresses by what they stand for, found in time that grows with how many lengths of prefixes there are and not
 * with how many ranges. An IPv4 address lies in IPv4's ranges alone, also where it is written as an IPv6 one, and the other way round:
 * `::/0` is every IPv6 address and no other.
 */
export class IpIndex<T> {
  readonly #v4: readonly Bucket<T>[];
  readonly #v6: readonly Bucket<T>[];

  constructor(entries: readonly { readonly range: Cidr; readonly value: T }[]) {
    this.#v4 = buckets(entries.filter(({ range }) => isV4Range(range)));
    this.#v6 = buckets(entries.filter(({ range }) => !isV4Range(range)));
  }

  has(address: IpWords): boolean {
    for (const { length, values } of this.#bucketsFor(address)) if (values.has(key(address, length))) return true;
    return false;
  }

  /** What the ranges around an address stand for, from the narrowest to the widest; of equal ones in their order. */
  find(address: IpWords): readonly T[] {
    const found: T[] = [];
    for (const { length, values } of this.#bucketsFor(address)) {
      const here = values.get(key(address, length));
      if (here !== undefined) found.push(...here);
    }
    return found;
  }

  #bucketsFor(address: IpWords): readonly Bucket<T>[] {
    return isV4(address) ? this.#v4 : this.#v6;
  }
}

/** The ranges of one length, by the bits that count. */
interface Bucket<T> {
  /** In bits of the IPv6 form. */
  readonly length: number;
  readonly values: Map<number | string, T[]>;
}

function buckets<T>(entries: readonly { readonly range: Cidr; readonly value: T }[]): readonly Bucket<T>[] {
  const byLength = new Map<number, Bucket<T>>();
  for (const { range, value } of entries) {
    const length = range.prefixLength;
    let bucket = byLength.get(length);
    if (bucket === undefined) {
      bucket = { length, values: new Map() };
      byLength.set(length, bucket);
    }
    const at = key(range.network, length);
    const there = bucket.values.get(at);
    if (there === undefined) bucket.values.set(at, [value]);
    else there.push(value);
  }
  return [...byLength.values()].sort((a, b) => b.length - a.length);
}

const MAPPED = 0xffff;

function isV4(address: IpWords): boolean {
  return address[2] === MAPPED && address[0] === 0 && address[1] === 0;
}

function isV4Range(range: Cidr): boolean {
  return range.prefixLength >= 96 && isV4(range.network);
}

/** The first bits of an address; of IPv4, which is by far most of them, as a number. */
function key(address: IpWords, length: number): number | string {
  if (isV4(address) && length >= 96) return masked(address[3], length - 96);
  let text = "";
  for (let i = 0; i < 4 && 32 * i < length; i++) text += `${masked(address[i]!, length - 32 * i)}:`; // i is below 4
  return text;
}

function masked(word: number, length: number): number {
  if (length >= 32) return word;
  return length === 0 ? 0 : (word & (-1 << (32 - length))) >>> 0;
}
