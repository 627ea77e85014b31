import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultHttp2Options } from "@heddle/traffic";
import { isMetricName } from "@heddle/traffic/orca";
import { clusterType } from "./cluster.ts";
import { accept, bytesOf, errorsOf, reportsOf } from "./testing.ts";

const ads = { eds_config: { ads: {}, resource_api_version: "V3" } };
const eds = { name: "a", type: "EDS", eds_cluster_config: ads };
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

function assignment(...addresses: string[]): object {
  const lb_endpoints = addresses.map((address) => ({
    endpoint: { address: { socket_address: { address, port_value: 80 } } },
  }));
  return { cluster_name: "a", endpoints: [{ lb_endpoints }] };
}

test("PROXY protocol may stand before a plaintext connection and before TLS, and before no other", () => {
  const PROXY = "x/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";
  const raw = {
    name: "raw",
    typed_config: { "@type": "x/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" },
  };
  const withTransport = (config: object): object => ({
    name: "c",
    type: "STATIC",
    load_assignment: { cluster_name: "c" },
    transport_socket: { name: "pp", typed_config: { "@type": PROXY, ...config } },
  });
  assert.deepEqual(accept(clusterType, withTransport({ transport_socket: raw })).proxyProtocol, {
    version: 1,
    passThroughTlvs: [],
  });
  const config = { version: "V2", pass_through_tlvs: { match_type: "INCLUDE", tlv_type: [5] } };
  assert.deepEqual(accept(clusterType, withTransport({ config, transport_socket: raw })).proxyProtocol, {
    version: 2,
    passThroughTlvs: [5],
  });
  const tls = {
    name: "tls",
    typed_config: { "@type": "x/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext" },
  };
  const both = accept(clusterType, withTransport({ transport_socket: tls }));
  assert.deepEqual(both.proxyProtocol, { version: 1, passThroughTlvs: [] });
  assert.equal(both.tls?.maxSessionKeys, 1);
  const alts = { name: "alts", typed_config: { "@type": "x/envoy.extensions.transport_sockets.alts.v3.Alts" } };
  assert.match(
    errorsOf(clusterType, withTransport({ transport_socket: alts })).join(),
    /transport_socket\.typed_config\.transport_socket: "alts" is not supported/,
  );
  assert.match(errorsOf(clusterType, withTransport({})).join(), /transport_socket: must be set/);
});

test("what is not set has Envoy's default", () => {
  assert.deepEqual(accept(clusterType, eds), {
    name: "a",
    statName: "a",
    discovery: { type: "EDS", serviceName: "a" },
    lbPolicy: { type: "round-robin" },
    connectTimeoutMs: 5000,
    perConnectionBufferLimitBytes: 1048576,
    circuitBreakers: {
      default: { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 },
      high: { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 },
    },
    healthyPanicThresholdPercent: 50,
    upstreamProtocol: "unset",
    idleTimeoutMs: undefined,
    maxConnectionDurationMs: 0,
    maxConnectionDurationJitterPercent: 0,
    maxRequestsPerConnection: 0,
    maxResponseHeadersKb: 80,
    maxHeadersCount: 100,
    maxStreamDurationMs: 0,
    tcpKeepalive: undefined,
    metadata: {},
  });
});

test("every honoured field is read", () => {
  const config = accept(clusterType, {
    name: "a",
    alt_stat_name: "b",
    type: "STRICT_DNS",
    load_assignment: assignment("stock.example"),
    connect_timeout: "0.25s",
    per_connection_buffer_limit_bytes: 32768,
    lb_policy: "LEAST_REQUEST",
    least_request_lb_config: { choice_count: 3, active_request_bias: { default_value: 0.5, runtime_key: "x" } },
    circuit_breakers: {
      thresholds: [
        { max_connections: 1, max_pending_requests: 2 },
        { priority: "HIGH", max_requests: 3, max_retries: 0 },
      ],
    },
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        "@type": `type.googleapis.com/${HTTP_OPTIONS}`,
        explicit_http_config: { http2_protocol_options: { max_concurrent_streams: 7, allow_connect: true } },
        common_http_protocol_options: {
          idle_timeout: "0s",
          max_connection_duration: "60s",
          max_connection_duration_jitter: { value: 10 },
          max_requests_per_connection: 5,
          max_response_headers_kb: 8,
          max_headers_count: 50,
          max_stream_duration: "9s",
        },
      },
    },
    dns_refresh_rate: "30s",
    respect_dns_ttl: true,
    dns_lookup_family: "V4_PREFERRED",
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
    metadata: { filter_metadata: { istio: { services: [{ host: "a" }] } } },
    upstream_connection_options: { tcp_keepalive: { keepalive_time: 60 } },
  });
  assert.deepEqual(config, {
    name: "a",
    statName: "b",
    discovery: {
      type: "STRICT_DNS",
      loadAssignment: {
        clusterName: "a",
        localities: [
          {
            locality: { region: "", zone: "", subZone: "" },
            loadBalancingWeight: undefined,
            priority: 0,
            endpoints: [
              {
                address: { type: "socket", address: "stock.example", port: 80 },
                hostname: "",
                healthStatus: "UNKNOWN",
                loadBalancingWeight: 1,
                metadata: {},
              },
            ],
          },
        ],
        overprovisioningFactorPercent: 140,
        dropOverloads: [],
      },
      dns: { refreshRateMs: 30_000, respectTtl: true, lookupFamily: "V4_PREFERRED" },
    },
    lbPolicy: { type: "least-request", choiceCount: 3, activeRequestBias: 0.5, activeRequestBiasKey: "x" },
    connectTimeoutMs: 250,
    perConnectionBufferLimitBytes: 32768,
    circuitBreakers: {
      default: { maxConnections: 1, maxPendingRequests: 2, maxRequests: 1024, maxRetries: 3 },
      high: { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 3, maxRetries: 0 },
    },
    healthyPanicThresholdPercent: 0,
    upstreamProtocol: "http2",
    http2: { ...defaultHttp2Options, maxConcurrentStreams: 7, allowConnect: true },
    idleTimeoutMs: 0,
    maxConnectionDurationMs: 60_000,
    maxConnectionDurationJitterPercent: 10,
    maxResponseHeadersKb: 8,
    maxHeadersCount: 50,
    maxStreamDurationMs: 9000,
    maxRequestsPerConnection: 5,
    tcpKeepalive: { idleSeconds: 60, intervalSeconds: 75, probes: 9 },
    metadata: { istio: { services: [{ host: "a" }] } },
  });
});

test("a typed balancing policy comes before lb_policy, the first known one of its list", () => {
  const policy = (name: string) => ({
    typed_extension_config: { name, typed_config: { "@type": `x/envoy.extensions.load_balancing_policies.${name}` } },
  });
  const policies = [policy("maglev.v3.Maglev"), policy("random.v3.Random"), policy("round_robin.v3.RoundRobin")];
  assert.deepEqual(
    accept(clusterType, { ...eds, lb_policy: "LEAST_REQUEST", load_balancing_policy: { policies } }).lbPolicy,
    { type: "random" },
  );
  assert.deepEqual(
    errorsOf(clusterType, { ...eds, load_balancing_policy: { policies: [policy("maglev.v3.Maglev")] } }),
    [
      "load_balancing_policy.policies: found envoy.extensions.load_balancing_policies.maglev.v3.Maglev; supported yet are round_robin, least_request, random, cluster_provided, client_side_weighted_round_robin, wrr_locality",
    ],
  );
});

const WEIGHTED =
  "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin";

function weighted(config: object): object {
  const typed_config = { "@type": `type.googleapis.com/${WEIGHTED}`, ...config };
  return { policies: [{ typed_extension_config: { name: "w", typed_config } }] };
}

test("weights by what endpoints report have Envoy's defaults, and are updated ten times a second at most", () => {
  const defaults = {
    type: "client-side-weighted-round-robin",
    blackoutPeriodMs: 10_000,
    weightExpirationPeriodMs: 180_000,
    weightUpdatePeriodMs: 1000,
    errorUtilizationPenalty: 1,
    metricNamesForComputingUtilization: [],
  };
  const policyOf = (config: object) =>
    accept(clusterType, { ...eds, load_balancing_policy: weighted(config) }).lbPolicy;
  assert.deepEqual(policyOf({}), defaults);
  const all = {
    enable_oob_load_report: false,
    blackout_period: "0s",
    weight_expiration_period: "60s",
    weight_update_period: "0.01s",
    error_utilization_penalty: 2.5,
    metric_names_for_computing_utilization: ["named_metrics.queue", "mem_utilization"],
  };
  assert.deepEqual(policyOf(all), {
    type: "client-side-weighted-round-robin",
    blackoutPeriodMs: 0,
    weightExpirationPeriodMs: 60_000,
    weightUpdatePeriodMs: 100,
    errorUtilizationPenalty: 2.5,
    metricNamesForComputingUtilization: ["named_metrics.queue", "mem_utilization"],
  });
  const negative = { ...eds, load_balancing_policy: weighted({ error_utilization_penalty: -1 }) };
  assert.match(errorsOf(clusterType, negative).join(), /error_utilization_penalty: .*0/);
});

test("a policy that stands within wrr_locality is the cluster's, and none such stands within another", () => {
  const within = (endpoint_picking_policy: object) => {
    const type = "envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality";
    const typed_config = { "@type": `type.googleapis.com/${type}`, endpoint_picking_policy };
    return { policies: [{ typed_extension_config: { name: "l", typed_config } }] };
  };
  const { lbPolicy } = accept(clusterType, { ...eds, load_balancing_policy: within(weighted({})) });
  assert.equal(lbPolicy.type, "client-side-weighted-round-robin");
  assert.match(
    errorsOf(clusterType, { ...eds, load_balancing_policy: within(within(weighted({}))) }).join(),
    /endpoint_picking_policy\.policies: found .*WrrLocality; supported yet are round_robin, .*client_side_weighted_round_robin$/,
  );
});

test("metrics of endpoints that load reports tell of are read, and a name that no metric has is reported", () => {
  const names = [
    "cpu_utilization",
    "mem_utilization",
    "application_utilization",
    "eps",
    "rps_fractional",
    "named_metrics.*",
    "utilization.disk",
    "request_cost.rows\n",
    "cpu",
    "named_metrics.",
    "named_metrics",
    "rps",
    "*",
    "",
  ];
  const cluster = { ...eds, lrs_report_endpoint_metrics: names };
  assert.deepEqual(accept(clusterType, cluster).lrsReportEndpointMetrics, names);
  const unknown = names.flatMap((name, i) => (isMetricName(name) ? [] : [`lrs_report_endpoint_metrics[${i}]`]));
  assert.equal(unknown.length, 6);
  assert.deepEqual(reportsOf(clusterType, cluster), unknown.toSorted());
});

test("the deprecated protocol fields of a cluster are read", () => {
  const config = accept(clusterType, {
    ...eds,
    http2_protocol_options: {},
    max_requests_per_connection: 7,
    common_http_protocol_options: { idle_timeout: "9s" },
  });
  assert.equal(config.upstreamProtocol, "http2");
  assert.equal(config.maxRequestsPerConnection, 7);
  assert.equal(config.idleTimeoutMs, 9000);
});

test("which HTTP a cluster speaks is what it says, in the newer message or in the older fields", () => {
  const options = (chosen: object) => ({
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: { "@type": `type.googleapis.com/${HTTP_OPTIONS}`, ...chosen },
    },
  });
  for (const [fields, protocol] of [
    [{}, "unset"],
    [{ common_http_protocol_options: { idle_timeout: "1s" } }, "unset"],
    [{ http_protocol_options: {} }, "http1"],
    [{ http2_protocol_options: {} }, "http2"],
    [{ protocol_selection: "USE_DOWNSTREAM_PROTOCOL" }, "use-downstream"],
    [{ http2_protocol_options: {}, protocol_selection: "USE_DOWNSTREAM_PROTOCOL" }, "use-downstream"],
    [options({ explicit_http_config: { http_protocol_options: {} } }), "http1"],
    [options({ explicit_http_config: { http2_protocol_options: {} } }), "http2"],
    [options({ use_downstream_protocol_config: {} }), "use-downstream"],
  ] as const) {
    const { upstreamProtocol, http2 } = accept(clusterType, { ...eds, ...fields });
    assert.equal(upstreamProtocol, protocol, JSON.stringify(fields));
    const withHttp2 = protocol === "http2" || protocol === "use-downstream";
    assert.deepEqual(http2, withHttp2 ? defaultHttp2Options : undefined);
  }
  assert.deepEqual(errorsOf(clusterType, { ...eds, ...options({ auto_config: {} }) }), [
    `typed_extension_protocol_options["${HTTP_OPTIONS}"].auto_config: needs TLS to agree on a protocol (ALPN), and the cluster's transport socket is plaintext`,
  ]);
});

test("every reason for refusing a cluster is named", () => {
  const errors = errorsOf(clusterType, {
    name: "a",
    type: "STATIC",
    load_assignment: assignment("stock.example", "10.0.0.1"),
    eds_cluster_config: ads,
    connect_timeout: "0s",
    lb_policy: "RING_HASH",
    transport_socket: {
      name: "tls",
      typed_config: { "@type": "x/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext" },
    },
    transport_socket_matches: [{ name: "m" }],
    lb_subset_config: { fallback_policy: "ANY_ENDPOINT" },
    typed_extension_protocol_options: { nobody: { "@type": "x/google.protobuf.Empty" } },
  });
  assert.deepEqual([...errors].sort(), [
    "connect_timeout: found 0s, allowed is above 0s",
    "eds_cluster_config: is only for clusters of type EDS",
    "lb_policy: RING_HASH is not supported yet; allowed are ROUND_ROBIN, LEAST_REQUEST, RANDOM and CLUSTER_PROVIDED",
    "lb_subset_config: endpoint subsets are not supported; other endpoints would be called",
    'load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: found "stock.example", allowed is an IP address',
    'transport_socket: "tls" is not supported here; a connection would be open where it should be protected',
    "transport_socket_matches[0].transport_socket: must be set",
    'typed_extension_protocol_options["nobody"]: there are no protocol options google.protobuf.Empty under that name',
  ]);
});

test("clusters without what their type needs are refused", () => {
  assert.deepEqual(errorsOf(clusterType, { name: "a", type: "EDS" }), [
    "eds_cluster_config: must be set for clusters of type EDS",
  ]);
  assert.deepEqual(errorsOf(clusterType, { name: "a", cluster_type: { name: "envoy.clusters.aggregate" } }), [
    "cluster_type: found envoy.clusters.aggregate, allowed is envoy.extensions.clusters.dns.v3.DnsCluster; else give a type instead",
  ]);
  assert.deepEqual(
    errorsOf(clusterType, { name: "a", type: "LOGICAL_DNS", load_assignment: assignment("x.y", "z.y") }),
    ["load_assignment: found 2 endpoints, allowed for LOGICAL_DNS is exactly 1"],
  );
});

test("of filters of connections to endpoints those that only watch are left out, and others refused", () => {
  const struct = (type_url: string) => ({
    "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
    type_url,
    value: {},
  });
  const exchange = {
    name: "istio.metadata_exchange",
    typed_config: struct("x/envoy.tcp.metadataexchange.config.MetadataExchange"),
  };
  assert.deepEqual(reportsOf(clusterType, { name: "a", filters: [exchange] }), ["filters[0].typed_config"]);
  const other = { name: "mine", typed_config: struct("x/other.Filter") };
  assert.deepEqual(errorsOf(clusterType, { name: "a", filters: [exchange, other, { name: "none" }] }), [
    "filters[1]: mine: upstream filters are not supported",
    "filters[2]: none: upstream filters are not supported",
  ]);
});

test("a cluster with fixed endpoints may have none, and no assignment either", () => {
  const discovery = { type: "STATIC", loadAssignment: { clusterName: "a", localities: [], dropOverloads: [] } };
  const config = accept(clusterType, { name: "a", type: "STATIC" });
  assert.partialDeepStrictEqual(config, { discovery });
  assert.deepEqual(accept(clusterType, { name: "a", type: "STATIC", load_assignment: { cluster_name: "a" } }), config);
});

const dnsCluster = (settings: object) => ({
  name: "a",
  cluster_type: {
    name: "envoy.cluster.dns",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster", ...settings },
  },
  load_assignment: assignment("x.y"),
});

test("cluster_type envoy.cluster.dns is a type of DNS with its settings in a message of their own", () => {
  const settings = { dns_refresh_rate: "30s", respect_dns_ttl: true, dns_lookup_family: "V4_PREFERRED" };
  assert.deepEqual(
    accept(clusterType, dnsCluster(settings)),
    accept(clusterType, { name: "a", type: "STRICT_DNS", load_assignment: assignment("x.y"), ...settings }),
  );
  assert.deepEqual(
    accept(clusterType, dnsCluster({ all_addresses_in_single_endpoint: true })),
    accept(clusterType, { name: "a", type: "LOGICAL_DNS", load_assignment: assignment("x.y") }),
  );
  assert.deepEqual(reportsOf(clusterType, dnsCluster({ dns_jitter: "1s" })), ["cluster_type.typed_config.dns_jitter"]);
  assert.deepEqual(reportsOf(clusterType, { ...dnsCluster({}), ...settings }), [
    "dns_lookup_family",
    "dns_refresh_rate",
    "respect_dns_ttl",
  ]);
});

test("of envoy.cluster.dns is refused what is refused of a type of DNS", () => {
  const resolver = { name: "r", typed_config: { "@type": "x/google.protobuf.Empty" } };
  assert.deepEqual(errorsOf(clusterType, dnsCluster({ typed_dns_resolver_config: resolver, dns_refresh_rate: "0s" })), [
    "cluster_type.typed_config.dns_refresh_rate: found 0s, allowed is above 0.001s",
    "cluster_type.typed_config.typed_dns_resolver_config: only the system's resolvers are asked",
  ]);
  const two = { ...dnsCluster({ all_addresses_in_single_endpoint: true }), load_assignment: assignment("x.y", "z.y") };
  assert.deepEqual(errorsOf(clusterType, two), [
    "load_assignment: found 2 endpoints, allowed for LOGICAL_DNS is exactly 1",
  ]);
  assert.deepEqual(errorsOf(clusterType, { ...dnsCluster({}), lb_policy: "CLUSTER_PROVIDED" }), [
    "lb_policy: CLUSTER_PROVIDED goes with type ORIGINAL_DST alone, and this is STRICT_DNS",
  ]);
});

test("what is accepted without effect is reported by path", () => {
  assert.deepEqual(
    reportsOf(clusterType, {
      ...eds,
      outlier_detection: {},
      health_checks: [
        { timeout: "1s", interval: "1s", unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {} },
      ],
      common_lb_config: { locality_weighted_lb_config: {} },
      circuit_breakers: { thresholds: [{ track_remaining: true }, { priority: "HIGH" }] },
      metadata: { filter_metadata: { a: { b: 1 } } },
      upstream_connection_options: {
        tcp_keepalive: { keepalive_time: 60, keepalive_interval: 5, keepalive_probes: 3 },
      },
      wait_for_warm_on_init: true,
      dns_jitter: "1s",
      eds_cluster_config: { eds_config: { ads: {}, authorities: [{ name: "a" }] } },
    }),
    [
      "circuit_breakers.thresholds[0].track_remaining",
      "circuit_breakers.thresholds[1].priority",
      "common_lb_config.locality_weighted_lb_config",
      "dns_jitter",
      "eds_cluster_config.eds_config.authorities",
      "eds_cluster_config.eds_config.resource_api_version",
      "health_checks",
      "outlier_detection",
      "upstream_connection_options.tcp_keepalive.keepalive_interval",
      "upstream_connection_options.tcp_keepalive.keepalive_probes",
    ],
  );
});

test("a field that this version does not know is reported", () => {
  const known = bytesOf(clusterType, eds);
  const decoded = clusterType.decode(Buffer.concat([known, Buffer.from([0xc2, 0x3e, 0x00])])); // field 1000, no bytes
  assert.ok(decoded.ok);
  assert.deepEqual(decoded.value.unhonoured, [
    {
      path: "<1000>",
      note: "a field that this version does not know (number 1000 of envoy.config.cluster.v3.Cluster)",
    },
  ]);
});

test("an EDS cluster needs its endpoints, by their service name", () => {
  const config = accept(clusterType, { ...eds, eds_cluster_config: { ...ads, service_name: "stock" } });
  assert.deepEqual(clusterType.references(config), [{ kind: "endpoints", name: "stock" }]);
});

test("bytes that are no cluster are refused", () => {
  const decoded = clusterType.decode(Buffer.from([0x0a, 0xff]));
  assert.ok(!decoded.ok);
  assert.match(decoded.error[0] ?? "", /^not a envoy\.config\.cluster\.v3\.Cluster: /);
});

const originalDst = { name: "c", type: "ORIGINAL_DST", lb_policy: "CLUSTER_PROVIDED" };

test("a cluster of type ORIGINAL_DST is read with all that may name an endpoint", () => {
  const plain = accept(clusterType, originalDst);
  assert.deepEqual(plain.discovery, { type: "ORIGINAL_DST", cleanupIntervalMs: 5000 });
  assert.deepEqual(plain.lbPolicy, { type: "cluster-provided" });
  const full = accept(clusterType, {
    ...originalDst,
    cleanup_interval: "2s",
    original_dst_lb_config: {
      use_http_header: true,
      http_header_name: "X-Where",
      upstream_port_override: 0,
      metadata_key: { key: "ns", path: [{ key: "a" }, { key: "b" }] },
    },
  });
  assert.deepEqual(full.discovery, {
    type: "ORIGINAL_DST",
    cleanupIntervalMs: 2000,
    httpHeaderName: "x-where",
    upstreamPortOverride: 0,
    metadataKey: { namespace: "ns", path: ["a", "b"] },
  });
  const header = { ...originalDst, original_dst_lb_config: { use_http_header: true } };
  const { discovery } = accept(clusterType, header);
  assert.equal(discovery.type === "ORIGINAL_DST" && discovery.httpHeaderName, "x-envoy-original-dst-host");
  const typed_config = { "@type": "x/envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided" };
  const load_balancing_policy = { policies: [{ typed_extension_config: { name: "p", typed_config } }] };
  assert.deepEqual(accept(clusterType, { ...originalDst, lb_policy: "ROUND_ROBIN", load_balancing_policy }), plain);
});

test("what goes with type ORIGINAL_DST goes with no other, and the other way round", () => {
  assert.deepEqual(errorsOf(clusterType, { ...originalDst, lb_policy: "ROUND_ROBIN" }), [
    "lb_policy: has to be CLUSTER_PROVIDED for type ORIGINAL_DST",
  ]);
  assert.deepEqual(errorsOf(clusterType, { ...eds, lb_policy: "CLUSTER_PROVIDED" }), [
    "lb_policy: CLUSTER_PROVIDED goes with type ORIGINAL_DST alone, and this is EDS",
  ]);
  const odd = {
    ...originalDst,
    load_assignment: { cluster_name: "c" },
    original_dst_lb_config: { http_header_name: "a" },
  };
  assert.deepEqual(errorsOf(clusterType, odd), [
    "load_assignment: excludes type ORIGINAL_DST",
    "original_dst_lb_config.http_header_name: has no effect without use_http_header: true",
  ]);
});

test("the source address of upstream connections is read, one for each family", () => {
  const from = (address: string, port_value = 0): object => ({ address, port_value });
  const bind = (upstream_bind_config: object): object => ({ ...eds, upstream_bind_config });
  assert.deepEqual(
    accept(
      clusterType,
      bind({
        source_address: from("127.0.0.6"),
        extra_source_addresses: [{ address: from("::6", 9) }],
        freebind: false,
      }),
    ).upstreamBindConfig,
    {
      sourceAddresses: [
        { address: "127.0.0.6", port: 0 },
        { address: "::6", port: 9 },
      ],
      freebind: false,
    },
  );
  assert.deepEqual(accept(clusterType, bind({})), accept(clusterType, eds));
  const path = "upstream_bind_config";
  assert.deepEqual(errorsOf(clusterType, bind({ source_address: from("here") })), [
    `${path}.source_address.address: found "here", allowed is an IP address`,
  ]);
  assert.deepEqual(errorsOf(clusterType, bind({ additional_source_addresses: [from("::1")] })), [
    `${path}.source_address: must be set where there are further ones`,
  ]);
  const twice = { source_address: from("10.0.0.1"), additional_source_addresses: [from("10.0.0.2"), from("::1")] };
  assert.deepEqual(errorsOf(clusterType, bind(twice)), [
    `${path}.extra_source_addresses: found 2, allowed is at most 1`,
  ]);
  const same = { source_address: from("10.0.0.1"), extra_source_addresses: [{ address: from("10.0.0.2") }] };
  assert.deepEqual(errorsOf(clusterType, bind(same)), [
    `${path}.extra_source_addresses: has to be of the other family than source_address`,
  ]);
});
