import type { Address, DnsDomain, ListenerConfig } from "@heddle/traffic";
import type { Service } from "../model/service.ts";
import { CAPTURE_PORTS, type CapturedRules, carriageOf } from "./captured-listeners.ts";
import { chain } from "./inbound-listener.ts";
import { listener } from "./listeners.ts";
import { DNS_LISTENER, DNS_TCP_LISTENER, outboundClusterName, serviceHosts } from "./names.ts";

/** A service, and the addresses that its names stand for. */
export interface NamedService {
  readonly service: Service;
  readonly addresses: readonly string[];
}

type Families = Pick<CapturedRules, "ipv4" | "ipv6">;

/** Kubernetes' own, so that applications see changes as soon as without us. */
const TTL_S = 30;
/**
 * Names of ports that may stand behind the underscore of a label of 63 characters. A port may have 63 itself, and what one of one
 * Service cannot say must not keep everybody's table from changing.
 */
const SRV_NAME = /^[a-z0-9-]{1,62}$/i;
/** Kubernetes' own (DNS specification §2.3.2). */
const SRV_WEIGHT = 100;
/** Questions that wait for a name server; what a busy pod has at once. */
const MAX_PENDING = 1024;
const RESOLVER_TIMEOUT_MS = 2000;

/**
 * Answers what the application asks of DNS: names of services at once, the rest by the pod's own name servers. Nothing of
 * endpoints is in it, but clusters that have them: it changes with the services alone.
 *
 * Not in the table: names of single pods, and names for something outside. The cluster's DNS knows both.
 */
export function dnsListener(services: readonly NamedService[], namespace: string, families: Families): ListenerConfig {
  const domains = services.flatMap((service) => dnsDomains(service, namespace, families));
  const client = {
    resolverTimeoutMs: RESOLVER_TIMEOUT_MS,
    retries: 1,
    maxPendingLookups: MAX_PENDING,
    servers: [],
    serversAsFallback: false,
    useTcp: false,
  };
  return {
    ...listener(DNS_LISTENER, loopback(families), []),
    udp: { maxDatagramBytes: 4096, dns: { statPrefix: DNS_LISTENER, domains, client } },
  };
}

/**
 * The entries of one service in the table of a namespace: its names, for its addresses or, headless, for those of its endpoints as
 * they are at that moment; and the ports that have names (SRV), by the full name alone, which resolvers ask for.
 */
export function dnsDomains(
  { service, addresses }: NamedService,
  namespace: string | undefined,
  families: Families,
): readonly DnsDomain[] {
  const reachable = addresses.filter((address) => (address.includes(":") ? families.ipv6 : families.ipv4));
  const hosts = serviceHosts(service, namespace);
  const pods = podsClusterOf(service);
  if (pods !== undefined) return hosts.map((name) => ({ name, answerTtlS: TTL_S, cluster: pods }));
  if (reachable.length === 0) return [];
  const full = hosts.at(-1)!; // the last is the longest
  const services = service.ports
    .filter(({ name }) => SRV_NAME.test(name))
    .map(({ name, port }) => {
      const target = { hostName: full, priority: 0, weight: SRV_WEIGHT, port };
      return { name, protocol: "tcp", ttlS: TTL_S, targets: [target] };
    });
  return [
    ...hosts.map((name) => ({ name, answerTtlS: TTL_S, addresses: reachable })),
    ...(services.length > 0 ? [{ name: full, answerTtlS: TTL_S, services }] : []),
  ];
}

/**
 * The cluster whose endpoints a headless service's name stands for. Undefined: it has none; or its pods have several families, of
 * which a cluster has one.
 */
function podsClusterOf({ headless, ipFamilies, namespace, name, ports }: Service): string | undefined {
  const port = ports.find((one) => carriageOf(one) !== "none");
  if (!headless || ipFamilies.length > 1 || port === undefined) return undefined;
  return outboundClusterName(namespace, name, port.port);
}

/** The same by TCP, with the table of that listener. */
export function dnsTcpListener(families: Families): ListenerConfig {
  const config = { udpListener: DNS_LISTENER, idleTimeoutMs: 10_000 };
  return listener(DNS_TCP_LISTENER, loopback(families), [
    chain("", undefined, [{ type: "dns", name: "heddle.filters.network.dns", config }]),
  ]);
}

function loopback({ ipv4, ipv6 }: Families): readonly Address[] {
  const address = (one: string): Address => ({ type: "socket", address: one, port: CAPTURE_PORTS.dns });
  return [...(ipv4 ? [address("127.0.0.1")] : []), ...(ipv6 ? [address("::1")] : [])];
}
