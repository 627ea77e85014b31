import type { DownstreamInfo } from "@heddle/filter";
import type { CertificateFacts } from "@heddle/net";
import type { CheckedPeer } from "@heddle/traffic/ext-authz";

/** Both ends of a connection, as a service is told of them. The addresses are the connection's own, whatever headers say. */
export function checkedPeers(
  downstream: DownstreamInfo,
  options: { readonly sourceService: string; readonly destinationService: string; readonly certificates: boolean },
): { readonly source: CheckedPeer; readonly destination: CheckedPeer } {
  const connection = downstream.connection ?? downstream;
  const { tls, remoteAddress, remotePort, localAddress, localPort } = connection;
  const { sourceService, destinationService, certificates } = options;
  return {
    source: {
      address: remoteAddress,
      port: remotePort,
      service: sourceService,
      labels: NONE,
      // What a peer has shown that nobody vouches for is no identity.
      principal: tls?.peerVerified === true ? principalOf(tls.peer) : "",
      certificate: certificates && tls?.peer !== undefined ? encodeURIComponent(tls.peer.pem) : "",
    },
    destination: {
      address: localAddress,
      port: localPort,
      service: destinationService,
      labels: NONE,
      principal: principalOf(tls?.local),
      certificate: "",
    },
  };
}

/** Its first URI, else its first DNS name, else its subject (attribute_context.proto). As bytes. */
function principalOf(certificate: CertificateFacts | undefined): string {
  if (certificate === undefined) return "";
  const { uriSans, dnsSans, subject } = certificate;
  return Buffer.from(uriSans[0] ?? dnsSans[0] ?? subject).toString("latin1");
}

/** SNI, whoever has looked; "" for none. */
export function serverNameOf(downstream: DownstreamInfo): string {
  const { tls, sniffed, serverName = "" } = downstream.connection ?? downstream;
  return sniffed?.transportProtocol === "tls" ? serverName : serverName || (tls?.serverName ?? "");
}

const NONE: Readonly<Record<string, string>> = {};
