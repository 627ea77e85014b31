import { Buffer } from "node:buffer";
import type { ForwardAction, MaxStreamDuration, RedirectAction, RouteAction, WeightedCluster } from "@heddle/traffic";
import { durationIfSet, durationUnless, type LooseJsonObject, list, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";
import type { HttpFilterRegistry } from "./filter-config.ts";
import { decodeHeaderMutations, encodeHeaderMutations } from "./header-mutations.ts";
import { decodePerFilterConfig, encodePerFilterConfig } from "./per-filter-config.ts";
import { decodeRetryPolicy, encodeRetryPolicy } from "./retry-policy.ts";
import { decodeRegexRewrite, encodeRegexRewrite } from "./string-matcher.ts";
import { decodeDataSource } from "./substitution-format.ts";

/** What a route needs of the configuration around it. */
export interface RouteContext {
  readonly httpFilters: HttpFilterRegistry;
  /** `max_direct_response_body_size_bytes` */
  readonly maxDirectResponseBodyBytes: number;
}

const NOT_FOUND_CODES: { readonly [name: string]: number } = {
  SERVICE_UNAVAILABLE: 503,
  NOT_FOUND: 404,
  INTERNAL_SERVER_ERROR: 500,
};

const REDIRECT_CODES: { readonly [name: string]: RedirectAction["responseCode"] } = {
  MOVED_PERMANENTLY: 301,
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
};

const ROUTE_TIMEOUT_MS = 15_000;

/** The `action` of an `envoy.config.route.v3.Route`. */
export function decodeRouteAction(route: Fields, context: RouteContext): RouteAction {
  const forward = route.message("route");
  if (forward !== undefined) return { type: "forward", forward: decodeForward(forward, context) };
  const redirect = route.message("redirect");
  if (redirect !== undefined) return { type: "redirect", redirect: decodeRedirect(redirect) };
  const direct = route.message("direct_response");
  if (direct === undefined) {
    route.message("non_forwarding_action");
    return { type: "non-forwarding" };
  }
  const source = direct.message("body");
  const body = source === undefined ? "" : decodeDataSource(source);
  const bodyBytes = Buffer.byteLength(body);
  if (bodyBytes > context.maxDirectResponseBodyBytes) {
    direct.fail("body", `found ${bodyBytes} bytes, allowed are ${context.maxDirectResponseBodyBytes}`);
  }
  return { type: "direct-response", status: direct.number("status"), body };
}

function decodeForward(fields: Fields, context: RouteContext): ForwardAction {
  const rewrite = fields.message("regex_rewrite");
  if (rewrite !== undefined && fields.text("prefix_rewrite") !== "") {
    fields.fail("regex_rewrite", 'excludes "prefix_rewrite", which is set as well');
  }
  const maxGrpcTimeoutMs = fields.durationMs("max_grpc_timeout", undefined);
  const grpcTimeoutOffsetMs = fields.durationMs("grpc_timeout_offset", undefined);
  return {
    cluster: decodeClusterChoice(fields, context),
    clusterNotFoundResponseCode: NOT_FOUND_CODES[fields.enumName("cluster_not_found_response_code")] ?? 503,
    prefixRewrite: fields.has("prefix_rewrite") ? fields.text("prefix_rewrite") : undefined,
    regexRewrite: rewrite && decodeRegexRewrite(rewrite),
    hostRewrite: decodeHostRewrite(fields),
    appendXForwardedHost: fields.flag("append_x_forwarded_host"),
    timeoutMs: fields.durationMs("timeout", ROUTE_TIMEOUT_MS),
    idleTimeoutMs: fields.durationMs("idle_timeout", undefined),
    maxStreamDuration: decodeMaxStreamDuration(fields.message("max_stream_duration")),
    ...(maxGrpcTimeoutMs !== undefined && { maxGrpcTimeoutMs }),
    ...(grpcTimeoutOffsetMs !== undefined && { grpcTimeoutOffsetMs }),
    retryPolicy: decodeRetryPolicy(fields.message("retry_policy")),
    upgradeConfigs: decodeRouteUpgrades(fields),
  };
}

function decodeMaxStreamDuration(fields: Fields | undefined): MaxStreamDuration | undefined {
  if (fields === undefined) return undefined;
  const durationMs = fields.durationMs("max_stream_duration", undefined);
  const grpcTimeoutHeaderMaxMs = fields.durationMs("grpc_timeout_header_max", undefined);
  const grpcTimeoutHeaderOffsetMs = fields.durationMs("grpc_timeout_header_offset", undefined);
  return {
    ...(durationMs !== undefined && { durationMs }),
    ...(grpcTimeoutHeaderMaxMs !== undefined && { grpcTimeoutHeaderMaxMs }),
    ...(grpcTimeoutHeaderOffsetMs !== undefined && { grpcTimeoutHeaderOffsetMs }),
  };
}

/** As on a connection manager; on a route CONNECT may also say where its tunnel ends. */
function decodeRouteUpgrades(fields: Fields): ForwardAction["upgradeConfigs"] {
  const upgrades = fields.messages("upgrade_configs");
  return decodeUpgrades(fields).map((upgrade, index) => {
    const own = upgrades[index]!; // as many
    if (own.message("connect_config") === undefined) return upgrade;
    // Envoy refuses it, too.
    if (upgrade.upgradeType !== "connect") own.fail("connect_config", 'is for the upgrade type "CONNECT" alone');
    return { ...upgrade, terminates: true };
  });
}

/** `upgrade_configs` of a route or of a connection manager. */
export function decodeUpgrades(fields: Fields): ForwardAction["upgradeConfigs"] {
  const types = new Set<string>();
  return fields.messages("upgrade_configs").map((upgrade) => {
    const upgradeType = upgrade.text("upgrade_type").toLowerCase();
    if (types.has(upgradeType)) upgrade.fail("upgrade_type", `${JSON.stringify(upgradeType)} stands there twice`);
    types.add(upgradeType);
    return { upgradeType, enabled: upgrade.wrappedFlag("enabled", true) };
  });
}

export function encodeUpgrades(upgrades: ForwardAction["upgradeConfigs"]): readonly LooseJsonObject[] | undefined {
  return list(
    upgrades.map((upgrade) => ({
      upgrade_type: upgrade.upgradeType,
      enabled: unless(true, upgrade.enabled),
      connect_config: upgrade.terminates === true ? {} : undefined,
    })),
  );
}

function decodeClusterChoice(fields: Fields, context: RouteContext): ForwardAction["cluster"] {
  const weighted = fields.message("weighted_clusters");
  if (weighted !== undefined) {
    const prefix = weighted.text("runtime_key_prefix");
    const clusters = decodeWeightedClusters(weighted, context);
    return { type: "weighted", clusters, ...(prefix !== "" && { runtimeKeyPrefix: prefix }) };
  }
  if (fields.has("cluster_header"))
    return { type: "cluster-header", header: fields.text("cluster_header").toLowerCase() };
  return { type: "cluster", name: fields.text("cluster") };
}

function decodeWeightedClusters(fields: Fields, context: RouteContext): readonly WeightedCluster[] {
  const clusters = fields.messages("clusters").map((cluster) => {
    const name = cluster.text("name");
    if (name === "") cluster.fail("name", "is empty, allowed is the name of a cluster");
    return {
      name,
      weight: cluster.wrappedNumber("weight", 0),
      hostRewriteLiteral: cluster.has("host_rewrite_literal") ? cluster.text("host_rewrite_literal") : undefined,
      typedPerFilterConfig: decodePerFilterConfig(cluster, context.httpFilters),
      ...decodeHeaderMutations(cluster),
    };
  });
  const sum = clusters.reduce((total, cluster) => total + cluster.weight, 0);
  const wanted = fields.wrappedNumber("total_weight", undefined);
  if (sum > 0xffff_ffff) fields.fail("clusters", `the weights add up to ${sum}, allowed is at most ${0xffff_ffff}`);
  if (wanted !== undefined && wanted !== sum) {
    fields.fail("total_weight", `found ${wanted}, while the weights add up to ${sum}`);
  }
  return clusters;
}

function decodeHostRewrite(fields: Fields): ForwardAction["hostRewrite"] {
  if (fields.has("host_rewrite_literal")) return { type: "literal", value: fields.text("host_rewrite_literal") };
  if (fields.wrappedFlag("auto_host_rewrite", false)) return { type: "auto" };
  if (fields.has("host_rewrite_header")) {
    return { type: "header", header: fields.text("host_rewrite_header").toLowerCase() };
  }
  return { type: "none" };
}

function decodeRedirect(fields: Fields): RedirectAction {
  const port = fields.number("port_redirect");
  return {
    scheme: decodeScheme(fields),
    host: fields.text("host_redirect") === "" ? undefined : fields.text("host_redirect"),
    port: port === 0 ? undefined : port,
    path: decodeRedirectPath(fields),
    responseCode: REDIRECT_CODES[fields.enumName("response_code")] ?? 301,
    stripQuery: fields.flag("strip_query"),
  };
}

function decodeScheme(fields: Fields): RedirectAction["scheme"] {
  const scheme = fields.text("scheme_redirect").toLowerCase();
  if (scheme === "http" || scheme === "https") return scheme;
  if (scheme !== "") fields.fail("scheme_redirect", `found ${JSON.stringify(scheme)}, allowed are "http" and "https"`);
  return fields.flag("https_redirect") ? "https" : undefined;
}

function decodeRedirectPath(fields: Fields): RedirectAction["path"] {
  const regex = fields.message("regex_rewrite");
  if (regex !== undefined) return { type: "regex", ...decodeRegexRewrite(regex) };
  if (fields.has("prefix_rewrite")) return { type: "prefix", value: fields.text("prefix_rewrite") };
  const path = fields.text("path_redirect");
  return path === "" ? { type: "keep" } : { type: "path", value: path };
}

/** The member of the route's `action`. */
export function encodeRouteAction(action: RouteAction): LooseJsonObject {
  switch (action.type) {
    case "forward":
      return { route: encodeForward(action.forward) };
    case "redirect":
      return { redirect: encodeRedirect(action.redirect) };
    case "direct-response":
      return {
        direct_response: {
          status: action.status,
          body: action.body === "" ? undefined : { inline_string: action.body },
        },
      };
    case "non-forwarding":
      return { non_forwarding_action: {} };
  }
}

function encodeForward(forward: ForwardAction): LooseJsonObject {
  return {
    ...encodeClusterChoice(forward.cluster),
    cluster_not_found_response_code: unless(
      "SERVICE_UNAVAILABLE",
      nameOf(NOT_FOUND_CODES, forward.clusterNotFoundResponseCode),
    ),
    prefix_rewrite: forward.prefixRewrite,
    regex_rewrite: forward.regexRewrite && encodeRegexRewrite(forward.regexRewrite),
    ...encodeHostRewrite(forward.hostRewrite),
    append_x_forwarded_host: unless(false, forward.appendXForwardedHost),
    timeout: durationUnless(ROUTE_TIMEOUT_MS, forward.timeoutMs),
    idle_timeout: durationIfSet(forward.idleTimeoutMs),
    max_stream_duration: forward.maxStreamDuration && {
      max_stream_duration: durationIfSet(forward.maxStreamDuration.durationMs),
      grpc_timeout_header_max: durationIfSet(forward.maxStreamDuration.grpcTimeoutHeaderMaxMs),
      grpc_timeout_header_offset: durationIfSet(forward.maxStreamDuration.grpcTimeoutHeaderOffsetMs),
    },
    max_grpc_timeout: durationIfSet(forward.maxGrpcTimeoutMs),
    grpc_timeout_offset: durationIfSet(forward.grpcTimeoutOffsetMs),
    retry_policy: encodeRetryPolicy(forward.retryPolicy),
    upgrade_configs: encodeUpgrades(forward.upgradeConfigs),
  };
}

function encodeClusterChoice(cluster: ForwardAction["cluster"]): LooseJsonObject {
  switch (cluster.type) {
    case "cluster":
      return { cluster: cluster.name };
    case "cluster-header":
      return { cluster_header: cluster.header };
    case "weighted":
      return {
        weighted_clusters: {
          runtime_key_prefix: cluster.runtimeKeyPrefix,
          clusters: cluster.clusters.map((member) => ({
            name: member.name,
            weight: member.weight,
            host_rewrite_literal: member.hostRewriteLiteral,
            typed_per_filter_config: encodePerFilterConfig(member.typedPerFilterConfig),
            ...encodeHeaderMutations(member),
          })),
        },
      };
  }
}

function encodeHostRewrite(rewrite: ForwardAction["hostRewrite"]): LooseJsonObject {
  switch (rewrite.type) {
    case "none":
      return {};
    case "literal":
      return { host_rewrite_literal: rewrite.value };
    case "auto":
      return { auto_host_rewrite: true };
    case "header":
      return { host_rewrite_header: rewrite.header };
  }
}

function encodeRedirect(redirect: RedirectAction): LooseJsonObject {
  const { path } = redirect;
  return {
    scheme_redirect: redirect.scheme,
    host_redirect: redirect.host,
    port_redirect: redirect.port,
    path_redirect: path.type === "path" ? path.value : undefined,
    prefix_rewrite: path.type === "prefix" ? path.value : undefined,
    regex_rewrite: path.type === "regex" ? encodeRegexRewrite(path) : undefined,
    response_code: unless("MOVED_PERMANENTLY", nameOf(REDIRECT_CODES, redirect.responseCode)),
    strip_query: unless(false, redirect.stripQuery),
  };
}

function nameOf(codes: { readonly [name: string]: number }, code: number): string | undefined {
  return Object.keys(codes).find((name) => codes[name] === code);
}
