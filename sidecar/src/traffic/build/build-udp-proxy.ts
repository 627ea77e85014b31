import { DatagramConnection } from "@heddle/net";
import type { ListenerConfig, UdpProxyConfig } from "@heddle/traffic";
import type { TcpEnv } from "../network/tcp-env.ts";
import { UdpProxy } from "../network/udp-proxy.ts";

/** Builds what serves the datagrams of a UDP listener. */
export function buildUdpProxy({ name, address }: ListenerConfig, proxy: UdpProxyConfig, env: TcpEnv): UdpProxy {
  const local = address.type === "socket" ? address : { address: "", port: 0 };
  return new UdpProxy(
    proxy,
    { listener: name, localAddress: local.address, localPort: local.port },
    { ...env, openDatagrams: (to, events, from) => new DatagramConnection(to, events, env.onThrow, from) },
  );
}
