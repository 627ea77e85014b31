import { type ClusterConfig, defaultHttp2Options, type SniFromRequest } from "@heddle/traffic";
import { durationIfSet, durationUnless, encodePercent, type LooseJsonObject, unless } from "./encode.ts";
import { Fields } from "./fields.ts";
import { decodeHeaderNames, encodeHeaderNames } from "./http-manners.ts";
import { decodeHttp2ProtocolOptions, encodeHttp2ProtocolOptions } from "./http2-options.ts";
import { isPlaintext } from "./transport-socket.ts";
import { openAny } from "./typed-config.ts";

const HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** Other protocol options that decide nothing that we do. */
const HARMLESS = new Map([
  ["envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions", "the pool's own idle timeout holds"],
]);

type UpstreamProtocol = Pick<
  ClusterConfig,
  | "upstreamProtocol"
  | "http2"
  | "sniFromRequest"
  | "idleTimeoutMs"
  | "maxConnectionDurationMs"
  | "maxConnectionDurationJitterPercent"
  | "maxRequestsPerConnection"
  | "maxResponseHeadersKb"
  | "maxHeadersCount"
  | "headerNames"
  | "maxStreamDurationMs"
>;

// Envoy's defaults. The proto's comment says 60 KiB of a response's head, and 80 where it is HTTP/1.
const MAX_RESPONSE_HEADERS_KB = 80;
const MAX_HEADERS_COUNT = 100;

/** The HTTP that a cluster speaks: `HttpProtocolOptions` where they are given, else the older fields of the cluster. */
export function decodeUpstreamProtocol(cluster: Fields): UpstreamProtocol {
  let options: Fields | undefined;
  for (const [name, any, path] of cluster.rawMap("typed_extension_protocol_options")) {
    const extension = openAny(any, path, cluster.findings);
    if (extension === undefined) continue;
    const harmless = HARMLESS.get(extension.type);
    if (extension.type === HTTP_PROTOCOL_OPTIONS && name === HTTP_PROTOCOL_OPTIONS && extension.message !== undefined) {
      options = new Fields(HTTP_PROTOCOL_OPTIONS, extension.message, path, cluster.findings);
    } else if (harmless !== undefined) cluster.findings.report(path, harmless);
    else cluster.findings.error(path, `there are no protocol options ${extension.type} under that name`);
  }
  return options === undefined ? decodeOlderFields(cluster) : decodeOptions(options, cluster);
}

function decodeOptions(options: Fields, cluster: Fields): UpstreamProtocol {
  const explicit = options.message("explicit_http_config");
  const useDownstream = options.message("use_downstream_protocol_config");
  const auto = options.message("auto_config");
  if (auto !== undefined && isPlaintext(cluster)) {
    options.fail(
      "auto_config",
      "needs TLS to agree on a protocol (ALPN), and the cluster's transport socket is plaintext",
    );
  }
  const chosen = explicit ?? useDownstream ?? auto;
  const http2 = chosen?.message("http2_protocol_options");
  const protocol = protocolOf(explicit, useDownstream, http2);
  return {
    upstreamProtocol: protocol,
    ...(protocol !== "http1" && { http2: decodeHttp2ProtocolOptions(http2) }),
    ...decodeCommon(options.message("common_http_protocol_options")),
    ...decodeSniFromRequest(options.message("upstream_http_protocol_options")),
    ...headerNamesOf(chosen?.message("http_protocol_options")),
  };
}

function protocolOf(
  explicit: Fields | undefined,
  useDownstream: Fields | undefined,
  http2: Fields | undefined,
): UpstreamProtocol["upstreamProtocol"] {
  if (explicit !== undefined) return http2 === undefined ? "http1" : "http2";
  return useDownstream === undefined ? "auto" : "use-downstream";
}

// Deprecated since Envoy 1.17, and still what small configurations have.
function decodeOlderFields(cluster: Fields): UpstreamProtocol {
  const http2 = cluster.message("http2_protocol_options");
  const http1 = cluster.message("http_protocol_options");
  const follow = cluster.enumName("protocol_selection") === "USE_DOWNSTREAM_PROTOCOL";
  const common = decodeCommon(cluster.message("common_http_protocol_options"));
  return {
    upstreamProtocol: follow ? "use-downstream" : http2 ? "http2" : http1 ? "http1" : "unset",
    ...((follow || http2 !== undefined) && { http2: decodeHttp2ProtocolOptions(http2) }),
    ...common,
    ...decodeSniFromRequest(cluster.message("upstream_http_protocol_options")),
    maxRequestsPerConnection:
      common.maxRequestsPerConnection || cluster.wrappedNumber("max_requests_per_connection", 0),
    ...headerNamesOf(http1),
  };
}

/** `UpstreamHttpProtocolOptions`: what of a request TLS asks for. */
function decodeSniFromRequest(fields: Fields | undefined): Pick<UpstreamProtocol, "sniFromRequest"> {
  const autoSni = fields?.flag("auto_sni") ?? false;
  const autoSanValidation = fields?.flag("auto_san_validation") ?? false;
  const overrideHeader = fields?.text("override_auto_sni_header").toLowerCase() ?? "";
  return autoSni || autoSanValidation ? { sniFromRequest: { autoSni, autoSanValidation, overrideHeader } } : {};
}

function headerNamesOf(http1: Fields | undefined): Pick<UpstreamProtocol, "headerNames"> {
  const headerNames = decodeHeaderNames(http1);
  return headerNames === undefined ? {} : { headerNames };
}

function decodeCommon(
  common: Fields | undefined,
): Omit<UpstreamProtocol, "upstreamProtocol" | "http2" | "sniFromRequest"> {
  // headers_with_underscores_action has no effect here, as in Envoy.
  return {
    idleTimeoutMs: common?.durationMs("idle_timeout", undefined),
    maxConnectionDurationMs: common?.durationMs("max_connection_duration", undefined) ?? 0,
    maxConnectionDurationJitterPercent: common?.message("max_connection_duration_jitter")?.number("value") ?? 0,
    maxRequestsPerConnection: common?.wrappedNumber("max_requests_per_connection", undefined) ?? 0,
    maxResponseHeadersKb: common?.wrappedNumber("max_response_headers_kb", undefined) ?? MAX_RESPONSE_HEADERS_KB,
    maxHeadersCount: common?.wrappedNumber("max_headers_count", undefined) ?? MAX_HEADERS_COUNT,
    maxStreamDurationMs: common?.durationMs("max_stream_duration", undefined) ?? 0,
  };
}

/** Nothing where all of it is what the proto has anyway. */
export function encodeUpstreamProtocol(cluster: UpstreamProtocol): LooseJsonObject {
  const common = {
    idle_timeout: durationIfSet(cluster.idleTimeoutMs),
    max_connection_duration: durationUnless(0, cluster.maxConnectionDurationMs),
    max_connection_duration_jitter: encodePercent(cluster.maxConnectionDurationJitterPercent),
    max_requests_per_connection: unless(0, cluster.maxRequestsPerConnection),
    max_response_headers_kb: unless(MAX_RESPONSE_HEADERS_KB, cluster.maxResponseHeadersKb),
    max_headers_count: unless(MAX_HEADERS_COUNT, cluster.maxHeadersCount),
    max_stream_duration: durationUnless(0, cluster.maxStreamDurationMs),
  };
  const hasCommon = Object.values(common).some((value) => value !== undefined);
  const common_http_protocol_options = hasCommon ? common : undefined;
  // The newer message cannot leave the protocol open.
  const upstream_http_protocol_options = cluster.sniFromRequest && encodeSniFromRequest(cluster.sniFromRequest);
  if (cluster.upstreamProtocol === "unset") return { common_http_protocol_options, upstream_http_protocol_options };
  return {
    typed_extension_protocol_options: {
      [HTTP_PROTOCOL_OPTIONS]: {
        "@type": `type.googleapis.com/${HTTP_PROTOCOL_OPTIONS}`,
        common_http_protocol_options,
        upstream_http_protocol_options,
        ...encodeProtocol(cluster),
      },
    },
  };
}

function encodeSniFromRequest({ autoSni, autoSanValidation, overrideHeader }: SniFromRequest): LooseJsonObject {
  return {
    auto_sni: unless(false, autoSni),
    auto_san_validation: unless(false, autoSanValidation),
    override_auto_sni_header: unless("", overrideHeader),
  };
}

function encodeProtocol({ upstreamProtocol, http2, headerNames }: UpstreamProtocol): LooseJsonObject {
  const http_protocol_options = { header_key_format: encodeHeaderNames(headerNames) };
  const http2_protocol_options = encodeHttp2ProtocolOptions(http2 ?? defaultHttp2Options);
  switch (upstreamProtocol) {
    case "unset":
      return {};
    case "http1":
      return { explicit_http_config: { http_protocol_options } };
    case "http2":
      return { explicit_http_config: { http2_protocol_options } };
    case "use-downstream":
      return { use_downstream_protocol_config: { http_protocol_options, http2_protocol_options } };
    case "auto":
      return { auto_config: { http_protocol_options, http2_protocol_options } };
    default:
      throw new Error(`unknown protocol ${JSON.stringify(upstreamProtocol satisfies never)}`);
  }
}
