import type { FilterChainConfig, ListenerConfig, NetworkFilterConfig } from "@heddle/traffic";
import { dnsCode } from "../dns/dns-code.ts";
import { statPrefixOf } from "../listener/stat-prefix.ts";
import { builtInGates } from "../network/built-in-gates.ts";
import { DirectResponse } from "../network/direct-response.ts";
import { Echo } from "../network/echo.ts";
import { GatedFilter } from "../network/gated-filter.ts";
import { MissingFilter } from "../network/missing-filter.ts";
import type { NetworkFilter, NetworkFilterFactory } from "../network/network-filter.ts";
import type { NetworkGate } from "../network/network-gate.ts";
import type { NetworkGateType } from "../network/network-gate-type.ts";
import { TcpProxy } from "../network/tcp-proxy.ts";
import { type BuildEnv, buildHttpConnectionManager } from "./build-http-connection-manager.ts";

/**
 * Makes the network filters of a filter chain. `listenerOf` gives a listener's configuration by its name. Throws on a filter
 * that validation refuses.
 */
export function networkFilters(
  env: BuildEnv,
  listenerOf: (name: string) => ListenerConfig | undefined,
  gateTypes: ReadonlyMap<string, NetworkGateType> = builtInGates(),
): NetworkFilterFactory {
  return (chain, listener) => {
    const last = chain.filters.at(-1);
    if (last === undefined) throw new TypeError(`listener ${listener}: a filter chain without filters`);
    if (chain.filters.some(({ type }) => type === "missing")) return missingFilter(listenerOf(listener), env);
    const before = chain.filters.slice(0, -1);
    const gates: NetworkGate[] = [];
    try {
      for (const filter of before) gates.push(buildGate(filter, listener, env, gateTypes));
      const filter = buildLast(last, chain, listener, env, listenerOf(listener));
      return gates.length === 0 ? filter : new GatedFilter(gates, filter, env.wheel);
    } catch (error) {
      for (const gate of gates) gate.close?.(); // what was made has no other end
      throw error;
    }
  };
}

function buildGate(
  filter: NetworkFilterConfig,
  listener: string,
  env: BuildEnv,
  types: ReadonlyMap<string, NetworkGateType>,
): NetworkGate {
  if (filter.type !== "extension")
    throw new Error(`listener "${listener}": "${filter.name}" has to be the last filter`);
  const type = types.get(filter.config.type);
  if (type === undefined) throw unknownFilter(listener, filter);
  const parsed = type.parse(filter.config.config);
  if (parsed.ok) return type.create(parsed.value, { name: filter.name, listener, env });
  const issues = parsed.error.map(({ path, message }) => `${path}: ${message}`);
  throw new Error(`listener "${listener}": network filter "${filter.name}": ${issues.join("; ")}`);
}

function buildLast(
  filter: NetworkFilterConfig,
  chain: FilterChainConfig,
  name: string,
  env: BuildEnv,
  listener: ListenerConfig | undefined,
): NetworkFilter {
  switch (filter.type) {
    case "tcp-proxy":
      return new TcpProxy(filter.config, env);
    case "echo":
      return new Echo();
    case "direct-response":
      return new DirectResponse(Buffer.from(filter.responseBase64, "base64"), env);
    case "dns":
      return new (dnsCode().DnsTcpFilter)(filter.config, (udpListener) => env.dnsResponders.get(udpListener), env);
    case "extension":
      throw unknownFilter(name, filter);
    case "missing":
    case "discovered":
      throw new Error(`listener "${name}": "${filter.name}" has not been put in its place`);
    case "http-connection-manager":
      break;
    default:
      throw new Error(`unknown network filter ${JSON.stringify(filter satisfies never)}`);
  }
  const { perConnectionBufferLimitBytes, drainType, trafficDirection } = listener ?? DEFAULTS;
  return buildHttpConnectionManager(
    filter.config,
    {
      name,
      bufferLimitBytes: perConnectionBufferLimitBytes,
      drainType,
      trafficDirection,
      scheme: chain.tls === undefined ? "http" : "https",
    },
    env,
  );
}

function missingFilter(listener: ListenerConfig | undefined, env: BuildEnv): MissingFilter {
  const labels = { envoy_listener_address: listener === undefined ? "" : statPrefixOf(listener) };
  return new MissingFilter(env.metrics.scope("listener", labels).counter("network_extension_config_missing"));
}

function unknownFilter(listener: string, filter: Extract<NetworkFilterConfig, { readonly type: "extension" }>): Error {
  return new Error(`listener "${listener}": network filter "${filter.name}" (${filter.config.type}) is not known here`);
}

/** Envoy's, for a filter whose listener nobody knows. */
const DEFAULTS = {
  perConnectionBufferLimitBytes: 1024 * 1024,
  drainType: "DEFAULT",
  trafficDirection: "UNSPECIFIED",
} as const;
