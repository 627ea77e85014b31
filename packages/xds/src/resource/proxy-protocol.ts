import type { ProxyProtocolConfig, TlvChoice, UpstreamProxyProtocol } from "@heddle/traffic";
import { type LooseJsonObject, list, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";

export const PROXY_PROTOCOL = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";

/** Where metadata goes whose rule names no namespace: the filter's own. */
const NAMESPACE = "envoy.filters.listener.proxy_protocol";

/** `envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol`. */
export function decodeProxyProtocol(fields: Fields): ProxyProtocolConfig {
  return {
    rules: fields.messages("rules").map(decodeRule),
    allowWithout: fields.flag("allow_requests_without_proxy_protocol"),
    disallowedVersions: [...new Set(fields.numbers("disallowed_versions").map(toVersion))].sort((a, b) => a - b),
    passThroughTlvs: decodeTlvChoice(fields),
    statPrefix: fields.text("stat_prefix"),
  };
}

function decodeRule(rule: Fields): ProxyProtocolConfig["rules"][number] {
  const pair = rule.message("on_tlv_present");
  const namespace = pair?.text("metadata_namespace") ?? "";
  return {
    tlvType: rule.number("tlv_type"),
    namespace: namespace === "" ? NAMESPACE : namespace,
    key: pair?.text("key") ?? "",
  };
}

/** `envoy.config.core.v3.ProxyProtocolConfig`. */
export function decodeUpstreamProxyProtocol(fields: Fields): UpstreamProxyProtocol {
  return {
    version: fields.enumName("version") === "V2" ? 2 : 1,
    passThroughTlvs: decodeTlvChoice(fields),
  };
}

/** Both messages have the field, and where it is not set nothing passes. */
function decodeTlvChoice(fields: Fields): TlvChoice {
  const choice = fields.message("pass_through_tlvs");
  if (choice === undefined) return [];
  const types = choice.numbers("tlv_type");
  return choice.enumName("match_type") === "INCLUDE_ALL" ? "all" : [...new Set(types)].sort((a, b) => a - b);
}

/** Of the enum `ProxyProtocolConfig.Version`. */
function toVersion(value: number): 1 | 2 {
  return value === 1 ? 2 : 1;
}

export function encodeProxyProtocol(config: ProxyProtocolConfig): LooseJsonObject {
  return {
    rules: list(
      config.rules.map(({ tlvType, namespace, key }) => ({
        tlv_type: unless(0, tlvType),
        on_tlv_present: key === "" ? undefined : { metadata_namespace: unless(NAMESPACE, namespace), key },
      })),
    ),
    allow_requests_without_proxy_protocol: unless(false, config.allowWithout),
    disallowed_versions: list(config.disallowedVersions.map((version) => `V${version}`)),
    pass_through_tlvs: encodeTlvChoice(config.passThroughTlvs),
    stat_prefix: unless("", config.statPrefix),
  };
}

export function encodeUpstreamProxyProtocol(config: UpstreamProxyProtocol): LooseJsonObject {
  return {
    version: config.version === 2 ? "V2" : undefined,
    pass_through_tlvs: encodeTlvChoice(config.passThroughTlvs),
  };
}

function encodeTlvChoice(choice: TlvChoice): LooseJsonObject | undefined {
  if (choice === "all") return {};
  return choice.length === 0 ? undefined : { match_type: "INCLUDE", tlv_type: choice };
}
