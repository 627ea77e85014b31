import { err, type Json, ok, type Result } from "@heddle/base";
import type { ConfigIssue } from "@heddle/filter";
import { standardPhrase } from "@heddle/http";
import {
  compileHeaderFormat,
  compileSafeRegex,
  DENOMINATORS,
  type MetadataMatcherConfig,
  type RuntimeFraction,
  readMetadataMatcher,
} from "@heddle/traffic";
import type { MutationRulesConfig } from "@heddle/traffic/ext-authz";
import { ConfigReader } from "../config-reader.ts";
import type {
  AuthorizationService,
  BodySettings,
  ExtAuthzConfig,
  ExtAuthzRouteConfig,
  GrpcAuthorization,
  HttpAuthorization,
} from "./ext-authz-config.ts";

/** Envoy's, of either service. */
const TIMEOUT_MS = 200;
const FORBIDDEN = 403;

/** `ExtAuthz` as proto JSON. */
export function readExtAuthz(json: Json): Result<ExtAuthzConfig, readonly ConfigIssue[]> {
  const reader = new ConfigReader(json);
  const http = reader.object("httpService");
  const service = readService(reader, reader.object("grpcService"), http, "");
  const allowedHeaders = reader.matchers("allowedHeaders");
  const oldAllowed = http?.object("authorizationRequest")?.matchers("allowedHeaders");
  if (allowedHeaders !== undefined && oldAllowed !== undefined)
    reader.fail("allowedHeaders", "excludes http_service.authorization_request.allowed_headers");
  if (service?.type === "grpc") checkApiVersion(reader);
  const statusOnError = readStatus(reader.object("statusOnError"), FORBIDDEN);
  if (statusOnError < 200 || statusOnError > 599)
    reader.fail("statusOnError", `found ${statusOnError}, allowed are 200 to 599`);
  const config = {
    failureModeAllow: reader.flag("failureModeAllow", false),
    failureModeAllowHeaderAdd: reader.flag("failureModeAllowHeaderAdd", false),
    body: readBody(reader),
    clearRouteCache: reader.flag("clearRouteCache", false),
    clearRouteCacheHeaders: reader.texts("clearRouteCacheHeaders").map((name) => name.toLowerCase()),
    statusOnError,
    validateMutations: reader.flag("validateMutations", false),
    metadataContextNamespaces: reader.texts("metadataContextNamespaces"),
    routeMetadataContextNamespaces: reader.texts("routeMetadataContextNamespaces"),
    enabled: readFraction(reader.object("filterEnabled")),
    enabledMetadata: readMetadata(reader),
    denyAtDisable: readFlag(reader.object("denyAtDisable")),
    includePeerCertificate: reader.flag("includePeerCertificate", false),
    includeTlsSession: reader.flag("includeTlsSession", false),
    statPrefix: reader.text("statPrefix"),
    allowedHeaders: allowedHeaders ?? oldAllowed,
    disallowedHeaders: reader.matchers("disallowedHeaders"),
    chargeClusterResponseStats: reader.flag("chargeClusterResponseStats", true),
    encodeRawHeaders: reader.flag("encodeRawHeaders", false),
    mutationRules: readMutationRules(reader.object("decoderHeaderMutationRules")),
    dynamicMetadata: reader.flag("enableDynamicMetadataIngestion", true),
    maxDeniedBodyBytes: reader.number("maxDeniedResponseBodyBytes", 0),
    shadowMode: reader.flag("shadowMode", false),
  };
  return service === undefined || reader.issues.length > 0 ? err(reader.issues) : ok({ service, ...config });
}

/** `ExtAuthzPerRoute` as proto JSON. */
export function readExtAuthzRoute(json: Json): Result<ExtAuthzRouteConfig, readonly ConfigIssue[]> {
  const reader = new ConfigReader(json);
  const settings = reader.object("checkSettings");
  const grpc = settings?.object("grpcService");
  const http = settings?.object("httpService");
  const overrides = grpc !== undefined || http !== undefined;
  const disableBuffering = settings?.flag("disableRequestBodyBuffering", false) ?? false;
  const body = settings && readBody(settings);
  if (disableBuffering && body !== undefined)
    settings?.fail("disableRequestBodyBuffering", "excludes with_request_body");
  const config: ExtAuthzRouteConfig = {
    disabled: reader.flag("disabled", false),
    contextExtensions: settings?.textMap("contextExtensions") ?? {},
    disableBuffering,
    body,
    service: overrides && settings !== undefined ? readService(settings, grpc, http, "") : undefined,
  };
  return reader.issues.length > 0 ? err(reader.issues) : ok(config);
}

/** AUTO, which is what it is where nothing is said, has come to mean V3. */
export function checkApiVersion(reader: ConfigReader): void {
  if (reader.text("transportApiVersion") === "V2") reader.fail("transportApiVersion", "found V2, allowed is V3");
}

function readService(
  at: ConfigReader,
  grpc: ConfigReader | undefined,
  http: ConfigReader | undefined,
  field: string,
): AuthorizationService | undefined {
  if (grpc !== undefined && http !== undefined) at.fail(field, "has grpc_service and http_service; allowed is one");
  if (grpc !== undefined) return readGrpcService(grpc);
  if (http !== undefined) return readHttpService(http);
  at.fail(field, "needs grpc_service or http_service");
  return undefined;
}

/** `envoy.config.core.v3.GrpcService` as proto JSON. */
export function readGrpcService(reader: ConfigReader): GrpcAuthorization | undefined {
  const service = reader.object("envoyGrpc");
  if (service === undefined) {
    reader.fail(
      reader.object("googleGrpc") === undefined ? "" : "googleGrpc",
      "is not supported; a service is asked by envoy_grpc, which names its cluster",
    );
    return undefined;
  }
  const cluster = service.text("clusterName");
  if (cluster === "") service.fail("clusterName", "must be set");
  const initialMetadata = reader.objects("initialMetadata").map((entry) => readHeader(entry));
  // Names of clusters are none of hosts: of "outbound|80||authz" or "outbound/80/authz" no strict server takes a request (RFC 3986 §3.2).
  const authority = service.text("authority") || cluster.replaceAll(/[^\w.:-]/g, "_");
  return { type: "grpc", cluster, authority, timeoutMs: reader.duration("timeout", TIMEOUT_MS), initialMetadata };
}

function readHttpService(reader: ConfigReader): HttpAuthorization {
  const server = reader.object("serverUri");
  const cluster = server?.text("cluster") ?? "";
  if (cluster === "") reader.fail("serverUri", "needs a cluster");
  const response = reader.object("authorizationResponse");
  const pathPrefix = reader.text("pathPrefix");
  const pathOverride = reader.text("pathOverride");
  for (const [field, path] of [
    ["pathPrefix", pathPrefix],
    ["pathOverride", pathOverride],
  ] as const) {
    if (path !== "" && !PATH.test(path))
      reader.fail(field, `found ${JSON.stringify(path)}, allowed is what begins with "/" and may stand in a target`);
  }
  if (pathPrefix !== "" && pathOverride !== "") reader.fail("pathOverride", "excludes path_prefix");
  return {
    type: "http",
    cluster,
    timeoutMs: server?.duration("timeout", TIMEOUT_MS) ?? TIMEOUT_MS,
    pathPrefix,
    pathOverride,
    headersToAdd: reader.object("authorizationRequest")?.objects("headersToAdd").map(readHeader) ?? [],
    allowedUpstreamHeaders: response?.matchers("allowedUpstreamHeaders") ?? [],
    allowedUpstreamHeadersToAppend: response?.matchers("allowedUpstreamHeadersToAppend") ?? [],
    allowedClientHeaders: response?.matchers("allowedClientHeaders") ?? [],
    allowedClientHeadersOnSuccess: response?.matchers("allowedClientHeadersOnSuccess") ?? [],
    dynamicMetadataFromHeaders: response?.matchers("dynamicMetadataFromHeaders") ?? [],
  };
}

const PATH = /^\/[\x21\x22\x24-\x7e]*$/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** A `HttpStatus`: the name of a status, or its number where the enum has no name for it. */
function readStatus(reader: ConfigReader | undefined, unset: number): number {
  const code = reader?.fields["code"];
  if (typeof code !== "string") return typeof code === "number" && code !== 0 ? code : unset;
  return STATUS_NAMES.get(code) ?? 0;
}

/** `envoy.type.v3.StatusCode`: phrases of RFC 9110 or of those before it. */
const STATUS_NAMES: ReadonlyMap<string, number> = new Map([
  ...Array.from({ length: 400 }, (_, i) => [standardPhrase(200 + i).replaceAll(/[ -]/g, ""), 200 + i] as const),
  ["PayloadTooLarge", 413],
  ["UnprocessableEntity", 422],
  ["NotExtended", 510],
]);

/** A `HeaderValue` that is sent to the service. */
function readHeader(reader: ConfigReader): readonly [name: string, value: string] {
  const name = reader.text("key").toLowerCase();
  const raw = reader.text("rawValue");
  const value = raw === "" ? reader.text("value") : Buffer.from(raw, "base64").toString();
  if (!FIELD_NAME.test(name)) reader.fail("key", `found ${JSON.stringify(name)}, needed is the name of a header`);
  const format = compileHeaderFormat(value);
  if (!format.ok) reader.fail("value", format.error);
  return [name, value];
}

function readBody(reader: ConfigReader): BodySettings | undefined {
  const body = reader.object("withRequestBody");
  if (body === undefined) return undefined;
  const maxBytes = body.number("maxRequestBytes", 0);
  if (maxBytes <= 0) body.fail("maxRequestBytes", "must be more than 0");
  return {
    maxBytes,
    allowPartial: body.flag("allowPartialMessage", false),
    packAsBytes: body.flag("packAsBytes", false),
  };
}

function readFraction(reader: ConfigReader | undefined): RuntimeFraction | undefined {
  if (reader === undefined) return undefined;
  const share = reader.object("defaultValue");
  const key = reader.text("runtimeKey");
  const denominator = DENOMINATORS[share?.text("denominator") || "HUNDRED"] ?? 100;
  return { numerator: share?.number("numerator", 0) ?? 0, denominator, ...(key !== "" && { runtimeKey: key }) };
}

function readFlag(reader: ConfigReader | undefined): ExtAuthzConfig["denyAtDisable"] {
  return reader && { value: reader.flag("defaultValue", false), runtimeKey: reader.text("runtimeKey") };
}

/** Of `filter_enabled_metadata`. */
export function readMetadata(reader: ConfigReader): MetadataMatcherConfig | undefined {
  const matcher = reader.object("filterEnabledMetadata");
  if (matcher === undefined) return undefined;
  const read = readMetadataMatcher(matcher.fields);
  if (read.ok) return read.value;
  reader.fail("filterEnabledMetadata", read.error);
  return undefined;
}

function readMutationRules(reader: ConfigReader | undefined): MutationRulesConfig | undefined {
  return (
    reader && {
      allowAllRouting: reader.flag("allowAllRouting", false),
      allowEnvoy: reader.flag("allowEnvoy", false),
      disallowSystem: reader.flag("disallowSystem", false),
      disallowAll: reader.flag("disallowAll", false),
      allowExpression: readExpression(reader, "allowExpression"),
      disallowExpression: readExpression(reader, "disallowExpression"),
      disallowIsError: reader.flag("disallowIsError", false),
    }
  );
}

function readExpression(reader: ConfigReader, field: string): string | undefined {
  const regex = reader.object(field)?.text("regex");
  const compiled = regex === undefined ? ok(undefined) : compileSafeRegex(regex);
  if (!compiled.ok) reader.fail(field, compiled.error);
  return regex;
}
