import { TestAuthority } from "@heddle/net/testing";
import type { Json } from "./envoy-config.ts";
import type { Hop } from "./sidecar-chain.ts";

const HTTP_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const TRANSPORT_SOCKETS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

/** TLS before both sidecars of a chain, which offer HTTP/2 and HTTP/1.1; between them its ALPN says that it is HTTP/2. */
export interface TlsChain {
  readonly hop: Hop;
  /** The certificate, PEM, that has signed those of both: they are for 127.0.0.1, and the back one's for back.test too. */
  readonly authority: string;
}

export function tlsChain(): TlsChain {
  const authority = new TestAuthority();
  const listening = (name: string): Json => {
    const { chain, key } = authority.issue({ commonName: name, dns: [name], ips: ["127.0.0.1"] });
    return transportSocket("DownstreamTlsContext", {
      common_tls_context: {
        alpn_protocols: ["h2", "http/1.1"],
        tls_certificates: [{ certificate_chain: { inline_string: chain }, private_key: { inline_string: key } }],
      },
    });
  };
  const validation = {
    trusted_ca: { inline_string: authority.certificate },
    match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: "back.test" } }],
  };
  const connecting = transportSocket("UpstreamTlsContext", {
    sni: "back.test",
    common_tls_context: { validation_context: validation },
  });
  const agreed = { [HTTP_OPTIONS.split("/")[1]!]: { "@type": HTTP_OPTIONS, auto_config: {} } };
  return {
    hop: {
      frontChain: listening("front.test"),
      chain: listening("back.test"),
      cluster: { ...connecting, typed_extension_protocol_options: agreed },
    },
    authority: authority.certificate,
  };
}

function transportSocket(context: string, fields: Json): Json {
  return {
    transport_socket: { name: "tls", typed_config: { "@type": `${TRANSPORT_SOCKETS}.${context}`, ...fields } },
  };
}
