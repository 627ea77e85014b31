import type {
  DownstreamTlsConfig,
  TransportSocketMatch,
  UpstreamProxyProtocol,
  UpstreamTlsConfig,
} from "@heddle/traffic";
import type { DataReader } from "./data-source.ts";
import type { LooseJsonObject } from "./encode.ts";
import { Fields, Findings } from "./fields.ts";
import { decodeUpstreamProxyProtocol, encodeUpstreamProxyProtocol } from "./proxy-protocol.ts";
import {
  DOWNSTREAM_TLS,
  decodeDownstreamTls,
  decodeUpstreamTls,
  encodeDownstreamTls,
  encodeUpstreamTls,
  UPSTREAM_TLS,
} from "./tls.ts";
import { anyTypeName, openAny } from "./typed-config.ts";

/* `envoy.config.core.v3.TransportSocket`: what a connection goes through before anything else. Nothing that protects is ever ignored. */

const RAW_BUFFER = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
const PROXY_PROTOCOL = "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";

/** What a connection to an upstream goes through. Left out: nothing. */
export interface UpstreamTransport {
  /** Comes first, in plaintext. */
  readonly proxyProtocol?: UpstreamProxyProtocol;
  readonly tls?: UpstreamTlsConfig;
}

/** `transport_socket` of a cluster, or of one of its matches: plaintext, TLS, or PROXY protocol before either. */
export function decodeUpstreamTransport(owner: Fields, reader: DataReader | undefined): UpstreamTransport {
  const socket = openSocket(owner);
  switch (socket?.typeName) {
    case undefined:
      return {};
    case UPSTREAM_TLS:
      return { tls: decodeUpstreamTls(socket, reader) };
    case PROXY_PROTOCOL: {
      const config = socket.message("config");
      const proxyProtocol = config === undefined ? NO_TLVS : decodeUpstreamProxyProtocol(config);
      const inner = decodeUpstreamTransport(socket, reader);
      if (inner.proxyProtocol !== undefined) socket.fail("transport_socket", "cannot be PROXY protocol once more");
      return { ...inner, proxyProtocol };
    }
    default:
      return notSupported(owner);
  }
}

/** `transport_socket_matches` of a cluster. */
export function decodeTransportMatches(
  cluster: Fields,
  reader: DataReader | undefined,
): { readonly transportSocketMatches?: readonly TransportSocketMatch[] } {
  const matches = cluster.messages("transport_socket_matches").map((fields): TransportSocketMatch => {
    if (!fields.has("transport_socket")) fields.fail("transport_socket", "must be set");
    const transport = decodeUpstreamTransport(fields, reader);
    return { name: fields.text("name"), match: fields.struct("match") ?? {}, ...transport };
  });
  return matches.length === 0 ? {} : { transportSocketMatches: matches };
}

/** `transport_socket` of a filter chain. Undefined: plaintext. */
export function decodeDownstreamTransport(
  chain: Fields,
  reader: DataReader | undefined,
): DownstreamTlsConfig | undefined {
  const socket = openSocket(chain);
  if (socket === undefined) return undefined;
  if (socket.typeName === DOWNSTREAM_TLS) return decodeDownstreamTls(socket, reader);
  notSupported(chain);
  return undefined;
}

const NO_TLVS: UpstreamProxyProtocol = { version: 1, passThroughTlvs: [] };

const KNOWN: ReadonlySet<string> = new Set([DOWNSTREAM_TLS, UPSTREAM_TLS, PROXY_PROTOCOL]);

/** The fields of the socket's configuration. Undefined: plaintext, or an error says that it is nothing we have. */
function openSocket(owner: Fields): Fields | undefined {
  const socket = owner.message("transport_socket");
  if (socket === undefined) return undefined;
  const any = socket.raw("typed_config");
  const path = socket.at("typed_config");
  const extension = any && openAny(any, path, owner.findings);
  if (
    any === undefined ? socket.text("name") === "envoy.transport_sockets.raw_buffer" : extension?.type === RAW_BUFFER
  ) {
    return undefined;
  }
  if (extension?.message !== undefined && KNOWN.has(extension.type)) {
    return new Fields(extension.type, extension.message, path, owner.findings);
  }
  notSupported(owner);
  return undefined;
}

function notSupported(owner: Fields): UpstreamTransport {
  const name = JSON.stringify(owner.message("transport_socket")?.text("name") ?? "");
  owner.fail(
    "transport_socket",
    `${name} is not supported here; a connection would be open where it should be protected`,
  );
  return {};
}

export function encodeUpstreamTransport({ proxyProtocol, tls }: UpstreamTransport): LooseJsonObject | undefined {
  const socket = tls && { name: TLS_NAME, typed_config: encodeUpstreamTls(tls) };
  if (proxyProtocol === undefined) return socket;
  return {
    name: "envoy.transport_sockets.upstream_proxy_protocol",
    typed_config: {
      "@type": `type.googleapis.com/${PROXY_PROTOCOL}`,
      config: encodeUpstreamProxyProtocol(proxyProtocol),
      transport_socket: socket ?? {
        name: "envoy.transport_sockets.raw_buffer",
        typed_config: { "@type": `type.googleapis.com/${RAW_BUFFER}` },
      },
    },
  };
}

/** Whether connections of the cluster are plaintext, which agrees on no protocol (ALPN). */
export function isPlaintext(owner: Fields): boolean {
  const any = owner.message("transport_socket")?.raw("typed_config");
  if (any === undefined) return true;
  const typeName = anyTypeName(any);
  if (typeName !== PROXY_PROTOCOL) return typeName === RAW_BUFFER;
  // What is wrong with it is told where it is decoded.
  const opened = openAny(any, "", new Findings());
  return opened?.message === undefined || isPlaintext(new Fields(PROXY_PROTOCOL, opened.message, "", new Findings()));
}

export function encodeTransportMatches(matches: readonly TransportSocketMatch[] = []): LooseJsonObject[] | undefined {
  if (matches.length === 0) return undefined;
  return matches.map((one) => ({
    name: one.name,
    match: one.match as LooseJsonObject,
    transport_socket: encodeUpstreamTransport(one) ?? {
      name: "envoy.transport_sockets.raw_buffer",
      typed_config: { "@type": `type.googleapis.com/${RAW_BUFFER}` },
    },
  }));
}

export function encodeDownstreamTransport(tls: DownstreamTlsConfig | undefined): LooseJsonObject | undefined {
  return tls && { name: TLS_NAME, typed_config: encodeDownstreamTls(tls) };
}

const TLS_NAME = "envoy.transport_sockets.tls";
