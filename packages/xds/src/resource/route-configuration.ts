import { Buffer } from "node:buffer";
import { err, ok, type Result } from "@heddle/base";
import { decodeMessage, type Message, validate } from "@heddle/proto";
import { checkRouteConfiguration, type RouteConfiguration, type RouteEntry, type VirtualHost } from "@heddle/traffic";
import { encodeConfigSource, readConfigSource, unlessAds } from "./config-source.ts";
import { encodeJson, type LooseJsonObject, list, unless } from "./encode.ts";
import { Fields, Findings } from "./fields.ts";
import type { HttpFilterRegistry } from "./filter-config.ts";
import { decodeHeaderMutations, encodeHeaderMutations } from "./header-mutations.ts";
import { decodeMetadata, encodeMetadata } from "./metadata.ts";
import { decodePerFilterConfig, encodePerFilterConfig } from "./per-filter-config.ts";
import type { Decoded, Reference, ResourceType } from "./resource-type.ts";
import { decodeRetryPolicy, encodeRetryPolicy } from "./retry-policy.ts";
import { decodeRouteAction, encodeRouteAction, type RouteContext } from "./route-action.ts";
import { decodeHeaderMatcher, decodeRouteMatch, encodeHeaderMatcher, encodeRouteMatch } from "./route-match.ts";
import { decodeDecorator, decodeRouteTracing, encodeDecorator, encodeRouteTracing } from "./tracing.ts";

export const ROUTE_CONFIGURATION = "envoy.config.route.v3.RouteConfiguration";

const MAX_DIRECT_RESPONSE_BODY_BYTES = 4096;

/** RDS. */
export function makeRouteConfigurationType(httpFilters: HttpFilterRegistry): ResourceType<RouteConfiguration> {
  return {
    typeUrl: `type.googleapis.com/${ROUTE_CONFIGURATION}`,
    kind: "route-configuration",
    completeInSotw: false,
    decode: (bytes) => decode(bytes, httpFilters),
    encode: (config) => encodeJson(ROUTE_CONFIGURATION, encodeRouteConfiguration(config)),
    nameOf: (config) => config.name,
    references: clusterReferences,
  };
}

function decode(
  bytes: Uint8Array,
  httpFilters: HttpFilterRegistry,
): Result<Decoded<RouteConfiguration>, readonly string[]> {
  const message = decodeMessage(ROUTE_CONFIGURATION, bytes);
  if (!message.ok) return err([message.error]);
  const findings = Findings.of(validate(ROUTE_CONFIGURATION, message.value));
  const config = decodeRouteConfiguration(rootFields(message.value, findings), httpFilters, false);
  if (config.name === "") findings.error("name", "is empty, allowed is at least 1 character");
  return findings.errors.length > 0 ? err(findings.errors) : ok({ config, unhonoured: findings.unhonoured });
}

function rootFields(message: Message, findings: Findings): Fields {
  return new Fields(ROUTE_CONFIGURATION, message, "", findings);
}

/**
 * `envoy.config.route.v3.RouteConfiguration`, of RDS or inline. `validate_clusters` defaults to true where it stands in
 * the listener, and to false under RDS, whose clusters may come later.
 */
export function decodeRouteConfiguration(
  fields: Fields,
  httpFilters: HttpFilterRegistry,
  inline: boolean,
): RouteConfiguration {
  const context: RouteContext = {
    httpFilters,
    maxDirectResponseBodyBytes: fields.wrappedNumber(
      "max_direct_response_body_size_bytes",
      MAX_DIRECT_RESPONSE_BODY_BYTES,
    ),
  };
  const internalOnlyHeaders = fields.texts("internal_only_headers").map((name) => name.toLowerCase());
  const config: RouteConfiguration = {
    name: fields.text("name"),
    ...(internalOnlyHeaders.length > 0 && { internalOnlyHeaders }),
    ...decodeVhds(fields, inline),
    virtualHosts: fields.messages("virtual_hosts").map((host) => decodeVirtualHost(host, context)),
    ignorePortInHostMatching: fields.flag("ignore_port_in_host_matching"),
    mostSpecificHeaderMutationsWins: fields.flag("most_specific_header_mutations_wins"),
    validateClusters: fields.wrappedFlag("validate_clusters", inline),
    typedPerFilterConfig: decodePerFilterConfig(fields, httpFilters),
    ...decodeHeaderMutations(fields),
  };
  for (const fault of checkRouteConfiguration(config)) {
    const colon = fault.indexOf(": ");
    fields.fail(fault.slice(0, colon), fault.slice(colon + 2));
  }
  return config;
}

/** As in Envoy only under RDS: what is inline is whole. */
function decodeVhds(fields: Fields, inline: boolean): Pick<RouteConfiguration, "vhds"> {
  const vhds = fields.message("vhds");
  if (vhds === undefined) return {};
  if (inline) fields.fail("vhds", "is for route configurations that come by RDS");
  return { vhds: unlessAds(readConfigSource(vhds, "config_source")) };
}

/** A route configuration of only these virtual hosts, for what is asked of whole ones. */
export function routesWith(virtualHosts: readonly VirtualHost[]): RouteConfiguration {
  return {
    name: "",
    virtualHosts,
    ignorePortInHostMatching: false,
    mostSpecificHeaderMutationsWins: false,
    validateClusters: false,
    typedPerFilterConfig: {},
    requestHeadersToAdd: [],
    requestHeadersToRemove: [],
    responseHeadersToAdd: [],
    responseHeadersToRemove: [],
  };
}

/** `envoy.config.route.v3.VirtualHost`, of a route configuration or alone. */
export function decodeVirtualHost(fields: Fields, context: RouteContext): VirtualHost {
  const virtualClusters = fields.messages("virtual_clusters").map((cluster) => ({
    name: cluster.text("name"),
    headers: cluster.messages("headers").map(decodeHeaderMatcher),
  }));
  const requireTls = fields.enumName("require_tls") as "NONE" | "EXTERNAL_ONLY" | "ALL";
  return {
    name: fields.text("name"),
    domains: fields.texts("domains").map((domain) => domain.toLowerCase()),
    routes: fields.messages("routes").map((route) => decodeRoute(route, context)),
    retryPolicy: decodeRetryPolicy(fields.message("retry_policy")),
    includeRequestAttemptCount: fields.flag("include_request_attempt_count"),
    includeAttemptCountInResponse: fields.flag("include_attempt_count_in_response"),
    typedPerFilterConfig: decodePerFilterConfig(fields, context.httpFilters),
    ...(virtualClusters.length > 0 && { virtualClusters }),
    ...(requireTls !== "NONE" && { requireTls }),
    ...decodeHeaderMutations(fields),
  };
}

function decodeRoute(fields: Fields, context: RouteContext): RouteEntry {
  const metadata = fields.message("metadata");
  return {
    name: fields.text("name"),
    match: decodeRouteMatch(fields.message("match")),
    action: decodeRouteAction(fields, context),
    typedPerFilterConfig: decodePerFilterConfig(fields, context.httpFilters),
    statPrefix: fields.text("stat_prefix"),
    ...(metadata !== undefined && { metadata: decodeMetadata(metadata) }),
    ...decodeDecorator(fields.message("decorator")),
    ...decodeRouteTracing(fields.message("tracing")),
    ...decodeHeaderMutations(fields),
  };
}

/** As proto JSON; `inline` where it stands in a listener. */
export function encodeRouteConfiguration(config: RouteConfiguration, inline = false): LooseJsonObject {
  return {
    name: config.name,
    virtual_hosts: list(config.virtualHosts.map(encodeVirtualHost)),
    vhds: config.vhds && { config_source: encodeConfigSource(config.vhds.source) },
    ignore_port_in_host_matching: unless(false, config.ignorePortInHostMatching),
    most_specific_header_mutations_wins: unless(false, config.mostSpecificHeaderMutationsWins),
    validate_clusters: unless(inline, config.validateClusters),
    internal_only_headers: list(config.internalOnlyHeaders ?? []),
    max_direct_response_body_size_bytes: unless(MAX_DIRECT_RESPONSE_BODY_BYTES, longestDirectResponse(config)),
    typed_per_filter_config: encodePerFilterConfig(config.typedPerFilterConfig),
    ...encodeHeaderMutations(config),
  };
}

function longestDirectResponse(config: RouteConfiguration): number {
  const lengths = config.virtualHosts.flatMap((host) =>
    host.routes.map(({ action }) => (action.type === "direct-response" ? Buffer.byteLength(action.body) : 0)),
  );
  return Math.max(MAX_DIRECT_RESPONSE_BODY_BYTES, ...lengths);
}

export function encodeVirtualHost(host: VirtualHost): LooseJsonObject {
  return {
    name: host.name,
    domains: host.domains,
    routes: list(host.routes.map(encodeRoute)),
    retry_policy: encodeRetryPolicy(host.retryPolicy),
    include_request_attempt_count: unless(false, host.includeRequestAttemptCount),
    include_attempt_count_in_response: unless(false, host.includeAttemptCountInResponse),
    require_tls: host.requireTls,
    typed_per_filter_config: encodePerFilterConfig(host.typedPerFilterConfig),
    virtual_clusters: list(
      (host.virtualClusters ?? []).map(({ name, headers }) => ({ headers: headers.map(encodeHeaderMatcher), name })),
    ),
    ...encodeHeaderMutations(host),
  };
}

function encodeRoute(route: RouteEntry): LooseJsonObject {
  return {
    name: unless("", route.name),
    match: encodeRouteMatch(route.match),
    ...encodeRouteAction(route.action),
    typed_per_filter_config: encodePerFilterConfig(route.typedPerFilterConfig),
    stat_prefix: unless("", route.statPrefix),
    metadata: route.metadata && encodeMetadata(route.metadata),
    decorator: encodeDecorator(route.decorator),
    tracing: encodeRouteTracing(route.tracing),
    ...encodeHeaderMutations(route),
  };
}

/** The clusters that routes name, each once. A cluster that a header names is found out per request. */
export function clusterReferences(config: RouteConfiguration): readonly Reference[] {
  const names = new Set<string>();
  for (const { action } of config.virtualHosts.flatMap((host) => host.routes)) {
    if (action.type !== "forward") continue;
    const { cluster } = action.forward;
    if (cluster.type === "cluster") names.add(cluster.name);
    if (cluster.type === "weighted") for (const member of cluster.clusters) names.add(member.name);
  }
  return [...names].map((name) => ({ kind: "cluster", name }));
}
