import type { Json, Result } from "@heddle/base";
import type { ConfigIssue } from "@heddle/filter";
import type { NetworkFilterConfig } from "@heddle/traffic";
import type { DataReader } from "./data-source.ts";
import { DNS_TCP, decodeDnsTcp, dnsTcpJson } from "./dns-filter.ts";
import type { LooseJsonObject } from "./encode.ts";
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
  for (const [index, { type, name }] of filters.entries()) {
    const isLast = index === filters.length - 1;
    if (TERMINAL.has(type) && !isLast)
      chain.fail("filters", `"${name}" ends the chain, so it has to be the last filter`);
    // Of what is handed on unread nobody here knows whether it serves.
    if (!TERMINAL.has(type) && isLast && allRead && options.httpFilters !== "unchecked")
      chain.fail("filters", `"${name}" serves no connection, so it cannot be the last filter`);
  }
  return filters;
}

function decodeNetworkFilter(fields: Fields, options: ListenerOptions): NetworkFilterConfig[] {
  const name = fields.text("name");
  const any = fields.raw("typed_config");
  if (any === undefined) {
    fields.fail("typed_config", "must be set");
    return [];
  }
  const path = fields.at("typed_config");
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
  if (harmless === undefined) fields.fail("typed_config", `there is no network filter ${type}`);
  else fields.report("typed_config", harmless);
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
  }
}
