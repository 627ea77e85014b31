import type { CodecType, HttpConnectionManagerConfig } from "@heddle/traffic";
import { decodeAccessLogOptions, decodeAccessLogs, encodeAccessLogOptions, encodeAccessLogs } from "./access-log.ts";
import { encodeConfigSource, readConfigSourceOf, unlessAds } from "./config-source.ts";
import { durationUnless, encodePercent, type LooseJsonObject, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";
import type { HttpFilterRegistry } from "./filter-config.ts";
import { decodeHttpFilters, encodeHttpFilters } from "./http-filters.ts";
import { decodeManners, encodeManners, encodeMannersOfHttp1, SERVER_NAME } from "./http-manners.ts";
import { decodeHttp2ProtocolOptions, encodeHttp2ProtocolOptions } from "./http2-options.ts";
import { decodeLocalReply, encodeLocalReply } from "./local-reply.ts";
import { decodeUpgrades, encodeUpgrades } from "./route-action.ts";
import { decodeRouteConfiguration, encodeRouteConfiguration } from "./route-configuration.ts";
import { decodeTracing, encodeTracing } from "./tracing.ts";

export const HTTP_CONNECTION_MANAGER =
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

type Config = HttpConnectionManagerConfig;

// Envoy's defaults, by the comments of the proto.
const MAX_REQUEST_HEADERS_KB = 60;
const MAX_HEADERS_COUNT = 100;
const IDLE_TIMEOUT_MS = 3_600_000;
const STREAM_IDLE_TIMEOUT_MS = 300_000;
const DRAIN_TIMEOUT_MS = 5000;
const DELAYED_CLOSE_TIMEOUT_MS = 1000;

const ESCAPED_SLASHES: { readonly [name: string]: Config["pathWithEscapedSlashesAction"] } = {
  IMPLEMENTATION_SPECIFIC_DEFAULT: "KEEP_UNCHANGED",
  KEEP_UNCHANGED: "KEEP_UNCHANGED",
  REJECT_REQUEST: "REJECT_REQUEST",
  UNESCAPE_AND_REDIRECT: "UNESCAPE_AND_REDIRECT",
  UNESCAPE_AND_FORWARD: "UNESCAPE_AND_FORWARD",
};

/** `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`. */
export function decodeHttpConnectionManager(fields: Fields, httpFilters: HttpFilterRegistry): Config {
  const common = fields.message("common_http_protocol_options");
  const http1 = fields.message("http_protocol_options");
  const serverName = fields.text("server_name");
  if (common?.has("max_response_headers_kb"))
    common.report("max_response_headers_kb", "has an effect on a cluster only");
  return {
    statPrefix: fields.text("stat_prefix"),
    codecType: decodeCodecType(fields),
    routes: decodeRoutes(fields, httpFilters),
    httpFilters: decodeHttpFilters(fields, "http_filters", httpFilters),
    upgradeConfigs: decodeManagerUpgrades(fields, httpFilters),
    accessLog: decodeAccessLogs(fields, "access_log"),
    accessLogOptions: decodeAccessLogOptions(fields),
    localReply: decodeLocalReply(fields.message("local_reply_config")),
    ...decodeTracing(fields.message("tracing")),
    serverName: serverName === "" ? SERVER_NAME : serverName,
    serverHeaderTransformation: fields.enumName("server_header_transformation") as Config["serverHeaderTransformation"],
    maxRequestHeadersKb: fields.wrappedNumber("max_request_headers_kb", MAX_REQUEST_HEADERS_KB),
    maxHeadersCount: common?.wrappedNumber("max_headers_count", undefined) ?? MAX_HEADERS_COUNT,
    maxRequestsPerConnection: common?.wrappedNumber("max_requests_per_connection", undefined) ?? 0,
    idleTimeoutMs: common?.durationMs("idle_timeout", undefined) ?? IDLE_TIMEOUT_MS,
    maxConnectionDurationMs: common?.durationMs("max_connection_duration", undefined) ?? 0,
    maxConnectionDurationJitterPercent: common?.message("max_connection_duration_jitter")?.number("value") ?? 0,
    http1SafeMaxConnectionDuration: fields.flag("http1_safe_max_connection_duration"),
    streamIdleTimeoutMs: fields.durationMs("stream_idle_timeout", STREAM_IDLE_TIMEOUT_MS),
    requestTimeoutMs: fields.durationMs("request_timeout", 0),
    requestHeadersTimeoutMs: fields.durationMs("request_headers_timeout", 0),
    maxStreamDurationMs: common?.durationMs("max_stream_duration", undefined) ?? 0,
    drainTimeoutMs: fields.durationMs("drain_timeout", DRAIN_TIMEOUT_MS),
    delayedCloseTimeoutMs: fields.durationMs("delayed_close_timeout", DELAYED_CLOSE_TIMEOUT_MS),
    useRemoteAddress: fields.wrappedFlag("use_remote_address", false),
    xffNumTrustedHops: fields.number("xff_num_trusted_hops"),
    skipXffAppend: fields.flag("skip_xff_append"),
    generateRequestId: fields.wrappedFlag("generate_request_id", true),
    preserveExternalRequestId: fields.flag("preserve_external_request_id"),
    alwaysSetRequestIdInResponse: fields.flag("always_set_request_id_in_response"),
    via: fields.text("via"),
    normalizePath: fields.wrappedFlag("normalize_path", false),
    mergeSlashes: fields.flag("merge_slashes"),
    pathWithEscapedSlashesAction:
      ESCAPED_SLASHES[fields.enumName("path_with_escaped_slashes_action")] ?? "KEEP_UNCHANGED",
    stripPort: decodeStripPort(fields),
    acceptHttp10: http1?.flag("accept_http_10") ?? false,
    defaultHostForHttp10: http1?.text("default_host_for_http_10") ?? "",
    proxy100Continue: fields.flag("proxy_100_continue"),
    headersWithUnderscoresAction:
      (common?.enumName("headers_with_underscores_action") as Config["headersWithUnderscoresAction"] | undefined) ??
      "ALLOW",
    manners: decodeManners(fields, http1),
    http2: decodeHttp2ProtocolOptions(
      fields.message("http2_protocol_options"),
      fields.wrappedFlag("stream_error_on_invalid_http_message", undefined),
    ),
  };
}

/** As on a route; here an upgrade may also have a filter chain of its own. */
function decodeManagerUpgrades(fields: Fields, httpFilters: HttpFilterRegistry): Config["upgradeConfigs"] {
  const upgrades = fields.messages("upgrade_configs");
  return decodeUpgrades(fields).map((upgrade, index) => {
    const own = upgrades[index]!; // as many
    return own.messages("filters").length === 0
      ? upgrade
      : { ...upgrade, filters: decodeHttpFilters(own, "filters", httpFilters) };
  });
}

function decodeCodecType(fields: Fields): CodecType {
  const name = fields.enumName("codec_type");
  if (name === "HTTP3") fields.fail("codec_type", "HTTP/3 is not supported");
  return name === "HTTP1" || name === "HTTP2" ? name : "AUTO";
}

function decodeRoutes(fields: Fields, httpFilters: HttpFilterRegistry): Config["routes"] {
  const inline = fields.message("route_config");
  if (inline !== undefined) {
    return { type: "inline", routeConfig: decodeRouteConfiguration(inline, httpFilters, true) };
  }
  const rds = fields.message("rds");
  const routeConfigName = rds?.text("route_config_name") ?? "";
  if (rds === undefined) return { type: "rds", routeConfigName };
  if (routeConfigName === "") rds.fail("route_config_name", "is empty, allowed is at least 1 character");
  const source = readConfigSourceOf(routeConfigName, rds, "config_source");
  return { type: "rds", routeConfigName, ...unlessAds(source) };
}

function decodeStripPort(fields: Fields): Config["stripPort"] {
  const any = fields.flag("strip_any_host_port");
  const matching = fields.flag("strip_matching_host_port");
  if (any && matching) fields.fail("strip_any_host_port", 'excludes "strip_matching_host_port", which is set as well');
  return any ? "any" : matching ? "matching" : "none";
}

export function encodeHttpConnectionManager(config: Config): LooseJsonObject {
  const common = encodeCommonOptions(config);
  const http1 = {
    accept_http_10: unless(false, config.acceptHttp10),
    default_host_for_http_10: unless("", config.defaultHostForHttp10),
    ...encodeMannersOfHttp1(config.manners),
  };
  return {
    stat_prefix: config.statPrefix,
    codec_type: unless("AUTO", config.codecType),
    ...encodeRoutes(config.routes),
    http_filters: encodeHttpFilters(config.httpFilters),
    upgrade_configs: encodeManagerUpgrades(config.upgradeConfigs),
    access_log: encodeAccessLogs(config.accessLog),
    access_log_options: encodeAccessLogOptions(config.accessLogOptions),
    local_reply_config: encodeLocalReply(config.localReply),
    tracing: encodeTracing(config.tracing),
    server_name: unless(SERVER_NAME, config.serverName),
    server_header_transformation: unless("OVERWRITE", config.serverHeaderTransformation),
    common_http_protocol_options: isEmpty(common) ? undefined : common,
    http_protocol_options: isEmpty(http1) ? undefined : http1,
    http2_protocol_options: encodeHttp2ProtocolOptions(config.http2),
    max_request_headers_kb: unless(MAX_REQUEST_HEADERS_KB, config.maxRequestHeadersKb),
    stream_idle_timeout: durationUnless(STREAM_IDLE_TIMEOUT_MS, config.streamIdleTimeoutMs),
    request_timeout: durationUnless(0, config.requestTimeoutMs),
    request_headers_timeout: durationUnless(0, config.requestHeadersTimeoutMs),
    drain_timeout: durationUnless(DRAIN_TIMEOUT_MS, config.drainTimeoutMs),
    delayed_close_timeout: durationUnless(DELAYED_CLOSE_TIMEOUT_MS, config.delayedCloseTimeoutMs),
    use_remote_address: unless(false, config.useRemoteAddress),
    xff_num_trusted_hops: unless(0, config.xffNumTrustedHops),
    skip_xff_append: unless(false, config.skipXffAppend),
    generate_request_id: unless(true, config.generateRequestId),
    preserve_external_request_id: unless(false, config.preserveExternalRequestId),
    always_set_request_id_in_response: unless(false, config.alwaysSetRequestIdInResponse),
    via: unless("", config.via),
    normalize_path: unless(false, config.normalizePath),
    merge_slashes: unless(false, config.mergeSlashes),
    path_with_escaped_slashes_action: unless("KEEP_UNCHANGED", config.pathWithEscapedSlashesAction),
    strip_matching_host_port: config.stripPort === "matching" ? true : undefined,
    strip_any_host_port: config.stripPort === "any" ? true : undefined,
    proxy_100_continue: unless(false, config.proxy100Continue),
    http1_safe_max_connection_duration: unless(false, config.http1SafeMaxConnectionDuration),
    ...encodeManners(config.manners),
  };
}

function encodeManagerUpgrades(upgrades: Config["upgradeConfigs"]): readonly LooseJsonObject[] | undefined {
  return encodeUpgrades(upgrades)?.map((upgrade, index) => ({
    ...upgrade,
    filters: encodeHttpFilters(upgrades[index]?.filters ?? []),
  }));
}

function encodeCommonOptions(config: Config): LooseJsonObject {
  return {
    idle_timeout: durationUnless(IDLE_TIMEOUT_MS, config.idleTimeoutMs),
    max_connection_duration: durationUnless(0, config.maxConnectionDurationMs),
    max_connection_duration_jitter: encodePercent(config.maxConnectionDurationJitterPercent),
    max_headers_count: unless(MAX_HEADERS_COUNT, config.maxHeadersCount),
    max_stream_duration: durationUnless(0, config.maxStreamDurationMs),
    max_requests_per_connection: unless(0, config.maxRequestsPerConnection),
    headers_with_underscores_action: unless("ALLOW", config.headersWithUnderscoresAction),
  };
}

function encodeRoutes(routes: Config["routes"]): LooseJsonObject {
  return routes.type === "inline"
    ? { route_config: encodeRouteConfiguration(routes.routeConfig, true) }
    : {
        rds: { config_source: encodeConfigSource(routes.source), route_config_name: routes.routeConfigName },
      };
}

function isEmpty(json: LooseJsonObject): boolean {
  return Object.values(json).every((value) => value === undefined);
}
