import { err, formatIp, ok, parseIp, type Result } from "@heddle/base";
import { type CidrSelection, cidrsOfFamily } from "./cidrs.ts";
import { NEVER_CAPTURED_INBOUND } from "./defaults.ts";
import { mergePorts, type PortRange, type PortSelection, portRange } from "./port-ranges.ts";
import type { CaptureSettings } from "./settings.ts";

export type Family = "ipv4" | "ipv6";

/** What only the place can tell where the rules are to hold. */
export interface CapturePlace {
  readonly hasIpv4: boolean;
  readonly hasIpv6: boolean;
  /** Text of the pod's /etc/resolv.conf; undefined: not known here. */
  readonly resolvConf: string | undefined;
}

/** Settings as rules need them: no "auto" and no file left, and what would never match left out. */
export interface ResolvedCapture {
  readonly mode: "redirect" | "tproxy";
  readonly proxyUid: number;
  readonly proxyGid: number;
  readonly ports: CaptureSettings["ports"];
  /** At least one. */
  readonly families: readonly Family[];
  /** Undefined: nothing inbound is captured. */
  readonly inbound: { readonly exclude: readonly PortRange[]; readonly include: PortSelection } | undefined;
  /** Undefined: nothing outbound is captured. */
  readonly outbound:
    | {
        readonly excludePorts: readonly PortRange[];
        readonly includePorts: PortSelection;
        readonly excludeCidrs: readonly string[];
        readonly includeCidrs: CidrSelection;
      }
    | undefined;
  /** Undefined: DNS is not captured. `*`: all servers but those on loopback. */
  readonly dns:
    | { readonly port: number; readonly servers: CidrSelection; readonly excludeCidrs: readonly string[] }
    | undefined;
  readonly innerInterfaces: readonly string[];
}

/** Undefined: there are to be no rules. The error says why these settings cannot hold at this place. */
export function resolveCapture(
  settings: CaptureSettings,
  place: CapturePlace,
): Result<ResolvedCapture | undefined, string> {
  if (settings.mode === "none") return ok(undefined);
  if (settings.ipv4 === "on" && !place.hasIpv4) return err("--ipv4=on: this kernel has no IPv4");
  if (settings.ipv6 === "on" && !place.hasIpv6) return err("--ipv6=on: this kernel has no IPv6");
  const families: Family[] = [];
  if (settings.ipv4 !== "off" && place.hasIpv4) families.push("ipv4");
  if (settings.ipv6 !== "off" && place.hasIpv6) families.push("ipv6");
  if (families.length === 0) return err("no family of addresses is left: --ipv4 and --ipv6 are off, or absent here");
  const { inbound, outbound, ports } = settings;
  const own = [ports.inbound, ports.outbound, ...(ports.dns === undefined ? [] : [ports.dns])];
  if (new Set(own).size < own.length) return err(`ports of the sidecar are to differ; found ${own.join(", ")}`);
  const excludeCidrs = outbound.excludeCidrs === "*" ? ["0.0.0.0/0", "::/0"] : outbound.excludeCidrs;
  return ok({
    mode: settings.mode,
    proxyUid: settings.proxyUid,
    proxyGid: settings.proxyGid,
    ports,
    families,
    inbound: isNone(inbound.includePorts, inbound.excludePorts)
      ? undefined
      : {
          exclude: mergePorts(
            [...[...NEVER_CAPTURED_INBOUND, ...own].map(portRange), ...(inbound.excludePorts as readonly PortRange[])], // not "*": isNone
          ),
          include: inbound.includePorts,
        },
    outbound:
      isNone(outbound.includePorts, outbound.excludePorts) || outbound.includeCidrs.length === 0
        ? undefined
        : {
            excludePorts: outbound.excludePorts as readonly PortRange[],
            includePorts: outbound.includePorts,
            excludeCidrs,
            includeCidrs: outbound.includeCidrs,
          },
    dns: dnsOf(settings, place, excludeCidrs),
    innerInterfaces: settings.innerInterfaces,
  });
}

/** Of a list of addresses or blocks those of one family; "*" stays. */
export function selectFamily(cidrs: CidrSelection, family: Family): CidrSelection {
  return cidrs === "*" ? "*" : cidrsOfFamily(cidrs, family);
}

/** Addresses behind `nameserver`, in the file's order (resolv.conf(5)). A zone is dropped: rules know addresses alone. */
export function nameserversOf(resolvConf: string): readonly string[] {
  const servers = new Set<string>();
  for (const line of resolvConf.split("\n")) {
    const word = /^nameserver[ \t]+([^ \t#;]+)/.exec(line)?.[1];
    const address = word === undefined ? undefined : parseIp(word);
    if (address !== undefined) servers.add(formatIp(address));
  }
  return [...servers];
}

function dnsOf(
  { ports, dnsServers, outbound }: CaptureSettings,
  place: CapturePlace,
  excludeCidrs: readonly string[],
): ResolvedCapture["dns"] {
  if (ports.dns === undefined) return undefined;
  const excluded = outbound.excludePorts;
  if (excluded === "*" || excluded.some(({ first, last }) => first <= 53 && last >= 53)) return undefined;
  if (dnsServers !== "resolv.conf") return { port: ports.dns, servers: dnsServers, excludeCidrs };
  // Where the file is not known, or names nobody (the resolver then asks loopback), DNS of the whole pod is.
  const servers = place.resolvConf === undefined ? [] : nameserversOf(place.resolvConf);
  return { port: ports.dns, servers: servers.length === 0 ? "*" : servers, excludeCidrs };
}

function isNone(include: PortSelection, exclude: PortSelection): boolean {
  return include.length === 0 || exclude === "*";
}
