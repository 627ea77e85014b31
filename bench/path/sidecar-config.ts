import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NODE_FLAGS } from "@heddle/sidecar";
import { freePort, type Peer, start } from "./peer.ts";

/** How a proxy is spoken to, and speaks to its upstream. */
export interface Legs {
  readonly http2: boolean;
  /** Certificate and key in PEM for the listener; the upstream's certificate is the same, and is verified. */
  readonly tls: CertificateFiles | undefined;
}

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
  /** Both in one file, as HAProxy wants them. */
  readonly both: string;
  /** What the certificate is for. */
  readonly host: string;
}

export const HTTP1: Legs = { http2: false, tls: undefined };

/** The built sidecar, a static bootstrap; what it runs is what `npm run build` has made. */
export async function startSidecar(
  folder: string,
  upstream: number,
  entry: string,
  name = "heddle",
  workers = 1,
  legs = HTTP1,
): Promise<Peer> {
  const [port, admin] = [await freePort(), await freePort()];
  const bootstrap = {
    node: { id: NODE_ID, cluster: "bench" },
    admin: { address: address(admin) },
    static_resources: {
      listeners: [listener(port, { route_config: ROUTES }, legs)],
      clusters: [{ ...cluster(legs), type: "STATIC", load_assignment: endpoints(upstream) }],
    },
  };
  const config = join(folder, `${name}-${port}.json`);
  writeFileSync(config, JSON.stringify(bootstrap, null, 2));
  return start(name, port, [...sidecarCommand(entry, workers), "-c", config]);
}

export function sidecarCommand(entry: string, workers = 1): string[] {
  if (!existsSync(entry)) throw new Error(`${entry} is not there: run npm run build first`);
  return [process.execPath, ...NODE_FLAGS, entry, "--concurrency", String(workers)];
}

export const NODE_ID = "default/bench/1";
export const TYPES = "type.googleapis.com/envoy.config";
const EXTENSIONS = "type.googleapis.com/envoy.extensions";

export const ROUTES = {
  name: "local",
  virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "up" } }] }],
};

export function cluster({ http2, tls } = HTTP1): object {
  const options = {
    "@type": `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
  };
  const transport = tls && {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": `${EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext`,
      sni: tls.host,
      common_tls_context: {
        alpn_protocols: ["h2"],
        validation_context: {
          trusted_ca: { filename: tls.certificate },
          match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: tls.host } }],
        },
      },
    },
  };
  return {
    name: "up",
    connect_timeout: "5s",
    ...(http2 && {
      typed_extension_protocol_options: { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options },
    }),
    ...(transport && { transport_socket: transport }),
  };
}

export function listener(port: number, routes: object, { http2, tls } = HTTP1): object {
  const manager = {
    "@type": `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "front",
    ...(http2 && { codec_type: "HTTP2" }),
    use_remote_address: true,
    ...routes,
    http_filters: [
      { name: "envoy.filters.http.router", typed_config: { "@type": `${EXTENSIONS}.filters.http.router.v3.Router` } },
    ],
  };
  const transport = tls && {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": `${EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext`,
      common_tls_context: {
        alpn_protocols: ["h2"],
        tls_certificates: [{ certificate_chain: { filename: tls.certificate }, private_key: { filename: tls.key } }],
      },
    },
  };
  const filter = { name: "envoy.filters.network.http_connection_manager", typed_config: manager };
  return {
    name: "front",
    address: address(port),
    filter_chains: [{ filters: [filter], ...(transport && { transport_socket: transport }) }],
  };
}

export function endpoints(port: number): object {
  return { cluster_name: "up", endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] };
}

export function address(port: number): object {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}
