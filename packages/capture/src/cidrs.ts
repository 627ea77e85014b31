import { Cidr, err, ok, type Result } from "@heddle/base";

/** All addresses, or blocks as `Cidr` writes them: IPv4 before IPv6, ascending, none within another. Of an empty list: none. */
export type CidrSelection = "*" | readonly string[];

export const ALLOWED_CIDRS =
  '"*", or a list of addresses and blocks such as "10.0.0.0/8,2001:db8::/32"; empty for none';

/** Reads "*", "", "10.0.0.0/8" or "10.0.0.1, 2001:db8::/32". The error is the item that is wrong. */
export function parseCidrs(text: string): Result<CidrSelection, string> {
  if (text.trim() === "") return ok([]);
  if (text.trim() === "*") return ok("*");
  const blocks: Block[] = [];
  for (const item of text.split(",")) {
    const parsed = Cidr.parse(item.trim());
    if (!parsed.ok) return err(item.trim());
    blocks.push({ text: parsed.value.toString(), cidr: parsed.value });
  }
  return ok(withoutInner(blocks));
}

export function formatCidrs(cidrs: CidrSelection): string {
  return cidrs === "*" ? "*" : cidrs.join(",");
}

/** Those of one family; a block of one address without its prefix length, as nftables and iptables print it. */
export function cidrsOfFamily(cidrs: readonly string[], family: "ipv4" | "ipv6"): readonly string[] {
  return cidrs.filter((cidr) => cidr.includes(":") === (family === "ipv6"));
}

interface Block {
  readonly text: string;
  readonly cidr: Cidr;
}

/** Sets of nftables refuse intervals that overlap, and equal settings give equal rules. */
function withoutInner(blocks: readonly Block[]): readonly string[] {
  const kept: Block[] = [];
  const isIpv6 = ({ text }: Block): number => Number(text.includes(":"));
  const order = (a: Block, b: Block): number => {
    const word = [0, 1, 2, 3].find((i) => a.cidr.network[i] !== b.cidr.network[i]);
    const byAddress = word === undefined ? 0 : a.cidr.network[word]! - b.cidr.network[word]!;
    return isIpv6(a) - isIpv6(b) || byAddress || a.cidr.prefixLength - b.cidr.prefixLength;
  };
  for (const block of blocks.toSorted(order)) {
    // Whatever holds this one begins before it, or begins with it and is larger; ::/0 does not hold IPv4's mapped form here.
    const outer = kept.at(-1);
    const isInner = outer !== undefined && isIpv6(outer) === isIpv6(block) && outer.cidr.contains(block.cidr.network);
    if (!isInner) kept.push(block);
  }
  return kept.map(({ text }) => text);
}
