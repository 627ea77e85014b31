import { createHash } from "node:crypto";
import type { CidrSelection } from "./cidrs.ts";
import { DNS_ZONE, PASSTHROUGH_SOURCE, TPROXY_MARK, TPROXY_OWN_MARK } from "./defaults.ts";
import { formatRange, type PortSelection } from "./port-ranges.ts";
import { type Family, type ResolvedCapture, selectFamily } from "./resolve-capture.ts";

/** Our table has this name in every family of tables. Nobody else's rules are touched. */
export const NFT_TABLE = "heddle";

/** Families of tables in which ours may lie: `inet` for both families of addresses, else that of the only one. */
export const NFT_TABLE_FAMILIES = ["inet", "ip", "ip6"] as const;
export type NftTableFamily = (typeof NFT_TABLE_FAMILIES)[number];

export function nftTableFamilyOf({ families }: ResolvedCapture): NftTableFamily {
  if (families.length === 2) return "inet";
  return families[0] === "ipv4" ? "ip" : "ip6";
}

/**
 * One transaction for `nft -f`: our tables in `present` go and the rules come, and the kernel never holds the one without the other.
 * An empty chain named after a hash of the text tells later which settings the rules are of.
 */
export function nftablesRules(capture: ResolvedCapture, present: readonly NftTableFamily[]): string {
  const body = tableBody(capture);
  const lines = [`chain ${fingerprintOf(body)} {`, "}", ...body];
  const table = `table ${nftTableFamilyOf(capture)} ${NFT_TABLE} {\n${indent(lines)}}\n`;
  return nftablesUndo(present) + table;
}

/** Takes our tables away, in one transaction too. Of an empty list: nothing. */
export function nftablesUndo(present: readonly NftTableFamily[]): string {
  return present.map((family) => `delete table ${family} ${NFT_TABLE}\n`).join("");
}

/** Families of tables in which ours lies, by what `nft list tables` prints. */
export function nftTablesPresent(listing: string): readonly NftTableFamily[] {
  return NFT_TABLE_FAMILIES.filter((family) => listing.split("\n").includes(`table ${family} ${NFT_TABLE}`));
}

/**
 * What is wrong with the rules that are in force, by what `nft list table FAMILY heddle` prints; undefined: nothing. Rules are compared by chain
 * and comment, since each nft prints them in words of its own.
 */
export function nftablesDifference(capture: ResolvedCapture, listing: string): string | undefined {
  const body = tableBody(capture);
  if (!listing.includes(`chain ${fingerprintOf(body)} {`)) return "the rules in force are of other settings";
  const expected = commentsOf(body.join("\n"));
  const found = commentsOf(listing);
  const missing = expected.find((comment) => !found.includes(comment));
  if (missing !== undefined) return `the rule "${missing}" is missing`;
  const foreign = found.find((comment) => !expected.includes(comment));
  if (foreign !== undefined) return `the rule "${foreign}" is not of these settings`;
  return expected.join("\n") === found.join("\n") ? undefined : "the rules are in another order";
}

/** "chain: comment" of each rule, in order. A rule without comment is none of ours and is named by its text. */
function commentsOf(text: string): readonly string[] {
  const comments: string[] = [];
  let chain = "";
  let isInSet = false;
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    const opened = /^(chain|set) (\S+) \{/.exec(line);
    if (opened !== null) [isInSet, chain] = [opened[1] === "set", opened[2]!];
    if (
      opened !== null ||
      isInSet ||
      line === "" ||
      line === "}" ||
      line.startsWith("type ") ||
      line.startsWith("table ")
    )
      continue;
    comments.push(`${chain}: ${/ comment "([^"]*)"$/.exec(line)?.[1] ?? line}`);
  }
  return comments;
}

function fingerprintOf(body: readonly string[]): string {
  return `settings_${createHash("sha256").update(body.join("\n")).digest("hex").slice(0, 16)}`;
}

function tableBody(capture: ResolvedCapture): readonly string[] {
  const chains = capture.mode === "redirect" ? redirectInbound(capture) : tproxyInbound(capture);
  return [...setsOf(capture), ...chains, ...outputChains(capture), ...dnsZones(capture), ...guard(capture)];
}

/** A chain on a hook of the kernel, or one that others go to. Without rules: none. */
function chain(name: string, hook: string | undefined, rules: readonly string[]): readonly string[] {
  if (rules.length === 0) return [];
  return [
    `chain ${name} {`,
    ...(hook === undefined ? [] : [`\ttype ${hook}; policy accept;`]),
    ...rules.map((rule) => `\t${rule}`),
    "}",
  ];
}

function rule(text: string, comment: string): string {
  return `${text} comment "${comment}"`;
}

const INBOUND = {
  exclude: "excluded_inbound_ports",
  include: "included_inbound_ports",
} as const;
const OUTBOUND = {
  exclude: "excluded_outbound_ports",
  include: "included_outbound_ports",
  excludeCidrs: "excluded_cidrs",
  includeCidrs: "included_cidrs",
} as const;
const DNS_SERVERS = "dns_servers";

function setsOf({ families, inbound, outbound, dns }: ResolvedCapture): readonly string[] {
  const cidrSets = (name: string, cidrs: CidrSelection): readonly string[] =>
    families.flatMap((family) => {
      const elements = selectFamily(cidrs, family);
      return elements === "*" || elements.length === 0 ? [] : set(`${name}_${family}`, `${family}_addr`, elements);
    });
  return [
    ...portSet(INBOUND.exclude, inbound?.exclude ?? []),
    ...portSet(INBOUND.include, inbound?.include ?? []),
    ...portSet(OUTBOUND.exclude, outbound?.excludePorts ?? []),
    ...portSet(OUTBOUND.include, outbound?.includePorts ?? []),
    ...cidrSets(OUTBOUND.excludeCidrs, outbound?.excludeCidrs ?? dns?.excludeCidrs ?? []),
    ...cidrSets(OUTBOUND.includeCidrs, outbound?.includeCidrs ?? []),
    ...cidrSets(DNS_SERVERS, dns?.servers ?? []),
  ];
}

function portSet(name: string, ports: PortSelection): readonly string[] {
  return ports === "*" || ports.length === 0 ? [] : set(name, "inet_service", ports.map(formatRange));
}

function set(name: string, type: string, elements: readonly string[]): readonly string[] {
  return [`set ${name} {`, `\ttype ${type}`, "\tflags interval", `\telements = { ${elements.join(", ")} }`, "}"];
}

/** Rules that leave a chain for ports of its sets. */
function byPort(
  names: { exclude: string; include: string },
  exclude: PortSelection,
  include: PortSelection,
): readonly string[] {
  return [
    ...(exclude.length === 0 ? [] : [rule(`tcp dport @${names.exclude} return`, "ports that are excluded")]),
    ...(include === "*" ? [] : [rule(`tcp dport != @${names.include} return`, "ports that are not included")]),
  ];
}

function excludedCidrs(families: readonly Family[], cidrs: readonly string[]): readonly string[] {
  return families
    .filter((family) => selectFamily(cidrs, family).length > 0)
    .map((family) =>
      rule(`${ip(family)} daddr @${OUTBOUND.excludeCidrs}_${family} return`, `${family} addresses that are excluded`),
    );
}

/** Leaves a chain for addresses that are in no set of this name. A family of which none is included is left whole. */
function unlessIncluded(
  families: readonly Family[],
  name: string,
  cidrs: CidrSelection,
  comment: string,
): readonly string[] {
  return families.flatMap((family) => {
    const elements = selectFamily(cidrs, family);
    if (elements === "*") return [];
    const match = elements.length === 0 ? `meta nfproto ${family}` : `${ip(family)} daddr != @${name}_${family}`;
    return [rule(`${match} return`, `${family} ${comment}`)];
  });
}

function ip(family: Family): "ip" | "ip6" {
  return family === "ipv4" ? "ip" : "ip6";
}

/**
 * The kernel drops what comes for 127.0.0.0/8 from outside only after these rules: redirected it would no longer be for there, and the sidecar
 * would be told that loopback was meant. Of ::1 it drops it before.
 */
function fromOutsideToLoopback(families: readonly Family[]): readonly string[] {
  return families.includes("ipv4") ? [rule("ip daddr 127.0.0.0/8 return", "loopback: the kernel drops it")] : [];
}

function redirectInbound({ inbound, outbound, ports, families, innerInterfaces }: ResolvedCapture): readonly string[] {
  if (inbound === undefined && (outbound === undefined || innerInterfaces.length === 0)) return [];
  return [
    ...chain("prerouting", "nat hook prerouting priority -100", [
      ...fromOutsideToLoopback(families),
      ...fromInside(innerInterfaces, outbound !== undefined),
      ...(inbound === undefined
        ? []
        : [rule("fib daddr type local meta l4proto tcp goto inbound", "what others send to this pod")]),
    ]),
    ...chain(
      "inbound",
      undefined,
      inbound === undefined
        ? []
        : [
            ...byPort(INBOUND, inbound.exclude, inbound.include),
            rule(`meta l4proto tcp redirect to :${ports.inbound}`, "to the sidecar"),
          ],
    ),
  ];
}

function fromInside(interfaces: readonly string[], isCaptured: boolean): readonly string[] {
  if (interfaces.length === 0 || !isCaptured) return [];
  const names = interfaces.map((name) => `"${name}"`).join(", ");
  return [rule(`iifname { ${names} } meta l4proto tcp goto outbound`, "what virtual machines inside send")];
}

function tproxyInbound({
  inbound,
  outbound,
  ports,
  proxyUid,
  proxyGid,
  families,
  innerInterfaces,
}: ResolvedCapture): readonly string[] {
  const inside = fromInside(innerInterfaces, outbound !== undefined);
  const inner = chain(
    "prerouting_inside",
    "nat hook prerouting priority -100",
    inside.length === 0 ? [] : [...fromOutsideToLoopback(families), ...inside],
  );
  if (inbound === undefined) return inner;
  const own = ([owner, number]: readonly [string, number]): string =>
    `meta ${owner} ${number} oifname "lo" meta l4proto tcp ct direction original goto own_output`;
  return [
    ...inner,
    ...chain("prerouting", "filter hook prerouting priority -150", [
      rule(`socket transparent 1 meta mark set ${TPROXY_MARK} accept`, "connections that the sidecar has"),
      ...(innerInterfaces.length === 0
        ? []
        : [
            rule(
              `iifname { ${innerInterfaces.map((name) => `"${name}"`).join(", ")} } return`,
              "virtual machines inside",
            ),
          ]),
      rule(`iifname "lo" meta mark ${TPROXY_OWN_MARK} goto inbound`, "what the sidecar sends to its own pod"),
      rule('iifname "lo" return', "what the application sends to itself"),
      rule("ct direction original fib daddr type local meta l4proto tcp goto inbound", "what others send to this pod"),
    ]),
    ...chain("inbound", undefined, [
      ...byPort(INBOUND, inbound.exclude, inbound.include),
      rule(`meta l4proto tcp tproxy to :${ports.inbound} meta mark set ${TPROXY_MARK} accept`, "to the sidecar"),
    ]),
    ...chain("route_output", "route hook output priority -150", [
      rule(
        `ct direction reply ct mark ${TPROXY_MARK} meta mark set ${TPROXY_MARK} accept`,
        "answers to clients whose address the sidecar has used",
      ),
      rule(own(["skuid", proxyUid]), "the sidecar's user"),
      rule(own(["skgid", proxyGid]), "the sidecar's group"),
    ]),
    ...chain("own_output", undefined, [
      ...toLoopback(families),
      // Marked by the sidecar (original_src): the client may be this very pod, whose address tells nothing.
      rule(`meta mark ${TPROXY_MARK} ct mark set ${TPROXY_MARK} accept`, "marked as from the client's address"),
      rule(`fib saddr type != local ct mark set ${TPROXY_MARK} accept`, "sent from a client's address"),
      ...fromPassthrough(families),
      rule(`meta mark set ${TPROXY_OWN_MARK}`, "from the sidecar to its own pod"),
    ]),
  ];
}

/** Leaves a chain for what goes to 127.0.0.1 and the like: the application, from the sidecar. */
function toLoopback(families: readonly Family[]): readonly string[] {
  const loopback = { ipv4: "ip daddr 127.0.0.0/8", ipv6: "ip6 daddr ::1" };
  return families.map((family) => rule(`${loopback[family]} return`, `${family} loopback`));
}

function fromPassthrough(families: readonly Family[]): readonly string[] {
  return families.map((family) =>
    rule(
      `oifname "lo" ${ip(family)} saddr ${PASSTHROUGH_SOURCE[family]} return`,
      `${family} from the sidecar to the application`,
    ),
  );
}

function outputChains(capture: ResolvedCapture): readonly string[] {
  const { mode, inbound, outbound, dns, ports, families, proxyUid, proxyGid } = capture;
  if (inbound === undefined && outbound === undefined && dns === undefined) return [];
  // TPROXY on loopback does what is redirected here otherwise: one way to learn the original destination for every inbound connection.
  const isOwnRedirected = mode === "redirect" && inbound !== undefined;
  const toProxy = isOwnRedirected ? "goto own" : "return";
  const dnsRules =
    dns === undefined ? [] : [rule("meta l4proto { tcp, udp } th dport 53 jump dns", "questions of DNS")];
  const lo = rule('oifname "lo" return', "what the application sends to itself");
  return [
    ...chain("output", "nat hook output priority -100", [
      ...(isOwnRedirected ? fromPassthrough(families) : []),
      rule(`meta skuid ${proxyUid} ${toProxy}`, "the sidecar's user"),
      rule(`meta skgid ${proxyGid} ${toProxy}`, "the sidecar's group"),
      // A named server may stand on loopback (a node-local cache); of all servers those on loopback are the application's own.
      ...(dns?.servers === "*" ? [lo, ...dnsRules] : [...dnsRules, lo]),
      ...(outbound === undefined ? [] : [rule("meta l4proto tcp goto outbound", "what the application sends")]),
    ]),
    ...chain(
      "own",
      undefined,
      isOwnRedirected
        ? [
            rule('oifname != "lo" return', "to others"),
            ...toLoopback(families),
            rule("meta l4proto tcp goto inbound", "to its own pod"),
          ]
        : [],
    ),
    ...chain(
      "dns",
      undefined,
      dns === undefined
        ? []
        : [
            ...excludedCidrs(families, dns.excludeCidrs),
            ...unlessIncluded(families, DNS_SERVERS, dns.servers, "servers that are not named"),
            rule(`meta l4proto { tcp, udp } redirect to :${dns.port}`, "to the sidecar"),
          ],
    ),
    ...chain(
      "outbound",
      undefined,
      outbound === undefined
        ? []
        : [
            ...byPort(OUTBOUND, outbound.excludePorts, outbound.includePorts),
            ...excludedCidrs(families, outbound.excludeCidrs),
            ...unlessIncluded(
              families,
              OUTBOUND.includeCidrs,
              outbound.includeCidrs,
              "addresses that are not included",
            ),
            rule(`meta l4proto tcp redirect to :${ports.outbound}`, "to the sidecar"),
          ],
    ),
  ];
}

/**
 * The sidecar may get the port from which the application has asked a moment ago. Its question would then belong to the connection that conntrack
 * still holds for that port, and be redirected to the sidecar itself: so its own are tracked apart.
 */
function dnsZones({ dns, families, proxyUid, proxyGid }: ResolvedCapture): readonly string[] {
  if (dns === undefined) return [];
  const each = (side: "saddr" | "daddr", text: string, comment: string): readonly string[] => {
    if (dns.servers === "*") return [rule(`${text} ct zone set ${DNS_ZONE}`, comment)];
    return families
      .filter((family) => selectFamily(dns.servers, family).length > 0)
      .map((family) =>
        rule(`${ip(family)} ${side} @${DNS_SERVERS}_${family} ${text} ct zone set ${DNS_ZONE}`, `${family} ${comment}`),
      );
  };
  return [
    ...chain("raw_output", "filter hook output priority -300", [
      ...each("daddr", `udp dport 53 meta skuid ${proxyUid}`, "questions of the sidecar's user"),
      ...each("daddr", `udp dport 53 meta skgid ${proxyGid}`, "questions of the sidecar's group"),
    ]),
    ...chain(
      "raw_prerouting",
      "filter hook prerouting priority -300",
      each("saddr", "udp sport 53", "answers of servers"),
    ),
  ];
}

/** Only what was captured reaches the ports for it: whoever dials them from outside would speak with a proxy that knows no destination. */
function guard({ ports }: ResolvedCapture): readonly string[] {
  const names = [ports.inbound, ports.outbound, ...(ports.dns === undefined ? [] : [ports.dns])].join(", ");
  return chain("guard", "filter hook input priority 0", [
    rule('iifname "lo" return', "from this pod"),
    rule("ct status dnat return", "redirected"),
    rule(`meta l4proto { tcp, udp } th dport { ${names} } drop`, "dialled from outside"),
  ]);
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `\t${line}\n`).join("");
}
