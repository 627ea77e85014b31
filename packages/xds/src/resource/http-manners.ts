import type { HeaderNameFormat } from "@heddle/http";
import {
  type CurrentClientCert,
  defaultManners,
  type EarlyHeaderMutation,
  type HttpManners,
  type OriginalIpDetection,
  type ProxyStatusOptions,
} from "@heddle/traffic";
import { decodeCidr, encodeCidr } from "./address.ts";
import { type LooseJsonObject, list, unless } from "./encode.ts";
import { Fields } from "./fields.ts";
import { decodeHeaderValueOption, decodeRemoval, encodeHeaderValueOption } from "./header-mutations.ts";
import { openAny } from "./typed-config.ts";

const XFF = "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig";
const CUSTOM_HEADER = "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig";
const EARLY_MUTATION = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
const PRESERVE_CASE = "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig";
/** Where `server_name` is not set; Envoy says "envoy". */
export const SERVER_NAME = "heddle";
const UUID = "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig";

/** The fields of an HTTP connection manager that `HttpManners` holds. `http1` are its `http_protocol_options`. */
export function decodeManners(manager: Fields, http1: Fields | undefined): HttpManners {
  const internal = manager.message("internal_address_config");
  const scheme = manager.message("scheme_header_transformation")?.text("scheme_to_overwrite") ?? "";
  return {
    appendXForwardedPort: manager.flag("append_x_forwarded_port"),
    originalIpDetection: decodeDetections(manager),
    internalAddresses: {
      unixSockets: internal?.flag("unix_sockets") ?? false,
      cidrRanges: internal === undefined ? [] : internal.messages("cidr_ranges").map(decodeCidr),
    },
    forwardClientCertDetails: manager.enumName(
      "forward_client_cert_details",
    ) as HttpManners["forwardClientCertDetails"],
    ...decodeCurrentClientCert(manager.message("set_current_client_cert_details")),
    schemeToOverwrite: scheme === "http" || scheme === "https" ? scheme : undefined, // the validation rules allow no other
    earlyHeaderMutations: manager.messages("early_header_mutation_extensions").flatMap(decodeEarlyMutations),
    stripTrailingHostDot: manager.flag("strip_trailing_host_dot"),
    allowAbsoluteUrl: http1?.wrappedFlag("allow_absolute_url", true) ?? true,
    allowCustomMethods: http1?.flag("allow_custom_methods") ?? false,
    headerNames: decodeHeaderNames(http1),
    requestId: decodeRequestId(manager),
    proxyStatus: decodeProxyStatus(manager),
  };
}

function decodeProxyStatus(manager: Fields): ProxyStatusOptions | undefined {
  const config = manager.message("proxy_status_config");
  if (config === undefined) return undefined;
  return {
    proxyName: config.text("literal_proxy_name") || manager.text("server_name") || SERVER_NAME,
    removeDetails: config.flag("remove_details"),
    removeResponseFlags: config.flag("remove_response_flags"),
    setRecommendedResponseCode: config.flag("set_recommended_response_code"),
  };
}

/** `header_key_format` of a listener's or a cluster's `http_protocol_options`. */
export function decodeHeaderNames(http1: Fields | undefined): HeaderNameFormat | undefined {
  const format = http1?.message("header_key_format");
  if (format === undefined) return undefined;
  if (format.message("proper_case_words") !== undefined) return "proper-case";
  const extension = format.message("stateful_formatter");
  const preserve = extension && openExtension(extension, [PRESERVE_CASE]);
  if (preserve === undefined) return undefined;
  return preserve.enumName("formatter_type_on_envoy_headers") === "PROPER_CASE"
    ? "preserve-or-proper-case"
    : "preserve-case";
}

/** The `header_key_format`; undefined where there is none. */
export function encodeHeaderNames(format: HeaderNameFormat | undefined): LooseJsonObject | undefined {
  if (format === undefined) return undefined;
  if (format === "proper-case") return { proper_case_words: {} };
  const others = format === "preserve-case" ? undefined : "PROPER_CASE";
  return {
    stateful_formatter: typed("envoy.http.stateful_header_formatters.preserve_case", PRESERVE_CASE, {
      formatter_type_on_envoy_headers: others,
    }),
  };
}

function decodeDetections(manager: Fields): readonly OriginalIpDetection[] {
  const field = "original_ip_detection_extensions";
  const extensions = manager.messages(field);
  if (extensions.length > 0) {
    // Envoy refuses both mixtures: they give two answers to one question.
    if (manager.wrappedFlag("use_remote_address", false)) manager.fail(field, 'excludes "use_remote_address"');
    if (manager.number("xff_num_trusted_hops") > 0) manager.fail(field, 'excludes "xff_num_trusted_hops"');
  }
  return extensions.flatMap((extension) => decodeDetection(extension) ?? []);
}

function decodeDetection(extension: Fields): OriginalIpDetection | undefined {
  const opened = openExtension(extension, [XFF, CUSTOM_HEADER]);
  if (opened === undefined) return undefined;
  if (opened.typeName === XFF) return { type: "xff", trustedHops: opened.number("xff_num_trusted_hops") };
  const reject = opened.message("reject_with_status");
  const status = reject?.number("code") ?? 0;
  return {
    type: "custom-header",
    header: opened.text("header_name").toLowerCase(),
    trusted: opened.flag("allow_extension_to_set_address_as_trusted"),
    rejectStatus: reject === undefined ? undefined : status < 400 || status > 511 ? 403 : status,
  };
}

function decodeEarlyMutations(extension: Fields): readonly EarlyHeaderMutation[] {
  const opened = openExtension(extension, [EARLY_MUTATION]);
  if (opened === undefined) return [];
  return opened.messages("mutations").map((mutation): EarlyHeaderMutation => {
    const append = mutation.message("append");
    return append === undefined
      ? { type: "remove", header: decodeRemoval(mutation, "remove", mutation.text("remove")) }
      : { type: "append", option: decodeHeaderValueOption(append) };
  });
}

function decodeRequestId(manager: Fields): HttpManners["requestId"] {
  const extension = manager.message("request_id_extension");
  const uuid = extension && openExtension(extension, [UUID]);
  return {
    packsTraceReason: uuid?.wrappedFlag("pack_trace_reason", true) ?? true,
    decidesTrace: uuid?.wrappedFlag("use_request_id_for_trace_sampling", true) ?? true,
  };
}

function encodeRequestId({ packsTraceReason, decidesTrace }: HttpManners["requestId"]): LooseJsonObject | undefined {
  if (packsTraceReason && decidesTrace) return undefined;
  const config = {
    pack_trace_reason: unless(true, packsTraceReason),
    use_request_id_for_trace_sampling: unless(true, decidesTrace),
  };
  return { typed_config: { "@type": `type.googleapis.com/${UUID}`, ...config } };
}

/** What stands in a `TypedExtensionConfig`, if it is one of these types; else that is an error. */
function openExtension(extension: Fields, allowed: readonly string[]): Fields | undefined {
  const any = extension.raw("typed_config");
  const path = extension.at("typed_config");
  if (any === undefined) {
    extension.fail("typed_config", "must be set");
    return undefined;
  }
  const opened = openAny(any, path, extension.findings);
  if (opened === undefined) return undefined;
  if (opened.message === undefined || !allowed.includes(opened.type)) {
    extension.fail("typed_config", `found ${opened.type}, allowed is ${allowed.join(" or ")}`);
    return undefined;
  }
  return new Fields(opened.type, opened.message, path, extension.findings);
}

/** The members of the connection manager itself; see `encodeMannersOfHttp1` for the others. */
export function encodeManners(manners: HttpManners): LooseJsonObject {
  const { unixSockets, cidrRanges } = manners.internalAddresses;
  return {
    append_x_forwarded_port: unless(false, manners.appendXForwardedPort),
    original_ip_detection_extensions: list(manners.originalIpDetection.map(encodeDetection)),
    internal_address_config:
      unixSockets || cidrRanges.length > 0
        ? { unix_sockets: unless(false, unixSockets), cidr_ranges: list(cidrRanges.map(encodeCidr)) }
        : undefined,
    forward_client_cert_details: unless("SANITIZE", manners.forwardClientCertDetails),
    set_current_client_cert_details: manners.currentClientCert && encodeCurrentClientCert(manners.currentClientCert),
    scheme_header_transformation:
      manners.schemeToOverwrite === undefined ? undefined : { scheme_to_overwrite: manners.schemeToOverwrite },
    early_header_mutation_extensions: encodeEarlyMutations(manners.earlyHeaderMutations),
    strip_trailing_host_dot: unless(false, manners.stripTrailingHostDot),
    request_id_extension: encodeRequestId(manners.requestId),
    proxy_status_config: manners.proxyStatus && encodeProxyStatus(manners.proxyStatus),
  };
}

function encodeProxyStatus(options: ProxyStatusOptions): LooseJsonObject {
  return {
    literal_proxy_name: options.proxyName,
    remove_details: unless(false, options.removeDetails),
    remove_response_flags: unless(false, options.removeResponseFlags),
    set_recommended_response_code: unless(false, options.setRecommendedResponseCode),
  };
}

/** Members of `http_protocol_options`. */
export function encodeMannersOfHttp1(manners: HttpManners): LooseJsonObject {
  return {
    allow_absolute_url: unless(defaultManners.allowAbsoluteUrl, manners.allowAbsoluteUrl),
    allow_custom_methods: unless(false, manners.allowCustomMethods),
    header_key_format: encodeHeaderNames(manners.headerNames),
  };
}

function encodeDetection(detection: OriginalIpDetection): LooseJsonObject {
  if (detection.type === "xff") {
    const hops = unless(0, detection.trustedHops);
    return typed("envoy.http.original_ip_detection.xff", XFF, { xff_num_trusted_hops: hops });
  }
  return typed("envoy.http.original_ip_detection.custom_header", CUSTOM_HEADER, {
    header_name: detection.header,
    allow_extension_to_set_address_as_trusted: unless(false, detection.trusted),
    reject_with_status: detection.rejectStatus === undefined ? undefined : { code: detection.rejectStatus },
  });
}

function encodeEarlyMutations(mutations: readonly EarlyHeaderMutation[]): readonly LooseJsonObject[] | undefined {
  if (mutations.length === 0) return undefined;
  const encoded = mutations.map((mutation) =>
    mutation.type === "remove" ? { remove: mutation.header } : { append: encodeHeaderValueOption(mutation.option) },
  );
  return [typed("envoy.http.early_header_mutation.header_mutation", EARLY_MUTATION, { mutations: encoded })];
}

function typed(name: string, type: string, config: LooseJsonObject): LooseJsonObject {
  return { name, typed_config: { "@type": `type.googleapis.com/${type}`, ...config } };
}

function decodeCurrentClientCert(fields: Fields | undefined): { readonly currentClientCert?: CurrentClientCert } {
  if (fields === undefined) return {};
  const details = {
    subject: fields.wrappedFlag("subject", false),
    cert: fields.flag("cert"),
    chain: fields.flag("chain"),
    dns: fields.flag("dns"),
    uri: fields.flag("uri"),
  };
  return Object.values(details).includes(true) ? { currentClientCert: details } : {};
}

function encodeCurrentClientCert({ subject, cert, chain, dns, uri }: CurrentClientCert): LooseJsonObject {
  return {
    subject: unless(false, subject),
    cert: unless(false, cert),
    chain: unless(false, chain),
    dns: unless(false, dns),
    uri: unless(false, uri),
  };
}
