import { Cidr, formatIp, parseIp } from "@heddle/base";
import type { CidrSelection } from "./cidrs.ts";
import type { PortRange, PortSelection } from "./port-ranges.ts";
import { type Family, type ResolvedCapture, selectFamily } from "./resolve-capture.ts";

/** A connection from within a pod that arrives at the sidecar where the rules are in force, and elsewhere or nowhere where they are not. */
export interface CaptureWitness {
  /** Undefined: this pod's own address. */
  readonly address: string | undefined;
  readonly port: number;
  /** The sidecar's port. */
  readonly arrivesAt: number;
  /** Whoever tries it has to be the sidecar's user, or has not to be. */
  readonly asProxy: boolean;
}

/** Blocks for documentation (RFC 5737, RFC 3849), in which nobody is. */
const NOBODY = {
  ipv4: ["192.0.2.1", "198.51.100.1", "203.0.113.1"],
  ipv6: ["2001:db8::1"],
} as const;

/** Tried first: what a firewall on the way would let pass where the rules are missing matters to nobody. */
const USUAL_PORTS = [80, 443, 8080];
const DNS_PORT = 53;

/**
 * By what a container without any capability can tell whether the rules are in force, one for each family of addresses: `nft list` needs NET_ADMIN.
 * Outbound, else by what the sidecar sends to its own pod. Undefined: these settings capture nothing that could be tried from within.
 */
export function captureWitness(capture: ResolvedCapture, family: Family): CaptureWitness | undefined {
  const { inbound, outbound, ports, mode } = capture;
  if (outbound !== undefined) {
    const port = portIn(outbound.includePorts, outbound.excludePorts);
    const address = addressIn(
      selectFamily(outbound.includeCidrs, family),
      selectFamily(outbound.excludeCidrs, family) as readonly string[], // a list stays one
      family,
    );
    if (port !== undefined && address !== undefined)
      return { address, port, arrivesAt: ports.outbound, asProxy: false };
  }
  // Under TPROXY a mark tells what the sidecar sends to its own pod, and setting one needs NET_ADMIN.
  if (inbound === undefined || mode !== "redirect") return undefined;
  const port = portIn(inbound.include, inbound.exclude);
  return port === undefined ? undefined : { address: undefined, port, arrivesAt: ports.inbound, asProxy: true };
}

function portIn(include: PortSelection, exclude: readonly PortRange[]): number | undefined {
  const isCaptured = (port: number): boolean =>
    port !== DNS_PORT && (include === "*" || holds(include, port)) && !holds(exclude, port);
  const usual = USUAL_PORTS.find(isCaptured);
  if (usual !== undefined) return usual;
  for (let port = 1; port <= 65_535; port++) if (isCaptured(port)) return port;
  return undefined;
}

function holds(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(({ first, last }) => first <= port && port <= last);
}

function addressIn(include: CidrSelection, exclude: readonly string[], family: Family): string | undefined {
  const excluded = exclude.flatMap(blockOf);
  const candidates = include === "*" ? NOBODY[family] : include.flatMap(blockOf).map(hostOf);
  return candidates.find((candidate) => {
    const address = parseIp(candidate);
    return address !== undefined && !excluded.some((block) => block.contains(address));
  });
}

/** What is written as a block was read as one. */
function blockOf(text: string): readonly Cidr[] {
  const block = Cidr.parse(text);
  return block.ok ? [block.value] : [];
}

/** The first address that may be a host's: that of the block itself is the network's. */
function hostOf({ network: [a, b, c, d], prefixLength }: Cidr): string {
  return formatIp([a, b, c, prefixLength >= 127 ? d : d + 1]);
}
