import type { FilterChainConfig, ListenerConfig, NetworkFilterConfig } from "@heddle/traffic";
import type { Service } from "../model/service.ts";
import type { StreamRoute } from "../model/stream-route.ts";
import { isRefused } from "./attached-routes.ts";
import { ANY, chain, tcpProxyTo } from "./inbound-listener.ts";
import { BLACKHOLE_CLUSTER, clusterNameOf } from "./names.ts";
import { byAgeThenName } from "./route-order.ts";

/** The parts of a listener where TCPRoutes or TLSRoutes, at least one, decide what becomes of connections to a service. */
export function streamChains(
  service: Service,
  routes: readonly StreamRoute[],
): Pick<ListenerConfig, "filterChains" | "defaultFilterChain" | "listenerFilters"> {
  const byAge = [...routes].sort(byAgeThenName);
  const first = byAge[0];
  // Nothing tells connections of TCP apart, so of several routes the oldest decides.
  if (first?.kind === "tcp-route")
    return { filterChains: [chainOf(first, service)], defaultFilterChain: undefined, listenerFilters: [] };
  return {
    filterChains: serverNameChains(byAge, service),
    // As a request that no rule matches is answered 404.
    defaultFilterChain: chain("unmatched", undefined, [tcpProxyTo(BLACKHOLE_CLUSTER)]),
    listenerFilters: [
      { type: "tls-inspector", name: "envoy.filters.listener.tls_inspector", maxClientHelloBytes: 16 * 1024 },
    ],
  };
}

/** A name that several routes have is the oldest one's; that the longer of two that match counts is a listener's own rule. */
function serverNameChains(byAge: readonly StreamRoute[], service: Service): readonly FilterChainConfig[] {
  const taken = new Set<string>();
  return byAge.flatMap((route) => {
    const asked = new Set(route.serverNames.length > 0 ? route.serverNames : [""]); // each once, as Envoy wants it
    const names = [...asked].filter((name) => !taken.has(name));
    if (names.length === 0) return [];
    for (const name of names) taken.add(name);
    const serverNames = names.filter((name) => name !== "").sort();
    return { ...chainOf(route, service), match: { ...ANY, transportProtocol: "tls", serverNames } };
  });
}

function chainOf(route: StreamRoute, service: Service): FilterChainConfig {
  return chain(`${route.namespace}/${route.name}`, undefined, [proxyTo(route, service)]);
}

/** A share that leads to a backend which may not have it, or is not there, is closed. */
function proxyTo(route: StreamRoute, service: Service): NetworkFilterConfig {
  const clusters = route.backends
    .filter(({ weight }) => weight > 0)
    .map((backend) => ({
      name: isRefused(route, backend, service) ? BLACKHOLE_CLUSTER : clusterNameOf(backend),
      weight: backend.weight,
    }));
  const [first] = clusters;
  const proxy = tcpProxyTo(first?.name ?? BLACKHOLE_CLUSTER);
  if (proxy.type !== "tcp-proxy" || clusters.length < 2) return proxy;
  return { ...proxy, config: { ...proxy.config, statPrefix: `${route.namespace}/${route.name}`, clusters } };
}
