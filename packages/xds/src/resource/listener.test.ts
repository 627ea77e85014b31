import assert from "node:assert/strict";
import { test } from "node:test";
import {
  defaultHttp2Options,
  defaultManners,
  type HttpConnectionManagerConfig,
  type ListenerConfig,
} from "@heddle/traffic";
import { encodeApiListener, makeListenerType } from "./listener.ts";
import { accept, errorsOf, httpFilters, MANAGER, MODULE, ROUTER, reportsOf } from "./testing.ts";

const type = makeListenerType({ httpFilters });
const unchecked = makeListenerType({ httpFilters: "unchecked" });

const address = { socket_address: { address: "0.0.0.0", port_value: 80 } };
const router = { name: "router", typed_config: { "@type": ROUTER } };
const rds = { config_source: { ads: {}, resource_api_version: "V3" }, route_config_name: "r" };
const TYPED_STRUCT = "type.googleapis.com/udpa.type.v1.TypedStruct";
const TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const MONGO_PROXY = "type.googleapis.com/envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy";

/** A listener with one chain of one connection manager. */
function withManager(manager: object, rest: object = {}): object {
  const typed_config = { "@type": MANAGER, stat_prefix: "s", rds, http_filters: [router], ...manager };
  return { name: "l", address, filter_chains: [{ filters: [{ name: "hcm", typed_config }] }], ...rest };
}

function managerOf(config: ListenerConfig): HttpConnectionManagerConfig {
  const filter = config.filterChains[0]?.filters[0];
  assert.equal(filter?.type, "http-connection-manager");
  return filter.config;
}

const HCM = "filter_chains[0].filters[0].typed_config";

test("what is not set in a listener has Envoy's default", () => {
  const { filterChains: _, ...config } = accept(type, withManager({}));
  assert.deepEqual(config, {
    name: "l",
    address: { type: "socket", address: "0.0.0.0", port: 80 },
    additionalAddresses: [],
    statPrefix: "",
    defaultFilterChain: undefined,
    perConnectionBufferLimitBytes: 1048576,
    listenerFiltersTimeoutMs: 15_000,
    continueOnListenerFiltersTimeout: false,
    listenerFilters: [],
    trafficDirection: "UNSPECIFIED",
    tcpBacklogSize: undefined,
    reusePort: true,
    drainType: "DEFAULT",
    accessLog: [],
  });
});

test("what is not set in a connection manager has Envoy's default", () => {
  assert.deepEqual(managerOf(accept(type, withManager({}))), {
    statPrefix: "s",
    codecType: "AUTO",
    routes: { type: "rds", routeConfigName: "r" },
    httpFilters: [
      {
        name: "router",
        config: { name: "router", type: "envoy.extensions.filters.http.router.v3.Router", config: {} },
        disabled: false,
      },
    ],
    upgradeConfigs: [],
    accessLog: [],
    accessLogOptions: undefined,
    localReply: undefined,
    serverName: "heddle",
    serverHeaderTransformation: "OVERWRITE",
    maxRequestHeadersKb: 60,
    maxHeadersCount: 100,
    maxRequestsPerConnection: 0,
    idleTimeoutMs: 3_600_000,
    maxConnectionDurationMs: 0,
    maxConnectionDurationJitterPercent: 0,
    http1SafeMaxConnectionDuration: false,
    streamIdleTimeoutMs: 300_000,
    requestTimeoutMs: 0,
    requestHeadersTimeoutMs: 0,
    maxStreamDurationMs: 0,
    drainTimeoutMs: 5000,
    delayedCloseTimeoutMs: 1000,
    useRemoteAddress: false,
    xffNumTrustedHops: 0,
    skipXffAppend: false,
    generateRequestId: true,
    preserveExternalRequestId: false,
    alwaysSetRequestIdInResponse: false,
    via: "",
    normalizePath: false,
    mergeSlashes: false,
    pathWithEscapedSlashesAction: "KEEP_UNCHANGED",
    stripPort: "none",
    acceptHttp10: false,
    defaultHostForHttp10: "",
    proxy100Continue: false,
    headersWithUnderscoresAction: "ALLOW",
    manners: defaultManners,
    http2: defaultHttp2Options,
  });
});

test("every honoured field of a connection manager is read", () => {
  const manager = managerOf(
    accept(
      type,
      withManager({
        codec_type: "HTTP1",
        common_http_protocol_options: {
          idle_timeout: "1s",
          max_connection_duration: "2s",
          max_connection_duration_jitter: { value: 20 },
          max_headers_count: 3,
          max_stream_duration: "4s",
          max_requests_per_connection: 5,
          headers_with_underscores_action: "DROP_HEADER",
        },
        http_protocol_options: { accept_http_10: true, default_host_for_http_10: "h" },
        server_name: "me",
        server_header_transformation: "PASS_THROUGH",
        max_request_headers_kb: 6,
        stream_idle_timeout: "7s",
        request_timeout: "8s",
        request_headers_timeout: "9s",
        drain_timeout: "10s",
        delayed_close_timeout: "0s",
        use_remote_address: true,
        xff_num_trusted_hops: 2,
        skip_xff_append: true,
        via: "v",
        generate_request_id: false,
        preserve_external_request_id: true,
        always_set_request_id_in_response: true,
        proxy_100_continue: true,
        http1_safe_max_connection_duration: true,
        upgrade_configs: [{ upgrade_type: "websocket" }],
        normalize_path: true,
        merge_slashes: true,
        path_with_escaped_slashes_action: "REJECT_REQUEST",
        strip_any_host_port: true,
      }),
    ),
  );
  const { routes: _, httpFilters: __, accessLog: ___, ...rest } = manager;
  assert.deepEqual(rest, {
    statPrefix: "s",
    codecType: "HTTP1",
    upgradeConfigs: [{ upgradeType: "websocket", enabled: true }],
    accessLogOptions: undefined,
    localReply: undefined,
    serverName: "me",
    serverHeaderTransformation: "PASS_THROUGH",
    maxRequestHeadersKb: 6,
    maxHeadersCount: 3,
    maxRequestsPerConnection: 5,
    idleTimeoutMs: 1000,
    maxConnectionDurationMs: 2000,
    maxConnectionDurationJitterPercent: 20,
    http1SafeMaxConnectionDuration: true,
    streamIdleTimeoutMs: 7000,
    requestTimeoutMs: 8000,
    requestHeadersTimeoutMs: 9000,
    maxStreamDurationMs: 4000,
    drainTimeoutMs: 10_000,
    delayedCloseTimeoutMs: 0,
    useRemoteAddress: true,
    xffNumTrustedHops: 2,
    skipXffAppend: true,
    generateRequestId: false,
    preserveExternalRequestId: true,
    alwaysSetRequestIdInResponse: true,
    via: "v",
    normalizePath: true,
    mergeSlashes: true,
    pathWithEscapedSlashesAction: "REJECT_REQUEST",
    stripPort: "any",
    acceptHttp10: true,
    defaultHostForHttp10: "h",
    proxy100Continue: true,
    headersWithUnderscoresAction: "DROP_HEADER",
    manners: defaultManners, // their own tests set them
    http2: defaultHttp2Options,
  });
});

test("every honoured field of a listener and of its chains is read", () => {
  const json = withManager(
    {},
    {
      stat_prefix: "p",
      additional_addresses: [{ address: { pipe: { path: "/run/l.sock", mode: 0o600 } } }],
      per_connection_buffer_limit_bytes: 32768,
      continue_on_listener_filters_timeout: true,
      listener_filters_timeout: "0s",
      listener_filters: [
        {
          name: "tls",
          typed_config: { "@type": "x/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector" },
        },
      ],
      traffic_direction: "INBOUND",
      tcp_backlog_size: 512,
      enable_reuse_port: false,
      drain_type: "MODIFY_ONLY",
    },
  );
  const chain = {
    name: "c",
    transport_socket: { name: "envoy.transport_sockets.raw_buffer" },
    transport_socket_connect_timeout: "3s",
    filter_chain_match: {
      destination_port: 8080,
      prefix_ranges: [{ address_prefix: "10.0.0.0", prefix_len: 8 }],
      direct_source_prefix_ranges: [{ address_prefix: "::", prefix_len: 0 }],
      source_type: "EXTERNAL",
      source_prefix_ranges: [{ address_prefix: "192.168.0.0", prefix_len: 16 }],
      source_ports: [1, 2],
      transport_protocol: "raw_buffer",
    },
  };
  const filters = (json as { filter_chains: { filters: object[] }[] }).filter_chains[0]?.filters;
  const config = accept(type, { ...json, filter_chains: [{ ...chain, filters }], default_filter_chain: { filters } });
  const { filterChains, defaultFilterChain, ...rest } = config;
  assert.deepEqual(rest, {
    name: "l",
    address: { type: "socket", address: "0.0.0.0", port: 80 },
    additionalAddresses: [{ type: "pipe", path: "/run/l.sock", mode: 0o600 }],
    statPrefix: "p",
    perConnectionBufferLimitBytes: 32768,
    listenerFiltersTimeoutMs: 0,
    continueOnListenerFiltersTimeout: true,
    listenerFilters: [{ type: "tls-inspector", name: "tls", maxClientHelloBytes: 16_384 }],
    trafficDirection: "INBOUND",
    tcpBacklogSize: 512,
    reusePort: false,
    drainType: "MODIFY_ONLY",
    accessLog: [],
  });
  assert.equal(defaultFilterChain?.filters.length, 1);
  assert.equal(filterChains[0]?.transportSocketConnectTimeoutMs, 3000);
  assert.deepEqual(filterChains[0]?.match, {
    destinationPort: 8080,
    prefixRanges: ["10.0.0.0/8"],
    directSourcePrefixRanges: ["::/0"],
    sourceType: "EXTERNAL",
    sourcePrefixRanges: ["192.168.0.0/16"],
    sourcePorts: [1, 2],
    serverNames: [],
    transportProtocol: "raw_buffer",
    applicationProtocols: [],
  });
});

test("access logs are read: files, streams and all forms of format", () => {
  const log = (name: string, config: object) => ({
    name,
    typed_config: { "@type": `x/envoy.extensions.access_loggers.${name}`, ...config },
  });
  const FILE = "file.v3.FileAccessLog";
  const access_log = [
    log(FILE, { path: "/var/log/a" }),
    log(FILE, { path: "/dev/stdout", format: "%PROTOCOL%\n" }),
    log(FILE, { path: "/dev/stderr", json_format: { b: "%PROTOCOL%", a: 1 } }),
    log("stream.v3.StdoutAccessLog", {
      log_format: { text_format_source: { inline_string: "t" }, omit_empty_values: true },
    }),
    log("stream.v3.StderrAccessLog", { log_format: { json_format: { nested: { x: "y" }, flat: "z" } } }),
    log("open_telemetry.v3.OpenTelemetryAccessLogConfig", {}),
  ].slice(0, 5);
  const config = accept(type, withManager({ access_log }));
  assert.deepEqual(
    managerOf(config).accessLog.map(({ sink, format }) => [sink, format]),
    [
      [{ type: "file", path: "/var/log/a" }, { type: "default" }],
      [{ type: "stdout" }, { type: "text", text: "%PROTOCOL%\n", omitEmptyValues: false }],
      [{ type: "stderr" }, { type: "json", json: { a: 1, b: "%PROTOCOL%" }, omitEmptyValues: false }],
      [{ type: "stdout" }, { type: "text", text: "t", omitEmptyValues: true }],
      [{ type: "stderr" }, { type: "json", json: { nested: { x: "y" }, flat: "z" }, omitEmptyValues: false }],
    ],
  );
  assert.deepEqual(reportsOf(type, withManager({ access_log })), []);
});

test("a log format that cannot be compiled is refused with the command", () => {
  const log = (log_format: object): object => ({
    typed_config: { "@type": "x/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", log_format },
  });
  const errors = errorsOf(
    type,
    withManager({ access_log: [log({ text_format: "%NOPE%" }), log({ json_format: { a: "100%" } })] }),
  );
  assert.match(errors[0] ?? "", /access_log\[0\]\.typed_config\.log_format\.text_format: %NOPE% is no command/);
  assert.match(errors[1] ?? "", /access_log\[1\]\.typed_config\.log_format\.json_format: a: at character 3/);
});

test("filters of access logs are read; one that is an extension is refused", () => {
  const stdout = { "@type": "x/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog" };
  const log = (filter: object): object => ({ access_log: [{ filter, typed_config: stdout }] });
  const status = { comparison: { op: "GE", value: { default_value: 500, runtime_key: "a.b" } } };
  const filter = {
    and_filter: { filters: [{ status_code_filter: status }, { response_flag_filter: { flags: ["UF"] } }] },
  };
  assert.deepEqual(managerOf(accept(type, withManager(log(filter)))).accessLog[0]?.filter, {
    type: "and",
    filters: [
      { type: "status-code", op: "GE", value: 500, runtimeKey: "a.b" },
      { type: "response-flag", flags: ["UF"] },
    ],
  });
  assert.deepEqual(reportsOf(type, withManager(log(filter))), []);
  const cel = {
    name: "cel",
    typed_config: { "@type": "x/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter" },
  };
  const [error = ""] = errorsOf(type, withManager(log({ extension_filter: cel })));
  assert.match(
    error,
    /access_log\[0\]\.filter\.extension_filter: filters that are extensions \(CEL\) are not evaluated/,
  );
});

test("a command of a log that is always empty is told of", () => {
  const typed_config = {
    "@type": "x/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    log_format: { json_format: { a: ["%CEL(request.path)%"] } },
  };
  assert.deepEqual(reportsOf(type, withManager({ access_log: [{ typed_config }] })), [
    `${HCM}.access_log[0].typed_config.log_format.json_format`,
  ]);
});

test("filters are read by the type of their configuration, out of a TypedStruct as well", () => {
  const plain = { name: "plain", typed_config: { "@type": MODULE, module_path: "a.ts", config: { x: [1] } } };
  const struct = {
    name: "struct",
    disabled: true,
    typed_config: { "@type": TYPED_STRUCT, type_url: MODULE, value: { module_path: "b.ts" } },
  };
  const { httpFilters: filters } = managerOf(accept(type, withManager({ http_filters: [plain, struct, router] })));
  const module = "heddle.filters.http.v1.Module";
  assert.deepEqual(filters.slice(0, 2), [
    {
      name: "plain",
      config: { name: "plain", type: module, config: { modulePath: "a.ts", config: { x: [1] } } },
      disabled: false,
    },
    { name: "struct", config: { name: "struct", type: module, config: { modulePath: "b.ts" } }, disabled: true },
  ]);
});

test("an empty server name alone is any name, beside others it is refused", () => {
  const chain = (server_names: readonly string[]) => ({ filter_chain_match: { server_names }, filters: [echo] });
  const echo = {
    name: "echo",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo" },
  };
  const address = { socket_address: { address: "127.0.0.1", port_value: 80 } };
  const json = (...names: readonly (readonly string[])[]) => ({ name: "l", address, filter_chains: names.map(chain) });
  const { filterChains } = accept(type, json([""], ["a.b"]));
  assert.deepEqual(
    filterChains.map(({ match }) => match?.serverNames),
    [[], ["a.b"]],
  );
  assert.deepEqual(errorsOf(type, json([""], [])), [
    "filter_chains[1].filter_chain_match: is the same as that of filter_chains[0]",
  ]);
  assert.deepEqual(errorsOf(type, json(["", "a.b"])), [
    'filter_chains[0].filter_chain_match.server_names[0]: found "", allowed are names like "a.b" and "*.b"',
  ]);
});

test("what the default chain would match is ignored, and reported where it says anything", () => {
  const chain = {
    filters: [
      { name: "echo", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo" } },
    ],
  };
  const json = (filter_chain_match: object) => ({
    name: "l",
    address: { socket_address: { address: "127.0.0.1", port_value: 80 } },
    default_filter_chain: { ...chain, filter_chain_match },
  });
  assert.deepEqual(reportsOf(type, json({})), []);
  assert.deepEqual(reportsOf(type, json({ destination_port: 1 })), ["default_filter_chain.filter_chain_match"]);
});

test("a filter that we do not have is refused, unless it is optional or only watches", () => {
  const lua = { "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua" };
  const stats = { "@type": TYPED_STRUCT, type_url: "type.googleapis.com/stats.PluginConfig", value: {} };
  assert.deepEqual(errorsOf(type, withManager({ http_filters: [{ name: "lua", typed_config: lua }, router] })), [
    `${HCM}.http_filters[0].typed_config: there is no filter envoy.extensions.filters.http.lua.v3.Lua, and it is not marked is_optional`,
  ]);
  const http_filters = [
    { name: "lua", typed_config: lua, is_optional: true },
    { name: "istio.stats", typed_config: stats },
    router,
  ];
  assert.equal(managerOf(accept(type, withManager({ http_filters }))).httpFilters.length, 1);
  assert.deepEqual(reportsOf(type, withManager({ http_filters })), [
    `${HCM}.http_filters[0].typed_config`,
    `${HCM}.http_filters[1].typed_config`,
  ]);
});

test("filters of HTTP that do only what routes tell them are left out while they are empty: Istio puts them everywhere", () => {
  const fault = (config: object) => ({
    name: "fault",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault", ...config },
  });
  const cors = {
    name: "cors",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors" },
  };
  const alpn = "type.googleapis.com/istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig";
  const istio = {
    name: "istio.alpn",
    typed_config: { "@type": TYPED_STRUCT, type_url: alpn, value: { alpn_override: [] } },
  };
  const http_filters = [cors, fault({}), istio, router];
  assert.equal(managerOf(accept(type, withManager({ http_filters }))).httpFilters.length, 1);
  assert.deepEqual(reportsOf(type, withManager({ http_filters })), [
    `${HCM}.http_filters[0].typed_config`,
    `${HCM}.http_filters[1].typed_config`,
    `${HCM}.http_filters[2].typed_config`,
  ]);
  const abort = { abort: { http_status: 503, percentage: { numerator: 100 } } };
  assert.deepEqual(errorsOf(type, withManager({ http_filters: [fault(abort), router] })), [
    `${HCM}.http_filters[0].typed_config: there is no filter envoy.extensions.filters.http.fault.v3.HTTPFault, and it is not marked is_optional`,
  ]);
});

test("a filter's own complaint has the path of its configuration before it", () => {
  const broken = { name: "m", typed_config: { "@type": MODULE, module_path: "missing.ts" } };
  assert.deepEqual(errorsOf(type, withManager({ http_filters: [broken, router] })), [
    `${HCM}.http_filters[0].typed_config.modulePath: cannot be loaded`,
  ]);
});

test("the router's own fields are refused and reported as well", () => {
  const configured = (config: object) =>
    withManager({ http_filters: [{ name: "r", typed_config: { "@type": ROUTER, ...config } }] });
  assert.deepEqual(errorsOf(type, configured({ upstream_http_filters: [{ name: "x" }] })), [
    `${HCM}.http_filters[0].typed_config.upstream_http_filters: upstream filters are not supported`,
  ]);
  assert.deepEqual(
    reportsOf(type, configured({ suppress_grpc_request_failure_code_stats: true, dynamic_stats: true })),
    [`${HCM}.http_filters[0].typed_config.suppress_grpc_request_failure_code_stats`],
  );
});

test("a chain of filters ends with the router, and has it nowhere else", () => {
  const module = { name: "m", typed_config: { "@type": MODULE, module_path: "a.ts" } };
  assert.deepEqual(errorsOf(type, withManager({ http_filters: [router, module] })), [
    `${HCM}.http_filters[0]: ends the chain, so it has to be the last filter`,
    `${HCM}.http_filters[1]: cannot be the last filter; the chain has to end with the router`,
  ]);
  assert.deepEqual(errorsOf(type, withManager({ http_filters: [] })), [
    `${HCM}.http_filters: holds no filter; the chain has to end with the router`,
  ]);
});

/** A listener with one chain of these filters, each by its type and its fields. */
function withFilters(...filters: readonly (readonly [type: string, config: object])[]): object {
  const list = filters.map(([type, config], index) => ({
    name: `f${index}`,
    typed_config: { "@type": type, ...config },
  }));
  return { name: "l", address, filter_chains: [{ filters: list }] };
}

function tcpProxy(config: object): readonly [string, object] {
  return [TCP_PROXY, { stat_prefix: "t", ...config }];
}

test("what is not set in a TCP proxy has Envoy's default", () => {
  assert.deepEqual(accept(type, withFilters(tcpProxy({ cluster: "c" }))).filterChains[0]?.filters, [
    {
      type: "tcp-proxy",
      name: "f0",
      config: {
        statPrefix: "t",
        clusters: [{ name: "c", weight: 1 }],
        idleTimeoutMs: 3_600_000,
        maxConnectAttempts: 1,
        maxDownstreamConnectionDurationMs: 0,
        accessLog: [],
        accessLogFlushIntervalMs: 0,
        flushAccessLogOnConnected: false,
      },
    },
  ]);
});

test("a TCP proxy is read whole, and names its clusters", () => {
  const config = accept(
    type,
    withFilters(
      tcpProxy({
        weighted_clusters: {
          clusters: [
            { name: "a", weight: 3 },
            { name: "b", weight: 1 },
          ],
        },
        idle_timeout: "0s",
        max_connect_attempts: 4,
        max_downstream_connection_duration: "90s",
        access_log_options: { access_log_flush_interval: "2s" },
        flush_access_log_on_connected: true,
      }),
    ),
  );
  const filter = config.filterChains[0]?.filters[0];
  assert.equal(filter?.type, "tcp-proxy");
  assert.deepEqual(filter.config, {
    statPrefix: "t",
    clusters: [
      { name: "a", weight: 3 },
      { name: "b", weight: 1 },
    ],
    idleTimeoutMs: 0,
    maxConnectAttempts: 4,
    maxDownstreamConnectionDurationMs: 90_000,
    accessLog: [],
    accessLogFlushIntervalMs: 2000,
    flushAccessLogOnConnected: false, // the deprecated field does not count beside the options
  });
  assert.deepEqual(type.references(config), [
    { kind: "cluster", name: "a" },
    { kind: "cluster", name: "b" },
  ]);
});

test("every reason for refusing a TCP proxy is named, and what has no effect is reported", () => {
  const path = "filter_chains[0].filters[0].typed_config";
  assert.deepEqual(
    errorsOf(type, withFilters(tcpProxy({ tunneling_config: { hostname: "h:1" }, metadata_match: {}, cluster: "" }))),
    [
      `${path}.metadata_match: endpoint subsets are not supported; other endpoints would be called`,
      `${path}.tunneling_config: is not supported yet; the bytes would go to the cluster without a tunnel`,
    ],
  );
  assert.deepEqual(errorsOf(type, withFilters(tcpProxy({}))), [
    `${path}.cluster_specifier: one must be set of cluster, weighted_clusters`,
  ]);
  const heavy = {
    clusters: [
      { name: "a", weight: 4_294_967_295 },
      { name: "b", weight: 1 },
    ],
  };
  assert.deepEqual(errorsOf(type, withFilters(tcpProxy({ weighted_clusters: heavy }))), [
    `${path}.weighted_clusters.clusters: the weights add up to 4294967296, allowed is at most 4294967295`,
  ]);
  assert.deepEqual(reportsOf(type, withFilters(tcpProxy({ cluster: "c", hash_policy: [{ source_ip: {} }] }))), [
    `${path}.hash_policy`,
  ]);
});

test("the PROXY protocol of a listener is read whole", () => {
  const withProxy = (config: object): ListenerConfig["listenerFilters"] => {
    const typed_config = { "@type": "x/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol", ...config };
    return accept(type, withManager({}, { listener_filters: [{ name: "pp", typed_config }] })).listenerFilters;
  };
  assert.deepEqual(withProxy({}), [
    {
      type: "proxy-protocol",
      name: "pp",
      config: { rules: [], allowWithout: false, disallowedVersions: [], passThroughTlvs: [], statPrefix: "" },
    },
  ]);
  const rules = [
    { tlv_type: 2, on_tlv_present: { key: "authority" } },
    { tlv_type: 0xea, on_tlv_present: { metadata_namespace: "aws", key: "endpoint" } },
  ];
  const [filter] = withProxy({
    rules,
    allow_requests_without_proxy_protocol: true,
    disallowed_versions: ["V2"],
    pass_through_tlvs: { match_type: "INCLUDE", tlv_type: [234, 5] },
    stat_prefix: "front",
  });
  assert.equal(filter?.type, "proxy-protocol");
  assert.deepEqual(filter.config, {
    rules: [
      { tlvType: 2, namespace: "envoy.filters.listener.proxy_protocol", key: "authority" },
      { tlvType: 234, namespace: "aws", key: "endpoint" },
    ],
    allowWithout: true,
    disallowedVersions: [2],
    passThroughTlvs: [5, 234],
    statPrefix: "front",
  });
  const [all] = withProxy({ pass_through_tlvs: {} });
  assert.equal(all?.type === "proxy-protocol" && all.config.passThroughTlvs, "all");
});

const UDP_PROXY = "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig";
const UDP_ROUTE = "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.Route";

function udpListener(proxy: object, rest: object = {}): object {
  return {
    name: "dns",
    address: { socket_address: { protocol: "UDP", address: "0.0.0.0", port_value: 53 } },
    udp_listener_config: {},
    listener_filters: [{ name: "udp", typed_config: { "@type": UDP_PROXY, stat_prefix: "u", ...proxy } }],
    ...rest,
  };
}

test("a UDP listener and its proxy are read whole, the cluster by its field or as the only action", () => {
  const route = { name: "r", typed_config: { "@type": UDP_ROUTE, cluster: "c" } };
  for (const cluster of [{ cluster: "c" }, { matcher: { on_no_match: { action: route } } }]) {
    const config = accept(type, udpListener(cluster));
    assert.deepEqual(config.udp, {
      maxDatagramBytes: 1500,
      proxy: {
        statPrefix: "u",
        cluster: "c",
        idleTimeoutMs: 60_000,
        maxUpstreamDatagramBytes: 1500,
        perPacketLoadBalancing: false,
        accessLog: [],
      },
    });
    assert.deepEqual([config.filterChains, config.listenerFilters], [[], []]);
    assert.deepEqual(type.references(config), [{ kind: "cluster", name: "c" }]);
  }
  const whole = udpListener(
    {
      cluster: "c",
      idle_timeout: "5s",
      use_per_packet_load_balancing: true,
      upstream_socket_config: { max_rx_datagram_size: 9000 },
    },
    { udp_listener_config: { downstream_socket_config: { max_rx_datagram_size: 4096 } } },
  );
  const { udp } = accept(type, whole);
  assert.equal(udp?.maxDatagramBytes, 4096);
  assert.deepEqual(udp.proxy, {
    statPrefix: "u",
    cluster: "c",
    idleTimeoutMs: 5000,
    maxUpstreamDatagramBytes: 9000,
    perPacketLoadBalancing: true,
    accessLog: [],
  });
});

test("every reason for refusing a UDP listener is named", () => {
  const path = "listener_filters[0].typed_config";
  const refused = { use_original_src_ip: true, session_filters: [{ name: "s" }] };
  assert.deepEqual(errorsOf(type, udpListener({ cluster: "c", ...refused })), [
    `${path}.session_filters: there are no session filters; sessions would begin that they refuse`,
    `${path}.use_original_src_ip: datagrams would be sent from our own address`,
  ]);
  assert.match(errorsOf(type, udpListener({ matcher: {} })).join(), /matcher\.on_no_match: must have an action/);
  assert.deepEqual(errorsOf(type, udpListener({ cluster: "c" }, { listener_filters: [] })), [
    "listener_filters: found 0, allowed for UDP is exactly 1, a UDP proxy or a DNS filter",
  ]);
  assert.deepEqual(errorsOf(type, udpListener({ cluster: "c" }, { filter_chains: [{ filters: [] }] })), [
    "filter_chains: a UDP listener has no connections that they could serve",
  ]);
  assert.deepEqual(errorsOf(type, udpListener({ cluster: "c" }, { additional_addresses: [{ address }] })), [
    "additional_addresses[0].address: has to be one of UDP, as the listener's first address",
  ]);
  assert.deepEqual(errorsOf(type, withManager({}, { udp_listener_config: {} })), [
    "udp_listener_config: is only for addresses of protocol UDP",
  ]);
  assert.match(
    errorsOf(type, udpListener({ cluster: "c" }, { udp_listener_config: { quic_options: {} } })).join(),
    /HTTP\/3/,
  );
});

test("a filter that serves connections is the last of its chain", () => {
  const echo = ["type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo", {}] as const;
  const answer = [
    "type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config",
    { response: { inline_string: "bye\n" } },
  ] as const;
  assert.deepEqual(accept(type, withFilters(answer)).filterChains[0]?.filters, [
    { type: "direct-response", name: "f0", responseBase64: Buffer.from("bye\n").toString("base64") },
  ]);
  assert.deepEqual(accept(type, withFilters(echo)).filterChains[0]?.filters, [{ type: "echo", name: "f0" }]);
  assert.deepEqual(errorsOf(type, withFilters(tcpProxy({ cluster: "c" }), echo)), [
    'filter_chains[0].filters: "f0" ends the chain, so it has to be the last filter',
  ]);
});

const LOCAL_RATELIMIT = "envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit";
const BUCKET = { max_tokens: 1, fill_interval: "1s" };

const listenerFilter = (name: string, fields: object = {}): object => ({
  name,
  typed_config: { "@type": `type.googleapis.com/envoy.extensions.filters.listener.${name}`, ...fields },
});

test("original destination is read as Envoy reads it, the deprecated way of saying no port included", () => {
  const redirected = accept(type, withManager({}, { use_original_dst: true, transparent: true, freebind: true }));
  assert.deepEqual(
    [redirected.useOriginalDst, redirected.transparent, redirected.freebind, redirected.bindToPort],
    [true, true, true, undefined],
  );
  for (const fields of [{ bind_to_port: false }, { deprecated_v1: { bind_to_port: false } }])
    assert.equal(accept(type, withManager({}, fields)).bindToPort, false);
  assert.deepEqual(
    accept(type, withManager({}, { bind_to_port: true, use_original_dst: false, deprecated_v1: {} })),
    accept(type, withManager({})),
  );
});

test("listener filters of original destination are read, with their exceptions", () => {
  const ports = (start: number, end: number): object => ({ destination_port_range: { start, end } });
  const filter_disabled = {
    or_match: { rules: [ports(80, 81), { and_match: { rules: [{ any_match: true }, { not_match: ports(0, 9) }] } }] },
  };
  const listener_filters = [
    listenerFilter("original_dst.v3.OriginalDst"),
    listenerFilter("original_src.v3.OriginalSrc", { mark: 7 }),
    { ...listenerFilter("http_inspector.v3.HttpInspector"), filter_disabled },
  ];
  assert.deepEqual(accept(type, withManager({}, { listener_filters })).listenerFilters, [
    { type: "original-dst", name: "original_dst.v3.OriginalDst" },
    { type: "original-src", name: "original_src.v3.OriginalSrc", mark: 7 },
    {
      type: "http-inspector",
      name: "http_inspector.v3.HttpInspector",
      disabled: {
        type: "or",
        rules: [
          { type: "destination-port", start: 80, end: 81 },
          {
            type: "and",
            rules: [{ type: "any" }, { type: "not", rule: { type: "destination-port", start: 0, end: 9 } }],
          },
        ],
      },
    },
  ]);
});

test("the filter that lets servers speak first is read, by its own message and as a struct, and its unknown fields are refused", () => {
  const named = (config: object): object => ({
    name: "sf",
    typed_config: { "@type": `type.googleapis.com/${SERVER_FIRST}`, ...config },
  });
  const struct = {
    "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
    type_url: `t/${SERVER_FIRST}`,
    value: { after: "0s" },
  };
  const listener_filters = [named({}), named({ after: "0.250s" }), { name: "sf", typed_config: struct }];
  assert.deepEqual(
    accept(type, withManager({}, { listener_filters })).listenerFilters,
    [10, 250, 0].map((afterMs) => ({ type: "server-first", name: "sf", afterMs })),
  );
  const [error] = errorsOf(type, withManager({}, { listener_filters: [named({ after: "-1s" })] }));
  assert.match(error!, /listener_filters\[0\]\.typed_config\.after/);
});

const SERVER_FIRST = "heddle.filters.listener.v1.ServerFirst";

test("where options of sockets cannot be had, what needs them is refused by name", () => {
  const without = makeListenerType({ httpFilters: "unchecked", withoutSocketOptions: true });
  const errors = errorsOf(
    without,
    withManager(
      {},
      {
        use_original_dst: true,
        transparent: true,
        freebind: true,
        bind_to_port: false,
        listener_filters: [
          listenerFilter("original_dst.v3.OriginalDst"),
          listenerFilter("original_src.v3.OriginalSrc"),
          listenerFilter("http_inspector.v3.HttpInspector"),
        ],
      },
    ),
  );
  assert.deepEqual(
    errors.map((error) => error.split(":")[0]),
    [
      "listener_filters[0].typed_config",
      "listener_filters[1].typed_config",
      "use_original_dst",
      "transparent",
      "freebind",
    ],
  );
  assert.match(errors[0]!, /koffi/);
});

test("every reason for refusing a listener is named", () => {
  const errors = errorsOf(type, {
    name: "l",
    address: { socket_address: { address: "localhost", port_value: 70000 } },
    filter_chain_matcher: {},
    filter_chains: [
      { filters: [{ name: "mongo", typed_config: { "@type": MONGO_PROXY, stat_prefix: "t" } }] },
      {
        filter_chain_match: {
          server_names: ["a*.example"],
          prefix_ranges: [{ address_prefix: "10.0.0.0", prefix_len: 33 }],
        },
        transport_socket: { name: "tls" },
      },
      { filter_chain_match: {}, filters: [{ name: "none" }] },
    ],
    listener_filters: [
      { name: "lr", typed_config: { "@type": `x/${LOCAL_RATELIMIT}`, stat_prefix: "s", token_bucket: BUCKET } },
    ],
  });
  assert.deepEqual([...errors].sort(), [
    'address.socket_address.address: found "localhost", allowed is an IP address',
    "address.socket_address.port_value: found 70000, allowed is at most 65535",
    "filter_chain_matcher: is not supported yet",
    "filter_chains[0].filters[0].typed_config: there is no network filter envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy",
    "filter_chains[1].filter_chain_match.prefix_ranges[0].prefix_len: found 33, allowed for 10.0.0.0 is at most 32",
    'filter_chains[1].filter_chain_match.server_names[0]: found "a*.example", allowed are names like "a.b" and "*.b"',
    "filter_chains[1].filters: holds no filter; every connection would be closed",
    'filter_chains[1].transport_socket: "tls" is not supported here; a connection would be open where it should be protected',
    "filter_chains[2].filter_chain_match: is the same as that of filter_chains[0]",
    "filter_chains[2].filters[0].typed_config: must be set",
    `listener_filters[0].typed_config: there is no listener filter ${LOCAL_RATELIMIT}`,
  ]);
});

test("faults of an inline route configuration have their path within the listener", () => {
  const route_config = {
    virtual_hosts: [
      { name: "h", domains: ["*"], routes: [{ match: { safe_regex: { regex: "(" } }, route: { cluster: "" } }] },
    ],
  };
  const errors = errorsOf(type, withManager({ rds: undefined, route_config }));
  assert.deepEqual(
    errors.map((error) => error.slice(0, error.indexOf(": "))),
    [
      `${HCM}.route_config.virtual_hosts[0].routes[0].route.cluster`,
      `${HCM}.route_config.virtual_hosts[0].routes[0].match.safe_regex`,
    ],
  );
});

test("what is accepted without effect is reported by path", () => {
  const manager = {
    tracing: { verbose: true },
    http2_protocol_options: { allow_metadata: true },
    add_user_agent: false,
  };
  assert.deepEqual(reportsOf(type, withManager(manager, { socket_options: [{ level: 1, name: 2, int_value: 3 }] })), [
    `${HCM}.http2_protocol_options.allow_metadata`,
    `${HCM}.tracing.verbose`,
    "socket_options",
  ]);
});

test("a limit on responses is a cluster's, and reported where a listener has it", () => {
  const manager = { common_http_protocol_options: { max_response_headers_kb: 10 } };
  assert.deepEqual(reportsOf(type, withManager(manager)), [
    `${HCM}.common_http_protocol_options.max_response_headers_kb`,
  ]);
});

test("what others may honour is reported, and kept for them", () => {
  const typed_config = { "@type": MANAGER, stat_prefix: "s", rds, http_filters: [router] };
  const listener = {
    name: "l",
    address,
    listener_filters_timeout: "3s",
    traffic_direction: "INBOUND",
    enable_reuse_port: false,
    filter_chains: [{ filters: [{ name: "hcm", typed_config }], transport_socket_connect_timeout: "2s" }],
  };
  assert.deepEqual(reportsOf(type, listener), ["enable_reuse_port"]);
  const { listenerFiltersTimeoutMs, trafficDirection, reusePort, filterChains } = accept(type, listener);
  assert.deepEqual([listenerFiltersTimeoutMs, trafficDirection, reusePort], [3000, "INBOUND", false]);
  assert.equal(filterChains[0]?.transportSocketConnectTimeoutMs, 2000);
});

test("references are the route configurations by RDS and the clusters of inline routes", () => {
  assert.deepEqual(type.references(accept(type, withManager({}))), [{ kind: "route-configuration", name: "r" }]);
  const routes = [
    {
      match: { prefix: "/" },
      route: { cluster: "a" },
      typed_per_filter_config: { m: { "@type": MODULE, module_path: "a.ts" } },
    },
  ];
  const route_config = { virtual_hosts: [{ name: "h", domains: ["*"], routes }] };
  const inline = accept(type, withManager({ rds: undefined, route_config }));
  assert.deepEqual(type.references(inline), [{ kind: "cluster", name: "a" }]);
  const manager = managerOf(inline);
  assert.equal(manager.routes.type === "inline" && manager.routes.routeConfig.validateClusters, true);
});

test("unchecked, a listener with filters of others is kept for whoever knows them", () => {
  const http_filters = [{ name: "lua", typed_config: { "@type": "x/envoy.extensions.filters.http.lua.v3.Lua" } }];
  assert.equal(managerOf(accept(unchecked, withManager({ http_filters }))).httpFilters.length, 1);
  const filters = [{ name: "mongo", typed_config: { "@type": MONGO_PROXY, stat_prefix: "t" } }];
  assert.equal(
    accept(unchecked, { name: "l", address, filter_chains: [{ filters }] }).filterChains[0]?.filters[0]?.type,
    "extension",
  );
});

test("an API listener is for clients that are no proxies; a proxy refuses it", () => {
  const bytes = encodeApiListener("shop:80", managerOf(accept(type, withManager({}))));
  const decoded = type.decode(bytes);
  assert.ok(!decoded.ok);
  assert.ok(decoded.error.includes("api_listener: is for clients that are no proxies"));
});
