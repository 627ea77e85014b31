import type { Json, Result } from "@heddle/base";
import type { ConfigIssue } from "@heddle/filter";
import type { NetworkFilterConfig } from "@heddle/traffic";
import type { DataReader } from "./data-source.ts";
import { DNS_TCP, decodeDnsTcp, dnsTcpJson } from "./dns-filter.ts";
import type { LooseJsonObject } from "./encode.ts";
import { type DiscoveredKind, decodeDiscovery, encodeDiscovery } from "./extension-config.ts";
import { checkClasses, Fields } from "./fields.ts";
import { type HttpFilterRegistry, reportIssues } from "./filter-config.ts";
import { HARMLESS_EXTENSIONS } from "./honoured.ts";
import {
  decodeHttpConnectionManager,
  encodeHttpConnectionManager,
  HTTP_CONNECTION_MANAGER,
} from "./http-connection-manager.ts";
import { decodeTcpProxy, encodeTcpProxy, TCP_PROXY } from "./tcp-proxy.ts";
import { anyJson, openAny, toTypedConfig } from "./typed-config.ts";

/** What decoding asks of a kind of network filter that stands before the one that serves. */
export interface NetworkFilterReader {
  /** Full message type of its configuration. */
  readonly configType: string;
  parse(config: Json): Result<unknown, readonly ConfigIssue[]>;
}

/** What exists where a listener will be used. */
export interface ListenerOptions {
  readonly httpFilters: HttpFilterRegistry;
  /** Network filters besides those that stand here, none of which ends a chain. None where it is not given. */
  readonly networkFilters?: ReadonlyMap<string, NetworkFilterReader>;
  /** Reads certificates and keys that are only named. Left out: the configuration is for another machine. */
  readonly data?: DataReader;
  /** Options of sockets cannot be asked for or set, so what needs them is refused. Left out: they can, or it is for others. */
  readonly withoutSocketOptions?: boolean;
}

const ECHO = "envoy.extensions.filters.network.echo.v3.Echo";
const DIRECT_RESPONSE = "envoy.extensions.filters.network.direct_response.v3.Config";

/** The types of those that serve a connection. */
const TERMINAL_TYPES: readonly string[] = [HTTP_CONNECTION_MANAGER, TCP_PROXY, ECHO, DNS_TCP, DIRECT_RESPONSE];

/** They serve a connection, so nothing can stand behind them, and one of them has to be the last. */
const TERMINAL: ReadonlySet<NetworkFilterConfig["type"]> = new Set([
  "http-connection-manager",
  "tcp-proxy",
  "echo",
  "direct-response",
  "dns",
]);

/** The list of `envoy.config.listener.v3.Filter` of a filter chain. */
export function decodeNetworkFilters(chain: Fields, options: ListenerOptions): readonly NetworkFilterConfig[] {
  const errorsBefore = chain.findings.errorCount;
  const filters = chain.messages("filters").flatMap((filter) => decodeNetworkFilter(filter, options));
  const allRead = chain.findings.errorCount === errorsBefore;
  if (filters.length === 0 && allRead) chain.fail("filters", "holds no filter; every connection would be closed");
  for (const [index, filter] of filters.entries()) {
    const { name } = filter;
    const isLast = index === filters.length - 1;
    const isTerminal = endsChain(filter);
    if (isTerminal && !isLast) chain.fail("filters", `"${name}" ends the chain, so it has to be the last filter`);
    // Of what is handed on unread nobody here knows whether it serves.
    if (!isTerminal && isLast && allRead && options.httpFilters !== "unchecked")
      chain.fail("filters", `"${name}" serves no connection, so it cannot be the last filter`);
  }
  return filters;
}

/** Of a filter that is to come, what may come has to agree (`decodeDiscovered`). */
function endsChain(filter: NetworkFilterConfig): boolean {
  if (filter.type !== "discovered") return TERMINAL.has(filter.type);
  return filter.discovered?.types.some((type) => TERMINAL_TYPES.includes(type)) === true;
}

/** As it is read wherever its configuration stands. */
export function networkFilterKind(options: ListenerOptions): DiscoveredKind<NetworkFilterConfig> {
  const { httpFilters, networkFilters } = options;
  return {
    knows: (type) => httpFilters === "unchecked" || TERMINAL_TYPES.includes(type) || networkFilters?.has(type) === true,
    read: (fields, field, name) => decodeTyped(fields, field, name, options)[0],
  };
}

function decodeNetworkFilter(fields: Fields, options: ListenerOptions): NetworkFilterConfig[] {
  const name = fields.text("name");
  const discovery = fields.message("config_discovery");
  return discovery === undefined
    ? decodeTyped(fields, "typed_config", name, options)
    : decodeDiscovered(discovery, name, options);
}

function decodeDiscovered(fields: Fields, name: string, options: ListenerOptions): NetworkFilterConfig[] {
  const discovered = decodeDiscovery(fields, name, false, networkFilterKind(options));
  if (discovered === undefined) return [];
  const { discovery, config: fallback } = discovered;
  const terminal = discovery.types.filter((type) => TERMINAL_TYPES.includes(type));
  if (terminal.length > 0 && terminal.length < discovery.types.length)
    fields.fail("type_urls", "holds types that end the chain and types that do not");
  return [{ type: "discovered", name, discovered: discovery, ...(fallback && { fallback }) }];
}

function decodeTyped(
  fields: Fields,
  field: "typed_config" | "default_config",
  name: string,
  options: ListenerOptions,
): NetworkFilterConfig[] {
  const any = fields.raw(field);
  if (any === undefined) {
    fields.fail(field, "must be set");
    return [];
  }
  const path = fields.at(field);
  const extension = openAny(any, path, fields.findings);
  if (extension === undefined) return [];
  const { type, message } = extension;
  const known = message && decodeKnown(name, type, () => new Fields(type, message, path, fields.findings), options);
  if (known !== undefined) return [known];
  const config = toTypedConfig(name, extension);
  if (options.httpFilters === "unchecked") return [{ type: "extension", name, config }];
  const reader = options.networkFilters?.get(type);
  if (reader !== undefined) {
    if (message !== undefined) checkClasses(type, message, path, fields.findings);
    const parsed = reader.parse(config.config);
    if (!parsed.ok) reportIssues(parsed.error, path, fields.findings);
    return [{ type: "extension", name, config }];
  }
  const harmless = HARMLESS_EXTENSIONS.get(type);
  if (harmless === undefined) fields.fail(field, `there is no network filter ${type}`);
  else fields.report(field, harmless);
  return [];
}

/** Of a type that we have; `open` gives its fields. */
function decodeKnown(
  name: string,
  type: string,
  open: () => Fields,
  options: ListenerOptions,
): NetworkFilterConfig | undefined {
  switch (type) {
    case HTTP_CONNECTION_MANAGER:
      return {
        type: "http-connection-manager",
        name,
        config: decodeHttpConnectionManager(open(), options.httpFilters),
      };
    case TCP_PROXY:
      return { type: "tcp-proxy", name, config: decodeTcpProxy(open()) };
    case ECHO:
      open();
      return { type: "echo", name };
    case DNS_TCP:
      return { type: "dns", name, config: decodeDnsTcp(open()) };
    case DIRECT_RESPONSE:
      return { type: "direct-response", name, responseBase64: decodeResponse(open()) };
    default:
      return undefined;
  }
}

/** `response` of a direct response, whose bytes need not be text. */
function decodeResponse(fields: Fields): string {
  const source = fields.message("response");
  const bytes = source?.bytes("inline_bytes") ?? Buffer.from(source?.text("inline_string") ?? "");
  return Buffer.from(bytes).toString("base64");
}

export function encodeNetworkFilter(filter: NetworkFilterConfig): LooseJsonObject {
  const typed = (type: string, config: LooseJsonObject): LooseJsonObject => ({
    name: filter.name,
    typed_config: { "@type": `type.googleapis.com/${type}`, ...config },
  });
  switch (filter.type) {
    case "http-connection-manager":
      return typed(HTTP_CONNECTION_MANAGER, encodeHttpConnectionManager(filter.config));
    case "tcp-proxy":
      return typed(TCP_PROXY, encodeTcpProxy(filter.config));
    case "echo":
      return typed(ECHO, {});
    case "direct-response":
      return typed(DIRECT_RESPONSE, {
        response: filter.responseBase64 === "" ? undefined : { inline_bytes: filter.responseBase64 },
      });
    case "dns":
      return {
        name: filter.name,
        typed_config: anyJson({ name: filter.name, type: DNS_TCP, config: dnsTcpJson(filter.config) }),
      };
    case "extension":
      return { name: filter.name, typed_config: anyJson(filter.config) };
    case "discovered": {
      const { name, discovered, fallback } = filter;
      const encoded = fallback && encodeNetworkFilter(fallback)["typed_config"];
      return { name, config_discovery: discovered && encodeDiscovery(discovered, encoded) };
    }
    case "missing":
      return { name: filter.name };
  }
}
