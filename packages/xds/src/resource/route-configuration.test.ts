import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRouteConfigurationType } from "./route-configuration.ts";
import { accept, errorsOf, httpFilters, MODULE, reportsOf } from "./testing.ts";

const type = makeRouteConfigurationType(httpFilters);
const unchecked = makeRouteConfigurationType("unchecked");
const CORS_POLICY = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy";
const FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

const noMutations = {
  requestHeadersToAdd: [],
  requestHeadersToRemove: [],
  responseHeadersToAdd: [],
  responseHeadersToRemove: [],
};

/** A route configuration with one host that has these routes. */
function withRoutes(...routes: object[]): object {
  return { name: "r", virtual_hosts: [{ name: "h", domains: ["*"], routes }] };
}

/** A route configuration with one route that matches this and forwards to a cluster. */
function withMatch(match: object): object {
  return withRoutes({ match, route: { cluster: "a" } });
}

function routesOf(json: object) {
  return accept(type, json).virtualHosts.flatMap((host) => host.routes);
}

test("what is not set has Envoy's default", () => {
  assert.deepEqual(accept(type, withMatch({ prefix: "/" })), {
    name: "r",
    virtualHosts: [
      {
        name: "h",
        domains: ["*"],
        routes: [
          {
            name: "",
            match: {
              path: { type: "prefix", value: "/" },
              caseSensitive: true,
              headers: [],
              queryParameters: [],
              grpc: false,
              runtimeFraction: undefined,
            },
            action: {
              type: "forward",
              forward: {
                cluster: { type: "cluster", name: "a" },
                clusterNotFoundResponseCode: 503,
                prefixRewrite: undefined,
                regexRewrite: undefined,
                hostRewrite: { type: "none" },
                appendXForwardedHost: false,
                timeoutMs: 15_000,
                idleTimeoutMs: undefined,
                maxStreamDuration: undefined,
                retryPolicy: undefined,
                upgradeConfigs: [],
              },
            },
            typedPerFilterConfig: {},
            statPrefix: "",
            ...noMutations,
          },
        ],
        retryPolicy: undefined,
        includeRequestAttemptCount: false,
        includeAttemptCountInResponse: false,
        typedPerFilterConfig: {},
        ...noMutations,
      },
    ],
    ignorePortInHostMatching: false,
    mostSpecificHeaderMutationsWins: false,
    validateClusters: false,
    typedPerFilterConfig: {},
    ...noMutations,
  });
});

test("every way to match a path is read", () => {
  const paths = [
    { prefix: "/a" },
    { path: "/a" },
    { path_separated_prefix: "/a" },
    { safe_regex: { regex: "/a.*", google_re2: {} } },
    { connect_matcher: {} },
  ];
  const routes = routesOf(withRoutes(...paths.map((match) => ({ match, route: { cluster: "a" } }))));
  assert.deepEqual(
    routes.map((route) => route.match.path),
    [
      { type: "prefix", value: "/a" },
      { type: "path", value: "/a" },
      { type: "path-separated-prefix", value: "/a" },
      { type: "safe-regex", regex: "/a.*" },
      { type: "connect" },
    ],
  );
});

test("header and query matchers are read, the older forms as string matchers", () => {
  const [route] = routesOf(
    withMatch({
      prefix: "/",
      case_sensitive: false,
      grpc: {},
      tls_context: { presented: true, validated: false },
      runtime_fraction: { default_value: { numerator: 5, denominator: "MILLION" } },
      headers: [
        { name: "X-A", string_match: { exact: "v", ignore_case: true } },
        { name: "x-b", exact_match: "v" },
        { name: "x-c", prefix_match: "v" },
        { name: "x-d", suffix_match: "v" },
        { name: "x-e", contains_match: "v" },
        { name: "x-f", safe_regex_match: { regex: "v+" } },
        { name: "x-g", range_match: { start: -1, end: 10 } },
        { name: "x-h" },
        { name: "x-i", present_match: false, invert_match: true, treat_missing_header_as_empty: true },
      ],
      query_parameters: [{ name: "q" }, { name: "r", string_match: { suffix: "v" } }],
    }),
  );
  const string = (type: string, value: string) => ({ type: "string", matcher: { type, value, ignoreCase: false } });
  const headers = route?.match.headers ?? [];
  assert.deepEqual(
    headers.map((header) => [header.name, header.match]),
    [
      ["x-a", { type: "string", matcher: { type: "exact", value: "v", ignoreCase: true } }],
      ["x-b", string("exact", "v")],
      ["x-c", string("prefix", "v")],
      ["x-d", string("suffix", "v")],
      ["x-e", string("contains", "v")],
      ["x-f", { type: "string", matcher: { type: "safe-regex", regex: "v+" } }],
      ["x-g", { type: "range", start: -1, end: 10 }],
      ["x-h", { type: "present", present: true }],
      ["x-i", { type: "present", present: false }],
    ],
  );
  assert.deepEqual([headers[8]?.invert, headers[8]?.treatMissingHeaderAsEmpty], [true, true]);
  assert.deepEqual(route?.match.queryParameters, [
    { name: "q", match: { type: "present" } },
    { name: "r", match: string("suffix", "v") },
  ]);
  assert.equal(route?.match.caseSensitive, false);
  assert.equal(route?.match.grpc, true);
  assert.deepEqual(route?.match.clientCertificate, { presented: true, validated: false });
  assert.deepEqual(route?.match.runtimeFraction, { numerator: 5, denominator: 1_000_000 });
});

test("every field of a forwarding action is read", () => {
  const [route] = routesOf(
    withRoutes({
      match: { prefix: "/" },
      route: {
        weighted_clusters: {
          clusters: [
            { name: "a", weight: 90, host_rewrite_literal: "a.example", request_headers_to_remove: ["X-Gone"] },
            { name: "b", weight: 10 },
          ],
          total_weight: 100,
        },
        cluster_not_found_response_code: "NOT_FOUND",
        regex_rewrite: { pattern: { regex: "^/a(.*)" }, substitution: "/b\\1" },
        auto_host_rewrite: true,
        append_x_forwarded_host: true,
        timeout: "0s",
        idle_timeout: "10s",
        max_stream_duration: {
          max_stream_duration: "60s",
          grpc_timeout_header_max: "30s",
          grpc_timeout_header_offset: "0.1s",
        },
        max_grpc_timeout: "0s",
        grpc_timeout_offset: "0.2s",
        retry_policy: {
          retry_on: "5xx, Connect-Failure,",
          num_retries: 0,
          per_try_timeout: "2s",
          retriable_status_codes: [418],
          retry_back_off: { base_interval: "0.1s" },
        },
        upgrade_configs: [{ upgrade_type: "WebSocket" }, { upgrade_type: "spdy/3.1", enabled: false }],
      },
    }),
  );
  assert.deepEqual(route?.action, {
    type: "forward",
    forward: {
      cluster: {
        type: "weighted",
        clusters: [
          {
            name: "a",
            weight: 90,
            hostRewriteLiteral: "a.example",
            typedPerFilterConfig: {},
            ...noMutations,
            requestHeadersToRemove: ["x-gone"],
          },
          { name: "b", weight: 10, hostRewriteLiteral: undefined, typedPerFilterConfig: {}, ...noMutations },
        ],
      },
      clusterNotFoundResponseCode: 404,
      prefixRewrite: undefined,
      regexRewrite: { regex: "^/a(.*)", substitution: "/b\\1" },
      hostRewrite: { type: "auto" },
      appendXForwardedHost: true,
      timeoutMs: 0,
      idleTimeoutMs: 10_000,
      maxStreamDuration: { durationMs: 60_000, grpcTimeoutHeaderMaxMs: 30_000, grpcTimeoutHeaderOffsetMs: 100 },
      maxGrpcTimeoutMs: 0,
      grpcTimeoutOffsetMs: 200,
      retryPolicy: {
        retryOn: ["5xx", "connect-failure"],
        numRetries: 0,
        perTryTimeoutMs: 2000,
        retriableStatusCodes: [418],
        baseIntervalMs: 100,
        maxIntervalMs: 1000,
      },
      upgradeConfigs: [
        { upgradeType: "websocket", enabled: true },
        { upgradeType: "spdy/3.1", enabled: false },
      ],
    },
  });
});

test("redirects and direct responses are read", () => {
  const routes = routesOf(
    withRoutes(
      {
        match: { prefix: "/a" },
        redirect: { https_redirect: true, host_redirect: "x.example", port_redirect: 8443, path_redirect: "/y" },
      },
      { match: { prefix: "/b" }, redirect: { scheme_redirect: "HTTP", prefix_rewrite: "/", response_code: "FOUND" } },
      { match: { prefix: "/c" }, redirect: { strip_query: true } },
      { match: { prefix: "/d" }, direct_response: { status: 200, body: { inline_bytes: "w6k=" } } },
      { match: { prefix: "/e" }, non_forwarding_action: {} },
    ),
  );
  const keep = { scheme: undefined, host: undefined, port: undefined, path: { type: "keep" }, stripQuery: false };
  assert.deepEqual(
    routes.map((route) => route.action),
    [
      {
        type: "redirect",
        redirect: {
          scheme: "https",
          host: "x.example",
          port: 8443,
          path: { type: "path", value: "/y" },
          responseCode: 301,
          stripQuery: false,
        },
      },
      {
        type: "redirect",
        redirect: { ...keep, scheme: "http", path: { type: "prefix", value: "/" }, responseCode: 302 },
      },
      { type: "redirect", redirect: { ...keep, responseCode: 301, stripQuery: true } },
      { type: "direct-response", status: 200, body: "é" },
      { type: "non-forwarding" },
    ],
  );
});

test("header mutations are read, `append` as what it stands for", () => {
  const config = accept(type, {
    ...withMatch({ prefix: "/" }),
    request_headers_to_add: [
      { header: { key: "X-A", value: "%REQ(x)%" } },
      { header: { key: "x-b", value: "1" }, append: false },
      { header: { key: "x-c", raw_value: "w6k=" }, append_action: "ADD_IF_ABSENT", keep_empty_value: true },
    ],
    response_headers_to_remove: ["Server"],
  });
  assert.deepEqual(config.requestHeadersToAdd, [
    { name: "x-a", value: "%REQ(x)%", appendAction: "APPEND_IF_EXISTS_OR_ADD", keepEmptyValue: false },
    { name: "x-b", value: "1", appendAction: "OVERWRITE_IF_EXISTS_OR_ADD", keepEmptyValue: false },
    { name: "x-c", value: "é", appendAction: "ADD_IF_ABSENT", keepEmptyValue: true },
  ]);
  assert.deepEqual(config.responseHeadersToRemove, ["server"]);
});

test("a filter's configuration on a route is read, plain, wrapped and disabled", () => {
  const config = accept(type, {
    ...withMatch({ prefix: "/" }),
    typed_per_filter_config: {
      plain: { "@type": MODULE, module_path: "a.ts", config: { a: 1 } },
      wrapped: { "@type": FILTER_CONFIG, config: { "@type": MODULE, module_path: "a.ts", config: { b: 2 } } },
      off: { "@type": FILTER_CONFIG, disabled: true },
      unknown: { "@type": FILTER_CONFIG, is_optional: true, config: { "@type": CORS_POLICY } },
    },
  });
  const module = "heddle.filters.http.v1.Module";
  assert.deepEqual(config.typedPerFilterConfig, {
    off: { disabled: true, config: undefined },
    plain: {
      disabled: false,
      config: { name: "plain", type: module, config: { modulePath: "a.ts", config: { a: 1 } } },
    },
    wrapped: {
      disabled: false,
      config: { name: "wrapped", type: module, config: { modulePath: "a.ts", config: { b: 2 } } },
    },
  });
});

test("every reason for refusing a route configuration is named", () => {
  const errors = errorsOf(type, {
    name: "r",
    request_headers_to_add: [
      { header: { key: ":path", value: "x" } },
      { header: { key: "x", value: "%NOPE%" }, append: true, append_action: "ADD_IF_ABSENT" },
    ],
    request_headers_to_remove: ["host"],
    typed_per_filter_config: { cors: { "@type": CORS_POLICY } },
    virtual_hosts: [
      {
        name: "h",
        domains: ["A.example"],
        routes: [
          {
            match: {
              safe_regex: { regex: "(" },
              dynamic_metadata: [{ filter: "f", path: [{ key: "k" }], value: { present_match: true } }],
              query_parameters: [{ name: "q", present_match: false }],
            },
            route: {
              weighted_clusters: { clusters: [{ name: "a", weight: 0 }, { weight: 0 }] },
              metadata_match: { filter_metadata: { "envoy.lb": { v: 1 } } },
              prefix_rewrite: "/",
              regex_rewrite: { pattern: { regex: "a" }, substitution: "\\1" },
              retry_policy: { retry_back_off: { base_interval: "1s", max_interval: "0.5s" } },
            },
          },
          { match: { prefix: "/" }, redirect: { scheme_redirect: "ftp" } },
          { match: { prefix: "/" }, direct_response: { status: 99, body: { filename: "/etc/passwd" } } },
          { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "x".repeat(4097) } } },
          { match: { prefix: "/" } },
        ],
      },
      { name: "h", domains: ["a.example"] },
    ],
  });
  const expected = [
    /^request_headers_to_add\[0\]\.header\.key: ":path" may not be changed here$/,
    /^request_headers_to_add\[1\]\.header\.value: .*NOPE/,
    /^request_headers_to_add\[1\]\.append: excludes "append_action"/,
    /^request_headers_to_remove\[0\]: "host" may not be removed$/,
    /^typed_per_filter_config\["cors"\]: there is no filter envoy\.extensions\.filters\.http\.cors\.v3\.CorsPolicy/,
    /^virtual_hosts\[0\]\.routes\[0\]\.match\.safe_regex: "\("/,
    /^virtual_hosts\[0\]\.routes\[0\]\.match\.dynamic_metadata: /,
    /^virtual_hosts\[0\]\.routes\[0\]\.match\.query_parameters\[0\]\.present_match: found false/,
    /^virtual_hosts\[0\]\.routes\[0\]\.route\.weighted_clusters: .*0/,
    /^virtual_hosts\[0\]\.routes\[0\]\.route\.weighted_clusters\.clusters\[1\]\.name: is empty/,
    /^virtual_hosts\[0\]\.routes\[0\]\.route\.metadata_match: endpoint subsets are not supported/,
    /^virtual_hosts\[0\]\.routes\[0\]\.route\.regex_rewrite: excludes "prefix_rewrite"/,
    /^virtual_hosts\[0\]\.routes\[0\]\.route\.regex_rewrite\.substitution: /,
    /^virtual_hosts\[0\]\.routes\[0\]\.route\.retry_policy\.retry_back_off\.max_interval: found 0\.5s/,
    /^virtual_hosts\[0\]\.routes\[1\]\.redirect\.scheme_redirect: found "ftp"/,
    /^virtual_hosts\[0\]\.routes\[2\]\.direct_response\.status: found 99, allowed is at least 200 and below 600$/,
    /^virtual_hosts\[0\]\.routes\[2\]\.direct_response\.body\.filename: files are not read here/,
    /^virtual_hosts\[0\]\.routes\[3\]\.direct_response\.body: found 4097 bytes, allowed are 4096$/,
    /^virtual_hosts\[0\]\.routes\[4\]\.action: one must be set of /,
    /^virtual_hosts\[1\]\.domains\[0\]: "a\.example" belongs to virtual host "h" already$/,
  ];
  for (const pattern of expected)
    assert.ok(
      errors.some((error) => pattern.test(error)),
      `${pattern}\n${errors.join("\n")}`,
    );
  const surplus = errors.filter((error) => !expected.some((pattern) => pattern.test(error)));
  assert.deepEqual(surplus, []);
});

test("a longer direct response is allowed where the configuration says so", () => {
  const config = accept(type, {
    ...withRoutes({
      match: { prefix: "/" },
      direct_response: { status: 200, body: { inline_string: "x".repeat(5000) } },
    }),
    max_direct_response_body_size_bytes: 5000,
  });
  assert.equal(config.virtualHosts.length, 1);
});

test("CVE-2026-73511, CVE-2026-73553: routes cannot be told to see another path than rules of access do", () => {
  const routes = withRoutes({ match: { prefix: "/" }, route: { cluster: "a" } });
  accept(type, routes);
  const [error = ""] = errorsOf(type, { ...routes, ignore_path_parameters_in_path_matching: true });
  assert.match(error, /^ignore_path_parameters_in_path_matching: /);
});

test("an unknown criterion of a match is refused, not ignored", () => {
  // RouteMatch.cookies (16) is newer than the protos: {prefix: "/", 16: ""}
  const match = Buffer.from([0x0a, 0x01, 0x2f, 0x82, 0x01, 0x00]);
  const forward = Buffer.from([0x0a, 0x01, 0x61]);
  const route = Buffer.concat([tagged(1, match), tagged(2, forward)]);
  const host = Buffer.concat([tagged(1, Buffer.from("h")), tagged(2, Buffer.from("*")), tagged(3, route)]);
  const decoded = type.decode(Buffer.concat([tagged(1, Buffer.from("r")), tagged(2, host)]));
  assert.deepEqual(decoded, {
    ok: false,
    error: [
      "virtual_hosts[0].routes[0].match.<16>: a field that this version does not know (number 16 of envoy.config.route.v3.RouteMatch)",
    ],
  });
});

/** A length-delimited field. */
function tagged(field: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([field * 8 + 2, bytes.length]), bytes]);
}

test("what is accepted without effect is reported by path", () => {
  assert.deepEqual(
    reportsOf(type, {
      ...withRoutes({
        match: { prefix: "/", runtime_fraction: { default_value: { numerator: 1 }, runtime_key: "k" } },
        stat_prefix: "stock",
        route: {
          cluster: "a",
          hash_policy: [{ header: { header_name: "x" } }],
          max_internal_redirects: 2,
          retry_policy: { retry_priority: { name: "p" } },
        },
      }),
      metadata: { filter_metadata: { x: {} } },
      validate_clusters: true,
    }),
    [
      "metadata",
      "validate_clusters",
      "virtual_hosts[0].routes[0].route.hash_policy",
      "virtual_hosts[0].routes[0].route.max_internal_redirects",
      "virtual_hosts[0].routes[0].route.retry_policy.retry_priority",
      "virtual_hosts[0].routes[0].stat_prefix",
    ],
  );
});

test("the clusters that routes name are references, each once", () => {
  const config = accept(
    type,
    withRoutes(
      { match: { prefix: "/a" }, route: { cluster: "a" } },
      {
        match: { prefix: "/b" },
        route: {
          weighted_clusters: {
            clusters: [
              { name: "b", weight: 1 },
              { name: "a", weight: 1 },
            ],
          },
        },
      },
      { match: { prefix: "/c" }, route: { cluster_header: "X-Cluster" } },
    ),
  );
  assert.deepEqual(type.references(config), [
    { kind: "cluster", name: "a" },
    { kind: "cluster", name: "b" },
  ]);
});

test("unchecked, a configuration with filters of others is kept for whoever knows them", () => {
  const json = { ...withMatch({ prefix: "/" }), typed_per_filter_config: { cors: { "@type": CORS_POLICY } } };
  assert.equal(accept(unchecked, json).typedPerFilterConfig["cors"]?.config?.type, CORS_POLICY.slice(20));
});

test("a header value with a command that is always empty is told of, and every command of access logs may stand in one", () => {
  const request_headers_to_add = [
    { header: { key: "x-a", value: "%FILTER_STATE(k)%" } },
    { header: { key: "x-b", value: "%UPSTREAM_HOST% %ENVIRONMENT(ZONE)% %TRACE_ID%" } },
  ];
  const route = { match: { prefix: "/" }, route: { cluster: "a" }, request_headers_to_add };
  assert.deepEqual(reportsOf(type, withRoutes(route)), [
    "virtual_hosts[0].routes[0].request_headers_to_add[0].header.value",
  ]);
});

test("more virtual hosts may come by VHDS, under RDS alone", () => {
  const vhds = { config_source: { ads: {}, resource_api_version: "V3" } };
  assert.deepEqual(accept(type, { name: "r", vhds }).vhds, {});
  const file = { path_config_source: { path: "/hosts.yaml" }, resource_api_version: "V3" };
  const from = accept(type, { name: "r", vhds: { config_source: file } }).vhds?.source?.from;
  assert.deepEqual(from, { type: "file", path: "/hosts.yaml" });
});
