import {
  ADS,
  type ApiOrigin,
  adsSource,
  type ConfigSource,
  type DiscoveryServer,
  type FileOrigin,
  INITIAL_FETCH_TIMEOUT_MS,
  type ResourceOrigin,
} from "@heddle/traffic";
import { decodeData, encodeData } from "./data-source.ts";
import { durationUnless, type LooseJsonObject, list } from "./encode.ts";
import type { Fields } from "./fields.ts";

/* `envoy.config.core.v3.ConfigSource`: where a resource comes from. */

/** Of a REST request (`ApiConfigSource.request_timeout`). */
const REQUEST_TIMEOUT_MS = 1000;
/** `RateLimitSettings`, where they are set and say nothing. */
const RATE_LIMIT = { maxTokens: 100, fillRatePerSecond: 10 };

/**
 * The source that `field` names. Where it is missing or wrong an error says so and the answer is the aggregated stream. Files
 * with certificates are left alone: whoever connects reads them, each time.
 */
export function readConfigSource(owner: Fields, field: string): ConfigSource {
  const source = owner.message(field);
  if (source !== undefined) return decodeConfigSource(source);
  owner.fail(field, `must be set; ${ALLOWED}`);
  return adsSource;
}

/** The same for what may leave its source out where its name says it (xdstp://). */
export function readConfigSourceOf(name: string, owner: Fields, field: string): ConfigSource {
  return !owner.has(field) && name.startsWith("xdstp://") ? adsSource : readConfigSource(owner, field);
}

const ALLOWED = "allowed are ads, self, path_config_source and api_config_source";

/** `isAuthority`: it stands where `authorities` count. */
export function decodeConfigSource(source: Fields, isAuthority = false): ConfigSource {
  if (!isAuthority && source.has("authorities"))
    source.report("authorities", "counts in config_sources of the bootstrap alone");
  switch (source.enumName("resource_api_version")) {
    case "V3":
      break;
    case "AUTO":
      source.report("resource_api_version", "is not set; V3 is used, the only one there is");
      break;
    default:
      source.fail("resource_api_version", "allowed is V3");
  }
  const initialFetchTimeoutMs = source.durationMs("initial_fetch_timeout", INITIAL_FETCH_TIMEOUT_MS);
  return { from: decodeOrigin(source), initialFetchTimeoutMs };
}

function decodeOrigin(source: Fields): ConfigSource["from"] {
  const path = source.text("path");
  if (path !== "") return { type: "file", path };
  const file = source.message("path_config_source");
  if (file !== undefined) return decodeFile(file);
  const api = source.message("api_config_source");
  if (api !== undefined) return decodeApi(api);
  const self = source.message("self");
  if (self !== undefined) {
    checkTransportVersion(self);
    return { type: "self" };
  }
  if (source.message("ads") === undefined) source.fail("", `says nothing; ${ALLOWED}`);
  return ADS;
}

function decodeFile(file: Fields): FileOrigin {
  const watchedFolder = file.message("watched_directory")?.text("path") ?? "";
  return { type: "file", path: file.text("path"), ...(watchedFolder !== "" && { watchedFolder }) };
}

/** `envoy.config.core.v3.ApiConfigSource` */
export function decodeApi(api: Fields): ResourceOrigin {
  checkTransportVersion(api);
  const apiType = api.enumName("api_type");
  const limit = api.message("rate_limit_settings");
  const common = {
    refreshDelayMs: api.durationMs("refresh_delay", 0),
    requestTimeoutMs: api.durationMs("request_timeout", REQUEST_TIMEOUT_MS),
    ...(limit && { rateLimit: decodeRateLimit(limit) }),
  };
  api.flag("set_node_on_first_message_only"); // what the client does anyway
  switch (apiType) {
    case "AGGREGATED_GRPC":
    case "AGGREGATED_DELTA_GRPC":
      return ADS;
    case "GRPC":
    case "DELTA_GRPC":
      return { type: "api", apiType, servers: decodeServers(api), ...common };
    case "REST":
      if (common.refreshDelayMs === 0) api.fail("refresh_delay", "must be set for REST");
      return { type: "api", apiType, servers: decodeRestServer(api), ...common };
    default:
      api.fail("api_type", `found ${apiType}, allowed are GRPC, DELTA_GRPC, REST and the aggregated ones`);
      return ADS;
  }
}

function checkTransportVersion(fields: Fields): void {
  const version = fields.enumName("transport_api_version");
  if (version === "AUTO") fields.report("transport_api_version", "is not set; V3 is used, the only one there is");
  else if (version !== "V3") fields.fail("transport_api_version", `found ${version}, allowed is V3`);
}

function decodeRateLimit(limit: Fields): NonNullable<ApiOrigin["rateLimit"]> {
  return {
    maxTokens: limit.wrappedNumber("max_tokens", RATE_LIMIT.maxTokens),
    fillRatePerSecond: limit.wrappedNumber("fill_rate", RATE_LIMIT.fillRatePerSecond),
  };
}

function decodeServers(api: Fields): DiscoveryServer[] {
  if (api.texts("cluster_names").length > 0) api.fail("cluster_names", "is only for REST; name grpc_services");
  const services = api.messages("grpc_services");
  if (services.length === 0) api.fail("grpc_services", "must be set");
  return services.map(decodeServer);
}

/** gRPC over HTTP/2, "Custom-Metadata". */
const METADATA_KEY = /^[0-9a-z_.-]+$/;
const METADATA_VALUE = /^[ -~]*$/;

/** `envoy.config.core.v3.GrpcService`, as a discovery service. */
function decodeServer(service: Fields): DiscoveryServer {
  const metadata = service.messages("initial_metadata").map((header) => {
    if (header.has("raw_value")) header.fail("raw_value", "is not supported here; allowed is value");
    const [key, value] = [header.text("key").toLowerCase(), header.text("value")];
    // What gRPC would throw at when the stream is opened.
    if (!METADATA_KEY.test(key) || key.endsWith("-bin"))
      header.fail("key", `found "${key}", allowed are letters, digits, "_", "-" and ".", and not "-bin" at its end`);
    if (!METADATA_VALUE.test(value)) header.fail("value", "allowed is printable ASCII");
    return [key, value] as const;
  });
  if (service.durationMs("timeout", 0) > 0) service.report("timeout", "a stream of resources has no end (as in Envoy)");
  const common = metadata.length === 0 ? {} : { metadata };
  const envoy = service.message("envoy_grpc");
  if (envoy !== undefined) {
    const authority = envoy.text("authority");
    const target = { type: "cluster", name: envoy.text("cluster_name") } as const;
    return { target, ...(authority !== "" && { authority }), ...common };
  }
  const google = service.message("google_grpc");
  const ssl = google?.message("channel_credentials")?.message("ssl_credentials");
  if (google?.has("channel_credentials") === true && ssl === undefined)
    google.fail("channel_credentials", "is not supported; allowed are ssl_credentials");
  const address = google?.text("target_uri") ?? "";
  return { target: { type: "address", address }, ...(ssl && { ssl: decodeSsl(ssl) }), ...common };
}

function decodeSsl(ssl: Fields): NonNullable<DiscoveryServer["ssl"]> {
  const data = (field: string) => {
    const source = ssl.message(field);
    return source && decodeData(source, undefined);
  };
  const rootCerts = data("root_certs");
  const privateKey = data("private_key");
  const certChain = data("cert_chain");
  if ((privateKey === undefined) !== (certChain === undefined))
    ssl.fail(privateKey === undefined ? "private_key" : "cert_chain", "must be set as well");
  return { ...(rootCerts && { rootCerts }), ...(privateKey && { privateKey }), ...(certChain && { certChain }) };
}

function decodeRestServer(api: Fields): DiscoveryServer[] {
  const names = api.texts("cluster_names");
  if (api.messages("grpc_services").length > 0) api.fail("grpc_services", "is not for REST; name one of cluster_names");
  if (names.length !== 1) api.fail("cluster_names", `found ${names.length}, allowed for REST is exactly 1`);
  return names.slice(0, 1).map((name) => ({ target: { type: "cluster", name } }));
}

/** Left out: the aggregated stream. */
export function encodeConfigSource({ from, initialFetchTimeoutMs }: ConfigSource = adsSource): LooseJsonObject {
  return {
    ...encodeOrigin(from),
    initial_fetch_timeout: durationUnless(INITIAL_FETCH_TIMEOUT_MS, initialFetchTimeoutMs),
    resource_api_version: "V3",
  };
}

function encodeOrigin(from: ConfigSource["from"]): LooseJsonObject {
  switch (from.type) {
    case "ads":
      return { ads: {} };
    case "self":
      return { self: { transport_api_version: "V3" } };
    case "file": {
      const { path, watchedFolder } = from;
      return { path_config_source: { path, watched_directory: watchedFolder && { path: watchedFolder } } };
    }
    case "api":
      return { api_config_source: encodeApi(from) };
  }
}

function encodeApi({ apiType, servers, refreshDelayMs, requestTimeoutMs, rateLimit }: ApiOrigin): LooseJsonObject {
  return {
    api_type: apiType,
    transport_api_version: "V3",
    ...(apiType === "REST"
      ? { cluster_names: servers.map(({ target }) => (target.type === "cluster" ? target.name : target.address)) }
      : { grpc_services: servers.map(encodeServer) }),
    refresh_delay: durationUnless(0, refreshDelayMs),
    request_timeout: durationUnless(REQUEST_TIMEOUT_MS, requestTimeoutMs),
    rate_limit_settings: rateLimit && {
      max_tokens: rateLimit.maxTokens,
      fill_rate: rateLimit.fillRatePerSecond,
    },
  };
}

function encodeServer({ target, authority, metadata = [], ssl }: DiscoveryServer): LooseJsonObject {
  return {
    ...(target.type === "cluster"
      ? { envoy_grpc: { cluster_name: target.name, authority } }
      : { google_grpc: { target_uri: target.address, stat_prefix: "xds", channel_credentials: encodeSsl(ssl) } }),
    initial_metadata: list(metadata.map(([key, value]) => ({ key, value }))),
  };
}

function encodeSsl(ssl: DiscoveryServer["ssl"]): LooseJsonObject | undefined {
  return (
    ssl && {
      ssl_credentials: {
        root_certs: encodeData(ssl.rootCerts),
        private_key: encodeData(ssl.privateKey),
        cert_chain: encodeData(ssl.certChain),
      },
    }
  );
}

/** What a configuration holds of its source: nothing where that is the aggregated stream. */
export function unlessAds(source: ConfigSource): { readonly source?: ConfigSource } {
  const plain = source.from.type === "ads" && source.initialFetchTimeoutMs === INITIAL_FETCH_TIMEOUT_MS;
  return plain ? {} : { source };
}
