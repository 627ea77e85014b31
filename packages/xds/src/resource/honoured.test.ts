import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { describeMessage, isKnownType } from "@heddle/proto";
import { HONOURED, type MessageRules } from "./honoured.ts";

/** Where reading begins: the resources, and what is read out of an Any. */
const ROOTS = [
  "envoy.config.listener.v3.Listener",
  "envoy.config.route.v3.RouteConfiguration",
  "envoy.config.cluster.v3.Cluster",
  "envoy.config.endpoint.v3.ClusterLoadAssignment",
  "envoy.service.runtime.v3.Runtime",
  "envoy.config.bootstrap.v3.LayeredRuntime",
  "envoy.config.route.v3.FilterConfig",
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
  "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
  "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
  "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig",
  "envoy.extensions.filters.udp.udp_proxy.v3.Route",
  "envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig",
  "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
  "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
  "envoy.extensions.filters.network.echo.v3.Echo",
  "envoy.extensions.filters.network.direct_response.v3.Config",
  "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
  "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
  "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig",
  "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig",
  "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
  "envoy.extensions.access_loggers.file.v3.FileAccessLog",
  "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
  "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
  "envoy.config.bootstrap.v3.Bootstrap.DynamicResources",
  "envoy.config.bootstrap.v3.ClusterManager",
  "envoy.config.overload.v3.OverloadManager",
  "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
  "envoy.extensions.resource_monitors.cgroup_memory.v3.CgroupMemoryConfig",
  "envoy.extensions.resource_monitors.cpu_utilization.v3.CpuUtilizationConfig",
  "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
  "envoy.config.bootstrap.v3.Watchdogs",
  "envoy.config.metrics.v3.StatsConfig",
  "envoy.config.metrics.v3.StatsSink",
  "envoy.config.trace.v3.OpenTelemetryConfig",
  "envoy.config.trace.v3.Tracing",
  "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig",
  "envoy.config.trace.v3.ZipkinConfig",
  "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
  "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
  "envoy.extensions.transport_sockets.tls.v3.Secret",
  "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
  "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
  "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
  "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
  "envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
  "envoy.extensions.clusters.dns.v3.DnsCluster",
  "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
  "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
  "envoy.extensions.load_balancing_policies.random.v3.Random",
  "envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided",
  "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin",
  "envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality",
];

/** HTTP filters read their configuration themselves, from JSON. */
const READ_BY_FILTERS = [
  "envoy.extensions.filters.http.rbac.v3.RBAC",
  "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
  "envoy.extensions.filters.network.rbac.v3.RBAC",
  "envoy.config.rbac.v3.RBAC",
  "envoy.config.rbac.v3.Policy",
  "envoy.config.rbac.v3.Permission",
  "envoy.config.rbac.v3.Permission.Set",
  "envoy.config.rbac.v3.Principal",
  "envoy.config.rbac.v3.Principal.Set",
  "envoy.config.rbac.v3.Principal.Authenticated",
  "envoy.config.rbac.v3.SourcedMetadata",
  "envoy.config.rbac.v3.Action",
  "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config",
  "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
  "envoy.type.matcher.v3.PathMatcher",
  "envoy.type.v3.Int32Range",
  "xds.type.matcher.v3.Matcher",
  "xds.type.matcher.v3.Matcher.OnMatch",
  "xds.type.matcher.v3.Matcher.MatcherList",
  "xds.type.matcher.v3.Matcher.MatcherList.FieldMatcher",
  "xds.type.matcher.v3.Matcher.MatcherList.Predicate",
  "xds.type.matcher.v3.Matcher.MatcherList.Predicate.PredicateList",
  "xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate",
  "xds.type.matcher.v3.Matcher.MatcherTree",
  "xds.type.matcher.v3.Matcher.MatcherTree.MatchMap",
  "xds.type.matcher.v3.StringMatcher",
  "xds.type.matcher.v3.RegexMatcher",
  "xds.type.matcher.v3.RegexMatcher.GoogleRE2",
  "xds.core.v3.TypedExtensionConfig",
  "xds.type.matcher.v3.IPMatcher",
  "xds.type.matcher.v3.IPMatcher.IPRangeMatcher",
  "xds.core.v3.CidrRange",
  "xds.type.matcher.v3.ServerNameMatcher",
  "xds.type.matcher.v3.ServerNameMatcher.DomainMatcher",
  "xds.type.matcher.v3.CelMatcher",
  "xds.type.v3.CelExpression",
  "envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
  "envoy.type.matcher.v3.HttpRequestQueryParamMatchInput",
  "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput",
  "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput.PathSegment",
  "envoy.extensions.matching.input_matchers.metadata.v3.Metadata",
  "envoy.extensions.matching.input_matchers.ip.v3.Ip",
  "envoy.extensions.filters.http.router.v3.Router",
  "heddle.filters.http.v1.Module",
  "heddle.filters.http.v1.ServeTunnel",
  "heddle.filters.listener.v1.ServerFirst",
  "heddle.filters.network.v1.Dns",
  "envoy.extensions.filters.http.health_check.v3.HealthCheck",
  "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config",
  "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
  "envoy.config.core.v3.GrpcMethodList",
  "envoy.config.core.v3.GrpcMethodList.Service",
  "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
  "envoy.extensions.filters.http.on_demand.v3.OnDemand",
  "envoy.extensions.filters.http.on_demand.v3.OnDemandCds",
  "envoy.extensions.filters.http.on_demand.v3.PerRouteConfig",
  "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
  "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
  "envoy.extensions.filters.http.ext_authz.v3.BufferSettings",
  "envoy.extensions.filters.http.ext_authz.v3.HttpService",
  "envoy.extensions.filters.http.ext_authz.v3.AuthorizationRequest",
  "envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse",
  "envoy.extensions.filters.http.ext_authz.v3.CheckSettings",
  "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
  "envoy.extensions.filters.network.sni_cluster.v3.SniCluster",
  "envoy.config.core.v3.RuntimeFeatureFlag",
  "envoy.config.common.mutation_rules.v3.HeaderMutationRules",
  "envoy.extensions.filters.http.basic_auth.v3.BasicAuth",
  "envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute",
  "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
  "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute",
  "envoy.extensions.filters.http.api_key_auth.v3.Credential",
  "envoy.extensions.filters.http.api_key_auth.v3.KeySource",
  "envoy.extensions.filters.http.api_key_auth.v3.Forwarding",
  ...[
    "JwtAuthentication", "PerRouteConfig", "JwtProvider", "JwtProvider.NormalizePayload", "JwtCacheConfig", "RemoteJwks",
    "JwksAsyncFetch", "JwtHeader", "JwtClaimToHeader", "ProviderWithAudiences", "JwtRequirement", "JwtRequirementOrList",
    "JwtRequirementAndList", "RequirementRule",
  ].map((name) => `envoy.extensions.filters.http.jwt_authn.v3.${name}`), // biome-ignore format: a list
  "envoy.config.core.v3.RetryPolicy",
  "envoy.config.core.v3.BackoffStrategy",
];

/** What was read is built from these. An honoured field that no decoder mentions would be ignored in silence. */
const SOURCES = readdirSync(import.meta.dirname)
  .filter(
    (file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && file !== "honoured.ts" && file !== "testing.ts",
  )
  .map((file) => readFileSync(`${import.meta.dirname}/${file}`, "utf8"))
  .join("\n");

function honoured(rules: MessageRules): string[] {
  return rules.honoured.split(/\s+/).filter(Boolean);
}

/** Fields that are reported or refused, and read all the same. */
function kept({ reported = {}, refused = {} }: MessageRules): string[] {
  return Object.entries({ ...reported, ...refused }).flatMap(([field, rule]) =>
    typeof rule !== "string" && rule.kept === true ? [field] : [],
  );
}

/** The message types that decoding goes through: what fields that are read hold, all the way down. */
function reached(): Set<string> {
  const types = new Set<string>();
  const visit = (type: string): void => {
    if (types.has(type)) return;
    types.add(type);
    const rules = HONOURED[type];
    for (const name of rules === undefined ? [] : [...honoured(rules), ...kept(rules)]) {
      const message = describeMessage(type).get(name)?.messageType;
      if (message !== undefined && !message.startsWith("google.")) visit(message); // CEL's are read as a whole
    }
  };
  for (const root of [...ROOTS, ...READ_BY_FILTERS]) visit(root);
  return types;
}

test("every message that is read stands in the table, and no other", () => {
  assert.deepEqual([...reached()].sort(), Object.keys(HONOURED).sort());
});

test("every field of every message that is read has exactly one class", () => {
  const wrong: string[] = [];
  for (const [type, rules] of Object.entries(HONOURED)) {
    assert.ok(isKnownType(type), type);
    const named = [...honoured(rules), ...Object.keys(rules.refused ?? {}), ...Object.keys(rules.reported ?? {})];
    const fields = new Set(describeMessage(type).keys());
    for (const field of fields) if (!named.includes(field)) wrong.push(`${type}.${field} has no class`);
    for (const name of new Set(named)) {
      if (!fields.has(name)) wrong.push(`${type}.${name} does not exist`);
      if (named.filter((other) => other === name).length > 1) wrong.push(`${type}.${name} has two classes`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("every field that is honoured or kept is read somewhere", () => {
  const wrong = Object.entries(HONOURED).flatMap(([type, rules]) =>
    (READ_BY_FILTERS.includes(type) ? [] : [...honoured(rules), ...kept(rules)])
      .filter((field) => !SOURCES.includes(`"${field}"`))
      .map((field) => `${type}.${field}`),
  );
  assert.deepEqual(wrong, []);
});

test("what is refused or reported says why", () => {
  for (const [type, { refused = {}, reported = {} }] of Object.entries(HONOURED)) {
    for (const [field, rule] of Object.entries({ ...refused, ...reported })) {
      const note = typeof rule === "string" ? rule : rule.note;
      assert.ok(note.length > 5, `${type}.${field}`);
    }
  }
});

test("what is honoured is read without the descriptor of all that Envoy has, which costs 5 MB", () => {
  const module = readFileSync(new URL("../../../proto/src/gen/extensions.ts", import.meta.url), "utf8");
  const text = module.slice(module.indexOf("'") + 1, module.lastIndexOf("'"));
  const outer = text.split("\\n").map((line) => line.slice(0, line.indexOf(" "))); // with what is nested in each
  const inExtensions = (name: string): boolean => outer.some((one) => name === one || name.startsWith(`${one}.`));
  assert.ok(inExtensions("envoy.extensions.filters.http.fault.v3.HTTPFault"));
  assert.deepEqual(Object.keys(HONOURED).filter(inExtensions), []); // add them to proto/envoy.txt as `honoured`
});
