import { DNS_ZONE, PASSTHROUGH_SOURCE, TPROXY_MARK, TPROXY_OWN_MARK } from "./defaults.ts";
import type { PortSelection } from "./port-ranges.ts";
import { type Family, type ResolvedCapture, selectFamily } from "./resolve-capture.ts";

/** What our chains are called begins so. Nobody else's rules are touched. */
export const IPTABLES_PREFIX = "HEDDLE_";

/** The tables in the order in which iptables-save prints them. */
const TABLES = ["raw", "mangle", "nat", "filter"] as const;
type Table = (typeof TABLES)[number];

/** Rules of one table as iptables-save prints them, without "-A ". */
type Rules = Readonly<Record<Table, readonly string[]>>;

/**
 * Input of `iptables-restore --noflush` (`ip6tables-restore` for IPv6) that makes ours be exactly the rules of `capture`. `saved` is what
 * iptables-save prints now: our jumps that it shows are taken away and added again at the top, and our chains are filled anew. Each table is one
 * transaction. The same decisions as `nftablesRules`, and the same names where a chain has its equal; without sets, a rule for each range and block.
 */
export function iptablesRules(capture: ResolvedCapture, family: Family, saved: string): string {
  const rules = rulesOf(capture, family);
  return TABLES.map((table) => {
    const wanted = rules[table];
    const old = ownLines(saved, table);
    if (wanted.length === 0 && old.jumps.length + old.chains.length === 0) return "";
    const chains = chainsIn(wanted);
    const gone = old.chains.filter((chain) => !chains.includes(chain));
    return restore(table, [
      ...chains.map((chain) => `:${chain} - [0:0]`), // an existing one is emptied by this
      ...old.jumps.map((jump) => `-D ${jump}`),
      ...gone.map((chain) => `-F ${chain}`),
      ...gone.map((chain) => `-X ${chain}`),
      ...wanted.filter((rule) => isOurs(chainOf(rule))).map((rule) => `-A ${rule}`),
      ...wanted.filter((rule) => !isOurs(chainOf(rule))).map((rule) => `-I ${rule.replace(" ", " 1 ")}`),
    ]);
  }).join("");
}

/** Takes all of ours away that `saved` shows. Nothing of ours there: nothing. */
export function iptablesUndo(saved: string): string {
  return TABLES.map((table) => {
    const { jumps, chains } = ownLines(saved, table);
    if (jumps.length + chains.length === 0) return "";
    return restore(table, [
      ...jumps.map((jump) => `-D ${jump}`),
      ...chains.map((chain) => `-F ${chain}`),
      ...chains.map((chain) => `-X ${chain}`),
    ]);
  }).join("");
}

/** What is wrong with the rules that iptables-save prints; undefined: nothing. */
export function iptablesDifference(capture: ResolvedCapture, family: Family, saved: string): string | undefined {
  const rules = rulesOf(capture, family);
  for (const table of TABLES) {
    const found = tableLines(saved, table).filter((line) => line.startsWith("-A ") && line.includes(IPTABLES_PREFIX));
    const expected = rules[table].map((rule) => `-A ${rule}`);
    const missing = expected.find((line) => !found.includes(line));
    if (missing !== undefined) return `${family} table ${table}: the rule "${missing}" is missing`;
    const foreign = found.find((line) => !expected.includes(line));
    if (foreign !== undefined) return `${family} table ${table}: the rule "${foreign}" is not of these settings`;
    for (const chain of new Set(expected.map((line) => chainOf(line.slice(3))))) {
      const inChain = (lines: readonly string[]): string =>
        lines.filter((line) => chainOf(line.slice(3)) === chain).join("\n");
      if (inChain(found) !== inChain(expected))
        return `${family} table ${table}: rules of ${chain} are in another order`;
    }
  }
  return undefined;
}

/** Something of ours is in what iptables-save printed. */
export function hasIptablesRules(saved: string): boolean {
  return saved.includes(`:${IPTABLES_PREFIX}`);
}

function restore(table: Table, lines: readonly string[]): string {
  return `*${table}\n${lines.map((line) => `${line}\n`).join("")}COMMIT\n`;
}

function tableLines(saved: string, table: Table): readonly string[] {
  const lines = saved.split("\n").map((line) => line.trim());
  const from = lines.indexOf(`*${table}`);
  return from === -1 ? [] : lines.slice(from + 1, lines.indexOf("COMMIT", from));
}

function ownLines(
  saved: string,
  table: Table,
): { readonly jumps: readonly string[]; readonly chains: readonly string[] } {
  const lines = tableLines(saved, table);
  return {
    jumps: lines
      .filter((line) => /^-A (?!HEDDLE_)\S+ .*-[jg] HEDDLE_/.test(line))
      .map((line) => line.slice("-A ".length)),
    chains: lines.filter((line) => line.startsWith(`:${IPTABLES_PREFIX}`)).map((line) => line.slice(1).split(" ")[0]!),
  };
}

function chainOf(rule: string): string {
  return rule.slice(0, rule.indexOf(" "));
}

/** Our chains that rules stand in or lead to: one may be empty, where a family has none of the blocks that are included. */
function chainsIn(rules: readonly string[]): readonly string[] {
  return [...new Set(rules.flatMap((rule) => [chainOf(rule), / -[jg] (\S+)/.exec(rule)?.[1] ?? ""]))].filter(isOurs);
}

function isOurs(chain: string): boolean {
  return chain.startsWith(IPTABLES_PREFIX);
}

function rulesOf(capture: ResolvedCapture, family: Family): Rules {
  if (!capture.families.includes(family)) return { raw: [], mangle: [], nat: [], filter: [] };
  return {
    raw: dnsZones(capture, family),
    mangle: capture.mode === "tproxy" ? tproxy(capture, family) : [],
    nat: nat(capture, family),
    filter: guard(capture),
  };
}

function nat(capture: ResolvedCapture, family: Family): readonly string[] {
  const { mode, inbound, outbound, dns, ports, proxyUid, proxyGid, innerInterfaces } = capture;
  const isRedirected = mode === "redirect" && inbound !== undefined;
  const fromInside = outbound === undefined ? [] : innerInterfaces;
  const captures = [
    ...fromInside.map((name) => `HEDDLE_PREROUTING -i ${name} -p tcp -g HEDDLE_OUTBOUND`),
    ...(isRedirected ? ["HEDDLE_PREROUTING -p tcp -m addrtype --dst-type LOCAL -g HEDDLE_INBOUND"] : []),
  ];
  // The kernel drops it, if it is not redirected (`fromOutsideToLoopback` of nftables.ts).
  const loopback = family === "ipv4" && captures.length > 0 ? ["HEDDLE_PREROUTING -d 127.0.0.0/8 -j RETURN"] : [];
  const prerouting = [...loopback, ...captures];
  const toProxy = isRedirected ? "-g HEDDLE_OWN" : "-j RETURN";
  const lo = "HEDDLE_OUTPUT -o lo -j RETURN";
  const questions =
    dns === undefined ? [] : ["udp", "tcp"].map((l4) => `HEDDLE_OUTPUT -p ${l4} -m ${l4} --dport 53 -j HEDDLE_DNS`);
  const output = [
    ...(isRedirected ? [fromPassthrough("HEDDLE_OUTPUT", family)] : []),
    `HEDDLE_OUTPUT -m owner --uid-owner ${proxyUid} ${toProxy}`,
    `HEDDLE_OUTPUT -m owner --gid-owner ${proxyGid} ${toProxy}`,
    ...(dns?.servers === "*" ? [lo, ...questions] : [...questions, lo]),
    ...(outbound === undefined ? [] : ["HEDDLE_OUTPUT -p tcp -g HEDDLE_OUTBOUND"]),
  ];
  const isOutput = isRedirected || outbound !== undefined || dns !== undefined;
  return [
    ...(prerouting.length === 0 ? [] : ["PREROUTING -j HEDDLE_PREROUTING"]),
    ...(isOutput ? ["OUTPUT -j HEDDLE_OUTPUT"] : []),
    ...(isRedirected ? byPort("HEDDLE_INBOUND", inbound.exclude, inbound.include, "HEDDLE_TO_INBOUND") : []),
    ...(isRedirected ? [`HEDDLE_TO_INBOUND -p tcp -j REDIRECT --to-ports ${ports.inbound}`] : []),
    ...prerouting,
    ...(isOutput ? output : []),
    ...(isRedirected
      ? ["HEDDLE_OWN ! -o lo -j RETURN", toLoopback("HEDDLE_OWN", family), "HEDDLE_OWN -p tcp -g HEDDLE_INBOUND"]
      : []),
    ...dnsRules(capture, family),
    ...outboundRules(capture, family),
  ];
}

function dnsRules({ dns }: ResolvedCapture, family: Family): readonly string[] {
  if (dns === undefined) return [];
  const servers = selectFamily(dns.servers, family);
  const to = (match: string): readonly string[] =>
    ["udp", "tcp"].map((l4) => `HEDDLE_DNS ${match}-p ${l4} -j REDIRECT --to-ports ${dns.port}`);
  return [
    ...excludedCidrs("HEDDLE_DNS", dns.excludeCidrs, family),
    ...(servers === "*" ? to("") : servers.flatMap((server) => to(`-d ${block(server, family)} `))),
  ];
}

function outboundRules({ outbound, ports }: ResolvedCapture, family: Family): readonly string[] {
  if (outbound === undefined) return [];
  const { excludePorts, includePorts, excludeCidrs, includeCidrs } = outbound;
  const cidrs = selectFamily(includeCidrs, family);
  const redirect = `-p tcp -j REDIRECT --to-ports ${ports.outbound}`;
  return [
    ...byPort("HEDDLE_OUTBOUND", excludePorts, includePorts, "HEDDLE_TO_OUTBOUND"),
    ...excludedCidrs("HEDDLE_TO_OUTBOUND", excludeCidrs, family),
    ...(cidrs === "*"
      ? [`HEDDLE_TO_OUTBOUND ${redirect}`]
      : cidrs.map((cidr) => `HEDDLE_TO_OUTBOUND ${destination(cidr, family)}${redirect}`)),
  ];
}

function tproxy(
  { inbound, ports, proxyUid, proxyGid, innerInterfaces }: ResolvedCapture,
  family: Family,
): readonly string[] {
  if (inbound === undefined) return [];
  const mark = (value: number): string => `0x${value.toString(16)}`;
  const divert = `${mark(TPROXY_MARK)}/0xffffffff`;
  const any = family === "ipv4" ? "0.0.0.0" : "::";
  const original = "-o lo -p tcp -m conntrack --ctdir ORIGINAL -m owner";
  return [
    "PREROUTING -j HEDDLE_PREROUTING",
    "OUTPUT -j HEDDLE_ROUTE_OUTPUT",
    `HEDDLE_DIVERT -j MARK --set-xmark ${divert}`,
    "HEDDLE_DIVERT -j ACCEPT",
    ...byPort("HEDDLE_INBOUND", inbound.exclude, inbound.include, "HEDDLE_TO_INBOUND"),
    `HEDDLE_OWN_OUTPUT ${toLoopback("", family).trim()}`,
    // Marked by the sidecar (original_src): the client may be this very pod, whose address tells nothing.
    `HEDDLE_OWN_OUTPUT -m mark --mark ${mark(TPROXY_MARK)} -g HEDDLE_CLIENT`,
    "HEDDLE_OWN_OUTPUT -m addrtype ! --src-type LOCAL -g HEDDLE_CLIENT",
    fromPassthrough("HEDDLE_OWN_OUTPUT", family),
    `HEDDLE_OWN_OUTPUT -j MARK --set-xmark ${mark(TPROXY_OWN_MARK)}/0xffffffff`,
    `HEDDLE_CLIENT -j CONNMARK --set-xmark ${divert}`,
    "HEDDLE_PREROUTING -p tcp -m socket --transparent -g HEDDLE_DIVERT",
    ...innerInterfaces.map((name) => `HEDDLE_PREROUTING -i ${name} -j RETURN`),
    `HEDDLE_PREROUTING -i lo -p tcp -m mark --mark ${mark(TPROXY_OWN_MARK)} -g HEDDLE_INBOUND`,
    "HEDDLE_PREROUTING -i lo -j RETURN",
    // Answers to what this pod has dialled are no connections of others; TPROXY would drop them.
    "HEDDLE_PREROUTING -p tcp -m conntrack --ctdir ORIGINAL -m addrtype --dst-type LOCAL -g HEDDLE_INBOUND",
    `HEDDLE_ROUTE_OUTPUT -m conntrack --ctdir REPLY -m connmark --mark ${mark(TPROXY_MARK)} -g HEDDLE_DIVERT`,
    `HEDDLE_ROUTE_OUTPUT ${original} --uid-owner ${proxyUid} -g HEDDLE_OWN_OUTPUT`,
    `HEDDLE_ROUTE_OUTPUT ${original} --gid-owner ${proxyGid} -g HEDDLE_OWN_OUTPUT`,
    `HEDDLE_TO_INBOUND -p tcp -j TPROXY --on-port ${ports.inbound} --on-ip ${any} --tproxy-mark ${divert}`,
  ];
}

function dnsZones({ dns, proxyUid, proxyGid }: ResolvedCapture, family: Family): readonly string[] {
  if (dns === undefined) return [];
  const servers = selectFamily(dns.servers, family);
  const zone = `-j CT --zone ${DNS_ZONE}`;
  const matches = (flag: "-s" | "-d"): readonly string[] =>
    servers === "*" ? [""] : servers.map((server) => `${flag} ${block(server, family)} `);
  const output = (["uid", "gid"] as const).flatMap((kind) =>
    matches("-d").map(
      (match) =>
        `HEDDLE_OUTPUT ${match}-p udp -m udp --dport 53 -m owner --${kind}-owner ${kind === "uid" ? proxyUid : proxyGid} ${zone}`,
    ),
  );
  if (output.length === 0) return [];
  const answers = matches("-s").map((match) => `HEDDLE_PREROUTING ${match}-p udp -m udp --sport 53 ${zone}`);
  return ["PREROUTING -j HEDDLE_PREROUTING", "OUTPUT -j HEDDLE_OUTPUT", ...output, ...answers];
}

function guard({ ports }: ResolvedCapture): readonly string[] {
  const tcp = [ports.inbound, ports.outbound, ...(ports.dns === undefined ? [] : [ports.dns])];
  const udp = ports.dns === undefined ? [] : [ports.dns];
  return [
    "INPUT -j HEDDLE_GUARD",
    "HEDDLE_GUARD -i lo -j RETURN",
    "HEDDLE_GUARD -m conntrack --ctstate DNAT -j RETURN",
    ...tcp.map((port) => `HEDDLE_GUARD -p tcp -m tcp --dport ${port} -j DROP`),
    ...udp.map((port) => `HEDDLE_GUARD -p udp -m udp --dport ${port} -j DROP`),
  ];
}

/** Leaves `chain` for what is excluded and goes on in `next` with what is included. */
function byPort(chain: string, exclude: PortSelection, include: PortSelection, next: string): readonly string[] {
  return [
    ...dports(exclude).map((match) => `${chain} ${match} -j RETURN`),
    ...(include === "*" ? [`${chain} -g ${next}`] : dports(include).map((match) => `${chain} ${match} -g ${next}`)),
  ];
}

function dports(ports: PortSelection): readonly string[] {
  if (ports === "*") return ["-p tcp"];
  return ports.map(({ first, last }) => `-p tcp -m tcp --dport ${first === last ? first : `${first}:${last}`}`);
}

function excludedCidrs(chain: string, cidrs: readonly string[], family: Family): readonly string[] {
  return (selectFamily(cidrs, family) as readonly string[]).map(
    (cidr) => `${chain} ${destination(cidr, family)}-j RETURN`,
  );
}

/** "-d 10.0.0.0/8 "; nothing for all addresses, which iptables-save does not print. */
function destination(cidr: string, family: Family): string {
  return cidr.endsWith("/0") ? "" : `-d ${block(cidr, family)} `;
}

function block(address: string, family: Family): string {
  return address.includes("/") ? address : `${address}/${family === "ipv4" ? 32 : 128}`;
}

function toLoopback(chain: string, family: Family): string {
  return `${chain} -d ${family === "ipv4" ? "127.0.0.0/8" : "::1/128"} -j RETURN`;
}

function fromPassthrough(chain: string, family: Family): string {
  return `${chain} -s ${PASSTHROUGH_SOURCE[family]}/${family === "ipv4" ? 32 : 128} -o lo -j RETURN`;
}
