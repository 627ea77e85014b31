import type {
  ClientCertificateMatch,
  HeaderMatcherConfig,
  QueryParameterMatcherConfig,
  RouteMatch,
  RuntimeFraction,
  StringMatcherConfig,
} from "@heddle/traffic";
import { type LooseJsonObject, list, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";
import { decodeRegex, decodeStringMatcher, encodeStringMatcher } from "./string-matcher.ts";

/** Parts of 100, 10,000 or 1,000,000 (`envoy.type.v3.FractionalPercent`). */
export interface Fraction {
  readonly numerator: number;
  readonly denominator: number;
}

const DENOMINATORS: { readonly [name: string]: number } = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 };

/** `envoy.config.route.v3.RouteMatch`. */
export function decodeRouteMatch(fields: Fields | undefined): RouteMatch {
  fields?.message("grpc");
  const certificate = fields?.message("tls_context");
  return {
    path: decodePath(fields),
    caseSensitive: fields?.wrappedFlag("case_sensitive", true) ?? true,
    headers: (fields?.messages("headers") ?? []).map(decodeHeaderMatcher),
    queryParameters: (fields?.messages("query_parameters") ?? []).map(decodeQueryParameterMatcher),
    grpc: fields?.has("grpc") ?? false,
    runtimeFraction: decodeRuntimeFraction(fields?.message("runtime_fraction")),
    ...(certificate !== undefined && { clientCertificate: decodeCertificateMatch(certificate) }),
  };
}

/** `RouteMatch.TlsContextMatchOptions`. */
function decodeCertificateMatch(fields: Fields): ClientCertificateMatch {
  const presented = fields.wrappedFlag("presented", undefined);
  const validated = fields.wrappedFlag("validated", undefined);
  return { ...(presented !== undefined && { presented }), ...(validated !== undefined && { validated }) };
}

function decodePath(fields: Fields | undefined): RouteMatch["path"] {
  const regex = fields?.message("safe_regex");
  if (regex !== undefined) return { type: "safe-regex", regex: decodeRegex(regex) };
  if (fields?.message("connect_matcher") !== undefined) return { type: "connect" };
  if (fields?.has("path")) return { type: "path", value: fields.text("path") };
  if (fields?.has("path_separated_prefix")) {
    return { type: "path-separated-prefix", value: fields.text("path_separated_prefix") };
  }
  return { type: "prefix", value: fields?.text("prefix") ?? "" };
}

/** `envoy.config.core.v3.RuntimeFractionalPercent`. */
function decodeRuntimeFraction(fields: Fields | undefined): RuntimeFraction | undefined {
  const fraction = decodeFraction(fields?.message("default_value")); // required
  const runtimeKey = fields?.text("runtime_key") ?? "";
  return fraction && { ...fraction, ...(runtimeKey !== "" && { runtimeKey }) };
}

export function decodeFraction(fields: Fields | undefined): Fraction | undefined {
  if (fields === undefined) return undefined;
  return { numerator: fields.number("numerator"), denominator: DENOMINATORS[fields.enumName("denominator")] ?? 100 };
}

/** `envoy.config.route.v3.HeaderMatcher`. The forms of before v3.19 become string matchers, which they are. */
export function decodeHeaderMatcher(fields: Fields): HeaderMatcherConfig {
  return {
    name: fields.text("name").toLowerCase(),
    match: decodeHeaderMatch(fields),
    invert: fields.flag("invert_match"),
    treatMissingHeaderAsEmpty: fields.flag("treat_missing_header_as_empty"),
  };
}

const OLDER_STRING_MATCHES = [
  ["exact_match", "exact"],
  ["prefix_match", "prefix"],
  ["suffix_match", "suffix"],
  ["contains_match", "contains"],
] as const;

function decodeHeaderMatch(fields: Fields): HeaderMatcherConfig["match"] {
  const string = fields.message("string_match");
  if (string !== undefined) return { type: "string", matcher: decodeStringMatcher(string) };
  const range = fields.message("range_match");
  if (range !== undefined) return { type: "range", start: range.number("start"), end: range.number("end") };
  const regex = fields.message("safe_regex_match");
  if (regex !== undefined) return { type: "string", matcher: { type: "safe-regex", regex: decodeRegex(regex) } };
  for (const [field, type] of OLDER_STRING_MATCHES) {
    if (!fields.has(field)) continue;
    const matcher: StringMatcherConfig = { type, value: fields.text(field), ignoreCase: false };
    return { type: "string", matcher };
  }
  return { type: "present", present: fields.has("present_match") ? fields.flag("present_match") : true };
}

/** `envoy.config.route.v3.QueryParameterMatcher`. */
function decodeQueryParameterMatcher(fields: Fields): QueryParameterMatcherConfig {
  const string = fields.message("string_match");
  if (string !== undefined) {
    return { name: fields.text("name"), match: { type: "string", matcher: decodeStringMatcher(string) } };
  }
  // Envoy takes false for true. Whoever wrote false meant something else.
  if (fields.has("present_match") && !fields.flag("present_match")) {
    fields.fail("present_match", "found false, allowed is only true");
  }
  return { name: fields.text("name"), match: { type: "present" } };
}

export function encodeRouteMatch(match: RouteMatch): LooseJsonObject {
  return {
    ...encodePath(match.path),
    case_sensitive: unless(true, match.caseSensitive),
    headers: list(match.headers.map(encodeHeaderMatcher)),
    query_parameters: list(match.queryParameters.map(encodeQueryParameterMatcher)),
    grpc: match.grpc ? {} : undefined,
    tls_context: match.clientCertificate && { ...match.clientCertificate },
    runtime_fraction: match.runtimeFraction && {
      default_value: encodeFraction(match.runtimeFraction),
      runtime_key: match.runtimeFraction.runtimeKey,
    },
  };
}

function encodePath(path: RouteMatch["path"]): LooseJsonObject {
  switch (path.type) {
    case "prefix":
      return { prefix: path.value };
    case "path":
      return { path: path.value };
    case "path-separated-prefix":
      return { path_separated_prefix: path.value };
    case "safe-regex":
      return { safe_regex: { regex: path.regex } };
    case "connect":
      return { connect_matcher: {} };
  }
}

/** A denominator that Envoy does not have becomes a million; what is lost is below a millionth. */
export function encodeFraction(fraction: Fraction): LooseJsonObject {
  const name = Object.keys(DENOMINATORS).find((candidate) => DENOMINATORS[candidate] === fraction.denominator);
  if (name !== undefined) return { numerator: fraction.numerator, denominator: name };
  return { numerator: Math.round((fraction.numerator / fraction.denominator) * 1_000_000), denominator: "MILLION" };
}

export function encodeHeaderMatcher(header: HeaderMatcherConfig): LooseJsonObject {
  return {
    name: header.name,
    ...encodeHeaderMatch(header.match),
    invert_match: unless(false, header.invert),
    treat_missing_header_as_empty: unless(false, header.treatMissingHeaderAsEmpty),
  };
}

function encodeHeaderMatch(match: HeaderMatcherConfig["match"]): LooseJsonObject {
  switch (match.type) {
    case "present":
      return { present_match: match.present };
    case "string":
      return { string_match: encodeStringMatcher(match.matcher) };
    case "range":
      return { range_match: { start: match.start, end: match.end } };
  }
}

function encodeQueryParameterMatcher(parameter: QueryParameterMatcherConfig): LooseJsonObject {
  const { name, match } = parameter;
  return match.type === "present"
    ? { name, present_match: true }
    : { name, string_match: encodeStringMatcher(match.matcher) };
}
