import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { DatagramConnection, dial } from "@heddle/net";
import type { DnsFilterConfig, ListenerConfig, UdpListenerConfig } from "@heddle/traffic";
import { dnsCode } from "../dns/dns-code.ts";
import type { DnsEnv, InternetAddress } from "../dns/dns-env.ts";
import type { DatagramFilter } from "../listener/datagram-filter.ts";
import type { TcpEnv } from "../network/tcp-env.ts";
import { buildUdpProxy } from "./build-udp-proxy.ts";

/** Builds what serves the datagrams of a UDP listener. */
export function buildDatagramFilter(listener: ListenerConfig, udp: UdpListenerConfig, env: TcpEnv): DatagramFilter {
  return udp.dns === undefined ? buildUdpProxy(listener, udp.proxy, env) : buildDns(listener, udp.dns, env);
}

function buildDns({ name, address, additionalAddresses }: ListenerConfig, config: DnsFilterConfig, env: TcpEnv) {
  const { DnsResponder, DnsUdpFilter } = dnsCode();
  const own = [address, ...additionalAddresses].flatMap((one) => (one.type === "socket" ? [one] : []));
  const responder = new DnsResponder(config, own, dnsEnv(env));
  env.dnsResponders.set(name, responder);
  return new DnsUdpFilter(responder, () => {
    if (env.dnsResponders.get(name) === responder) env.dnsResponders.delete(name);
  });
}

function dnsEnv(env: TcpEnv): DnsEnv {
  const { clock, wheel, metrics, runtime, onThrow } = env;
  return {
    clock,
    wheel,
    metrics,
    randomId: () => randomInt(65_536),
    readResolvConf,
    openDatagrams: (to, events) => new DatagramConnection(to, events, onThrow),
    dial: (address, timeoutMs, callbacks) =>
      dial(address, { timeoutMs, clock, highWatermarkBytes: 64 * 1024, ...(onThrow && { onThrow }) }, callbacks),
    endpointsOf: (cluster) => {
      const found = runtime.current.clusters.get(cluster);
      if (found === undefined) return undefined;
      const endpoints = [...(found.endpoints?.byKey.values() ?? [])];
      return endpoints.flatMap(({ address }): InternetAddress[] => (address.type === "socket" ? [address] : []));
    },
  };
}

/** A container may have none. */
function readResolvConf(): string {
  try {
    return readFileSync("/etc/resolv.conf", "utf8");
  } catch {
    return "";
  }
}
