/*
 * What becomes of every field of every message that the resource types read. One table, three classes (docs/tenets):
 *
 *   honoured   it is read and does what Envoy's proto says
 *   refused    we do not honour it, and it would change who may connect or be called, which route matches, or how bytes are
 *              protected: the resource is rejected, naming the path
 *   reported   accepted without effect, and listed by path in `heddle status` and on the admin port
 *
 * In doubt a field is refused: an ignored access rule would serve in the open. A test reads the message descriptors and
 * fails on a field that does not stand here, and on one that stands here and does not exist.
 */

export type FieldClass = "honoured" | "refused" | "reported";

/** Why a field is refused, or what happens instead of what it says. */
export type FieldRule =
  | string
  | {
      readonly note: string;
      /** With this value the field says what happens anyway. */
      readonly unless?: boolean | number | string;
      /** It is read all the same, and encoded again: what we pass on may be honoured by others. */
      readonly kept?: true;
      /** The first place alone is reported: there may be thousands. */
      readonly once?: true;
    };

export interface MessageRules {
  /** Names, separated by blanks. */
  readonly honoured: string;
  readonly refused?: { readonly [field: string]: FieldRule };
  readonly reported?: { readonly [field: string]: FieldRule };
  /**
   * What a field number that we do not know becomes. It is refused in messages that decide what matches, since there it
   * most likely narrows the match.
   */
  readonly unknownFields?: "refused" | "reported";
}

const LATER = "is not supported yet";
const NO_EFFECT = "has no effect";
const NO_HTTP3 = "HTTP/3 is not supported";
const NO_PROVIDER = "certificate providers are not supported; give certificates inline, as files or by SDS";
const NO_SUBSETS = "endpoint subsets are not supported; other endpoints would be called";
const NO_SLOW_START = "there is no slow start; a new endpoint gets its full share at once";
const NO_LOCALITY_LB = "localities of one priority are not weighed against each other";
const NO_MIRRORING = "requests are not mirrored";
const NO_HEDGING = "requests are not hedged";
const NOT_COPIED = "is not copied to filters and logs";

export const HONOURED: { readonly [messageType: string]: MessageRules } = {
  // Listener

  "envoy.config.listener.v3.Listener": {
    honoured: `name address additional_addresses stat_prefix filter_chains default_filter_chain
      per_connection_buffer_limit_bytes listener_filters listener_filters_timeout udp_listener_config
      continue_on_listener_filters_timeout access_log tcp_backlog_size drain_type traffic_direction
      use_original_dst bind_to_port transparent freebind deprecated_v1`,
    refused: {
      filter_chain_matcher: LATER,
      api_listener: "is for clients that are no proxies",
      internal_listener: LATER,
    },
    reported: {
      metadata: NOT_COPIED,
      enable_reuse_port: { note: "the workers share one socket where the system lets them", unless: true, kept: true },
      reuse_port: "enable_reuse_port alone is read",
      socket_options: NO_EFFECT,
      tcp_fast_open_queue_length: NO_EFFECT,
      connection_balance_config: "the kernel spreads connections over the workers",
      max_connections_to_accept_per_socket_event: NO_EFFECT,
      enable_mptcp: NO_EFFECT,
      ignore_global_conn_limit: NO_EFFECT,
      bypass_overload_manager: NO_EFFECT,
    },
  },
  "envoy.config.listener.v3.Listener.DeprecatedV1": {
    honoured: "bind_to_port",
  },
  "envoy.config.listener.v3.AdditionalAddress": {
    honoured: "address",
    reported: { socket_options: NO_EFFECT },
  },
  "envoy.config.listener.v3.FilterChain": {
    honoured: "name filter_chain_match filters transport_socket transport_socket_connect_timeout",
    refused: {
      use_proxy_proto: { note: LATER, unless: false },
      on_demand_configuration: LATER,
    },
    reported: {
      metadata: NOT_COPIED,
    },
    unknownFields: "refused",
  },
  "envoy.config.listener.v3.FilterChainMatch": {
    honoured: `destination_port prefix_ranges direct_source_prefix_ranges source_type source_prefix_ranges source_ports
      transport_protocol server_names application_protocols`,
    refused: {
      address_suffix: LATER,
      suffix_len: LATER,
    },
    unknownFields: "refused",
  },
  "envoy.config.listener.v3.Filter": {
    honoured: "name typed_config config_discovery",
    unknownFields: "refused",
  },
  "envoy.config.listener.v3.ListenerFilter": {
    honoured: "name typed_config config_discovery filter_disabled",
    unknownFields: "refused",
  },
  "envoy.config.listener.v3.ListenerFilterChainMatchPredicate": {
    honoured: "or_match and_match not_match any_match destination_port_range",
    unknownFields: "refused",
  },
  "envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet": { honoured: "rules" },
  "envoy.config.core.v3.TransportSocket": { honoured: "name typed_config", unknownFields: "refused" },
  "envoy.config.core.v3.Address": {
    honoured: "socket_address pipe",
    refused: { envoy_internal_address: "internal listeners are not supported" },
    unknownFields: "refused",
  },
  "envoy.config.core.v3.SocketAddress": {
    honoured: "address port_value protocol",
    refused: {
      named_port: "a port has to be a number",
      resolver_name: "only the built-in resolver is supported",
    },
    reported: { ipv4_compat: "an IPv6 socket takes IPv4 connections as the system's default says" },
    unknownFields: "refused",
  },
  "envoy.config.core.v3.Pipe": { honoured: "path mode" },
  "envoy.config.core.v3.CidrRange": { honoured: "address_prefix prefix_len", unknownFields: "refused" },

  // Access logs

  "envoy.config.accesslog.v3.AccessLog": { honoured: "name filter typed_config" },
  "envoy.config.accesslog.v3.AccessLogFilter": {
    honoured: `status_code_filter duration_filter not_health_check_filter traceable_filter runtime_filter and_filter
      or_filter header_filter response_flag_filter grpc_status_filter metadata_filter log_type_filter`,
    refused: { extension_filter: "filters that are extensions (CEL) are not evaluated" },
    unknownFields: "refused",
  },
  "envoy.config.accesslog.v3.StatusCodeFilter": { honoured: "comparison" },
  "envoy.config.accesslog.v3.DurationFilter": { honoured: "comparison" },
  "envoy.config.accesslog.v3.ComparisonFilter": { honoured: "op value" },
  "envoy.config.core.v3.RuntimeUInt32": { honoured: "default_value runtime_key" },
  "envoy.config.accesslog.v3.NotHealthCheckFilter": { honoured: "" },
  "envoy.config.accesslog.v3.TraceableFilter": { honoured: "" },
  "envoy.config.accesslog.v3.RuntimeFilter": {
    honoured: "percent_sampled use_independent_randomness runtime_key",
  },
  "envoy.config.accesslog.v3.AndFilter": { honoured: "filters" },
  "envoy.config.accesslog.v3.OrFilter": { honoured: "filters" },
  "envoy.config.accesslog.v3.HeaderFilter": { honoured: "header" },
  "envoy.config.accesslog.v3.ResponseFlagFilter": { honoured: "flags" },
  "envoy.config.accesslog.v3.GrpcStatusFilter": { honoured: "statuses exclude" },
  "envoy.config.accesslog.v3.MetadataFilter": { honoured: "matcher match_if_key_not_found" },
  "envoy.config.accesslog.v3.LogTypeFilter": { honoured: "types exclude" },
  "envoy.type.matcher.v3.MetadataMatcher": { honoured: "filter path value invert" },
  "envoy.type.matcher.v3.MetadataMatcher.PathSegment": { honoured: "key" },
  "envoy.type.matcher.v3.ValueMatcher": {
    honoured: "null_match double_match string_match bool_match present_match list_match or_match",
    unknownFields: "refused",
  },
  "envoy.type.matcher.v3.ValueMatcher.NullMatch": { honoured: "" },
  "envoy.type.matcher.v3.DoubleMatcher": { honoured: "range exact" },
  "envoy.type.v3.DoubleRange": { honoured: "start end" },
  "envoy.type.matcher.v3.ListMatcher": { honoured: "one_of" },
  "envoy.type.matcher.v3.OrMatcher": { honoured: "value_matchers" },
  "envoy.extensions.access_loggers.file.v3.FileAccessLog": {
    honoured: "path format json_format typed_json_format log_format",
  },
  "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog": { honoured: "log_format" },
  "envoy.extensions.access_loggers.stream.v3.StderrAccessLog": { honoured: "log_format" },
  "envoy.config.core.v3.SubstitutionFormatString": {
    honoured: `text_format json_format text_format_source omit_empty_values content_type formatters
      json_format_options`,
  },
  "envoy.config.core.v3.JsonFormatOptions": {
    honoured: "",
    reported: { sort_properties: { note: "properties are always sorted", unless: true } },
  },
  "envoy.config.core.v3.DataSource": {
    honoured: "inline_bytes inline_string filename environment_variable",
    reported: { watched_directory: "a file is read once, with the configuration" },
    unknownFields: "refused",
  },

  // Listener filters and PROXY protocol

  "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol": {
    honoured: `rules allow_requests_without_proxy_protocol pass_through_tlvs disallowed_versions stat_prefix`,
    unknownFields: "refused",
  },
  "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.Rule": { honoured: "tlv_type on_tlv_present" },
  "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.KeyValuePair": {
    honoured: "metadata_namespace key",
  },
  "envoy.config.core.v3.ProxyProtocolPassThroughTLVs": { honoured: "match_type tlv_type" },
  "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport": {
    honoured: "config transport_socket",
    unknownFields: "refused",
  },
  "envoy.config.core.v3.ProxyProtocolConfig": { honoured: "version pass_through_tlvs", unknownFields: "refused" },

  // TLS

  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails": {
    honoured: "subject cert chain dns uri",
  },
  "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext": {
    honoured: `common_tls_context require_client_certificate require_sni disable_stateless_session_resumption
      disable_stateful_session_resumption session_timeout ocsp_staple_policy full_scan_certs_on_sni_mismatch
      prefer_client_ciphers session_ticket_keys session_ticket_keys_sds_secret_config`,
    unknownFields: "refused",
  },
  "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext": {
    honoured: "common_tls_context sni auto_host_sni auto_sni_san_validation max_session_keys enforce_rsa_key_usage",
    reported: {
      allow_renegotiation: { note: "TLS is never negotiated anew", unless: false },
    },
    unknownFields: "refused",
  },
  "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext": {
    honoured: `tls_params tls_certificates tls_certificate_sds_secret_configs validation_context
      validation_context_sds_secret_config combined_validation_context alpn_protocols`,
    refused: {
      tls_certificate_provider_instance: NO_PROVIDER,
      tls_certificate_certificate_provider: NO_PROVIDER,
      tls_certificate_certificate_provider_instance: NO_PROVIDER,
      validation_context_certificate_provider: NO_PROVIDER,
      validation_context_certificate_provider_instance: NO_PROVIDER,
      custom_handshaker: LATER,
      custom_tls_certificate_selector: LATER,
      key_log: "keys of connections are written nowhere",
    },
    unknownFields: "refused",
  },
  "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext": {
    honoured: "default_validation_context validation_context_sds_secret_config",
    refused: {
      validation_context_certificate_provider: NO_PROVIDER,
      validation_context_certificate_provider_instance: NO_PROVIDER,
    },
    unknownFields: "refused",
  },
  "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig": {
    honoured: "name sds_config",
    unknownFields: "refused",
  },
  "envoy.extensions.transport_sockets.tls.v3.Secret": {
    honoured: "name tls_certificate session_ticket_keys validation_context generic_secret",
    unknownFields: "refused",
  },
  "envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys": { honoured: "keys", unknownFields: "refused" },
  "envoy.extensions.transport_sockets.tls.v3.GenericSecret": { honoured: "secret", unknownFields: "refused" },
  "envoy.extensions.transport_sockets.tls.v3.TlsParameters": {
    honoured: `tls_minimum_protocol_version tls_maximum_protocol_version cipher_suites ecdh_curves signature_algorithms`,
    unknownFields: "refused",
  },
  "envoy.extensions.transport_sockets.tls.v3.TlsCertificate": {
    honoured: "certificate_chain private_key password watched_directory ocsp_staple",
    refused: {
      pkcs12: "give certificate_chain and private_key in PEM",
      private_key_provider: "a key has to be given as it is",
    },
    reported: {
      signed_certificate_timestamp: NO_EFFECT,
    },
    unknownFields: "refused",
  },
  "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext": {
    honoured: `trusted_ca system_root_certs verify_certificate_spki verify_certificate_hash match_typed_subject_alt_names
      match_subject_alt_names crl trust_chain_verification watched_directory custom_validator_config max_verify_depth only_verify_leaf_cert_crl`,
    refused: {
      ca_certificate_provider_instance: NO_PROVIDER,
      require_signed_certificate_timestamp: { note: LATER, unless: false },
      allow_expired_certificate: {
        note: "an expired certificate is not told from one that fails otherwise",
        unless: false,
      },
    },
    unknownFields: "refused",
  },
  "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.SystemRootCerts": { honoured: "" },
  "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig": {
    honoured: "trust_domains trust_bundles",
    unknownFields: "refused",
  },
  "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig.TrustDomain": {
    honoured: "name trust_bundle",
    unknownFields: "refused",
  },
  "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher": {
    honoured: "san_type matcher oid",
    unknownFields: "refused",
  },

  "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector": {
    honoured: "",
    reported: {
      enable_ja3_fingerprinting: { note: "fingerprints are not taken", unless: false },
      initial_read_buffer_size: NO_EFFECT,
    },
  },
  "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector": { honoured: "" },
  "envoy.extensions.filters.listener.original_dst.v3.OriginalDst": { honoured: "" },
  "envoy.extensions.filters.listener.original_src.v3.OriginalSrc": {
    honoured: "mark",
    reported: { bind_port: { note: "the system chooses the port, as in Envoy", unless: false } },
  },

  // UDP

  "envoy.config.listener.v3.UdpListenerConfig": {
    honoured: "downstream_socket_config",
    refused: { quic_options: NO_HTTP3 },
    reported: { udp_packet_packet_writer_config: NO_EFFECT },
    unknownFields: "refused",
  },
  "envoy.config.core.v3.UdpSocketConfig": {
    honoured: "max_rx_datagram_size",
    reported: { prefer_gro: NO_EFFECT },
  },
  "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig": {
    honoured: `stat_prefix cluster matcher idle_timeout upstream_socket_config use_per_packet_load_balancing access_log`,
    refused: {
      use_original_src_ip: { note: "datagrams would be sent from our own address", unless: false },
      session_filters: "there are no session filters; sessions would begin that they refuse",
      tunneling_config: `${LATER}; the datagrams would go to the cluster without a tunnel`,
    },
    reported: {
      hash_policies: "no balancing policy that hashes is supported yet",
      proxy_access_log: "only sessions are logged",
      access_log_options: "a session is logged when it has ended",
    },
    unknownFields: "refused",
  },
  "envoy.extensions.filters.udp.udp_proxy.v3.Route": { honoured: "cluster", unknownFields: "refused" },
  "envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig": {
    honoured: "stat_prefix server_config client_config",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig.ServerContextConfig": {
    honoured: "inline_dns_table",
    refused: { external_dns_table: `${LATER}; give the table as inline_dns_table` },
    unknownFields: "refused",
  },
  "envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig.ClientContextConfig": {
    honoured: `resolver_timeout upstream_resolvers dns_resolution_config typed_dns_resolver_config
      max_pending_lookups`,
  },
  "envoy.data.dns.v3.DnsTable": {
    honoured: "external_retry_count virtual_domains",
    reported: { known_suffixes: "has no effect, as in Envoy" },
  },
  "envoy.data.dns.v3.DnsTable.DnsVirtualDomain": { honoured: "name endpoint answer_ttl" },
  "envoy.data.dns.v3.DnsTable.DnsEndpoint": {
    honoured: "address_list cluster_name service_list",
    unknownFields: "refused",
  },
  "envoy.data.dns.v3.DnsTable.AddressList": { honoured: "address" },
  "envoy.data.dns.v3.DnsTable.DnsServiceList": { honoured: "services" },
  "envoy.data.dns.v3.DnsTable.DnsService": { honoured: "service_name protocol ttl targets" },
  "envoy.data.dns.v3.DnsTable.DnsServiceProtocol": { honoured: "number name" },
  "envoy.data.dns.v3.DnsTable.DnsServiceTarget": {
    honoured: "host_name cluster_name priority weight port",
    unknownFields: "refused",
  },
  "envoy.config.core.v3.DnsResolutionConfig": { honoured: "resolvers dns_resolver_options" },
  "envoy.config.core.v3.DnsResolverOptions": {
    honoured: "use_tcp_for_dns_lookups",
    reported: { no_default_search_domain: { note: "names are asked for as they are", unless: true } },
  },
  "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig": {
    honoured: "resolvers use_resolvers_as_fallback dns_resolver_options",
    reported: {
      filter_unroutable_families: { note: NO_EFFECT, unless: false },
      udp_max_queries: "each question has a socket of its own",
    },
  },
  "xds.core.v3.TypedExtensionConfig": { honoured: "name typed_config", unknownFields: "refused" },

  // TCP

  "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy": {
    honoured: `stat_prefix cluster weighted_clusters idle_timeout access_log max_connect_attempts
      max_downstream_connection_duration access_log_flush_interval flush_access_log_on_connected access_log_options`,
    refused: {
      on_demand: "clusters are not discovered on demand; the connection would be closed",
      metadata_match: NO_SUBSETS,
      tunneling_config: `${LATER}; the bytes would go to the cluster without a tunnel`,
    },
    reported: {
      downstream_idle_timeout: NO_EFFECT,
      upstream_idle_timeout: NO_EFFECT,
      hash_policy: "no balancing policy that hashes is supported yet",
    },
    unknownFields: "refused",
  },
  "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster": { honoured: "clusters" },
  "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight": {
    honoured: "name weight",
    refused: { metadata_match: NO_SUBSETS },
    unknownFields: "refused",
  },
  "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions": {
    honoured: "access_log_flush_interval flush_access_log_on_connected",
  },
  "envoy.extensions.filters.network.echo.v3.Echo": { honoured: "" },
  "envoy.extensions.filters.network.direct_response.v3.Config": { honoured: "response" },

  // HTTP connection manager

  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": {
    honoured: `codec_type stat_prefix rds route_config http_filters common_http_protocol_options http_protocol_options local_reply_config
      http2_protocol_options access_log_options access_log_flush_interval flush_access_log_on_new_request
      server_name server_header_transformation max_request_headers_kb stream_idle_timeout request_timeout
      request_headers_timeout drain_timeout delayed_close_timeout access_log use_remote_address xff_num_trusted_hops
      skip_xff_append via generate_request_id preserve_external_request_id always_set_request_id_in_response
      tracing proxy_100_continue upgrade_configs normalize_path merge_slashes path_with_escaped_slashes_action
      strip_matching_host_port strip_any_host_port
      strip_trailing_host_dot append_x_forwarded_port original_ip_detection_extensions early_header_mutation_extensions
      internal_address_config forward_client_cert_details scheme_header_transformation request_id_extension
      proxy_status_config http1_safe_max_connection_duration set_current_client_cert_details`,
    refused: {
      scoped_routes: LATER,
      path_normalization_options: LATER,
      typed_header_validation_config: "headers are always validated by RFC 9110",
    },
    reported: {
      add_user_agent: { note: NO_EFFECT, unless: false },
      http3_protocol_options: NO_HTTP3,
      represent_ipv4_remote_address_as_ipv4_mapped_ipv6: NO_EFFECT,
      stream_error_on_invalid_http_message: {
        note: "an invalid message of HTTP/1 ends its connection",
        unless: false,
        kept: true,
      },
      append_local_overload: NO_EFFECT,
      add_proxy_protocol_connection_state: { note: NO_EFFECT, unless: false },
    },
  },
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig": {
    honoured: "upgrade_type filters enabled",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig": {
    honoured: "unix_sockets cidr_ranges",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ProxyStatusConfig": {
    honoured: "remove_details remove_response_flags set_recommended_response_code literal_proxy_name",
    reported: {
      remove_connection_termination_details: { note: "there are no such details", unless: true },
      use_node_id: { note: "server_name is written", unless: false },
    },
  },
  "envoy.config.core.v3.SchemeHeaderTransformation": {
    honoured: "scheme_to_overwrite",
    reported: { match_upstream: { note: "an HTTP/1.1 request does not say its scheme", unless: false } },
  },
  "envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension": { honoured: "typed_config" },
  "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig": {
    honoured: "pack_trace_reason use_request_id_for_trace_sampling",
  },
  "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig": {
    honoured: "xff_num_trusted_hops",
    unknownFields: "refused",
  },
  "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig": {
    honoured: "header_name allow_extension_to_set_address_as_trusted reject_with_status",
    unknownFields: "refused",
  },
  "envoy.type.v3.HttpStatus": { honoured: "code" },
  "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation": { honoured: "mutations" },
  "envoy.config.common.mutation_rules.v3.HeaderMutation": {
    honoured: "remove append",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.HcmAccessLogOptions": {
    honoured: `access_log_flush_interval flush_access_log_on_new_request
      flush_log_on_tunnel_successfully_established`,
  },
  "envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig": { honoured: "mappers body_format" },
  "envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper": {
    honoured: "filter status_code body body_format_override headers_to_add",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.network.http_connection_manager.v3.Rds": { honoured: "config_source route_config_name" },
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter": {
    honoured: "name typed_config config_discovery is_optional disabled",
    unknownFields: "refused",
  },
  // Tracing

  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing": {
    honoured: `client_sampling random_sampling overall_sampling max_path_tag_length custom_tags provider
      spawn_upstream_span`,
    reported: { verbose: { note: "spans have no events", unless: false } },
  },
  "envoy.config.trace.v3.Tracing": { honoured: "http" },
  "envoy.config.metrics.v3.StatsConfig": {
    honoured: "stats_tags use_all_default_tags stats_matcher histogram_bucket_settings",
  },
  "envoy.config.metrics.v3.StatsMatcher": { honoured: "reject_all exclusion_list inclusion_list" },
  "envoy.type.matcher.v3.ListStringMatcher": { honoured: "patterns" },
  "envoy.config.metrics.v3.TagSpecifier": { honoured: "tag_name regex fixed_value" },
  "envoy.config.metrics.v3.HistogramBucketSettings": { honoured: "match buckets" },
  "envoy.config.metrics.v3.StatsSink": { honoured: "name typed_config" },
  "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig": {
    honoured: "grpc_service emit_tags_as_attributes use_tag_extracted_name prefix",
    reported: {
      resource_detectors: "the resource is what the process knows of itself and its environment",
      report_counters_as_deltas: { note: "counters are sent as sums since the start", unless: false },
      report_histograms_as_deltas: { note: "histograms are sent as sums since the start", unless: false },
    },
  },
  "envoy.config.trace.v3.Tracing.Http": { honoured: "name typed_config" },
  "envoy.config.trace.v3.OpenTelemetryConfig": {
    honoured: "grpc_service http_service service_name",
    reported: {
      resource_detectors: "service.name, the SDK and OTEL_RESOURCE_ATTRIBUTES make the resource",
      sampler: "the connection manager's sampling decides, and a parent's word before it",
    },
  },
  "envoy.config.trace.v3.ZipkinConfig": {
    honoured: "collector_cluster collector_endpoint collector_hostname",
    reported: {
      trace_id_128bit: { note: "trace ids have 128 bits always", unless: true },
      shared_span_context: { note: "a span is never shared with the client's", unless: false },
      collector_endpoint_version: { note: "spans are sent as JSON", unless: 1 },
      split_spans_for_request: NO_EFFECT,
    },
  },
  "envoy.config.route.v3.Tracing": { honoured: "client_sampling random_sampling overall_sampling custom_tags" },
  "envoy.config.route.v3.Decorator": { honoured: "operation propagate" },
  "envoy.type.tracing.v3.CustomTag": {
    honoured: "tag literal environment request_header metadata",
    reported: { value: "a tag that a format makes is left out" },
  },
  "envoy.type.tracing.v3.CustomTag.Literal": { honoured: "value" },
  "envoy.type.tracing.v3.CustomTag.Environment": { honoured: "name default_value" },
  "envoy.type.tracing.v3.CustomTag.Header": { honoured: "name default_value" },
  "envoy.type.tracing.v3.CustomTag.Metadata": { honoured: "kind metadata_key default_value" },
  "envoy.type.metadata.v3.MetadataKind": { honoured: "request route cluster host" },
  "envoy.type.metadata.v3.MetadataKind.Request": { honoured: "" },
  "envoy.type.metadata.v3.MetadataKind.Route": { honoured: "" },
  "envoy.type.metadata.v3.MetadataKind.Cluster": { honoured: "" },
  "envoy.type.metadata.v3.MetadataKind.Host": { honoured: "" },
  "envoy.type.metadata.v3.MetadataKey": { honoured: "key path" },
  "envoy.type.metadata.v3.MetadataKey.PathSegment": { honoured: "key" },
  "envoy.config.core.v3.HttpService": { honoured: "http_uri request_headers_to_add" },
  "envoy.config.core.v3.HttpUri": { honoured: "uri cluster timeout" },
  "envoy.config.core.v3.GrpcService": {
    honoured: "envoy_grpc google_grpc timeout initial_metadata",
    reported: { retry_policy: "an export that failed is tried again by the exporter's own rules" },
  },
  "envoy.config.core.v3.GrpcService.EnvoyGrpc": {
    honoured: "cluster_name authority",
    reported: {
      retry_policy: NO_EFFECT,
      max_receive_message_length: NO_EFFECT,
      skip_envoy_headers: NO_EFFECT,
    },
  },
  "envoy.config.core.v3.GrpcService.GoogleGrpc": {
    honoured: "target_uri channel_credentials",
    refused: { call_credentials: LATER, credentials_factory_name: LATER },
    reported: {
      stat_prefix: NO_EFFECT,
      config: NO_EFFECT,
      per_stream_buffer_limit_bytes: NO_EFFECT,
      channel_args: NO_EFFECT,
    },
  },

  "envoy.config.core.v3.GrpcService.GoogleGrpc.ChannelCredentials": {
    honoured: "ssl_credentials",
    refused: { google_default: LATER, local_credentials: LATER },
    unknownFields: "refused",
  },
  "envoy.config.core.v3.GrpcService.GoogleGrpc.SslCredentials": {
    honoured: "root_certs private_key cert_chain",
    unknownFields: "refused",
  },

  // Where resources come from

  "envoy.config.core.v3.ConfigSource": {
    honoured:
      "authorities path path_config_source api_config_source ads self initial_fetch_timeout resource_api_version",
  },
  "envoy.config.bootstrap.v3.ClusterManager": {
    honoured: "load_stats_config",
    reported: {
      local_cluster_name: "the sidecar's own locality is that of its node",
      outlier_detection: "there is no outlier detection yet",
      upstream_bind_config: NO_EFFECT,
      enable_deferred_cluster_creation: "clusters are made when they come",
    },
  },
  "envoy.config.bootstrap.v3.Bootstrap.DynamicResources": {
    honoured: "lds_config lds_resources_locator cds_config cds_resources_locator ads_config",
  },
  "envoy.config.core.v3.AggregatedConfigSource": { honoured: "" },
  "envoy.config.core.v3.SelfConfigSource": { honoured: "transport_api_version" },
  "envoy.config.core.v3.PathConfigSource": { honoured: "path watched_directory" },
  "envoy.config.core.v3.WatchedDirectory": { honoured: "path" },
  "envoy.config.core.v3.ApiConfigSource": {
    honoured: `api_type transport_api_version cluster_names grpc_services refresh_delay request_timeout rate_limit_settings
      set_node_on_first_message_only`,
    refused: { config_validators: "what they would refuse would be accepted" },
  },
  "envoy.config.core.v3.RateLimitSettings": { honoured: "max_tokens fill_rate" },
  "xds.core.v3.Authority": { honoured: "name" },
  "envoy.config.core.v3.HttpProtocolOptions": {
    honoured: `idle_timeout max_connection_duration max_connection_duration_jitter max_headers_count max_response_headers_kb
      max_stream_duration max_requests_per_connection headers_with_underscores_action`,
  },
  "envoy.config.core.v3.Http1ProtocolOptions": {
    honoured: "accept_http_10 default_host_for_http_10 allow_absolute_url allow_custom_methods header_key_format",
    reported: {
      enable_trailers: { note: "trailers are always passed on", unless: true },
      allow_chunked_length: "a message with content-length and transfer-encoding is always refused",
      override_stream_error_on_invalid_http_message: { note: "an invalid message ends its connection", unless: false },
      send_fully_qualified_url: "requests are sent in origin form",
      use_balsa_parser: NO_EFFECT,
    },
  },

  "envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat": { honoured: "proper_case_words stateful_formatter" },
  "envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat.ProperCaseWords": { honoured: "" },
  "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig": {
    honoured: "formatter_type_on_envoy_headers",
    reported: { forward_reason_phrase: { note: "the upstream's reason phrase is always passed on", unless: true } },
  },

  // HTTP filters, which read their configuration themselves

  "envoy.extensions.filters.http.router.v3.Router": {
    honoured: "suppress_envoy_headers respect_expected_rq_timeout strict_check_headers start_child_span",
    refused: { upstream_http_filters: "upstream filters are not supported" },
    reported: {
      dynamic_stats: { note: "statistics are made when the configuration changes", unless: true },
      upstream_log: "only the connection manager writes access logs",
      upstream_log_options: "only the connection manager writes access logs",
      suppress_grpc_request_failure_code_stats: NO_EFFECT,
    },
  },
  "heddle.filters.http.v1.Module": { honoured: "module_path config" },
  "heddle.filters.listener.v1.ServerFirst": { honoured: "after", unknownFields: "refused" },
  "heddle.filters.network.v1.Dns": { honoured: "udp_listener idle_timeout", unknownFields: "refused" },
  "heddle.filters.http.v1.ServeTunnel": { honoured: "" },
  "envoy.extensions.filters.http.rbac.v3.RBAC": {
    honoured: `rules rules_stat_prefix matcher shadow_rules shadow_matcher shadow_rules_stat_prefix
      track_per_rule_stats`,
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.rbac.v3.RBACPerRoute": { honoured: "rbac", unknownFields: "refused" },
  "envoy.extensions.filters.network.rbac.v3.RBAC": {
    honoured: `rules matcher shadow_rules shadow_matcher shadow_rules_stat_prefix stat_prefix enforcement_type
      delay_deny`,
    unknownFields: "refused",
  },
  "envoy.config.rbac.v3.RBAC": {
    honoured: "action policies",
    reported: { audit_logging_options: "there are no audit loggers; denials stand in the access log" },
    unknownFields: "refused",
  },
  "envoy.config.rbac.v3.Policy": {
    honoured: "permissions principals condition checked_condition",
    unknownFields: "refused",
  },
  "envoy.config.rbac.v3.Permission": {
    honoured: `and_rules or_rules any header url_path destination_ip destination_port destination_port_range metadata
      not_rule requested_server_name uri_template sourced_metadata`,
    refused: { matcher: "there are no matchers that are extensions" },
    unknownFields: "refused",
  },
  "envoy.config.rbac.v3.Permission.Set": { honoured: "rules", unknownFields: "refused" },
  "envoy.config.rbac.v3.Principal": {
    honoured: `and_ids or_ids any authenticated source_ip direct_remote_ip remote_ip header url_path metadata not_id
      sourced_metadata custom`,
    refused: { filter_state: "there is no filter state" },
    unknownFields: "refused",
  },
  "envoy.config.rbac.v3.Principal.Set": { honoured: "ids", unknownFields: "refused" },
  "envoy.config.rbac.v3.Principal.Authenticated": { honoured: "principal_name", unknownFields: "refused" },
  "envoy.config.rbac.v3.SourcedMetadata": {
    honoured: "metadata_matcher metadata_source", // of sources DYNAMIC
    unknownFields: "refused",
  },
  "envoy.config.rbac.v3.Action": { honoured: "name action", unknownFields: "refused" },
  "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config": {
    honoured: "san_matcher any_validated_client_certificate",
    unknownFields: "refused",
  },
  "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig": {
    honoured: "path_template",
    unknownFields: "refused",
  },
  "envoy.type.matcher.v3.PathMatcher": { honoured: "path", unknownFields: "refused" },
  "envoy.type.v3.Int32Range": { honoured: "start end", unknownFields: "refused" },

  // The unified matcher

  "xds.type.matcher.v3.Matcher": { honoured: "matcher_list matcher_tree on_no_match", unknownFields: "refused" },
  "xds.type.matcher.v3.Matcher.OnMatch": { honoured: "matcher action keep_matching", unknownFields: "refused" },
  "xds.type.matcher.v3.Matcher.MatcherList": { honoured: "matchers", unknownFields: "refused" },
  "xds.type.matcher.v3.Matcher.MatcherList.FieldMatcher": { honoured: "predicate on_match", unknownFields: "refused" },
  "xds.type.matcher.v3.Matcher.MatcherList.Predicate": {
    honoured: "single_predicate or_matcher and_matcher not_matcher",
    unknownFields: "refused",
  },
  "xds.type.matcher.v3.Matcher.MatcherList.Predicate.PredicateList": {
    honoured: "predicate",
    unknownFields: "refused",
  },
  "xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate": {
    honoured: "input value_match custom_match",
    unknownFields: "refused",
  },
  "xds.type.matcher.v3.Matcher.MatcherTree": {
    honoured: "input exact_match_map prefix_match_map custom_match",
    unknownFields: "refused",
  },
  "xds.type.matcher.v3.Matcher.MatcherTree.MatchMap": { honoured: "map", unknownFields: "refused" },
  "xds.type.matcher.v3.StringMatcher": {
    honoured: "exact prefix suffix safe_regex contains ignore_case",
    unknownFields: "refused",
  },
  "xds.type.matcher.v3.RegexMatcher": { honoured: "google_re2 regex", unknownFields: "refused" },
  "xds.type.matcher.v3.RegexMatcher.GoogleRE2": { honoured: "", unknownFields: "refused" },
  "xds.type.matcher.v3.IPMatcher": { honoured: "range_matchers", unknownFields: "refused" },
  "xds.type.matcher.v3.IPMatcher.IPRangeMatcher": { honoured: "ranges on_match exclusive", unknownFields: "refused" },
  "xds.core.v3.CidrRange": { honoured: "address_prefix prefix_len", unknownFields: "refused" },
  "xds.type.matcher.v3.ServerNameMatcher": { honoured: "domain_matchers", unknownFields: "refused" },
  "xds.type.matcher.v3.ServerNameMatcher.DomainMatcher": { honoured: "domains on_match", unknownFields: "refused" },
  "xds.type.matcher.v3.CelMatcher": {
    honoured: "expr_match",
    reported: { description: "is not shown" },
    unknownFields: "refused",
  },
  "xds.type.v3.CelExpression": {
    honoured: "parsed_expr checked_expr cel_expr_parsed cel_expr_checked cel_expr_string",
    unknownFields: "refused",
  },
  "envoy.type.matcher.v3.HttpRequestHeaderMatchInput": { honoured: "header_name", unknownFields: "refused" },
  "envoy.type.matcher.v3.HttpRequestQueryParamMatchInput": { honoured: "query_param", unknownFields: "refused" },
  "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput": {
    honoured: "filter path",
    unknownFields: "refused",
  },
  "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput.PathSegment": {
    honoured: "key",
    unknownFields: "refused",
  },
  "envoy.extensions.matching.input_matchers.metadata.v3.Metadata": {
    honoured: "value invert",
    unknownFields: "refused",
  },
  "envoy.extensions.matching.input_matchers.ip.v3.Ip": {
    honoured: "cidr_ranges",
    reported: { stat_prefix: "it has no counters" },
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.health_check.v3.HealthCheck": {
    honoured: "pass_through_mode headers cluster_min_healthy_percentages",
    reported: { cache_time: "each check goes to the upstream" },
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config": {
    honoured: "ignore_query_parameters",
    refused: { upgrade_protobuf_to_grpc: { note: LATER, unless: false } },
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig": {
    honoured: `individual_method_stats_allowlist stats_for_all_methods enable_upstream_stats
      replace_dots_in_grpc_service_name`,
    reported: { emit_filter_state: { note: "there is no filter state", unless: false } },
  },
  "envoy.config.core.v3.GrpcMethodList": { honoured: "services" },
  "envoy.config.core.v3.GrpcMethodList.Service": { honoured: "name method_names" },
  "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb": { honoured: "" },
  "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz": {
    honoured: `grpc_service http_service transport_api_version failure_mode_allow failure_mode_allow_header_add
      with_request_body clear_route_cache clear_route_cache_headers status_on_error validate_mutations
      metadata_context_namespaces route_metadata_context_namespaces filter_enabled filter_enabled_metadata deny_at_disable include_peer_certificate
      stat_prefix allowed_headers disallowed_headers include_tls_session charge_cluster_response_stats
      encode_raw_headers decoder_header_mutation_rules enable_dynamic_metadata_ingestion
      max_denied_response_body_bytes shadow_mode`,
    refused: {
      bootstrap_metadata_labels_key: `${LATER}; the service would decide without them`,
    },
    reported: {
      typed_metadata_context_namespaces: "there is no typed metadata",
      route_typed_metadata_context_namespaces: "there is no typed metadata",
      filter_metadata: "there is no filter state",
      emit_filter_state_stats: { note: "there is no filter state", unless: false },
      emit_client_span: { note: "the service's part has no span of its own", unless: false },
      enforce_response_header_limits: {
        note: "what a service adds is bounded by the size of its answer",
        unless: false,
      },
    },
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.ext_authz.v3.BufferSettings": {
    honoured: "max_request_bytes allow_partial_message pack_as_bytes",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.ext_authz.v3.HttpService": {
    honoured: "server_uri path_prefix path_override authorization_request authorization_response",
    reported: { retry_policy: "a service is asked once" },
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.ext_authz.v3.AuthorizationRequest": {
    honoured: "allowed_headers headers_to_add",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse": {
    honoured: `allowed_upstream_headers allowed_upstream_headers_to_append allowed_client_headers
      allowed_client_headers_on_success dynamic_metadata_from_headers`,
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute": {
    honoured: "disabled check_settings",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.ext_authz.v3.CheckSettings": {
    honoured: "context_extensions disable_request_body_buffering with_request_body grpc_service http_service",
    reported: { emit_client_span: { note: "the service's part has no span of its own", unless: false } },
    unknownFields: "refused",
  },
  "envoy.extensions.filters.network.sni_cluster.v3.SniCluster": { honoured: "" },
  "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz": {
    honoured: `stat_prefix grpc_service failure_mode_allow include_peer_certificate transport_api_version
      filter_enabled_metadata include_tls_session metadata_context_namespaces shadow_mode`,
    refused: { bootstrap_metadata_labels_key: `${LATER}; the service would decide without them` },
    reported: {
      typed_metadata_context_namespaces: "there is no typed metadata",
      send_tls_alert_on_denial: { note: "the connection is closed without an alert", unless: false },
    },
    unknownFields: "refused",
  },
  "envoy.config.core.v3.RuntimeFeatureFlag": { honoured: "default_value runtime_key" },
  "envoy.config.common.mutation_rules.v3.HeaderMutationRules": {
    honoured: `allow_all_routing allow_envoy disallow_system disallow_all allow_expression disallow_expression
      disallow_is_error`,
    unknownFields: "refused",
  },

  "envoy.extensions.filters.http.basic_auth.v3.BasicAuth": {
    honoured: `users forward_username_header authentication_header allow_missing emit_dynamic_metadata realm`,
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute": {
    honoured: "users realm",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth": {
    honoured: "credentials key_sources forwarding",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute": {
    honoured: "credentials key_sources allowed_clients forwarding",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.api_key_auth.v3.Credential": { honoured: "key client", unknownFields: "refused" },
  "envoy.extensions.filters.http.api_key_auth.v3.KeySource": {
    honoured: "header query cookie",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.api_key_auth.v3.Forwarding": {
    honoured: "header hide_credentials",
    unknownFields: "refused",
  },

  "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication": {
    honoured: "providers rules bypass_cors_preflight requirement_map strip_failure_response stat_prefix",
    refused: { filter_state_rules: "there is no filter state" },
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig": {
    honoured: "disabled requirement_name",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider": {
    honoured: `issuer audiences subjects require_expiration max_lifetime remote_jwks local_jwks forward from_headers from_params
      from_cookies forward_payload_header pad_forward_payload_header payload_in_metadata normalize_payload_in_metadata
      header_in_metadata failed_status_in_metadata clock_skew_seconds jwt_cache_config claim_to_headers clear_route_cache`,
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider.NormalizePayload": { honoured: "space_delimited_claims" },
  "envoy.extensions.filters.http.jwt_authn.v3.JwtCacheConfig": { honoured: "jwt_cache_size jwt_max_token_size" },
  "envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks": {
    honoured: "http_uri cache_duration async_fetch retry_policy",
  },
  "envoy.extensions.filters.http.jwt_authn.v3.JwksAsyncFetch": {
    honoured: "failed_refetch_duration",
    reported: {
      fast_listener: { note: "the listener serves at once; requests wait for the first fetch", unless: true },
    },
  },
  "envoy.extensions.filters.http.jwt_authn.v3.JwtHeader": { honoured: "name value_prefix", unknownFields: "refused" },
  "envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader": {
    honoured: "header_name claim_name",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.jwt_authn.v3.ProviderWithAudiences": {
    honoured: "provider_name audiences",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirement": {
    honoured: "provider_name provider_and_audiences requires_any requires_all allow_missing_or_failed allow_missing",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementOrList": {
    honoured: "requirements",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementAndList": {
    honoured: "requirements",
    unknownFields: "refused",
  },
  "envoy.extensions.filters.http.jwt_authn.v3.RequirementRule": {
    honoured: "match requires requirement_name",
    unknownFields: "refused",
  },
  "envoy.config.core.v3.RetryPolicy": {
    honoured: "retry_back_off num_retries",
    reported: {
      retry_on: "whatever is no answer with 200 is tried again",
      retry_priority: "an endpoint is chosen anew",
      retry_host_predicate: "an endpoint is chosen anew",
      host_selection_retry_max_attempts: NO_EFFECT,
    },
  },
  "envoy.config.core.v3.BackoffStrategy": { honoured: "base_interval max_interval" },

  "envoy.config.core.v3.ExtensionConfigSource": {
    honoured: "config_source default_config apply_default_config_without_warming type_urls",
  },

  // Runtime

  "envoy.service.runtime.v3.Runtime": { honoured: "name layer" },
  "envoy.config.bootstrap.v3.LayeredRuntime": { honoured: "layers" },
  "envoy.config.bootstrap.v3.RuntimeLayer": {
    honoured: "name static_layer disk_layer admin_layer rtds_layer",
  },
  "envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer": { honoured: "" },
  "envoy.config.bootstrap.v3.RuntimeLayer.DiskLayer": {
    honoured: "symlink_root subdirectory append_service_cluster",
  },
  "envoy.config.bootstrap.v3.RuntimeLayer.RtdsLayer": { honoured: "name rtds_config" },

  // Route configuration

  "envoy.config.route.v3.RouteConfiguration": {
    honoured: `name virtual_hosts response_headers_to_add response_headers_to_remove request_headers_to_add
      request_headers_to_remove most_specific_header_mutations_wins max_direct_response_body_size_bytes
      ignore_port_in_host_matching typed_per_filter_config internal_only_headers vhds`,
    refused: {
      cluster_specifier_plugins: LATER,
      ignore_path_parameters_in_path_matching: LATER,
    },
    reported: {
      request_mirror_policies: NO_MIRRORING,
      metadata: NOT_COPIED,
      validate_clusters: {
        note: "checked in the bootstrap alone; later a cluster that is not there fails the requests for it",
        unless: false,
        kept: true,
      },
    },
    unknownFields: "refused",
  },
  "envoy.config.route.v3.VirtualCluster": { honoured: "name headers" },
  "envoy.config.route.v3.Vhds": { honoured: "config_source" },
  "envoy.extensions.filters.http.on_demand.v3.OnDemand": { honoured: "odcds" },
  "envoy.extensions.filters.http.on_demand.v3.PerRouteConfig": { honoured: "odcds" },
  "envoy.extensions.filters.http.on_demand.v3.OnDemandCds": {
    honoured: "source timeout",
    refused: { resources_locator: "the cluster's name is asked for as it is" },
  },
  "envoy.config.route.v3.VirtualHost": {
    honoured: `require_tls name domains routes request_headers_to_add request_headers_to_remove response_headers_to_add
      response_headers_to_remove typed_per_filter_config include_request_attempt_count include_attempt_count_in_response
      retry_policy virtual_clusters`,
    refused: { matcher: LATER },
    reported: {
      rate_limits: "only a rate limit filter would read them",
      cors: "only a CORS filter would read it",
      retry_policy_typed_config: LATER,
      hedge_policy: NO_HEDGING,
      include_is_timeout_retry_header: "the header is not added",
      per_request_buffer_limit_bytes: "the listener's limit holds",
      request_mirror_policies: NO_MIRRORING,
      metadata: NOT_COPIED,
    },
    unknownFields: "refused",
  },
  "envoy.config.route.v3.Route": {
    honoured: `name match route redirect direct_response decorator tracing non_forwarding_action typed_per_filter_config
      request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove metadata`,
    refused: { filter_action: LATER },
    reported: {
      stat_prefix: { note: "routes have no statistics of their own", kept: true },
      per_request_buffer_limit_bytes: "the listener's limit holds",
    },
    unknownFields: "refused",
  },
  "envoy.config.route.v3.RouteMatch": {
    honoured: `prefix path safe_regex connect_matcher path_separated_prefix case_sensitive runtime_fraction headers
      query_parameters grpc tls_context`,
    refused: { path_match_policy: LATER, dynamic_metadata: LATER },
    unknownFields: "refused",
  },
  "envoy.config.route.v3.RouteMatch.TlsContextMatchOptions": {
    honoured: "presented validated",
    unknownFields: "refused",
  },
  "envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions": { honoured: "", unknownFields: "refused" },
  "envoy.config.route.v3.RouteMatch.ConnectMatcher": { honoured: "", unknownFields: "refused" },
  "envoy.config.core.v3.RuntimeFractionalPercent": {
    honoured: "default_value runtime_key",
  },
  "envoy.type.v3.FractionalPercent": { honoured: "numerator denominator" },
  "envoy.config.route.v3.HeaderMatcher": {
    honoured: `name exact_match safe_regex_match range_match present_match prefix_match suffix_match contains_match
      string_match invert_match treat_missing_header_as_empty`,
    unknownFields: "refused",
  },
  "envoy.type.v3.Int64Range": { honoured: "start end" },
  "envoy.config.route.v3.QueryParameterMatcher": {
    honoured: "name string_match present_match",
    unknownFields: "refused",
  },
  "envoy.type.matcher.v3.StringMatcher": {
    honoured: "exact prefix suffix safe_regex contains ignore_case",
    refused: { custom: LATER },
    unknownFields: "refused",
  },
  "envoy.type.matcher.v3.RegexMatcher": {
    honoured: "regex google_re2",
    unknownFields: "refused",
  },
  "envoy.type.matcher.v3.RegexMatcher.GoogleRE2": {
    honoured: "",
    reported: { max_program_size: "patterns run in linear time whatever their size" },
  },
  "envoy.type.matcher.v3.RegexMatchAndSubstitute": { honoured: "pattern substitution" },
  "envoy.config.route.v3.RouteAction": {
    honoured: `cluster cluster_header weighted_clusters cluster_not_found_response_code prefix_rewrite regex_rewrite
      host_rewrite_literal auto_host_rewrite host_rewrite_header append_x_forwarded_host timeout idle_timeout retry_policy
      upgrade_configs max_stream_duration max_grpc_timeout grpc_timeout_offset`,
    refused: {
      cluster_specifier_plugin: LATER,
      inline_cluster_specifier_plugin: LATER,
      metadata_match: NO_SUBSETS,
      path_rewrite_policy: LATER,
      host_rewrite_path_regex: LATER,
    },
    reported: {
      early_data_policy: NO_EFFECT,
      retry_policy_typed_config: LATER,
      request_mirror_policies: NO_MIRRORING,
      priority: "the default priority's circuit breakers count every request",
      rate_limits: "only a rate limit filter would read them",
      include_vh_rate_limits: { note: "only a rate limit filter would read them", unless: false },
      hash_policy: "no balancing policy that hashes is supported yet",
      cors: "only a CORS filter would read it",
      internal_redirect_policy: "redirects are passed on to the client",
      internal_redirect_action: "redirects are passed on to the client",
      max_internal_redirects: "redirects are passed on to the client",
      hedge_policy: NO_HEDGING,
    },
    unknownFields: "refused",
  },
  "envoy.config.route.v3.RouteAction.UpgradeConfig": {
    honoured: "upgrade_type enabled connect_config",
    unknownFields: "refused",
  },
  "envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig": {
    honoured: "",
    refused: {
      proxy_protocol_config: LATER,
      allow_post: { note: "only CONNECT opens a tunnel", unless: false },
    },
    unknownFields: "refused",
  },
  "envoy.config.route.v3.RouteAction.MaxStreamDuration": {
    honoured: "max_stream_duration grpc_timeout_header_max grpc_timeout_header_offset",
  },
  "envoy.config.route.v3.WeightedCluster": {
    honoured: "clusters total_weight runtime_key_prefix",
    refused: { header_name: LATER },
    unknownFields: "refused",
  },
  "envoy.config.route.v3.WeightedCluster.ClusterWeight": {
    honoured: `name weight request_headers_to_add request_headers_to_remove response_headers_to_add
      response_headers_to_remove typed_per_filter_config host_rewrite_literal`,
    refused: { cluster_header: LATER, metadata_match: NO_SUBSETS },
    unknownFields: "refused",
  },
  "envoy.config.route.v3.RetryPolicy": {
    honoured: "retry_on num_retries per_try_timeout retriable_status_codes retry_back_off",
    reported: {
      per_try_idle_timeout: NO_EFFECT,
      retry_priority: "retries go to the same priority",
      retry_host_predicate: "a retry may meet the same endpoint again",
      retry_options_predicates: NO_EFFECT,
      host_selection_retry_max_attempts: "a retry may meet the same endpoint again",
      rate_limited_retry_back_off: "retry_back_off holds for every retry",
      retriable_headers: "response headers do not decide about a retry",
      retriable_request_headers: "request headers do not decide about a retry",
    },
  },
  "envoy.config.route.v3.RetryPolicy.RetryBackOff": { honoured: "base_interval max_interval" },
  "envoy.config.route.v3.RedirectAction": {
    honoured: `https_redirect scheme_redirect host_redirect port_redirect path_redirect prefix_rewrite regex_rewrite
      response_code strip_query`,
  },
  "envoy.config.route.v3.DirectResponseAction": { honoured: "status body" },
  "envoy.config.route.v3.NonForwardingAction": { honoured: "" },
  "envoy.config.core.v3.HeaderValueOption": { honoured: "header append append_action keep_empty_value" },
  "envoy.config.core.v3.HeaderValue": { honoured: "key value raw_value" },
  "envoy.config.route.v3.FilterConfig": { honoured: "config is_optional disabled", unknownFields: "refused" },

  // Cluster

  "envoy.config.cluster.v3.Cluster": {
    honoured: `name alt_stat_name type cluster_type eds_cluster_config connect_timeout per_connection_buffer_limit_bytes lb_policy
      load_assignment metadata max_requests_per_connection circuit_breakers common_http_protocol_options http2_protocol_options
      http_protocol_options typed_extension_protocol_options dns_refresh_rate respect_dns_ttl dns_lookup_family
      least_request_lb_config round_robin_lb_config original_dst_lb_config cleanup_interval common_lb_config transport_socket protocol_selection transport_socket_matches
      upstream_http_protocol_options upstream_bind_config
      upstream_connection_options load_balancing_policy lrs_report_endpoint_metrics filters`,
    refused: {
      dns_resolvers: "only the system's resolvers are asked",
      dns_resolution_config: "only the system's resolvers are asked",
      typed_dns_resolver_config: "only the system's resolvers are asked",
      lb_subset_config: NO_SUBSETS,
      upstream_config: LATER,
      connection_pool_per_downstream_connection: "connections are shared by downstream connections",
    },
    reported: {
      health_checks: "there are no active health checks yet; endpoints count as healthy",
      dns_jitter: NO_EFFECT,
      dns_failure_refresh_rate: "a failed lookup is repeated as a successful one is",
      use_tcp_for_dns_lookups: NO_EFFECT,
      wait_for_warm_on_init: { note: "a cluster is used when it has its endpoints", unless: true },
      outlier_detection: "there is no outlier detection yet; failing endpoints stay",
      ring_hash_lb_config: NO_EFFECT,
      maglev_lb_config: NO_EFFECT,
      close_connections_on_host_health_failure: NO_EFFECT,
      ignore_health_on_host_removal: "an endpoint that is gone gets no new requests",
      lrs_server: "load is reported to whom load_stats_config of the bootstrap names",
      track_timeout_budgets: NO_EFFECT,
      track_cluster_stats: NO_EFFECT,
      preconnect_policy: "connections are made when they are needed",
    },
  },
  "envoy.config.cluster.v3.Cluster.OriginalDstLbConfig": {
    honoured: "use_http_header http_header_name upstream_port_override metadata_key",
    unknownFields: "refused",
  },
  "envoy.config.core.v3.BindConfig": {
    honoured: "source_address freebind extra_source_addresses additional_source_addresses",
    refused: { local_address_selector: "the first address of the endpoint's family is taken" },
    reported: { socket_options: NO_EFFECT },
  },
  "envoy.config.core.v3.ExtraSourceAddress": { honoured: "address", reported: { socket_options: NO_EFFECT } },
  "envoy.config.cluster.v3.Cluster.CustomClusterType": { honoured: "name typed_config" },
  "envoy.extensions.clusters.dns.v3.DnsCluster": {
    honoured: "dns_refresh_rate respect_dns_ttl dns_lookup_family all_addresses_in_single_endpoint",
    refused: { typed_dns_resolver_config: "only the system's resolvers are asked" },
    reported: {
      dns_failure_refresh_rate: "a failed lookup is repeated as a successful one is",
      dns_jitter: NO_EFFECT,
      dns_min_refresh_rate: NO_EFFECT,
    },
  },
  "envoy.config.cluster.v3.Filter": {
    honoured: "name typed_config",
    refused: { config_discovery: "upstream filters are not supported" },
    unknownFields: "refused",
  },
  "envoy.config.cluster.v3.Cluster.EdsClusterConfig": { honoured: "eds_config service_name" },
  "envoy.config.cluster.v3.CircuitBreakers": {
    honoured: "thresholds",
    reported: { per_host_thresholds: "limits are of the whole cluster" },
  },
  "envoy.config.cluster.v3.CircuitBreakers.Thresholds": {
    honoured: "priority max_connections max_pending_requests max_requests max_retries",
    reported: {
      retry_budget: "max_retries holds",
      track_remaining: "the remaining amounts are always shown",
      max_connection_pools: NO_EFFECT,
    },
  },
  "envoy.config.cluster.v3.Cluster.CommonLbConfig": {
    honoured: "healthy_panic_threshold",
    reported: {
      zone_aware_lb_config: "the zone does not matter to balancing",
      locality_weighted_lb_config: NO_LOCALITY_LB,
      update_merge_window: "updates take effect at once",
      ignore_new_hosts_until_first_hc: NO_EFFECT,
      close_connections_on_host_set_change: NO_EFFECT,
      consistent_hashing_lb_config: NO_EFFECT,
      override_host_status: NO_EFFECT,
    },
  },
  "envoy.type.v3.Percent": { honoured: "value" },
  "envoy.config.cluster.v3.Cluster.LeastRequestLbConfig": {
    honoured: "choice_count active_request_bias",
    reported: { slow_start_config: NO_SLOW_START },
  },
  "envoy.config.cluster.v3.Cluster.RoundRobinLbConfig": {
    honoured: "",
    reported: { slow_start_config: NO_SLOW_START },
  },
  "envoy.config.core.v3.RuntimeDouble": { honoured: "default_value runtime_key" },
  "envoy.config.cluster.v3.LoadBalancingPolicy": { honoured: "policies" },
  "envoy.config.cluster.v3.LoadBalancingPolicy.Policy": { honoured: "typed_extension_config" },
  "envoy.config.core.v3.TypedExtensionConfig": { honoured: "name typed_config" },
  "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin": {
    honoured: "",
    reported: { slow_start_config: NO_SLOW_START, locality_lb_config: NO_LOCALITY_LB },
  },
  "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest": {
    honoured: "choice_count active_request_bias",
    reported: {
      slow_start_config: NO_SLOW_START,
      locality_lb_config: NO_LOCALITY_LB,
      enable_full_scan: { note: "the best of a few random endpoints is taken", unless: false },
      selection_method: "the best of a few random endpoints is taken",
    },
  },
  "envoy.extensions.load_balancing_policies.random.v3.Random": {
    honoured: "",
    reported: { locality_lb_config: NO_LOCALITY_LB },
  },
  "envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided": { honoured: "" },
  "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin": {
    honoured: `blackout_period weight_expiration_period weight_update_period error_utilization_penalty
      metric_names_for_computing_utilization`,
    reported: {
      enable_oob_load_report: { note: "loads are read from answers alone", unless: false },
      oob_reporting_period: "loads are read from answers alone",
      slow_start_config: NO_SLOW_START,
    },
  },
  "envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality": { honoured: "endpoint_picking_policy" },
  "envoy.config.cluster.v3.UpstreamConnectionOptions": {
    honoured: "tcp_keepalive",
    reported: {
      set_local_interface_name_on_upstream_connections: NO_EFFECT,
      happy_eyeballs_config: "an endpoint's first address is used",
    },
  },
  "envoy.config.core.v3.TcpKeepalive": {
    honoured: "keepalive_time",
    reported: {
      keepalive_interval: { note: "probes are sent each second", kept: true },
      keepalive_probes: { note: "10 probes are sent", kept: true },
    },
  },
  "envoy.config.cluster.v3.Cluster.TransportSocketMatch": {
    honoured: "name match transport_socket",
    unknownFields: "refused",
  },
  "envoy.config.core.v3.UpstreamHttpProtocolOptions": {
    honoured: "auto_sni auto_san_validation override_auto_sni_header",
    unknownFields: "refused",
  },
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    honoured: `common_http_protocol_options explicit_http_config use_downstream_protocol_config auto_config
      upstream_http_protocol_options`,
    refused: { http_filters: "upstream filters are not supported" },
    reported: {
      header_validation_config: "headers are always validated by RFC 9110",
    },
  },
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig": {
    honoured: "http_protocol_options http2_protocol_options",
    refused: { http3_protocol_options: NO_HTTP3 },
    unknownFields: "refused",
  },
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig": {
    honoured: "http_protocol_options http2_protocol_options",
    reported: { http3_protocol_options: NO_HTTP3 },
  },
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig": {
    honoured: "http_protocol_options http2_protocol_options",
    reported: {
      http3_protocol_options: NO_HTTP3,
      alternate_protocols_cache_options: NO_HTTP3,
    },
  },
  "envoy.config.core.v3.Http2ProtocolOptions": {
    honoured: `hpack_table_size max_concurrent_streams initial_stream_window_size initial_connection_window_size
      allow_connect max_outbound_frames max_outbound_control_frames max_consecutive_inbound_frames_with_empty_payload
      max_inbound_priority_frames_per_stream max_inbound_window_update_frames_per_data_frame_sent
      stream_error_on_invalid_http_messaging override_stream_error_on_invalid_http_message custom_settings_parameters
      connection_keepalive`,
    reported: {
      allow_metadata: { note: "METADATA frames are passed over", unless: false },
      use_oghttp2_codec: { note: "there is one codec", unless: false },
    },
  },
  "envoy.config.core.v3.Http2ProtocolOptions.SettingsParameter": { honoured: "identifier value" },
  "envoy.config.core.v3.KeepaliveSettings": {
    honoured: "interval timeout interval_jitter connection_idle_interval",
  },

  // Endpoints

  "envoy.config.endpoint.v3.ClusterLoadAssignment": {
    honoured: "cluster_name endpoints policy",
    refused: { named_endpoints: "endpoints have to stand in their localities" },
  },
  "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy": {
    honoured: "drop_overloads overprovisioning_factor",
    reported: {
      endpoint_stale_after: "endpoints hold until they are replaced",
      weighted_priority_health: "the health of a priority counts endpoints",
    },
  },
  "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy.DropOverload": { honoured: "category drop_percentage" },
  "envoy.config.endpoint.v3.LocalityLbEndpoints": {
    honoured: "locality lb_endpoints load_balancing_weight priority",
    refused: {
      load_balancer_endpoints: "endpoints have to stand in lb_endpoints",
      leds_cluster_locality_config: "locality endpoint discovery is not supported",
    },
    reported: { metadata: NOT_COPIED, proximity: NO_EFFECT },
  },
  "envoy.config.endpoint.v3.LbEndpoint": {
    honoured: "endpoint health_status load_balancing_weight metadata", // of metadata those that are read: see endpoints.ts
    refused: { endpoint_name: "endpoints have to stand in their localities" },
  },
  "envoy.config.endpoint.v3.Endpoint": {
    honoured: "address hostname",
    reported: {
      health_check_config: "there are no active health checks yet",
      additional_addresses: "an endpoint's first address is used",
    },
  },

  // Overload, and threads that do not answer

  "envoy.config.overload.v3.OverloadManager": {
    honoured: "refresh_interval resource_monitors actions",
    reported: {
      loadshed_points: "there are no load shed points; requests are shed where stop_accepting_requests says so",
      buffer_factory_config: "no stream's memory is tracked; buffers are bounded by their limits",
    },
  },
  "envoy.config.overload.v3.ResourceMonitor": { honoured: "name typed_config" },
  "envoy.config.overload.v3.OverloadAction": {
    honoured: "name triggers",
    reported: { typed_config: "belongs to actions without effect" },
  },
  "envoy.config.overload.v3.Trigger": { honoured: "name threshold scaled" },
  "envoy.config.overload.v3.ThresholdTrigger": { honoured: "value" },
  "envoy.config.overload.v3.ScaledTrigger": { honoured: "scaling_threshold saturation_threshold" },
  "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig": { honoured: "max_heap_size_bytes" },
  "envoy.extensions.resource_monitors.cgroup_memory.v3.CgroupMemoryConfig": { honoured: "max_memory_bytes" },
  "envoy.extensions.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig": { honoured: "mode" },
  "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig": {
    honoured: "max_active_downstream_connections",
  },
  "envoy.config.bootstrap.v3.Watchdogs": {
    honoured: "worker_watchdog",
    reported: { main_thread_watchdog: "the thread that watches the others is watched by nobody" },
  },
  "envoy.config.bootstrap.v3.Watchdog": {
    honoured: "miss_timeout megamiss_timeout kill_timeout max_kill_timeout_jitter",
    reported: {
      multikill_timeout: "each worker is replaced by itself, whatever the others do",
      multikill_threshold: "each worker is replaced by itself, whatever the others do",
      actions: "there are no watchdog actions; what blocks is named in the log",
    },
  },
  "envoy.config.core.v3.Locality": { honoured: "region zone sub_zone" },
  "envoy.config.core.v3.Metadata": {
    honoured: "filter_metadata",
    reported: { typed_filter_metadata: NOT_COPIED },
  },
};

/**
 * Extensions that may be left out of a chain although nobody marked them optional: they watch, or save bytes, and decide nothing. By the
 * type of their configuration (of a TypedStruct the inner one). Left out, they are reported.
 */
export const HARMLESS_EXTENSIONS: ReadonlyMap<string, string> = new Map([
  // Istio's telemetry and its exchange of peer metadata
  ["stats.PluginConfig", "Istio's statistics are not collected"],
  ["io.istio.http.peer_metadata.Config", "Istio's peer metadata is not exchanged"],
  ["envoy.tcp.metadataexchange.config.MetadataExchange", "Istio's peer metadata is not exchanged"],
  ["envoy.extensions.network_filters.peer_metadata.Config", "Istio's peer metadata is not exchanged"],
  // What it chooses is chosen where connections are made: `istioAlpn` in the sidecar.
  [
    "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
    'Istio\'s names of HTTP are offered wherever a cluster has the ALPN "istio"',
  ],
  // Envoy's
  ["envoy.extensions.filters.network.mysql_proxy.v3.MySQLProxy", "MySQL's statistics are not collected"],
  ["envoy.extensions.filters.http.compressor.v3.Compressor", "bodies are not compressed"],
  ["envoy.extensions.filters.http.compressor.v3.CompressorPerRoute", "bodies are not compressed"],
]);

/** The same of extensions whose configuration is empty: they do nothing but what routes tell them, which is refused there. */
export const HARMLESS_WHEN_EMPTY: ReadonlyMap<string, string> = new Map([
  ["envoy.extensions.filters.http.cors.v3.Cors", "without a policy it does nothing"],
  ["envoy.extensions.filters.http.fault.v3.HTTPFault", "without a fault it does nothing"],
]);
