import type { UpstreamProxyProtocol } from "@heddle/traffic";
import type { LooseJsonObject } from "./encode.ts";
import { Fields } from "./fields.ts";
import { decodeUpstreamProxyProtocol, encodeUpstreamProxyProtocol } from "./proxy-protocol.ts";
import { anyTypeName, openAny } from "./typed-config.ts";

const RAW_BUFFER = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

const PROXY_PROTOCOL = "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";

/** `transport_socket` of a cluster: plaintext, or PROXY protocol before it. */
export function decodeUpstreamTransport(cluster: Fields): UpstreamProxyProtocol | undefined {
  const socket = cluster.message("transport_socket");
  const any = socket?.raw("typed_config");
  if (socket === undefined || any === undefined || anyTypeName(any) !== PROXY_PROTOCOL) {
    requirePlaintext(cluster);
    return undefined;
  }
  const path = socket.at("typed_config");
  const extension = openAny(any, path, cluster.findings);
  if (extension?.message === undefined) return undefined;
  const transport = new Fields(PROXY_PROTOCOL, extension.message, path, cluster.findings);
  requirePlaintext(transport);
  const config = transport.message("config");
  return config === undefined ? { version: 1, passThroughTlvs: [] } : decodeUpstreamProxyProtocol(config);
}

export function encodeUpstreamTransport(config: UpstreamProxyProtocol | undefined): LooseJsonObject | undefined {
  if (config === undefined) return undefined;
  return {
    name: "envoy.transport_sockets.upstream_proxy_protocol",
    typed_config: {
      "@type": `type.googleapis.com/${PROXY_PROTOCOL}`,
      config: encodeUpstreamProxyProtocol(config),
      transport_socket: {
        name: "envoy.transport_sockets.raw_buffer",
        typed_config: { "@type": `type.googleapis.com/${RAW_BUFFER}` },
      },
    },
  };
}

/** Whether connections of the cluster are plaintext, which agrees on no protocol (ALPN). */
export function isPlaintext(cluster: Fields): boolean {
  const any = cluster.message("transport_socket")?.raw("typed_config");
  return any === undefined || anyTypeName(any) === RAW_BUFFER;
}

/** `transport_socket` of a filter chain or a cluster: plaintext is the only one yet, and TLS is never ignored. */
export function requirePlaintext(fields: Fields): void {
  const socket = fields.message("transport_socket");
  const any = socket?.raw("typed_config");
  if (socket === undefined) return;
  const extension = any && openAny(any, socket.at("typed_config"), fields.findings);
  if (
    any === undefined ? socket.text("name") === "envoy.transport_sockets.raw_buffer" : extension?.type === RAW_BUFFER
  ) {
    return;
  }
  fields.fail(
    "transport_socket",
    `${JSON.stringify(socket.text("name"))} is not supported yet; a connection would be open where it should be protected`,
  );
}
