import type { DownstreamInfo } from "@heddle/filter";
import { encodeProxyHeader } from "@heddle/net";
import type { UpstreamProxyProtocol } from "@heddle/traffic";

/**
 * The PROXY protocol header of a connection that is made for a client (`envoy.transport_sockets.upstream_proxy_protocol`), as
 * latin1 text. One that is made for ourselves says so.
 */
export function proxyPreface(
  { version, passThroughTlvs }: UpstreamProxyProtocol,
  forWhom: DownstreamInfo | undefined,
): string {
  const downstream = forWhom?.connection ?? forWhom; // a header's word is not passed on as the network's
  const tlvs = downstream?.proxyTlvs?.filter(({ type }) => passThroughTlvs === "all" || passThroughTlvs.includes(type));
  const addresses = downstream && {
    sourceAddress: downstream.remoteAddress,
    sourcePort: downstream.remotePort,
    destinationAddress: downstream.localAddress,
    destinationPort: downstream.localPort,
  };
  return encodeProxyHeader({ version, addresses, tlvs: tlvs ?? [] });
}
