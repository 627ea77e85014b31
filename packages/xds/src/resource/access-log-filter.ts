import type { AccessLogType } from "@heddle/telemetry";
import type { AccessLogFilterConfig } from "@heddle/traffic";
import { type LooseJsonObject, list, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";
import { decodeFraction, decodeHeaderMatcher, encodeFraction, encodeHeaderMatcher } from "./route-match.ts";
import { decodeValueMatcher, encodeValueMatcher } from "./value-matcher.ts";

/** `envoy.config.accesslog.v3.AccessLogFilter`. One that we do not have is refused: everything would be logged. */
export function decodeAccessLogFilter(fields: Fields | undefined): AccessLogFilterConfig | undefined {
  if (fields === undefined) return undefined;
  for (const [field, decode] of KINDS) {
    const filter = fields.message(field);
    if (filter !== undefined) return decode(filter);
  }
  return undefined; // what is missing or refused has been told
}

const NEVER: AccessLogFilterConfig = { type: "response-flag", flags: [] };

const KINDS: readonly (readonly [field: string, decode: (fields: Fields) => AccessLogFilterConfig])[] = [
  ["status_code_filter", (fields) => ({ type: "status-code", ...decodeComparison(fields) })],
  ["duration_filter", (fields) => ({ type: "duration", ...decodeComparison(fields) })],
  ["not_health_check_filter", () => ({ type: "not-health-check" })],
  ["traceable_filter", () => ({ type: "traceable" })],
  ["runtime_filter", decodeRuntimeFilter],
  ["and_filter", (fields) => ({ type: "and", filters: decodeFilters(fields) })],
  ["or_filter", (fields) => ({ type: "or", filters: decodeFilters(fields) })],
  ["header_filter", decodeHeaderFilter],
  ["response_flag_filter", (fields) => ({ type: "response-flag", flags: fields.texts("flags") })],
  [
    "grpc_status_filter",
    (fields) => ({ type: "grpc-status", statuses: fields.numbers("statuses"), exclude: fields.flag("exclude") }),
  ],
  ["metadata_filter", decodeMetadataFilter],
  ["log_type_filter", decodeLogTypeFilter],
];

type Comparison = {
  readonly op: "EQ" | "GE" | "LE";
  readonly value: number;
  readonly runtimeKey?: string;
};

function decodeComparison(fields: Fields): Comparison {
  const comparison = fields.message("comparison"); // required
  const value = comparison?.message("value");
  const runtimeKey = value?.text("runtime_key") ?? NO_KEY;
  return {
    op: (comparison?.enumName("op") ?? "EQ") as Comparison["op"],
    value: value?.number("default_value") ?? 0,
    ...(runtimeKey !== NO_KEY && { runtimeKey }),
  };
}

function decodeRuntimeFilter(fields: Fields): AccessLogFilterConfig {
  return {
    type: "runtime",
    key: fields.text("runtime_key"),
    fraction: decodeFraction(fields.message("percent_sampled")) ?? { numerator: 0, denominator: 100 },
    independent: fields.flag("use_independent_randomness"),
  };
}

function decodeFilters(fields: Fields): readonly AccessLogFilterConfig[] {
  return fields.messages("filters").flatMap((filter) => decodeAccessLogFilter(filter) ?? []);
}

function decodeHeaderFilter(fields: Fields): AccessLogFilterConfig {
  const header = fields.message("header"); // required
  return header === undefined ? NEVER : { type: "header", header: decodeHeaderMatcher(header) };
}

function decodeMetadataFilter(fields: Fields): AccessLogFilterConfig {
  const matcher = fields.message("matcher");
  return {
    type: "metadata",
    namespace: matcher?.text("filter") ?? "",
    path: matcher?.messages("path").map((segment) => segment.text("key")) ?? [],
    value: decodeValueMatcher(matcher?.message("value")),
    invert: matcher?.flag("invert") ?? false,
    matchIfNotFound: fields.wrappedFlag("match_if_key_not_found", true),
  };
}

/** `envoy.data.accesslog.v3.AccessLogType`, in the order of its numbers. */
const LOG_TYPES: readonly AccessLogType[] = [
  "NotSet",
  "TcpUpstreamConnected",
  "TcpPeriodic",
  "TcpConnectionEnd",
  "DownstreamStart",
  "DownstreamPeriodic",
  "DownstreamEnd",
  "UpstreamPoolReady",
  "UpstreamPeriodic",
  "UpstreamEnd",
  "DownstreamTunnelSuccessfullyEstablished",
  "UdpTunnelUpstreamConnected",
  "UdpPeriodic",
  "UdpSessionEnd",
];

function decodeLogTypeFilter(fields: Fields): AccessLogFilterConfig {
  const types = fields.numbers("types").flatMap((number) => LOG_TYPES[number] ?? []);
  return { type: "log-type", types, exclude: fields.flag("exclude") };
}

export function encodeAccessLogFilter(filter: AccessLogFilterConfig): LooseJsonObject {
  switch (filter.type) {
    case "status-code":
      return { status_code_filter: encodeComparison(filter) };
    case "duration":
      return { duration_filter: encodeComparison(filter) };
    case "not-health-check":
      return { not_health_check_filter: {} };
    case "traceable":
      return { traceable_filter: {} };
    case "runtime":
      return {
        runtime_filter: {
          runtime_key: filter.key,
          percent_sampled: encodeFraction(filter.fraction),
          use_independent_randomness: unless(false, filter.independent),
        },
      };
    case "and":
      return { and_filter: { filters: filter.filters.map(encodeAccessLogFilter) } };
    case "or":
      return { or_filter: { filters: filter.filters.map(encodeAccessLogFilter) } };
    case "header":
      return { header_filter: { header: encodeHeaderMatcher(filter.header) } };
    case "response-flag":
      return { response_flag_filter: { flags: list(filter.flags) } };
    case "grpc-status":
      return { grpc_status_filter: { statuses: list(filter.statuses), exclude: unless(false, filter.exclude) } };
    case "metadata":
      return {
        metadata_filter: {
          matcher: {
            filter: filter.namespace,
            path: filter.path.map((key) => ({ key })),
            value: filter.value && encodeValueMatcher(filter.value),
            invert: unless(false, filter.invert),
          },
          match_if_key_not_found: unless(true, filter.matchIfNotFound),
        },
      };
    case "log-type":
      return {
        log_type_filter: {
          types: list(filter.types.map((type) => LOG_TYPES.indexOf(type))),
          exclude: unless(false, filter.exclude),
        },
      };
  }
}

/** Envoy wants a key; no runtime knows this one. */
const NO_KEY = "heddle.none";

function encodeComparison({ op, value, runtimeKey = NO_KEY }: Comparison): LooseJsonObject {
  return { comparison: { op: unless("EQ", op), value: { default_value: value, runtime_key: runtimeKey } } };
}
