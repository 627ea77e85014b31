import { HONOURED } from "@heddle/xds";

/*
 * What other people's control planes really send: of the five that were read in 2026 (Istio, Kuma, Consul, Envoy Gateway,
 * Contour), the fields of Envoy's API that three or more of them set. A sidecar that honours these can be driven by what
 * the five have in common. Each field stands in the table of what is honoured, or below with the work that will honour it.
 */

/** By message, without "envoy."; the fields by how many of the five set them. */
export const EMITTED_FIELDS: { readonly [message: string]: EmittedFields } = {
  "config.route.v3.RouteMatch": {
    five: "prefix path safe_regex headers query_parameters",
    three: "path_separated_prefix",
  },
  "config.route.v3.RouteAction": {
    five: "cluster weighted_clusters prefix_rewrite timeout retry_policy hash_policy",
    four: "regex_rewrite host_rewrite_literal idle_timeout request_mirror_policies",
    three: "auto_host_rewrite upgrade_configs",
  },
  "config.route.v3.RouteAction.HashPolicy": {
    five: "header cookie connection_properties query_parameter",
    three: "terminal",
  },
  "config.route.v3.VirtualHost": { five: "name domains routes" },
  "config.route.v3.RetryPolicy": {
    five: "retry_on num_retries retriable_status_codes",
    four: "per_try_timeout",
    three: "retry_priority retry_host_predicate host_selection_retry_max_attempts retry_back_off",
  },
  "config.route.v3.RouteConfiguration": {
    five: "name virtual_hosts",
    three: "validate_clusters max_direct_response_body_size_bytes ignore_port_in_host_matching",
  },
  "config.route.v3.Route": {
    five:
      "match route typed_per_filter_config request_headers_to_add request_headers_to_remove " +
      "response_headers_to_add response_headers_to_remove",
    four: "redirect direct_response metadata",
    three: "name",
  },
  "config.route.v3.HeaderMatcher": { five: "name string_match", four: "present_match", three: "invert_match" },
  "config.route.v3.WeightedCluster.ClusterWeight": {
    five: "name weight",
    four: "request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove",
    three: "host_rewrite_literal",
  },
  "config.route.v3.RedirectAction": {
    four: "scheme_redirect prefix_rewrite",
    three: "host_redirect path_redirect regex_rewrite",
  },
  "config.route.v3.DirectResponseAction": { four: "status" },
  "config.cluster.v3.Cluster": {
    five:
      "name alt_stat_name type eds_cluster_config connect_timeout load_assignment circuit_breakers " +
      "typed_extension_protocol_options dns_lookup_family common_lb_config transport_socket upstream_connection_options",
    four: "lb_policy outlier_detection least_request_lb_config",
    three: "transport_socket_matches cluster_type health_checks ring_hash_lb_config round_robin_lb_config metadata",
  },
  "config.cluster.v3.Cluster.CommonLbConfig": { five: "healthy_panic_threshold" },
  "config.cluster.v3.OutlierDetection": {
    four: "consecutive_5xx interval base_ejection_time max_ejection_percent",
    three:
      "enforcing_consecutive_5xx consecutive_gateway_failure enforcing_consecutive_gateway_failure " +
      "split_external_local_origin_errors consecutive_local_origin_failure",
  },
  "config.cluster.v3.CircuitBreakers.Thresholds": {
    five: "max_connections max_pending_requests max_requests",
    four: "max_retries",
    three: "priority track_remaining",
  },
  "config.core.v3.HealthCheck": {
    three: "timeout interval unhealthy_threshold healthy_threshold http_health_check tcp_health_check",
  },
  "config.core.v3.HealthCheck.HttpHealthCheck": { three: "path expected_statuses" },
  "config.endpoint.v3.ClusterLoadAssignment": { five: "cluster_name endpoints", four: "policy" },
  "config.endpoint.v3.LocalityLbEndpoints": {
    five: "lb_endpoints",
    four: "priority",
    three: "locality load_balancing_weight",
  },
  "config.endpoint.v3.LbEndpoint": {
    five: "endpoint",
    four: "load_balancing_weight",
    three: "health_status metadata",
  },
  "config.listener.v3.Listener": {
    five: "name address filter_chains listener_filters",
    three: "default_filter_chain per_connection_buffer_limit_bytes traffic_direction access_log",
  },
  "config.listener.v3.FilterChain": { five: "filter_chain_match filters transport_socket", four: "name" },
  "config.listener.v3.FilterChainMatch": {
    five: "server_names",
    three: "destination_port prefix_ranges transport_protocol",
  },
  "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": {
    five:
      "codec_type stat_prefix route_config http_filters tracing access_log forward_client_cert_details " +
      "set_current_client_cert_details",
    four: "rds common_http_protocol_options http2_protocol_options stream_idle_timeout normalize_path",
    three:
      "http_protocol_options server_header_transformation request_timeout request_headers_timeout " +
      "use_remote_address upgrade_configs merge_slashes",
  },
  "extensions.filters.network.tcp_proxy.v3.TcpProxy": {
    five: "stat_prefix cluster access_log",
    four: "idle_timeout",
    three: "weighted_clusters",
  },
  "extensions.transport_sockets.tls.v3.DownstreamTlsContext": { five: "common_tls_context require_client_certificate" },
  "extensions.transport_sockets.tls.v3.UpstreamTlsContext": { five: "common_tls_context sni" },
  "extensions.transport_sockets.tls.v3.CommonTlsContext": {
    five: "tls_params tls_certificate_sds_secret_configs validation_context alpn_protocols",
    three: "tls_certificates validation_context_sds_secret_config combined_validation_context",
  },
  "extensions.transport_sockets.tls.v3.CertificateValidationContext": {
    five: "trusted_ca match_typed_subject_alt_names",
    three: "crl trust_chain_verification",
  },
  "extensions.transport_sockets.tls.v3.TlsParameters": {
    five: "tls_minimum_protocol_version tls_maximum_protocol_version cipher_suites",
  },
  "extensions.transport_sockets.tls.v3.TlsCertificate": { five: "certificate_chain private_key" },
  "extensions.upstreams.http.v3.HttpProtocolOptions": {
    five: "explicit_http_config",
    four: "common_http_protocol_options",
    three: "use_downstream_protocol_config",
  },
};

export interface EmittedFields {
  readonly five?: string;
  readonly four?: string;
  readonly three?: string;
}

/** The pieces of work that are still to come. */
export type Planned = "identity" | "pods" | "routing" | "resilience";

/** Of the fields above, those that are not honoured yet; a message alone stands for all of its fields. */
export const PLANNED_FIELDS: { readonly [field: string]: Planned } = {
  "config.route.v3.RouteAction.request_mirror_policies": "routing",
  "config.route.v3.RouteAction.hash_policy": "resilience",
  "config.route.v3.RouteAction.HashPolicy": "resilience",
  "config.route.v3.RetryPolicy.retry_priority": "resilience",
  "config.route.v3.RetryPolicy.retry_host_predicate": "resilience",
  "config.route.v3.RetryPolicy.host_selection_retry_max_attempts": "resilience",
  "config.route.v3.RouteConfiguration.validate_clusters": "routing",
  "config.cluster.v3.Cluster.health_checks": "resilience",
  "config.cluster.v3.Cluster.outlier_detection": "resilience",
  "config.cluster.v3.Cluster.ring_hash_lb_config": "resilience",
  "config.cluster.v3.OutlierDetection": "resilience",
  "config.cluster.v3.CircuitBreakers.Thresholds.track_remaining": "resilience",
  "config.core.v3.HealthCheck": "resilience",
  "config.core.v3.HealthCheck.HttpHealthCheck": "resilience",
};

/** Typed extensions that three or more of the five send, and that are not there yet; the others are. */
export const PLANNED_EXTENSIONS: { readonly [type: string]: Planned } = {
  "extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig": "resilience",
  "extensions.access_loggers.filters.cel.v3.ExpressionFilter": "identity",
  "extensions.filters.http.cors.v3.Cors": "routing",
  "extensions.filters.http.cors.v3.CorsPolicy": "routing",
  "extensions.filters.http.fault.v3.HTTPFault": "resilience",
  "extensions.filters.http.local_ratelimit.v3.LocalRateLimit": "resilience",
  "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate": "resilience",
  "extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig": "resilience",
};

export type EmittedFieldState =
  | { readonly state: "honoured" }
  | { readonly state: "planned"; readonly by: Planned; readonly meanwhile: string }
  /** Neither in the table of what is honoured nor planned: a gap in one of the two. */
  | { readonly state: "unaccounted" };

/** What becomes of a field that control planes send. */
export function emittedFieldState(message: string, field: string): EmittedFieldState {
  const rules = HONOURED[`envoy.${message}`];
  if (rules?.honoured.split(/\s+/).includes(field) === true) return { state: "honoured" };
  const by = PLANNED_FIELDS[`${message}.${field}`] ?? PLANNED_FIELDS[message];
  if (by === undefined) return { state: "unaccounted" };
  const [verdict, rule] =
    rules?.refused?.[field] === undefined
      ? (["reported", rules?.reported?.[field]] as const)
      : (["refused", rules.refused[field]] as const);
  const note = typeof rule === "string" ? rule : rule?.note;
  return { state: "planned", by, meanwhile: note === undefined ? "reported with its parent" : `${verdict}: ${note}` };
}

/** Every field of the table above: message, name, by how many of the five it is set. */
export function emittedFields(): readonly (readonly [message: string, field: string, of: 3 | 4 | 5])[] {
  return Object.entries(EMITTED_FIELDS).flatMap(([message, { five = "", four = "", three = "" }]) => [
    ...split(five).map((field) => [message, field, 5] as const),
    ...split(four).map((field) => [message, field, 4] as const),
    ...split(three).map((field) => [message, field, 3] as const),
  ]);
}

/** The page's tables as Markdown: what is not honoured yet with what will honour it, then every message's fields. */
export function emittedFieldsMarkdown(): string {
  const fields = emittedFields();
  const planned: string[] = [];
  for (const [message, field, of] of fields) {
    const state = emittedFieldState(message, field);
    if (state.state === "planned")
      planned.push(
        `| \`${message}\` | \`${field}\` | ${of} | ${state.by} | ${state.meanwhile.replaceAll("|", "\\|")} |`,
      );
  }
  const extensions = Object.entries(PLANNED_EXTENSIONS).map(([type, by]) => `| \`${type}\` | ${by} |`);
  const honoured = Object.keys(EMITTED_FIELDS).flatMap((message) => {
    const names = fields.filter(([of, field]) => of === message && emittedFieldState(of, field).state === "honoured");
    return names.length === 0 ? [] : [`| \`${message}\` | ${names.map(([, field]) => `\`${field}\``).join(", ")} |`];
  });
  return [
    "## Not honoured yet",
    "",
    "| message | field | of 5 | comes with | until then |",
    "| --- | --- | --- | --- | --- |",
    ...planned,
    "",
    "## Extensions that are not there yet",
    "",
    "| type | comes with |",
    "| --- | --- |",
    ...extensions,
    "",
    "Until then a filter that is not there is refused by name, unless it is marked optional or its absence is harmless",
    "(see [honoured.md](honoured.md)). Lua and Wasm filters are not planned: filters are written in TypeScript.",
    "",
    "## Honoured",
    "",
    "| message | fields |",
    "| --- | --- |",
    ...honoured,
    "",
  ].join("\n");
}

function split(names: string): readonly string[] {
  return names === "" ? [] : names.split(" ");
}
