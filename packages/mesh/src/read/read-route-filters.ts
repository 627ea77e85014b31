import type { HeaderChanges, HeaderValue, PathChange, Redirect, Rewrite, RouteFilters } from "../model/http-route.ts";
import type { Field } from "./field.ts";

const FIELDS = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
  RequestRedirect: "requestRedirect",
  URLRewrite: "urlRewrite",
} as const;

/** Types of filters that a kind of routes may have. */
export interface FilterTypes {
  readonly allowed: readonly (keyof typeof FIELDS)[];
  /** The standard has them, and we have not. */
  readonly later: readonly string[];
}

/** Of an HTTPRoute. */
export const HTTP_FILTERS: FilterTypes = {
  allowed: ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"],
  later: ["RequestMirror", "CORS", "ExternalAuth"],
};

/** Of a GRPCRoute. */
export const GRPC_FILTERS: FilterTypes = {
  allowed: ["RequestHeaderModifier", "ResponseHeaderModifier"],
  later: ["RequestMirror"],
};

/** Framing and connection management are the codec's (RFC 9110 §7.6.1), routing fields are a rewrite's: a header filter may not touch them. */
const UNTOUCHABLE = /^(:.*|host|connection|keep-alive|proxy-connection|te|transfer-encoding|upgrade|content-length)$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 §5.5: visible characters, spaces and tabs within. */
const VALUE = /^[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/;

/** Envoy's limits of a `HeaderValue` and of how many a route adds: a sidecar refuses all routes for one that is above them. */
const MAX_TEXT_BYTES = 16_384;
const MAX_HEADERS = 1000;

/** The filters of a rule or of a backend, as they were read. */
export interface ReadFilters {
  readonly filters: RouteFilters;
  /** Of a filter of somebody's own, which nobody here knows: "example.com/RateLimit". What it is for is to get an error. */
  readonly otherKind: string | undefined;
}

/** Reads the filters of a rule or of one of its backends. One that is not understood is an error: it may guard something. */
export function readFilters(list: Field, at: "rule" | "backend", types: FilterTypes): ReadFilters {
  const names = types.allowed.join(", ");
  let requestHeaders: HeaderChanges | undefined;
  let responseHeaders: HeaderChanges | undefined;
  let redirect: Redirect | undefined;
  let rewrite: Rewrite | undefined;
  let otherKind: string | undefined;
  const seen = new Set<string>();
  for (const item of list.items()) {
    const fields = item.object(
      "type",
      ...Object.values(FIELDS),
      "requestMirror",
      "cors",
      "extensionRef",
      "externalAuth",
    );
    const said = fields.type.requiredText();
    const type = types.allowed.find((allowed) => allowed === said);
    if (said === "ExtensionRef") {
      // "The filter MUST NOT be skipped" (HTTPRouteFilter.extensionRef): no fault of the route, whose other rules have their effect.
      const { group, kind } = fields.extensionRef.object("group", "kind", "name");
      otherKind = [group.text() ?? "", kind.requiredText()].filter((part) => part !== "").join("/");
      fields.extensionRef.warn(`found ${otherKind}, which is not known here: what it is for is answered with an error`);
    } else if (types.later.includes(said)) fields.type.error(`${said} is not supported yet; allowed: ${names}`);
    else if (type === undefined) {
      if (said !== "") fields.type.error(`found "${said}", allowed: ${names}`);
    } else if (seen.has(type)) fields.type.error(`${type} stands here twice; once is allowed`);
    else if (at === "backend" && (type === "RequestRedirect" || type === "URLRewrite"))
      fields.type.error(`${type} is not supported at a single backend; put it into the rule's filters`);
    else {
      const config = fields[FIELDS[type]];
      if (!config.present) config.error("is missing");
      if (type === "RequestHeaderModifier") requestHeaders = readHeaderChanges(config);
      else if (type === "ResponseHeaderModifier") responseHeaders = readHeaderChanges(config);
      else if (type === "RequestRedirect") redirect = readRedirect(config);
      else rewrite = readRewrite(config);
    }
    seen.add(said);
  }
  if (redirect !== undefined && rewrite !== undefined) list.error("RequestRedirect and URLRewrite exclude each other");
  if (otherKind !== undefined) redirect = undefined;
  return { filters: { requestHeaders, responseHeaders, redirect, rewrite }, otherKind };
}

function readHeaderChanges(field: Field): HeaderChanges {
  const fields = field.object("set", "add", "remove");
  const [set, add] = [readHeaderValues(fields.set), readHeaderValues(fields.add)];
  const count = set.length + add.length;
  if (count > MAX_HEADERS) field.error(`sets and adds ${count} headers, allowed: ${MAX_HEADERS}`);
  return {
    set,
    add,
    remove: fields.remove.items().map((item) => checkedName(item, item.requiredText())),
  };
}

function readHeaderValues(list: Field): readonly HeaderValue[] {
  return list.items().map((item) => {
    const fields = item.object("name", "value");
    const value = fields.value.text() ?? "";
    if (value !== "" && !VALUE.test(value))
      fields.value.error("holds characters that a header value must not (RFC 9110 §5.5)");
    fields.value.limit(MAX_TEXT_BYTES);
    return { name: checkedName(fields.name, fields.name.requiredText()), value };
  });
}

function checkedName(field: Field, name: string): string {
  const lower = name.toLowerCase();
  if (UNTOUCHABLE.test(lower)) field.error(`"${name}" cannot be changed by a header filter`);
  else if (name !== "" && !TOKEN.test(name)) field.error(`"${name}" is not the name of a header`);
  else field.limit(MAX_TEXT_BYTES);
  return lower;
}

function readRedirect(field: Field): Redirect {
  const fields = field.object("scheme", "hostname", "path", "port", "statusCode");
  const status = fields.statusCode.integer(301, 308) ?? 302;
  const statusCode = ([301, 302, 303, 307, 308] as const).find((allowed) => allowed === status);
  if (statusCode === undefined) fields.statusCode.error(`found ${status}, allowed: 301, 302, 303, 307, 308`);
  return {
    scheme: fields.scheme.oneOf("http", "https"),
    hostname: readHostname(fields.hostname),
    port: fields.port.integer(1, 65_535),
    path: readPathChange(fields.path),
    statusCode: statusCode ?? 302,
  };
}

function readRewrite(field: Field): Rewrite {
  const fields = field.object("hostname", "path");
  if (!fields.hostname.present && !fields.path.present) field.error("changes nothing: give hostname or path");
  return { hostname: readHostname(fields.hostname), path: readPathChange(fields.path) };
}

function readPathChange(field: Field): PathChange | undefined {
  if (!field.present) return undefined;
  const fields = field.object("type", "replaceFullPath", "replacePrefixMatch");
  if (!fields.type.present) fields.type.error("is missing");
  const type = fields.type.oneOf("ReplaceFullPath", "ReplacePrefixMatch");
  if (type === undefined) return undefined;
  const [wanted, other] =
    type === "ReplaceFullPath"
      ? [fields.replaceFullPath, fields.replacePrefixMatch]
      : [fields.replacePrefixMatch, fields.replaceFullPath];
  if (!wanted.present) wanted.error(`is missing for ${type}`);
  if (other.present) other.error(`is not for ${type}`);
  const value = wanted.text() ?? "/";
  if (value !== "" && !/^\/[\x21-\x7e]*$/.test(value))
    wanted.error(`found "${value}", allowed: a path that begins with "/"`);
  return { type: type === "ReplaceFullPath" ? "full" : "prefix", value: value === "" ? "/" : value };
}

function readHostname(field: Field): string | undefined {
  const name = field.text();
  if (
    name !== undefined &&
    (name.length > 253 || !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name))
  )
    field.error(`found "${name}", allowed: a host name in lower case, without port`);
  return name;
}
