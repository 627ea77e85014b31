import { durationToMs, fieldOf, type Message } from "@heddle/proto";
import {
  compileSafeRegex,
  defaultTelemetry,
  type OtlpStatsSink,
  type StatsConfig,
  type StatsMatcher,
  type StatsTag,
  type StringMatcherConfig,
  type TelemetryConfig,
} from "@heddle/traffic";
import { Fields, Findings } from "./fields.ts";
import { decodeGrpcDestination } from "./otlp-destination.ts";
import type { FieldReport } from "./resource-type.ts";
import { decodeStringMatcher } from "./string-matcher.ts";
import { decodeTracingProvider, UNKNOWN_SERVICE } from "./tracing.ts";
import { openAny } from "./typed-config.ts";

const STATS_CONFIG = "envoy.config.metrics.v3.StatsConfig";
const STATS_SINK = "envoy.config.metrics.v3.StatsSink";
const OTLP_SINK = "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig";
const TRACING = "envoy.config.trace.v3.Tracing";

/** The fields of the bootstrap that this reads. */
export const TELEMETRY_FIELDS = ["tracing", "stats_config", "stats_sinks", "stats_flush_interval"] as const;

export interface TelemetryReading {
  readonly config: TelemetryConfig;
  /** Each begins with its path. */
  readonly errors: readonly string[];
  readonly unhonoured: readonly FieldReport[];
}

/** What `envoy.config.bootstrap.v3.Bootstrap` says of telemetry. */
export function decodeTelemetry(bootstrap: Message): TelemetryReading {
  const findings = new Findings();
  const part = (type: string, name: string): Fields | undefined => {
    const message = fieldOf(bootstrap, name) as Message | undefined;
    return message && new Fields(type, message, name, findings);
  };
  const sinks = (fieldOf(bootstrap, "stats_sinks") ?? []) as readonly Message[];
  const tracing = decodeTracingProvider(part(TRACING, "tracing")?.message("http"));
  const interval = fieldOf(bootstrap, "stats_flush_interval") as Message | undefined;
  const config: TelemetryConfig = {
    ...defaultTelemetry,
    ...(tracing !== undefined && { tracing }),
    statsSinks: sinks.flatMap((sink, index) =>
      decodeSink(new Fields(STATS_SINK, sink, `stats_sinks[${index}]`, findings)),
    ),
    ...(interval !== undefined && { statsFlushIntervalMs: durationToMs(interval) }),
    stats: decodeStatsConfig(part(STATS_CONFIG, "stats_config")),
  };
  return { config, errors: findings.errors, unhonoured: findings.unhonoured };
}

/** A sink that we do not have is reported: metrics decide nothing. */
function decodeSink(sink: Fields): OtlpStatsSink[] {
  const any = sink.raw("typed_config");
  sink.text("name");
  if (any === undefined) {
    sink.fail("typed_config", "must be set");
    return [];
  }
  const extension = openAny(any, sink.at("typed_config"), sink.findings);
  if (extension === undefined) return [];
  if (extension.message === undefined || extension.type !== OTLP_SINK) {
    sink.report("typed_config", `there is no stats sink ${extension.type}; metrics are not sent there`);
    return [];
  }
  const config = new Fields(extension.type, extension.message, sink.at("typed_config"), sink.findings);
  const destination = decodeGrpcDestination(config.message("grpc_service"));
  if (destination === undefined) return [];
  return [
    {
      destination,
      serviceName: UNKNOWN_SERVICE,
      prefix: config.text("prefix"),
      emitTagsAsAttributes: config.wrappedFlag("emit_tags_as_attributes", true),
      useTagExtractedName: config.wrappedFlag("use_tag_extracted_name", true),
    },
  ];
}

function decodeStatsConfig(fields: Fields | undefined): StatsConfig {
  if (fields === undefined) return defaultTelemetry.stats;
  return {
    useAllDefaultTags: fields.wrappedFlag("use_all_default_tags", true),
    tags: fields.messages("stats_tags").flatMap(decodeTag),
    matcher: decodeMatcher(fields.message("stats_matcher")),
    histogramBuckets: fields.messages("histogram_bucket_settings").map((setting) => ({
      match: checkedMatcher(setting.message("match")),
      buckets: setting.numbers("buckets").toSorted((a, b) => a - b),
    })),
  };
}

function decodeTag(fields: Fields): StatsTag[] {
  const name = fields.text("tag_name");
  if (fields.has("fixed_value")) return [{ name, value: { type: "fixed", value: fields.text("fixed_value") } }];
  const regex = fields.text("regex");
  if (regex === "") return [{ name, value: { type: "default" } }];
  const compiled = compileSafeRegex(regex);
  if (compiled.ok) return [{ name, value: { type: "regex", regex } }];
  if (isEcmaScript(regex)) fields.report("regex", `this tag is not told apart: ${compiled.error}`);
  else fields.fail("regex", compiled.error);
  return [];
}

/** Whether Envoy would take it: tags are found by std::regex, which looks ahead (Istio's bootstraps do so) and not back. */
function isEcmaScript(regex: string): boolean {
  if (regex.includes("(?<")) return false;
  try {
    new RegExp(regex.replaceAll(/\[:[a-z]+:\]/g, "a")); // [:digit:] and its like, which JavaScript does not have
    return true;
  } catch {
    return false;
  }
}

function decodeMatcher(fields: Fields | undefined): StatsMatcher {
  if (fields === undefined) return { type: "all" };
  const patterns = (name: string): readonly StringMatcherConfig[] | undefined =>
    fields.message(name)?.messages("patterns").map(checkedMatcher);
  const inclusion = patterns("inclusion_list");
  if (inclusion !== undefined) return { type: "inclusion", patterns: inclusion };
  const exclusion = patterns("exclusion_list");
  if (exclusion !== undefined) return { type: "exclusion", patterns: exclusion };
  return { type: fields.flag("reject_all") ? "none" : "all" };
}

/** The assembler, which asks RE2 about every pattern of a resource, does not see the bootstrap. */
function checkedMatcher(fields: Fields | undefined): StringMatcherConfig {
  if (fields === undefined) return { type: "exact", value: "", ignoreCase: false };
  const matcher = decodeStringMatcher(fields);
  const compiled = matcher.type === "safe-regex" ? compileSafeRegex(matcher.regex) : undefined;
  if (compiled?.ok === false) fields.fail("safe_regex.regex", compiled.error);
  return matcher;
}
