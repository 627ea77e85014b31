import assert from "node:assert/strict";
import { test } from "node:test";
import { type Json, ManualClock, ok } from "@heddle/base";
import { ConfigAssembler, readBootstrap, type SidecarBootstrap } from "@heddle/config";
import { encodeMessage, messageFromJson } from "@heddle/proto";
import type { AdminAnswer } from "@heddle/telemetry/admin";
import { adsSource, type EndpointsConfig } from "@heddle/traffic";
import { httpFilterRegistry, makeResourceTypes, type ResourceUpdate } from "@heddle/xds";
import type { ResourceStatus } from "@heddle/xds/client";
import { clustersPage } from "./cluster-pages.ts";
import { configDumpPage } from "./config-dump.ts";

const types = makeResourceTypes({
  httpFilters: httpFilterRegistry([
    {
      name: "router",
      configType: "envoy.extensions.filters.http.router.v3.Router",
      terminal: true,
      parse: (config) => ok(config),
    },
  ]),
});

const STATIC = `
node: { id: shop/web/1, cluster: web }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 15000 } } }
static_resources:
  clusters:
    - name: local
      connect_timeout: 1s
      load_assignment:
        cluster_name: local
        endpoints:
          - locality: { zone: a }
            lb_endpoints:
              - { endpoint: { address: { socket_address: { address: 10.0.0.1, port_value: 80 } } }, load_balancing_weight: 3 }
              - { endpoint: { address: { pipe: { path: /run/x } } }, health_status: DRAINING }
  listeners:
    - name: in
      address: { socket_address: { address: 127.0.0.1, port_value: 8080 } }
      filter_chains:
        - filters:
            - name: http
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: in
                rds: { route_config_name: r, config_source: { ads: {}, resource_api_version: V3 } }
                http_filters:
                  - name: router
                    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
`;

/** A started assembler with the static resources above; a dynamic EDS cluster warms. */
function world(): { assembler: ConfigAssembler; bootstrap: SidecarBootstrap } {
  const read = readBootstrap("b.yaml", STATIC, types);
  assert.ok(read.ok, JSON.stringify(read));
  const { bootstrap } = read.value;
  const assembler = new ConfigAssembler({
    clock: new ManualClock(),
    staticListeners: bootstrap.listeners,
    staticClusters: bootstrap.clusters,
    clusterDiscovery: { source: adsSource, names: ["*"] },
    subscriber: { subscribe: () => undefined },
    onDnsClusters: () => undefined,
    onConfig: () => undefined,
    onReady: () => undefined,
  });
  assembler.start();
  const eds = { ...bootstrap.clusters[0]!, name: "orders", discovery: { type: "EDS", serviceName: "orders-eds" } };
  assembler.update(update("cluster", "orders", eds));
  return { assembler, bootstrap };
}

function update(kind: ResourceUpdate["kind"], name: string, config: unknown): ResourceUpdate {
  return { kind, changed: new Map([[name, { name, version: "7", config, unhonoured: [] }]]), removed: [], absent: [] };
}

async function dump(
  query: string,
  statuses: readonly ResourceStatus[] = [],
  prepare?: (a: ConfigAssembler) => void,
): Promise<Json[]> {
  return JSON.parse(textOf(await answerOf(query, statuses, prepare))).configs;
}

async function answerOf(
  query: string,
  statuses: readonly ResourceStatus[] = [],
  prepare?: (a: ConfigAssembler) => void,
): Promise<AdminAnswer> {
  const { assembler, bootstrap } = world();
  prepare?.(assembler);
  const page = configDumpPage({
    bootstrap,
    startedWallMs: Date.UTC(2026, 0, 1),
    resources: () => assembler.resources(),
    current: () => assembler.current(),
    statuses: () => statuses,
    typeOf: (kind) => types[kind as keyof typeof types] as never,
  });
  const answer = await page.answer(new URLSearchParams(query));
  assembler.close();
  return answer;
}

/** What lies at a path in one of the dump's parts: at(configs, "Clusters", "static_clusters.0.cluster.name"). */
function at(configs: readonly Json[], part: string, path: string): Json | undefined {
  let value = configs.find(
    (config) => field(config, "@type") === `type.googleapis.com/envoy.admin.v3.${part}ConfigDump`,
  );
  for (const key of path.split(".")) value = field(value, key);
  return value;
}

function textOf({ body }: AdminAnswer): string {
  return typeof body === "string" ? body : [...body].join("");
}

function field(json: Json | undefined, key: string): Json | undefined {
  return typeof json === "object" && json !== null ? (json as { readonly [key: string]: Json })[key] : undefined;
}

test("config_dump shows what came, also what is not honoured and not known, and of the latter no content", async () => {
  const typeName = "envoy.config.cluster.v3.Cluster";
  const message = messageFromJson(typeName, { name: "kept", track_cluster_stats: { timeout_budgets: true } });
  assert.ok(message.ok);
  const unknown = { type_url: "type.googleapis.com/acme.Secretive", value: Buffer.from("VERYSECRET") };
  const socket = { name: "acme", typed_config: unknown };
  const bytes = encodeMessage(typeName, { ...message.value, transport_socket: socket });
  const configs = await dump("", [], (assembler) => {
    const config = { ...assembler.current().clusters.get("local"), name: "kept" };
    const changed = new Map([["kept", { name: "kept", version: "8", config, unhonoured: [], bytes }]]);
    assembler.update({ kind: "cluster", changed, removed: [], absent: [] });
  });
  const cluster = "dynamic_active_clusters.0.cluster";
  assert.equal(at(configs, "Clusters", `${cluster}.track_cluster_stats.timeout_budgets`), true);
  const shown = { "@type": "type.googleapis.com/acme.Secretive", value: "[10 bytes]" };
  assert.deepEqual(at(configs, "Clusters", `${cluster}.transport_socket.typed_config`), shown);
});

test("config_dump has Envoy's shape and field names: static, warming with what was accepted", async () => {
  const configs = await dump("");
  assert.equal(at(configs, "Bootstrap", "bootstrap.node.id"), "shop/web/1");
  const local = at(configs, "Clusters", "static_clusters.0") as { readonly [key: string]: Json };
  assert.equal(field(local["cluster"], "@type"), "type.googleapis.com/envoy.config.cluster.v3.Cluster");
  assert.equal(field(local["cluster"], "connect_timeout"), "1s");
  assert.equal(local["last_updated"], "2026-01-01T00:00:00.000Z");
  assert.deepEqual(at(configs, "Clusters", "dynamic_active_clusters"), []);
  const warming = "dynamic_warming_clusters.0";
  assert.equal(at(configs, "Clusters", `${warming}.version_info`), "7");
  assert.equal(at(configs, "Clusters", `${warming}.cluster.eds_cluster_config.service_name`), "orders-eds");
  const manager = "static_listeners.0.listener.filter_chains.0.filters.0.typed_config";
  assert.equal(at(configs, "Listeners", `${manager}.stat_prefix`), "in", "names in an Any are the proto's, too");
  assert.equal(at(configs, "Listeners", `${manager}.rds.route_config_name`), "r");
  assert.equal(at(configs, "Endpoints", ""), undefined);
});

test("config_dump shows endpoints on request, and serving clusters as active", async () => {
  const configs = await dump("include_eds", [], (assembler) => {
    const { assignment } = sample();
    assembler.update(update("endpoints", "orders-eds", { ...assignment, clusterName: "orders-eds" }));
  });
  assert.equal(at(configs, "Clusters", "dynamic_active_clusters.0.cluster.name"), "orders");
  const endpoints = "dynamic_endpoint_configs.0.endpoint_config";
  assert.equal(at(configs, "Endpoints", `${endpoints}.cluster_name`), "orders-eds");
  const address = "endpoints.0.lb_endpoints.0.endpoint.address.socket_address";
  assert.equal(at(configs, "Endpoints", `${endpoints}.${address}.port_value`), 80);
});

test("config_dump shows the bootstrap as it was written, without secrets", async () => {
  const configs = await dump("");
  const path = "bootstrap.static_resources.listeners.0.filter_chains.0.filters.0.typed_config.rds.route_config_name";
  assert.equal(at(configs, "Bootstrap", path), "r");
  assert.equal(at(configs, "Bootstrap", "bootstrap.admin.address.socket_address.port_value"), 15_000);
});

test("config_dump gives one list, the names that match, and the fields that a mask names", async () => {
  const clusters = await dump("resource=static_clusters");
  const type = "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster";
  assert.deepEqual([clusters.length, field(clusters[0], "@type")], [1, type]);
  assert.deepEqual(await dump("resource=static_clusters&mask=cluster.name"), [
    { "@type": type, cluster: { "@type": types.cluster.typeUrl, name: "local" } },
  ]);
  assert.deepEqual(await dump("resource=static_clusters&name_regex=loc"), [], "the whole name has to match");
  assert.equal((await dump("resource=static_clusters&name_regex=loc.*")).length, 1);
  const named = await dump("name_regex=nobody");
  assert.deepEqual(at(named, "Listeners", "static_listeners"), []);
  const masked = await dump("mask=bootstrap.node.id,static_listeners.listener.name");
  assert.deepEqual(
    masked.map((config) => Object.keys(config as object)),
    [
      ["@type", "bootstrap"],
      ["@type", "static_listeners"],
    ],
  );
  const endpoints = await dump("resource=static_endpoint_configs");
  assert.equal(field(field(endpoints[0], "endpoint_config"), "cluster_name"), "local");
  const cases: [query: string, status: number][] = [
    ["resource=nothing", 404],
    ["resource=bootstrap", 400],
    ["mask=nothing", 400],
    ["resource=static_clusters&mask=nothing", 400],
    ["name_regex=(", 400],
  ];
  for (const [query, status] of cases) assert.equal((await answerOf(query)).status, status, query);
});

test("config_dump tells why resources were refused, held or not", async () => {
  const refused = (name: string): ResourceStatus => ({
    kind: "cluster",
    typeUrl: types.cluster.typeUrl,
    name,
    state: "NACKED",
    version: "",
    errors: ["lb_policy: no", "name: no"],
    rejectedVersion: "8",
    unhonoured: [],
    updatedAtMs: Date.UTC(2026, 0, 2),
  });
  const configs = await dump("", [refused("orders"), refused("other")]);
  const error = {
    details: "lb_policy: no\nname: no",
    version_info: "8",
    last_update_attempt: "2026-01-02T00:00:00.000Z",
  };
  assert.deepEqual(at(configs, "Clusters", "dynamic_warming_clusters.0.error_state"), error);
  assert.deepEqual(at(configs, "Clusters", "dynamic_warming_clusters.1"), { name: "other", error_state: error });
});

test("clusters come as Envoy's text and as JSON, with what runs towards their endpoints", async () => {
  const { assembler } = world();
  const json = new URLSearchParams("format=json");
  const workerWith = (active: number, activeRequests: number): Json => [
    ["local", "10.0.0.1:80", active, 0, 4, activeRequests, 1, 0, 0, 0],
  ];
  let inspected: { worker: number; value: Json }[] = [
    { worker: 1, value: workerWith(2, 0) },
    { worker: 2, value: workerWith(3, 1) },
  ];
  const page = clustersPage(
    () => assembler.current(),
    () => assembler.resources(),
    { inspectWorkers: () => Promise.resolve(inspected) },
  );
  const text = textOf(await page.answer(new URLSearchParams()));
  for (const line of [
    "local::observability_name::local",
    "local::default_priority::max_connections::1024",
    "local::added_via_api::false",
    "local::10.0.0.1:80::weight::3",
    "local::10.0.0.1:80::health_flags::healthy",
    "local::10.0.0.1:80::zone::a",
    "local::10.0.0.1:80::cx_active::5",
    "local::10.0.0.1:80::rq_active::1",
    "local::10.0.0.1:80::cx_total::8",
    "local::10.0.0.1:80::rq_error::2",
    "local::10.0.0.1:80::canary::false",
    "local::10.0.0.1:80::success_rate::-1",
    "local::/run/x::cx_active::0",
    "local::/run/x::health_flags::/eds_status_draining",
  ])
    assert.ok(text.split("\n").includes(line), `${line}\n${text}`);
  const [cluster] = JSON.parse(textOf(await page.answer(json))).cluster_statuses;
  assert.equal(cluster.name, "local");
  assert.deepEqual(cluster.host_statuses[1].address, { pipe: { path: "/run/x" } });
  assert.equal(cluster.host_statuses[1].health_status.eds_health_status, "DRAINING");
  assert.deepEqual(cluster.host_statuses[0].stats, [
    { type: "GAUGE", name: "cx_active", value: "5" },
    { type: "COUNTER", name: "cx_connect_fail", value: "0" },
    { type: "COUNTER", name: "cx_total", value: "8" },
    { type: "GAUGE", name: "rq_active", value: "1" },
    { type: "COUNTER", name: "rq_error", value: "2" },
    { type: "COUNTER", name: "rq_success", value: "0" },
    { type: "COUNTER", name: "rq_timeout", value: "0" },
    { type: "COUNTER", name: "rq_total", value: "0" },
  ]);

  // A sum without the worker that does not answer would be wrong.
  inspected = [inspected[0]!, { worker: 2, value: null }];
  const partial = textOf(await page.answer(new URLSearchParams()));
  assert.match(partial, /local::10\.0\.0\.1:80::weight::3/);
  assert.doesNotMatch(partial, /_active/);
  assembler.close();
});

function sample(): { assignment: EndpointsConfig } {
  const read = readBootstrap("b.yaml", STATIC, types);
  assert.ok(read.ok);
  const { discovery } = read.value.bootstrap.clusters[0]!;
  assert.ok(discovery.type === "STATIC");
  return { assignment: discovery.loadAssignment };
}
