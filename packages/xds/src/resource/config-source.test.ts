import assert from "node:assert/strict";
import { test } from "node:test";
import { describeOrigin, originKey, type ResourceOrigin } from "@heddle/traffic";
import { clusterType } from "./cluster.ts";
import { accept, errorsOf, reportsOf } from "./testing.ts";

const at = "eds_cluster_config.eds_config";

function eds(source: object | undefined, serviceName?: string): object {
  const config = { eds_config: source, service_name: serviceName };
  return { name: "a", type: "EDS", eds_cluster_config: JSON.parse(JSON.stringify(config)) };
}

function sourceOf(source: object | undefined, serviceName?: string): unknown {
  const { discovery } = accept(clusterType, eds(source, serviceName));
  return discovery.type === "EDS" ? discovery.source : undefined;
}

test("the aggregated stream with its 15 s is what is left out; another patience is not", () => {
  const V3 = { resource_api_version: "V3" };
  assert.equal(sourceOf({ ads: {}, ...V3 }), undefined);
  const aggregated = { api_type: "AGGREGATED_DELTA_GRPC", transport_api_version: "V3" };
  assert.equal(sourceOf({ api_config_source: aggregated, ...V3 }), undefined);
  assert.deepEqual(sourceOf({ ads: {}, initial_fetch_timeout: "0s", ...V3 }), {
    from: { type: "ads" },
    initialFetchTimeoutMs: 0,
  });
  assert.deepEqual(sourceOf({ self: {}, ...V3 }), { from: { type: "self" }, initialFetchTimeoutMs: 15_000 });
});

test("a file may stand in its old field and in its new one", () => {
  const file = (from: object): unknown => ({ from, initialFetchTimeoutMs: 15_000 });
  assert.deepEqual(sourceOf({ path: "/e" }), file({ type: "file", path: "/e" }));
  assert.deepEqual(
    sourceOf({ path_config_source: { path: "/e", watched_directory: { path: "/w" } } }),
    file({ type: "file", path: "/e", watchedFolder: "/w" }),
  );
});

test("what cannot be asked is refused, each by its path", () => {
  const api = (more: object): object => ({
    api_config_source: { transport_api_version: "V3", api_type: "GRPC", ...more },
  });
  const grpc_services = [{ envoy_grpc: { cluster_name: "x" } }];
  const google = (more: object): object =>
    api({ grpc_services: [{ google_grpc: { target_uri: "x", stat_prefix: "x", ...more } }] });
  const KEYS = 'allowed are letters, digits, "_", "-" and ".", and not "-bin" at its end';
  const metadata = (header: object, error: string): [object, string] => [
    api({ grpc_services: [{ ...grpc_services[0], initial_metadata: [header] }] }),
    `${at}.api_config_source.grpc_services[0].initial_metadata[0].${error}`,
  ];
  const cases: [object | undefined, string][] = [
    [undefined, `${at}: must be set; allowed are ads, self, path_config_source and api_config_source`],
    [{ ads: {}, resource_api_version: "V2" }, `${at}.resource_api_version: allowed is V3`],
    [api({ grpc_services: [] }), `${at}.api_config_source.grpc_services: must be set`],
    [
      api({ grpc_services, transport_api_version: "V2" }),
      `${at}.api_config_source.transport_api_version: found V2, allowed is V3`,
    ],
    [
      api({ grpc_services, cluster_names: ["x"] }),
      `${at}.api_config_source.cluster_names: is only for REST; name grpc_services`,
    ],
    metadata({ key: "a b", value: "x" }, `key: found "a b", ${KEYS}`),
    metadata({ key: "a-bin", value: "x" }, `key: found "a-bin", ${KEYS}`),
    metadata({ key: "a", value: "é" }, "value: allowed is printable ASCII"),
    [api({ api_type: "REST", cluster_names: ["x"] }), `${at}.api_config_source.refresh_delay: must be set for REST`],
    [
      api({ api_type: "REST", cluster_names: ["x", "y"], refresh_delay: "1s" }),
      `${at}.api_config_source.cluster_names: found 2, allowed for REST is exactly 1`,
    ],
    [
      google({ channel_credentials: { google_default: {} } }),
      `${at}.api_config_source.grpc_services[0].google_grpc.channel_credentials.google_default: is not supported yet`,
    ],
    [
      google({ call_credentials: [{ access_token: "x" }] }),
      `${at}.api_config_source.grpc_services[0].google_grpc.call_credentials: is not supported yet`,
    ],
    [
      google({ channel_credentials: { ssl_credentials: { cert_chain: { filename: "/c" } } } }),
      `${at}.api_config_source.grpc_services[0].google_grpc.channel_credentials.ssl_credentials.private_key: must be set as well`,
    ],
  ];
  for (const [source, error] of cases) assert.ok(errorsOf(clusterType, eds(source)).includes(error), error);
});

test("an xdstp name says by itself whom to ask", () => {
  assert.equal(sourceOf(undefined, "xdstp://a/envoy.config.endpoint.v3.ClusterLoadAssignment/b"), undefined);
});

test("a timeout of a stream is reported, since a stream has no end", () => {
  const grpc_services = [{ envoy_grpc: { cluster_name: "x" }, timeout: "1s" }];
  const source = { api_type: "GRPC", transport_api_version: "V3", grpc_services };
  assert.deepEqual(reportsOf(clusterType, eds({ api_config_source: source, resource_api_version: "V3" })), [
    `${at}.api_config_source.grpc_services[0].timeout`,
  ]);
});

test("equal sources have one key, others have others, and none says what it stands for", () => {
  const server = { target: { type: "address", address: "x" }, metadata: [["authorization", "top secret"]] } as const;
  const origin = (refreshDelayMs = 0): ResourceOrigin => {
    return { type: "api", apiType: "GRPC", servers: [server], refreshDelayMs, requestTimeoutMs: 1 };
  };
  assert.equal(originKey({ type: "ads" }), "");
  assert.equal(originKey(undefined), "");
  assert.equal(originKey(origin()), originKey(origin()));
  assert.notEqual(originKey(origin()), originKey(origin(1)));
  const reversed = Object.fromEntries(Object.entries(origin()).reverse()) as unknown as ResourceOrigin;
  assert.equal(originKey(reversed), originKey(origin()), "whatever the order of its fields, which lanes change");
  for (const text of [originKey(origin()), describeOrigin(origin())]) assert.doesNotMatch(text, /secret/);
});
