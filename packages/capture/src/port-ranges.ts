import { err, ok, type Result } from "@heddle/base";

/** Ports from `first` to `last`, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** All ports, or those in the ranges: ascending, none touching the next. Of an empty list: none. */
export type PortSelection = "*" | readonly PortRange[];

export const ALLOWED_PORTS =
  '"*", or a list of ports and ranges from 1 to 65535 such as "80,8000-8100"; empty for none';

/** Reads "*", "", "80" or "80, 8000-8100". The error is the item that is wrong. */
export function parsePorts(text: string): Result<PortSelection, string> {
  if (text.trim() === "") return ok([]);
  if (text.trim() === "*") return ok("*");
  const ranges: PortRange[] = [];
  for (const item of text.split(",")) {
    const match = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(item.trim());
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || first < 1 || last > 65_535 || first > last) return err(item.trim());
    ranges.push({ first, last });
  }
  return ok(mergePorts(ranges));
}

export function formatPorts(ports: PortSelection): string {
  return ports === "*" ? "*" : ports.map(formatRange).join(",");
}

/** "80" or "8000-8100" */
export function formatRange({ first, last }: PortRange): string {
  return first === last ? String(first) : `${first}-${last}`;
}

/** The same ports, ascending, what overlaps or touches made one: sets of nftables refuse intervals that overlap, and equal settings give equal rules. */
export function mergePorts(ranges: readonly PortRange[]): readonly PortRange[] {
  const merged: PortRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = merged.at(-1);
    if (before === undefined || range.first > before.last + 1) merged.push(range);
    else merged[merged.length - 1] = { first: before.first, last: Math.max(before.last, range.last) };
  }
  return merged;
}

export function portRange(port: number): PortRange {
  return { first: port, last: port };
}
