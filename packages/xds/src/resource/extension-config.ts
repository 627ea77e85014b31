import { err, ok, type Result } from "@heddle/base";
import { decodeMessage, validate } from "@heddle/proto";
import {
  type ExtensionConfig,
  type ExtensionDiscovery,
  type ListenerFilterConfig,
  missingConfig,
  type NetworkFilterConfig,
} from "@heddle/traffic";
import { encodeConfigSource, readConfigSource, unlessAds } from "./config-source.ts";
import { encodeJson, type LooseJson, type LooseJsonObject } from "./encode.ts";
import { Fields, Findings } from "./fields.ts";
import { type HttpFilterRegistry, leaveOut, readFilterConfig } from "./filter-config.ts";
import type { Decoded, ResourceType } from "./resource-type.ts";
import { anyJson, openAny, toTypedConfig } from "./typed-config.ts";

export const TYPED_EXTENSION_CONFIG = "envoy.config.core.v3.TypedExtensionConfig";

/** How the configuration of filters of a kind is read, where it stands in a listener as well as where it comes by ECDS. */
export interface DiscoveredKind<Config> {
  /** What `leaveOut` calls them. */
  knows(type: string): boolean;
  /** What the Any in that field of `fields` holds. Undefined: an error says why. */
  read(fields: Fields, field: "typed_config" | "default_config", name: string): Config | undefined;
}

/** ECDS: the configuration of a filter, read as where it stands in a listener. */
export function makeExtensionConfigType(
  httpFilters: HttpFilterRegistry,
  others: ConnectionFilterKinds = {},
): ResourceType<ExtensionConfig> {
  return {
    typeUrl: `type.googleapis.com/${TYPED_EXTENSION_CONFIG}`,
    kind: "extension-config",
    completeInSotw: false,
    decode: (bytes) => decode(bytes, httpFilters, others),
    encode: ({ name, config }) => encodeJson(TYPED_EXTENSION_CONFIG, { name, typed_config: anyJson(config) }),
    nameOf: (config) => config.name,
    references: () => [],
  };
}

/** Of filters of connections. Left out: there are none. */
export interface ConnectionFilterKinds {
  readonly network?: DiscoveredKind<NetworkFilterConfig>;
  readonly listener?: DiscoveredKind<ListenerFilterConfig>;
}

function decode(
  bytes: Uint8Array,
  httpFilters: HttpFilterRegistry,
  { network, listener }: ConnectionFilterKinds,
): Result<Decoded<ExtensionConfig>, readonly string[]> {
  const message = decodeMessage(TYPED_EXTENSION_CONFIG, bytes);
  if (!message.ok) return err([message.error]);
  const findings = Findings.of(validate(TYPED_EXTENSION_CONFIG, message.value));
  const fields = new Fields(TYPED_EXTENSION_CONFIG, message.value, "", findings);
  const name = fields.text("name");
  if (name === "") fields.fail("name", "is empty, allowed is at least 1 character");
  const any = fields.raw("typed_config");
  const opened = any && openAny(any, fields.at("typed_config"), findings);
  if (any === undefined) fields.fail("typed_config", "must be set");
  if (opened === undefined) return err(findings.errors);
  const { type } = opened;
  const read = (): ExtensionConfig => {
    const config = toTypedConfig(name, opened);
    const networkFilter = network?.knows(type) === true ? network.read(fields, "typed_config", name) : undefined;
    if (networkFilter !== undefined) return { name, config, network: networkFilter };
    const listenerFilter = listener?.knows(type) === true ? listener.read(fields, "typed_config", name) : undefined;
    if (listenerFilter !== undefined) return { name, config, listener: listenerFilter };
    const isOther = network?.knows(type) === true || listener?.knows(type) === true; // an error says what is wrong with it
    const http = isOther ? undefined : readFilterConfig(fields, "typed_config", name, false, httpFilters);
    return { name, config: http ?? missingConfig(name) };
  };
  const config = read();
  const { errors, unhonoured } = findings;
  return errors.length > 0 ? err(errors) : ok({ config, unhonoured });
}

/** What `config_discovery` of a filter says, and its default. Undefined where it cannot be used; an error says why. */
export function decodeDiscovery<Config>(
  fields: Fields,
  name: string,
  optional: boolean,
  kind: DiscoveredKind<Config>,
): { readonly discovery: ExtensionDiscovery; readonly config: Config | undefined } | undefined {
  const types = fields.texts("type_urls").map((url) => url.slice(url.lastIndexOf("/") + 1));
  if (types.length === 0) fields.fail("type_urls", "is empty, allowed is at least 1 type");
  const known = types.filter((type, index) => {
    if (kind.knows(type)) return true;
    leaveOut(
      fields.findings,
      `${fields.at("type_urls")}[${index}]`,
      { type, message: undefined, config: undefined },
      optional,
    );
    return false;
  });
  const source = readConfigSource(fields, "config_source");
  const startsWithDefault = fields.flag("apply_default_config_without_warming");
  if (startsWithDefault && !fields.has("default_config"))
    fields.fail("apply_default_config_without_warming", "is set without default_config");
  const config = fields.has("default_config") ? decodeDefault(fields, name, types, kind) : undefined;
  if (known.length === 0 || (config === undefined && fields.has("default_config"))) return undefined;
  const discovery = {
    ...unlessAds(source),
    types: known,
    ...(startsWithDefault && { startsWithDefault: true as const }),
  };
  return { discovery, config };
}

function decodeDefault<Config>(
  fields: Fields,
  name: string,
  types: readonly string[],
  kind: DiscoveredKind<Config>,
): Config | undefined {
  const any = fields.raw("default_config");
  const extension = any && openAny(any, fields.at("default_config"), fields.findings);
  if (extension === undefined) return undefined;
  if (!types.includes(extension.type))
    fields.fail("default_config", `found ${extension.type}, allowed are type_urls: ${types.join(", ")}`);
  return kind.read(fields, "default_config", name);
}

/** `defaultConfig`: its Any. */
export function encodeDiscovery(discovery: ExtensionDiscovery, defaultConfig: LooseJson): LooseJsonObject {
  return {
    config_source: encodeConfigSource(discovery.source),
    default_config: defaultConfig,
    apply_default_config_without_warming: discovery.startsWithDefault,
    type_urls: discovery.types.map((type) => `type.googleapis.com/${type}`),
  };
}
