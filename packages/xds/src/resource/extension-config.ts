import { err, ok, type Result } from "@heddle/base";
import { decodeMessage, validate } from "@heddle/proto";
import {
  type ExtensionConfig,
  type ExtensionDiscovery,
  MISSING_CONFIG_TYPE,
  missingConfig,
  type TypedConfig,
} from "@heddle/traffic";
import { encodeConfigSource, readConfigSource, unlessAds } from "./config-source.ts";
import { encodeJson, type LooseJsonObject } from "./encode.ts";
import { Fields, Findings } from "./fields.ts";
import { type HttpFilterRegistry, leaveOut, readFilterConfig } from "./filter-config.ts";
import type { Decoded, ResourceType } from "./resource-type.ts";
import { anyJson, openAny } from "./typed-config.ts";

export const TYPED_EXTENSION_CONFIG = "envoy.config.core.v3.TypedExtensionConfig";

/** ECDS: the configuration of an HTTP filter, read as where it stands in a listener. */
export function makeExtensionConfigType(httpFilters: HttpFilterRegistry): ResourceType<ExtensionConfig> {
  return {
    typeUrl: `type.googleapis.com/${TYPED_EXTENSION_CONFIG}`,
    kind: "extension-config",
    completeInSotw: false,
    decode: (bytes) => decode(bytes, httpFilters),
    encode: ({ name, config }) => encodeJson(TYPED_EXTENSION_CONFIG, { name, typed_config: anyJson(config) }),
    nameOf: (config) => config.name,
    references: () => [],
  };
}

function decode(
  bytes: Uint8Array,
  httpFilters: HttpFilterRegistry,
): Result<Decoded<ExtensionConfig>, readonly string[]> {
  const message = decodeMessage(TYPED_EXTENSION_CONFIG, bytes);
  if (!message.ok) return err([message.error]);
  const findings = Findings.of(validate(TYPED_EXTENSION_CONFIG, message.value));
  const fields = new Fields(TYPED_EXTENSION_CONFIG, message.value, "", findings);
  const name = fields.text("name");
  if (name === "") fields.fail("name", "is empty, allowed is at least 1 character");
  const config = readFilterConfig(fields, "typed_config", name, false, httpFilters) ?? missingConfig(name);
  const { errors, unhonoured } = findings;
  return errors.length > 0 ? err(errors) : ok({ config: { name, config }, unhonoured });
}

/** What `config_discovery` of a filter says, and its default. Undefined where it cannot be used; an error says why. */
export function decodeDiscovery(
  fields: Fields,
  name: string,
  optional: boolean,
  registry: HttpFilterRegistry,
): { readonly discovery: ExtensionDiscovery; readonly config: TypedConfig } | undefined {
  const types = fields.texts("type_urls").map((url) => url.slice(url.lastIndexOf("/") + 1));
  if (types.length === 0) fields.fail("type_urls", "is empty, allowed is at least 1 type");
  const known = types.filter((type, index) => {
    if (registry === "unchecked" || registry.has(type)) return true;
    leaveOut(fields.findings, `${fields.at("type_urls")}[${index}]`, type, optional);
    return false;
  });
  const source = readConfigSource(fields, "config_source");
  const startsWithDefault = fields.flag("apply_default_config_without_warming");
  if (startsWithDefault && !fields.has("default_config"))
    fields.fail("apply_default_config_without_warming", "is set without default_config");
  const config = fields.has("default_config") ? decodeDefault(fields, name, types, registry) : missingConfig(name);
  if (known.length === 0 || config === undefined) return undefined;
  const discovery = {
    ...unlessAds(source),
    types: known,
    ...(startsWithDefault && { startsWithDefault: true as const }),
  };
  return { discovery, config };
}

function decodeDefault(
  fields: Fields,
  name: string,
  types: readonly string[],
  registry: HttpFilterRegistry,
): TypedConfig | undefined {
  const any = fields.raw("default_config");
  const extension = any && openAny(any, fields.at("default_config"), fields.findings);
  if (extension === undefined) return undefined;
  if (!types.includes(extension.type))
    fields.fail("default_config", `found ${extension.type}, allowed are type_urls: ${types.join(", ")}`);
  return readFilterConfig(fields, "default_config", name, false, registry);
}

export function encodeDiscovery(discovery: ExtensionDiscovery, config: TypedConfig): LooseJsonObject {
  return {
    config_source: encodeConfigSource(discovery.source),
    default_config: config.type === MISSING_CONFIG_TYPE ? undefined : anyJson(config),
    apply_default_config_without_warming: discovery.startsWithDefault,
    type_urls: discovery.types.map((type) => `type.googleapis.com/${type}`),
  };
}
