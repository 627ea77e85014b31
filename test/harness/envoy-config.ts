/*
 * Envoy configuration as JSON, with the few places that tests vary. Field names as in Envoy's documentation, so that what
 * stands here can be given to an Envoy as well.
 */

const FILTERS = "type.googleapis.com/envoy.extensions.filters";

export type Json = Readonly<Record<string, unknown>>;

/** One line of JSON for each exchange, in the file. */
export function jsonAccessLog(path: string): Json {
  return {
    name: "json",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
      path,
      log_format: {
        json_format: {
          method: "%REQ(:METHOD)%",
          path: "%REQ(:PATH)%",
          host: "%REQ(:AUTHORITY)%",
          status: "%RESPONSE_CODE%",
          flags: "%RESPONSE_FLAGS%",
          details: "%RESPONSE_CODE_DETAILS%",
          attempts: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
          received: "%BYTES_RECEIVED%",
          sent: "%BYTES_SENT%",
          upstream: "%UPSTREAM_HOST%",
          cluster: "%UPSTREAM_CLUSTER%",
          request_id: "%REQ(X-REQUEST-ID)%",
        },
      },
    },
  };
}

export function textAccessLog(path: string): Json {
  return {
    name: "text",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", path },
  };
}

export function socketAddress(port: number): Json {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}

export const router: Json = {
  name: "envoy.filters.http.router",
  typed_config: { "@type": `${FILTERS}.http.router.v3.Router` },
};

/** A filter of ours, by the path of its module. */
export function filterModule(modulePath: string, config: Json = {}): Json {
  return {
    name: modulePath,
    typed_config: {
      "@type": "type.googleapis.com/heddle.filters.http.v1.Module",
      module_path: modulePath,
      config,
    },
  };
}

export interface ListenerWish {
  readonly name: string;
  /** 0, a free one, by default. */
  readonly port?: number;
  /** `route_config` or `rds`. */
  readonly routes: Json;
  /** More fields of the connection manager. */
  readonly http?: Json;
  /** Before the router. */
  readonly filters?: readonly Json[];
}

export function listener({ name, port = 0, routes, http = {}, filters = [] }: ListenerWish): Json {
  return {
    name,
    address: socketAddress(port),
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: {
              "@type": `${FILTERS}.network.http_connection_manager.v3.HttpConnectionManager`,
              stat_prefix: name,
              ...routes,
              http_filters: [...filters, router],
              ...http,
            },
          },
        ],
      },
    ],
  };
}

/** A listener with one chain of one network filter. `fields` are more of the listener's. */
export function tcpListener(name: string, filter: Json, fields: Json = {}): Json {
  return { name, address: socketAddress(0), filter_chains: [{ filters: [filter] }], ...fields };
}

/** A network filter that gives connections to a cluster, or what else the fields say. */
export function tcpProxy(fields: Json): Json {
  return {
    name: "envoy.filters.network.tcp_proxy",
    typed_config: { "@type": `${FILTERS}.network.tcp_proxy.v3.TcpProxy`, stat_prefix: "tcp", ...fields },
  };
}

/** A listener of UDP whose sessions go to a cluster, or what else the fields of the proxy say. */
export function udpListener(name: string, proxy: Json, fields: Json = {}): Json {
  return {
    name,
    address: { socket_address: { protocol: "UDP", address: "127.0.0.1", port_value: 0 } },
    udp_listener_config: {},
    listener_filters: [
      {
        name: "envoy.filters.udp_listener.udp_proxy",
        typed_config: { "@type": `${FILTERS}.udp.udp_proxy.v3.UdpProxyConfig`, stat_prefix: name, ...proxy },
      },
    ],
    ...fields,
  };
}

/** Of a listener. */
export function proxyProtocol(fields: Json = {}): Json {
  return {
    listener_filters: [
      {
        name: "envoy.filters.listener.proxy_protocol",
        typed_config: { "@type": `${FILTERS}.listener.proxy_protocol.v3.ProxyProtocol`, ...fields },
      },
    ],
  };
}

/** Of a cluster. */
export function upstreamProxyProtocol(config: Json = {}): Json {
  return {
    transport_socket: {
      name: "envoy.transport_sockets.upstream_proxy_protocol",
      typed_config: {
        "@type":
          "type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        config,
        transport_socket: {
          name: "envoy.transport_sockets.raw_buffer",
          typed_config: { "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" },
        },
      },
    },
  };
}

/** `route_config`; clusters that are not there are told by the answers to requests. */
export function inlineRoutes(virtualHosts: readonly Json[]): Json {
  return { route_config: { name: "local", validate_clusters: false, virtual_hosts: virtualHosts } };
}

/** A virtual host whose every path goes to a cluster. `route` has more fields of the action. */
export function virtualHost(domain: string, cluster: string, route: Json = {}): Json {
  return {
    name: domain,
    domains: [domain],
    routes: [{ match: { prefix: "/" }, route: { cluster, ...route } }],
  };
}

/** Of type STATIC; `fields` are more of the cluster's. */
export function cluster(name: string, ports: readonly number[], fields: Json = {}): Json {
  return {
    name,
    type: "STATIC",
    connect_timeout: "20s",
    load_assignment: loadAssignment(name, ports),
    ...fields,
  };
}

/** Of type STATIC, spoken to in HTTP/2. `options` are of its `http2_protocol_options`. */
export function http2Cluster(name: string, ports: readonly number[], fields: Json = {}, options: Json = {}): Json {
  return cluster(name, ports, { ...http2Upstream(options), ...fields });
}

/** Of a cluster: HTTP/2 to its endpoints. `fields` are of Http2ProtocolOptions. */
export function http2Upstream(fields: Json = {}): Json {
  return {
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: { http2_protocol_options: fields },
      },
    },
  };
}

export function loadAssignment(clusterName: string, ports: readonly number[]): Json {
  return {
    cluster_name: clusterName,
    endpoints: [{ lb_endpoints: ports.map((port) => ({ endpoint: { address: socketAddress(port) } })) }],
  };
}

export function staticBootstrap(listeners: readonly Json[], clusters: readonly Json[]): Json {
  return { node: { id: "default/test/1", cluster: "test" }, static_resources: { listeners, clusters } };
}
