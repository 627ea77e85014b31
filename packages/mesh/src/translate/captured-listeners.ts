import type {
  Address,
  EndpointsConfig,
  FilterChainConfig,
  HttpConnectionManagerConfig,
  ListenerConfig,
} from "@heddle/traffic";
import type { Service, ServicePort, ServicePortPair } from "../model/service.ts";
import type { StreamRoute } from "../model/stream-route.ts";
import type { Workload } from "../model/workload.ts";
import { ANY, chain, tcpProxyTo } from "./inbound-listener.ts";
import { connectionManager, listener, ON_DEMAND } from "./listeners.ts";
import { takesMtls } from "./mtls.ts";
import {
  BLACKHOLE_CLUSTER,
  OUTBOUND_LISTENER,
  outboundAddressName,
  outboundClusterName,
  outboundPortName,
  PASSTHROUGH_CLUSTER,
  podsName,
  serviceHosts,
} from "./names.ts";
import { everythingTo, type UnknownDestinations } from "./routes.ts";
import { streamChains } from "./stream-chains.ts";

/*
 * What a sidecar in a pod listens to for its application's calls, which rules of the kernel redirect to one port, 15001. The
 * listener there has no use of its own: it hands each connection to the listener at whose address the application meant to
 * connect (`use_original_dst`), which has no socket (`bind_to_port: false`).
 *
 *   outbound              15001; what nobody else takes goes where it was meant to go, or nowhere
 *   outbound/<port>       HTTP to that port of any address, by Host; TLS by the server name that it asks for
 *   outbound/<port>/<ip>  that port of one service: bytes, or what its first bytes say
 *   outbound/<port>/<service>.<namespace>/pods
 *                         that port of the pods of a headless service, each by its own address
 *   outbound/<port>/<service>.<namespace>/pods/plaintext
 *                         those that take no mutual TLS, where what is unknown is refused
 *
 * Each depends on nothing but its own port or service, so that a change drains nobody else's connections.
 */

/** What the listeners of captured nodes depend on beside the services. */
export interface CapturedRules {
  readonly accessLog: Workload["accessLog"];
  /** Families that the pod has addresses of. */
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly unknown: UnknownDestinations;
  /** The node is an Envoy, which knows no filter of ours. */
  readonly isEnvoy?: true;
}

/** `DEFAULT_CAPTURE_PORTS` of packages/capture. */
export const CAPTURE_PORTS = { outbound: 15_001, inbound: 15_006, dns: 15_053 } as const;

/** Listeners of ours stand there, at every address. */
const RESERVED: ReadonlySet<number> = new Set([CAPTURE_PORTS.outbound, CAPTURE_PORTS.inbound]);

/** How a captured call to a port of a service is carried. */
export type Carriage = "http" | "tcp" | "sniffed" | "none";

/** By what is said of the port, else by its first bytes; those of servers that speak first are not waited for. */
export function carriageOf({ port, protocol, detect }: ServicePort): Carriage {
  if (RESERVED.has(port)) return "none";
  if (!detect) return protocol === "tcp" ? "tcp" : "http";
  return SERVERS_SPEAK_FIRST.has(port) ? "tcp" : "sniffed";
}

/** FTP, SSH, Telnet, SMTP (and submission), POP3, NNTP, IMAP, MySQL (and its X protocol), VNC. */
const SERVERS_SPEAK_FIRST: ReadonlySet<number> = new Set([21, 22, 23, 25, 110, 119, 143, 587, 3306, 33_060, 5900]);

/**
 * How long the first bytes of an application's call are waited for, where nobody has said what is spoken. The application is on
 * this machine, and a client of HTTP has its request ready when it connects.
 */
const SNIFF_MS = 90;

/** Takes all that is captured. */
export function virtualOutboundListener({ ipv4, ipv6, unknown }: CapturedRules): ListenerConfig {
  const port = CAPTURE_PORTS.outbound;
  return {
    // Somebody who connects to the port itself would be handed on to it for ever.
    ...listener(OUTBOUND_LISTENER, everyAddress({ ipv4, ipv6 }, port), [
      chain("itself", { ...ANY, destinationPort: port }, [tcpProxyTo(BLACKHOLE_CLUSTER)]),
    ]),
    defaultFilterChain: unknownChain(unknown),
    useOriginalDst: true,
    listenerFilters: [{ type: "original-dst", name: "envoy.filters.listener.original_dst" }],
  };
}

/**
 * What of one port names decide, whatever the address: HTTP by Host, TLS by server name.
 *
 * @param named see `serverNameChains`.
 * @param http whether any service speaks HTTP there.
 */
export function namedPortListener(
  port: number,
  rules: CapturedRules,
  named: readonly FilterChainConfig[] = [],
  http = true,
): ListenerConfig {
  return {
    ...listener(
      outboundPortName(port),
      [
        { type: "socket", address: "0.0.0.0", port },
        { type: "socket", address: "::", port },
      ],
      [...(http ? [httpChain(port, rules)] : []), ...named],
    ),
    defaultFilterChain: unknownChain(rules.unknown),
    ...sniffing(rules),
    bindToPort: false,
  };
}

/**
 * Whether TLS to a port of a service without addresses is known by its server name: where the service is but a name for
 * something outside; and, where what is unknown is refused, to a headless one at an address that none of its pods has (yet). Elsewhere
 * that goes where it was meant to go, as everything does.
 *
 * Not of HTTP, and not where servers speak first: TLS that they have begins with words of their own.
 */
export function goesByServerName(service: Service, port: ServicePort, unknown: UnknownDestinations): boolean {
  const carriage = carriageOf(port);
  if (carriage === "none" || carriage === "http" || SERVERS_SPEAK_FIRST.has(port.port)) return false;
  return service.externalName !== undefined || (service.headless && unknown === "blackhole");
}

/**
 * Chains for TLS that asks for a name of one of these services: it goes to that one, unopened. A name that several have, as two
 * namespaces may for one host outside, is that one's which is in the callers' namespace, else the first one's.
 *
 * @param fromNamespace the callers'.
 */
export function serverNameChains(
  ports: readonly ServicePortPair[],
  fromNamespace: string,
): readonly FilterChainConfig[] {
  const owners = new Map<string, ServicePortPair>();
  const own = ({ service }: ServicePortPair): number => (service.namespace === fromNamespace ? 0 : 1);
  for (const pair of ports.toSorted((a, b) => own(a) - own(b)))
    for (const name of serverNamesOf(pair.service, fromNamespace)) if (!owners.has(name)) owners.set(name, pair);
  return ports.flatMap((pair) => {
    const { service, port } = pair;
    const names = serverNamesOf(service, fromNamespace).filter((name) => owners.get(name) === pair);
    if (names.length === 0) return [];
    const cluster = outboundClusterName(service.namespace, service.name, port.port);
    const match = { ...ANY, serverNames: names, transportProtocol: "tls" };
    return [chain(`tls/${service.name}.${service.namespace}`, match, [tcpProxyTo(cluster)])];
  });
}

function serverNamesOf(service: Service, fromNamespace: string): readonly string[] {
  const { externalName } = service;
  const outside = externalName === undefined ? [] : [externalName]; // lower case, without a final dot
  return [...new Set([...outside, ...serviceHosts(service, fromNamespace)])];
}

/**
 * One port of a service that has addresses of its own, at least one.
 *
 * @param streams routes of connections that apply to callers of the node's namespace: see `routesFor`.
 */
export function serviceListener(
  service: Service,
  port: ServicePort,
  addresses: readonly string[],
  rules: CapturedRules,
  streams: readonly StreamRoute[] = [],
): ListenerConfig {
  const places = addresses.map((address): Address => ({ type: "socket", address, port: port.port }));
  const name = outboundAddressName(port.port, addresses[0] ?? "");
  if (streams.length > 0)
    return { ...listener(name, places, []), ...streamChains(service, streams), bindToPort: false };
  const cluster = outboundClusterName(service.namespace, service.name, port.port);
  const bytes = chain("tcp", undefined, [tcpProxyTo(cluster)]);
  if (carriageOf(port) === "tcp") return { ...listener(name, places, [bytes]), bindToPort: false };
  return {
    ...listener(name, places, [httpChain(port.port, rules)]),
    defaultFilterChain: bytes,
    ...sniffing(rules),
    bindToPort: false,
  };
}

/** Which pods of a headless service: those that take mutual TLS, those that take none, or, where the caller speaks none, all. */
export type PodsCalled = "mtls" | "plaintext" | "all";

/** Where a pod is called. */
export type PodPlace = Extract<Address, { readonly type: "socket" }>;

/** Where these pods are called; canonical. */
export function podsPlaces(endpoints: EndpointsConfig, which: PodsCalled): readonly PodPlace[] {
  return endpoints.localities
    .flatMap((locality) => locality.endpoints.filter((one) => which === "all" || takesMtls(one) === (which === "mtls")))
    .flatMap(({ address }) => (address.type === "socket" && !RESERVED.has(address.port) ? [address] : []))
    .toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/**
 * One port of a headless service, at the addresses of its pods. The application has chosen one of them by its address, and gets that
 * one. Pods that take no mutual TLS are called as any stranger is, in plaintext; where strangers are refused they have a listener too.
 *
 * Here alone endpoints are part of a listener: that of their own service. A change of its addresses drains nobody.
 *
 * @param places of `podsPlaces`, at least one, and in no other listener: a sidecar refuses a listener at an address that another has.
 * @param which all but those with mutual TLS go out as they came.
 */
export function podsListener(
  service: Service,
  port: ServicePort,
  places: readonly PodPlace[],
  rules: CapturedRules,
  which: PodsCalled = "mtls",
): ListenerConfig {
  const isMtls = which === "mtls";
  const name = isMtls ? podsName(service, port) : `${podsName(service, port)}/plaintext`;
  const cluster = isMtls ? name : PASSTHROUGH_CLUSTER;
  const bytes = chain("tcp", undefined, [tcpProxyTo(cluster, name)]);
  if (carriageOf(port) === "tcp") return { ...listener(name, places, [bytes]), bindToPort: false };
  const routes = { type: "inline", routeConfig: everythingTo(cluster) } as const;
  return {
    ...listener(name, places, [httpChain(port.port, rules, routes)]),
    defaultFilterChain: bytes,
    ...sniffing(rules),
    bindToPort: false,
  };
}

function keyOf({ address, port }: PodPlace): string {
  return `${address} ${port}`;
}

function httpChain(
  port: number,
  { accessLog }: CapturedRules,
  routes?: HttpConnectionManagerConfig["routes"],
): FilterChainConfig {
  const name = outboundPortName(port);
  const manager = connectionManager(name, accessLog);
  const config: HttpConnectionManagerConfig = {
    ...manager,
    routes: routes ?? { type: "rds", routeConfigName: name },
    httpFilters: [ON_DEMAND, ...manager.httpFilters],
  };
  const match = { ...ANY, transportProtocol: "raw_buffer", applicationProtocols: ["http/1.0", "http/1.1", "h2c"] };
  const filter = { type: "http-connection-manager", name: HTTP_CONNECTION_MANAGER, config } as const;
  return chain("http", match, [filter]);
}

const HTTP_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager";

/**
 * Meanwhile the server is dialled and may speak. A client that speaks first has its bytes ready when it connects: so long a silence is
 * rare of theirs, even where the machine is busy.
 */
const SERVER_FIRST: ListenerConfig["listenerFilters"][number] = {
  type: "server-first",
  name: "heddle.filters.listener.server_first",
  afterMs: 10,
};

/**
 * What is no HTTP, or says nothing because it waits for the server, goes on as bytes: as soon as the server speaks, in an Envoy
 * when the time is over.
 */
function sniffing({ isEnvoy }: CapturedRules): Partial<ListenerConfig> {
  const { listenerFilters = [] } = SNIFFING;
  return isEnvoy
    ? { ...SNIFFING, listenerFilters: listenerFilters.filter((filter) => filter !== SERVER_FIRST) }
    : SNIFFING;
}

const SNIFFING: Partial<ListenerConfig> = {
  listenerFilters: [
    SERVER_FIRST,
    { type: "tls-inspector", name: "envoy.filters.listener.tls_inspector", maxClientHelloBytes: 16 * 1024 },
    { type: "http-inspector", name: "envoy.filters.listener.http_inspector" },
  ],
  listenerFiltersTimeoutMs: SNIFF_MS,
  continueOnListenerFiltersTimeout: true,
};

function unknownChain(unknown: UnknownDestinations): FilterChainConfig {
  return chain(unknown, undefined, [tcpProxyTo(unknown === "passthrough" ? PASSTHROUGH_CLUSTER : BLACKHOLE_CLUSTER)]);
}

/** The wildcards of the families that the pod has. */
export function everyAddress({ ipv4, ipv6 }: Pick<CapturedRules, "ipv4" | "ipv6">, port: number): readonly Address[] {
  const address = (one: string): Address => ({ type: "socket", address: one, port });
  return [...(ipv4 ? [address("0.0.0.0")] : []), ...(ipv6 ? [address("::")] : [])];
}
