import type { ClusterConfig } from "@heddle/traffic";
import { durationIfSet, durationUnless, encodePercent, type LooseJsonObject, unless } from "./encode.ts";
import { Fields } from "./fields.ts";
import { decodeHeaderNames, encodeHeaderNames } from "./http-manners.ts";
import { openAny } from "./typed-config.ts";

const HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

const NOT_SPOKEN = "HTTP/2 is not spoken yet; requests go as HTTP/1.1";

/** Other protocol options that decide nothing that we do. */
const HARMLESS = new Map([
  ["envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions", "the pool's own idle timeout holds"],
]);

type UpstreamProtocol = Pick<
  ClusterConfig,
  | "upstreamProtocol"
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
  return options === undefined ? decodeOlderFields(cluster) : decodeOptions(options);
}

function decodeOptions(options: Fields): UpstreamProtocol {
  const explicit = options.message("explicit_http_config");
  const useDownstream = options.message("use_downstream_protocol_config");
  const auto = options.message("auto_config");
  const http1 = (explicit ?? useDownstream ?? auto)?.message("http_protocol_options");
  const http2 = explicit?.message("http2_protocol_options") !== undefined;
  if (http2) explicit?.report("http2_protocol_options", NOT_SPOKEN);
  const protocol = http2
    ? "http2"
    : useDownstream !== undefined
      ? "use-downstream"
      : auto !== undefined
        ? "auto"
        : "http1";
  return {
    upstreamProtocol: protocol,
    ...decodeCommon(options.message("common_http_protocol_options")),
    ...headerNamesOf(http1),
  };
}

// Deprecated since Envoy 1.17, and still what small configurations have.
function decodeOlderFields(cluster: Fields): UpstreamProtocol {
  const http2 = cluster.message("http2_protocol_options") !== undefined;
  if (http2) cluster.report("http2_protocol_options", NOT_SPOKEN);
  const http1 = cluster.message("http_protocol_options");
  const follow = cluster.enumName("protocol_selection") === "USE_DOWNSTREAM_PROTOCOL";
  const common = decodeCommon(cluster.message("common_http_protocol_options"));
  return {
    upstreamProtocol: follow ? "use-downstream" : http2 ? "http2" : "http1",
    ...common,
    maxRequestsPerConnection:
      common.maxRequestsPerConnection || cluster.wrappedNumber("max_requests_per_connection", 0),
    ...headerNamesOf(http1),
  };
}

function headerNamesOf(http1: Fields | undefined): Pick<UpstreamProtocol, "headerNames"> {
  const headerNames = decodeHeaderNames(http1);
  return headerNames === undefined ? {} : { headerNames };
}

function decodeCommon(common: Fields | undefined): Omit<UpstreamProtocol, "upstreamProtocol"> {
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
  if (cluster.upstreamProtocol === "http1" && !hasCommon && cluster.headerNames === undefined) return {};
  return {
    typed_extension_protocol_options: {
      [HTTP_PROTOCOL_OPTIONS]: {
        "@type": `type.googleapis.com/${HTTP_PROTOCOL_OPTIONS}`,
        common_http_protocol_options: hasCommon ? common : undefined,
        ...encodeProtocol(cluster),
      },
    },
  };
}

function encodeProtocol({ upstreamProtocol, headerNames }: UpstreamProtocol): LooseJsonObject {
  const http1 = { header_key_format: encodeHeaderNames(headerNames) };
  switch (upstreamProtocol) {
    case "http1":
      return { explicit_http_config: { http_protocol_options: http1 } };
    case "http2":
      return { explicit_http_config: { http2_protocol_options: {} } };
    case "use-downstream":
      return { use_downstream_protocol_config: { http_protocol_options: http1, http2_protocol_options: {} } };
    case "auto":
      return { auto_config: headerNames === undefined ? {} : { http_protocol_options: http1 } };
  }
}
