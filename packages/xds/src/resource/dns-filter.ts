import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import type {
  DnsClientConfig,
  DnsDomain,
  DnsFilterConfig,
  DnsServer,
  DnsService,
  DnsServiceTarget,
  DnsTcpConfig,
} from "@heddle/traffic";
import { decodeAddress, encodeAddress } from "./address.ts";
import { duration, durationUnless, type LooseJsonObject, list, unless } from "./encode.ts";
import { Fields } from "./fields.ts";
import { openAny } from "./typed-config.ts";

export const DNS_FILTER = "envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig";
export const DNS_TCP = "heddle.filters.network.v1.Dns";
const CARES = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig";
/** Resolvers of the system: what they ask is what resolv.conf says. */
const SYSTEM_RESOLVERS: ReadonlySet<string> = new Set([
  "envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig",
  "envoy.extensions.network.dns_resolver.apple.v3.AppleDnsResolverConfig",
]);

// Envoy's defaults, by the comments of the proto.
const ANSWER_TTL_S = 300;
const RESOLVER_TIMEOUT_MS = 5000;
const IDLE_TIMEOUT_MS = 10_000;

/** `envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig`. */
export function decodeDnsFilter(fields: Fields): DnsFilterConfig {
  const server = fields.message("server_config");
  const table = server?.message("inline_dns_table");
  const client = fields.message("client_config");
  return {
    statPrefix: fields.text("stat_prefix"),
    domains: table?.messages("virtual_domains").map(decodeDomain) ?? [],
    client: client && decodeClient(client, table?.number("external_retry_count") ?? 0),
  };
}

function decodeDomain(fields: Fields): DnsDomain {
  const name = fields.text("name");
  requireName(name.startsWith("*.") ? name.slice(2) : name, "name", fields);
  const endpoint = fields.message("endpoint");
  const addresses = endpoint?.message("address_list");
  const services = endpoint?.message("service_list");
  const cluster = endpoint?.text("cluster_name") ?? "";
  if (endpoint === undefined) fields.fail("endpoint", "must be set");
  return {
    name,
    answerTtlS: Math.floor(fields.durationMs("answer_ttl", 1000 * ANSWER_TTL_S) / 1000),
    ...(addresses && { addresses: decodeAddresses(addresses) }),
    ...(services && { services: services.messages("services").map(decodeService) }),
    ...(cluster !== "" && { cluster }),
  };
}

function decodeAddresses(fields: Fields): readonly string[] {
  const addresses = fields.texts("address");
  for (const [index, address] of addresses.entries()) {
    if (isIP(address) === 0 || address.includes("%"))
      fields.fail(`address[${index}]`, `found ${JSON.stringify(address)}, allowed is an IP address`);
  }
  return addresses;
}

function decodeService(fields: Fields): DnsService {
  const name = fields.text("service_name");
  const protocol = fields.message("protocol");
  requireLabel(name, "service_name", fields);
  return {
    name,
    protocol: protocol === undefined ? protocolMissing(fields) : decodeProtocol(protocol),
    ttlS: Math.floor(fields.durationMs("ttl", 1000 * ANSWER_TTL_S) / 1000),
    targets: fields.messages("targets").map(decodeTarget),
  };
}

function protocolMissing(fields: Fields): string {
  fields.fail("protocol", "must be set");
  return "";
}

/** Of the numbers those that services use (IANA, protocol numbers). */
function decodeProtocol(fields: Fields): string {
  const name = fields.text("name");
  if (name !== "") {
    requireLabel(name, "name", fields);
    return name.toLowerCase();
  }
  const number = fields.number("number");
  const known = PROTOCOLS.get(number);
  if (known === undefined) fields.fail("number", `found ${number}, allowed are ${[...PROTOCOLS.keys()].join(", ")}`);
  return known ?? "";
}

const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [6, "tcp"],
  [17, "udp"],
  [33, "dccp"],
  [132, "sctp"],
]);

function decodeTarget(fields: Fields): DnsServiceTarget {
  const hostName = fields.text("host_name");
  const cluster = fields.text("cluster_name");
  if (hostName !== "") requireName(hostName, "host_name", fields);
  if (cluster !== "") requireName(cluster, "cluster_name", fields); // it is what the answer calls the target
  return {
    ...(hostName !== "" ? { hostName } : { cluster }),
    priority: fields.number("priority"),
    weight: fields.number("weight"),
    port: fields.number("port"),
  };
}

/** RFC 1035 §2.3.4, on the wire. */
function requireName(name: string, field: string, fields: Fields): void {
  const labels = (name.endsWith(".") ? name.slice(0, -1) : name).split(".");
  const fits = labels.every((label) => label.length >= 1 && label.length <= 63) && name.length <= 253;
  if (!fits || !/^[\x21-\x7e]+$/.test(name)) {
    const ascii = domainToASCII(name);
    const hint = ascii !== "" && ascii !== name ? ` (${ascii}, perhaps)` : "";
    fields.fail(field, `found ${JSON.stringify(name)}, allowed are names of labels of 1 to 63 ASCII characters${hint}`);
  }
}

function requireLabel(name: string, field: string, fields: Fields): void {
  if (name.includes(".") || name.length > 62)
    fields.fail(field, `found ${JSON.stringify(name)}, allowed is one label, without its underscore`);
}

function decodeClient(fields: Fields, retries: number): DnsClientConfig {
  const typed = decodeTypedResolver(fields);
  const older = fields.message("dns_resolution_config");
  const oldest = fields.messages("upstream_resolvers");
  const options = (typed ?? older)?.message("dns_resolver_options");
  const resolvers = typed?.messages("resolvers") ?? older?.messages("resolvers") ?? oldest;
  return {
    resolverTimeoutMs: fields.durationMs("resolver_timeout", RESOLVER_TIMEOUT_MS),
    retries,
    maxPendingLookups: fields.number("max_pending_lookups"),
    servers: resolvers.map(decodeServer),
    serversAsFallback: typed?.flag("use_resolvers_as_fallback") ?? false,
    useTcp: options?.flag("use_tcp_for_dns_lookups") ?? false,
  };
}

/** Undefined: there is none, or it is the system's, which means the same. */
function decodeTypedResolver(fields: Fields): Fields | undefined {
  const typed = fields.message("typed_dns_resolver_config");
  const any = typed?.raw("typed_config");
  if (typed === undefined || any === undefined) return undefined;
  const path = typed.at("typed_config");
  const extension = openAny(any, path, fields.findings);
  if (extension === undefined || SYSTEM_RESOLVERS.has(extension.type)) return undefined;
  if (extension.type === CARES && extension.message !== undefined)
    return new Fields(CARES, extension.message, path, fields.findings);
  typed.fail("typed_config", `there is no DNS resolver ${extension.type}`);
  return undefined;
}

function decodeServer(fields: Fields): DnsServer {
  const address = decodeAddress(fields);
  if (address.type === "socket" && isIP(address.address) !== 0)
    return { address: address.address, port: address.port === 0 ? DNS_PORT : address.port };
  const found = address.type === "pipe" ? address.path : address.address;
  fields.fail("socket_address.address", `found ${JSON.stringify(found)}, allowed is an IP address`);
  return { address: "", port: DNS_PORT };
}

const DNS_PORT = 53;

export function encodeDnsFilter({ statPrefix, domains, client }: DnsFilterConfig): LooseJsonObject {
  return {
    stat_prefix: statPrefix,
    server_config: {
      inline_dns_table: {
        external_retry_count: unless(0, client?.retries ?? 0),
        virtual_domains: list(domains.map(encodeDomain)),
      },
    },
    client_config: client && encodeClient(client),
  };
}

export function encodeDomain({ name, answerTtlS, addresses, cluster, services }: DnsDomain): LooseJsonObject {
  return {
    name,
    endpoint: {
      address_list: addresses && { address: [...addresses] },
      cluster_name: cluster,
      service_list: services && { services: services.map(encodeService) },
    },
    answer_ttl: durationUnless(1000 * ANSWER_TTL_S, 1000 * answerTtlS),
  };
}

function encodeService({ name, protocol, ttlS, targets }: DnsService): LooseJsonObject {
  return {
    service_name: name,
    protocol: { name: protocol },
    ttl: durationUnless(1000 * ANSWER_TTL_S, 1000 * ttlS),
    targets: targets.map(({ hostName, cluster, priority, weight, port }) => ({
      host_name: hostName,
      cluster_name: hostName === undefined ? cluster : undefined,
      priority: unless(0, priority),
      weight: unless(0, weight),
      port: unless(0, port),
    })),
  };
}

function encodeClient(client: DnsClientConfig): LooseJsonObject {
  const { servers, serversAsFallback, useTcp } = client;
  const plain = servers.length === 0 && !useTcp;
  return {
    resolver_timeout: durationUnless(RESOLVER_TIMEOUT_MS, client.resolverTimeoutMs),
    max_pending_lookups: String(client.maxPendingLookups),
    typed_dns_resolver_config: plain
      ? undefined
      : {
          name: "envoy.network.dns_resolver.cares",
          typed_config: {
            "@type": `type.googleapis.com/${CARES}`,
            resolvers: list(servers.map((server) => encodeAddress({ type: "socket", ...server }))),
            use_resolvers_as_fallback: unless(false, serversAsFallback),
            dns_resolver_options: useTcp ? { use_tcp_for_dns_lookups: true } : undefined,
          },
        },
  };
}

/** `heddle.filters.network.v1.Dns`. */
export function decodeDnsTcp(fields: Fields): DnsTcpConfig {
  return {
    udpListener: fields.text("udp_listener"),
    idleTimeoutMs: fields.durationMs("idle_timeout", IDLE_TIMEOUT_MS),
  };
}

/** As a TypedStruct, like all that is ours: see `anyJson`. */
export function dnsTcpJson({ udpListener, idleTimeoutMs }: DnsTcpConfig): { readonly [field: string]: string } {
  return {
    udpListener,
    ...(idleTimeoutMs !== IDLE_TIMEOUT_MS && { idleTimeout: duration(idleTimeoutMs) }),
  };
}
