import assert from "node:assert/strict";
import { test } from "node:test";
import { messageFromJson } from "@heddle/proto";
import { defaultTelemetry } from "@heddle/traffic";
import { decodeTelemetry } from "./telemetry.ts";

function read(bootstrap: object) {
  const message = messageFromJson("envoy.config.bootstrap.v3.Bootstrap", bootstrap);
  assert.ok(message.ok, JSON.stringify(message));
  return decodeTelemetry(message.value);
}

const OTLP = "type.googleapis.com/envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig";

test("a bootstrap that says nothing has Envoy's defaults", () => {
  assert.deepEqual(read({}), { config: defaultTelemetry, errors: [], unhonoured: [] });
});

test("tags, matcher, buckets and the flush interval are read", () => {
  const { config, errors } = read({
    stats_flush_interval: "1.5s",
    stats_config: {
      use_all_default_tags: false,
      stats_tags: [{ tag_name: "pod", fixed_value: "a" }, { tag_name: "svc", regex: "^cluster\\.((.+?)\\.)" }, { tag_name: "envoy.cluster_name" }],
      stats_matcher: { inclusion_list: { patterns: [{ prefix: "cluster." }, { safe_regex: { regex: ".*_total" } }] } },
      histogram_bucket_settings: [{ match: { suffix: "_ms" }, buckets: [10, 1, 100] }],
    },
  }); // biome-ignore format: a table
  assert.deepEqual(errors, []);
  assert.equal(config.statsFlushIntervalMs, 1500);
  assert.deepEqual(config.stats, {
    useAllDefaultTags: false,
    tags: [
      { name: "pod", value: { type: "fixed", value: "a" } },
      { name: "svc", value: { type: "regex", regex: "^cluster\\.((.+?)\\.)" } },
      { name: "envoy.cluster_name", value: { type: "default" } },
    ],
    matcher: {
      type: "inclusion",
      patterns: [
        { type: "prefix", value: "cluster.", ignoreCase: false },
        { type: "safe-regex", regex: ".*_total" },
      ],
    },
    histogramBuckets: [{ match: { type: "suffix", value: "_ms", ignoreCase: false }, buckets: [1, 10, 100] }],
  });
  assert.deepEqual(read({ stats_config: { stats_matcher: { reject_all: true } } }).config.stats.matcher, {
    type: "none",
  });
});

test("an OTLP sink and a tracing provider are read, any other sink is reported", () => {
  const { config, unhonoured } = read({
    stats_sinks: [
      {
        name: "otlp",
        typed_config: {
          "@type": OTLP,
          grpc_service: { envoy_grpc: { cluster_name: "otel" } },
          prefix: "mesh",
          emit_tags_as_attributes: false,
          report_counters_as_deltas: true,
        },
      },
      {
        name: "statsd",
        typed_config: { "@type": "type.googleapis.com/envoy.config.metrics.v3.StatsdSink", tcp_cluster_name: "s" },
      },
    ],
    tracing: {
      http: {
        name: "t",
        typed_config: {
          "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
          service_name: "shop",
        },
      },
    },
  });
  assert.equal(config.statsSinks.length, 1);
  const { destination, prefix, emitTagsAsAttributes, useTagExtractedName } = config.statsSinks[0]!;
  assert.deepEqual(
    [destination.target, prefix, emitTagsAsAttributes, useTagExtractedName],
    [{ type: "cluster", name: "otel" }, "mesh", false, true],
  );
  assert.equal(config.tracing?.type === "opentelemetry" && config.tracing.serviceName, "shop");
  assert.deepEqual(unhonoured.map(({ path }) => path).sort(), [
    "stats_sinks[0].typed_config.report_counters_as_deltas",
    "stats_sinks[1].typed_config",
  ]);
});

test("a tag that is found by looking ahead, as Istio's bootstraps do, is reported and left out", () => {
  const { config, unhonoured } = read({
    stats_config: {
      stats_tags: [
        { tag_name: "ahead", regex: "^listener(?=\\.).*?\\.http\\.(([_[:digit:]]*)\\.)" },
        { tag_name: "svc", regex: "^cluster\\.((.+?)\\.)" },
      ],
    },
  });
  assert.deepEqual(config.stats.tags.map(({ name }) => name), ["svc"]); // biome-ignore format: names
  assert.deepEqual(unhonoured.map(({ path }) => path), ["stats_config.stats_tags[0].regex"]); // biome-ignore format: paths
});

test("a pattern that RE2 does not take is refused by its path", () => {
  const { errors } = read({
    stats_config: {
      stats_tags: [{ tag_name: "x", regex: "(?<=a)b" }],
      stats_matcher: { exclusion_list: { patterns: [{ safe_regex: { regex: "(" } }] } },
    },
  });
  assert.deepEqual(errors.map((error) => error.slice(0, error.indexOf(": "))), [
    "stats_config.stats_tags[0].regex",
    "stats_config.stats_matcher.exclusion_list.patterns[0].safe_regex.regex",
  ]); // biome-ignore format: paths
});
