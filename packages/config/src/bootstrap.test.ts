import assert from "node:assert/strict";
import { test } from "node:test";
import { err, ok } from "@heddle/base";
import { decodeMessage, type Message } from "@heddle/proto";
import { adsSource, type ClusterConfig, type ListenerConfig } from "@heddle/traffic";
import { makeSecretType, type ResourceType } from "@heddle/xds";
import { type BootstrapReading, readBootstrap, type StaticResourceTypes } from "./bootstrap.ts";
import { formatDiagnostic } from "./diagnostic.ts";

/** Readers of listeners and clusters that take the name alone, and refuse what says "bad". */
const types: StaticResourceTypes = {
  listener: nameReader<ListenerConfig>("envoy.config.listener.v3.Listener", (name, message) => {
    const socket = (message["address"] as Message)["socket_address"] as Message;
    // The stat prefix stands for a route: the name of the cluster that it forwards to.
    const forward = { cluster: { type: "cluster", name: message["stat_prefix"] } };
    const routes = !message["stat_prefix"] ? [] : [{ action: { type: "forward", forward } }];
    const routeConfig = { validateClusters: true, virtualHosts: [{ routes }] };
    const filters = [{ type: "http-connection-manager", config: { routes: { type: "inline", routeConfig } } }];
    const address = { type: "socket", address: socket["address"], port: socket["port_value"] };
    return { name, address, filterChains: [{ filters }], defaultFilterChain: undefined, listenerFilters: [] };
  }),
  cluster: nameReader<ClusterConfig>("envoy.config.cluster.v3.Cluster", (name) => ({ name })),
  secret: makeSecretType(),
};

function nameReader<Config>(typeName: string, make: (name: string, message: Message) => object): ResourceType<Config> {
  return {
    decode: (bytes: Uint8Array) => {
      const message = decodeMessage(typeName, bytes);
      assert.ok(message.ok);
      const name = (message.value["name"] as string | undefined) ?? "";
      if (name === "bad") return err(["name: is bad", "connect_timeout: is worse"]);
      const unhonoured = name === "half" ? [{ path: "upstream_bind_config", note: "has no effect" }] : [];
      return ok({ config: make(name, message.value) as Config, unhonoured });
    },
  } as unknown as ResourceType<Config>;
}

function read(text: string): BootstrapReading {
  const result = readBootstrap("b.yaml", text, types);
  assert.ok(result.ok, result.ok ? "" : result.error.map(formatDiagnostic).join("\n"));
  return result.value;
}

function faults(text: string): string[] {
  const result = readBootstrap("b.yaml", text, types);
  assert.ok(!result.ok);
  return result.error.map(formatDiagnostic);
}

const ADS = `
node: { id: n, cluster: c, metadata: { role: [web] }, locality: { zone: z } }
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    grpc_services: [{ envoy_grpc: { cluster_name: xds } }]
  lds_config: { ads: {}, resource_api_version: V3 }
  cds_config: { resource_api_version: V3, ads: {} }
static_resources:
  clusters: [{ name: xds }]
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 15000 } } }
`;

const ALL_BY_ADS = { source: { from: { type: "ads" }, initialFetchTimeoutMs: 15_000 }, names: ["*"] };

test("reads node, static resources, the aggregated discovery service and the admin address", () => {
  assert.deepEqual(read(ADS), {
    bootstrap: {
      node: {
        id: "n",
        cluster: "c",
        metadata: { role: ["web"] },
        locality: { region: "", zone: "z", subZone: "" },
      },
      listeners: [],
      clusters: [{ name: "xds" }],
      discovery: {
        ads: {
          type: "api",
          apiType: "DELTA_GRPC",
          servers: [{ target: { type: "cluster", name: "xds" } }],
          refreshDelayMs: 0,
          requestTimeoutMs: 1000,
        },
        listenerDiscovery: ALL_BY_ADS,
        clusterDiscovery: ALL_BY_ADS,
      },
      admin: { type: "socket", address: "127.0.0.1", port: 15_000 },
      secrets: [],
      runtimeLayers: [],
      document: read(ADS).bootstrap.document,
    },
    warnings: [],
  });
});

test("reads JSON in camel case, state of the world, and a target that is no cluster", () => {
  const { bootstrap } = read(
    JSON.stringify({
      dynamicResources: {
        adsConfig: {
          apiType: "GRPC",
          transportApiVersion: "V3",
          grpcServices: [{ googleGrpc: { targetUri: "127.0.0.1:15010", statPrefix: "x" } }],
        },
        cdsConfig: { apiConfigSource: { apiType: "AGGREGATED_GRPC", transportApiVersion: "V3" } },
      },
      staticResources: { clusters: [{ name: "a" }] },
    }),
  );
  const { ads, listenerDiscovery, clusterDiscovery } = bootstrap.discovery;
  assert.deepEqual(
    [ads?.apiType, ads?.servers],
    ["GRPC", [{ target: { type: "address", address: "127.0.0.1:15010" } }]],
  );
  assert.deepEqual([listenerDiscovery, clusterDiscovery], [undefined, ALL_BY_ADS]);
  assert.deepEqual(bootstrap.clusters, [{ name: "a" }]);
});

test("reads static resources alone, and names a listener that has no name by its address", () => {
  const { bootstrap } = read(
    "static_resources: { listeners: [{ address: { socket_address: { address: 0.0.0.0, port_value: 80 } } }] }",
  );
  assert.deepEqual(bootstrap.discovery, {});
  assert.equal(bootstrap.admin, undefined);
  assert.equal(bootstrap.listeners[0]?.name, "0.0.0.0_80");
});

test("takes an API version that is not set for V3, and says so", () => {
  const { bootstrap, warnings } = read(ADS.replace("transport_api_version: V3\n    grpc", "grpc"));
  assert.equal(bootstrap.discovery.ads?.apiType, "DELTA_GRPC");
  assert.match(warnings.map(formatDiagnostic).join("\n"), /ads_config\.transport_api_version: is not set; V3 is used/);
});

test("reports every error in the file's order, each with its place, whichever resource they are in", () => {
  const found = faults(`node: { idd: x }
static_resources:
  clusters:
    - name: bad
      connect_timeout: 1s
    - nam: b
    - name: c
      connect_timeout: soon
`);
  const expected = [
    /^b\.yaml:1:9: node\.idd: is no field of envoy\.config\.core\.v3\.Node/,
    /^b\.yaml:4:7: static_resources\.clusters\[0\]\.name: is bad/,
    /^b\.yaml:5:7: static_resources\.clusters\[0\]\.connect_timeout: is worse/,
    /^b\.yaml:6:7: static_resources\.clusters\[1\]\.nam: is no field of envoy\.config\.cluster\.v3\.Cluster/,
    /^b\.yaml:8:7: static_resources\.clusters\[2\]\.connect_timeout: found "soon"/,
  ];
  assert.equal(found.length, expected.length, found.join("\n"));
  for (const [index, pattern] of expected.entries()) assert.match(found[index]!, pattern);
});

test("warns of everything that was set and has no effect, in resources and around them", () => {
  const { warnings } = read(`static_resources: { clusters: [{ name: half }] }
stats_flush_on_admin: true
layered_runtime: { layers: [{ name: a, static_layer: {} }] }
admin: { access_log_path: /var/log/a, profile_path: /p, address: { pipe: { path: /run/admin } } }
`);
  assert.deepEqual(warnings.map(formatDiagnostic), [
    "b.yaml:1:32: static_resources.clusters[0].upstream_bind_config: has no effect",
    "b.yaml:2:1: stats_flush_on_admin: has no effect",
    "b.yaml:4:10: admin.access_log_path: has no effect; requests to admin are not logged",
    "b.yaml:4:39: admin.profile_path: has no effect; there is no profiler behind admin",
  ]);
  assert.deepEqual(read("admin: { access_log_path: /dev/null }").warnings, [], "nothing is written there anyway");
});

test("reads which files hold listeners and clusters, beside a discovery service or without one", () => {
  const { bootstrap } = read(`dynamic_resources:
  lds_config: { path_config_source: { path: /etc/lds.yaml, watched_directory: { path: /etc/up } } }
  cds_config: { path: /etc/cds.yaml, initial_fetch_timeout: 0s }
`);
  const all = ["*"];
  assert.deepEqual(bootstrap.discovery, {
    listenerDiscovery: {
      source: {
        from: { type: "file", path: "/etc/lds.yaml", watchedFolder: "/etc/up" },
        initialFetchTimeoutMs: 15_000,
      },
      names: all,
    },
    clusterDiscovery: {
      source: { from: { type: "file", path: "/etc/cds.yaml" }, initialFetchTimeoutMs: 0 },
      names: all,
    },
  });
  const both = read(
    ADS.replace(
      "cds_config: { resource_api_version: V3, ads: {} }",
      "cds_config: { path_config_source: { path: /c } }",
    ),
  ).bootstrap.discovery;
  assert.deepEqual(
    [both.listenerDiscovery?.source.from.type, both.clusterDiscovery?.source.from.type],
    ["ads", "file"],
  );
});

test("reads streams of their own, polling, several servers, and who is asked for which authority", () => {
  const { bootstrap } = read(`dynamic_resources:
  lds_resources_locator: xdstp://a.test/envoy.config.listener.v3.Listener/web/*
  cds_config:
    resource_api_version: V3
    api_config_source: { api_type: REST, transport_api_version: V3, cluster_names: [xds], refresh_delay: 5s }
config_sources:
  - resource_api_version: V3
    authorities: [{ name: a.test }, { name: b.test }]
    api_config_source:
      api_type: GRPC
      transport_api_version: V3
      grpc_services:
        - envoy_grpc: { cluster_name: xds, authority: cp.test }
          initial_metadata: [{ key: Authorization, value: secret }]
        - google_grpc:
            target_uri: "cp:443"
            stat_prefix: cp
            channel_credentials: { ssl_credentials: { root_certs: { filename: /ca.pem } } }
default_config_source: { path: /etc/rest.yaml, resource_api_version: V3 }
static_resources: { clusters: [{ name: xds }] }
`);
  const common = { refreshDelayMs: 0, requestTimeoutMs: 1000 };
  const cluster = { type: "cluster", name: "xds" };
  const { discovery } = bootstrap;
  assert.deepEqual(discovery.listenerDiscovery?.names, ["xdstp://a.test/envoy.config.listener.v3.Listener/web/*"]);
  assert.equal(discovery.listenerDiscovery?.source.from, discovery.authorities?.[0]?.origin, "whose name it is");
  assert.deepEqual(discovery.clusterDiscovery?.source.from, {
    type: "api",
    apiType: "REST",
    servers: [{ target: cluster }],
    ...common,
    refreshDelayMs: 5000,
  });
  assert.deepEqual(discovery.authorities, [
    {
      names: ["a.test", "b.test"],
      origin: {
        type: "api",
        apiType: "GRPC",
        servers: [
          { target: cluster, authority: "cp.test", metadata: [["authorization", "secret"]] },
          {
            target: { type: "address", address: "cp:443" },
            ssl: { rootCerts: { source: "filename", name: "/ca.pem", content: undefined } },
          },
        ],
        ...common,
      },
    },
  ]);
  assert.deepEqual(discovery.defaultAuthority, { type: "file", path: "/etc/rest.yaml" });
});

test("reads the static layers of the runtime, with dots for what is nested", () => {
  const { bootstrap } = read(`layered_runtime:
  layers:
    - { name: base, static_layer: { a: { b: 1, c.d: x }, f: { numerator: 1, denominator: HUNDRED } } }
    - { name: admin, admin_layer: {} }
`);
  assert.deepEqual(bootstrap.runtimeLayers, [
    {
      name: "base",
      type: "static",
      values: { "a.b": 1, "a.c.d": "x", f: { numerator: 1, denominator: "HUNDRED" } },
    },
    { name: "admin", type: "admin" },
  ]);
});

test("reads the other layers of the runtime; what cannot be a layer is refused with its place", () => {
  const { bootstrap, warnings } = read(`layered_runtime:
  layers:
    - { name: files, disk_layer: { symlink_root: /r, append_service_cluster: true } }
    - { name: live, rtds_layer: { name: mine, rtds_config: { ads: {}, resource_api_version: V3 } } }
`);
  assert.deepEqual(bootstrap.runtimeLayers, [
    { name: "files", type: "disk", root: "/r", subfolder: "", byCluster: true },
    { name: "live", type: "rtds", resource: "mine", source: adsSource },
  ]);
  assert.deepEqual(warnings, []);
  const wrong = faults(`layered_runtime:
  layers:
    - { name: a, admin_layer: {} }
    - { name: a, admin_layer: {} }
    - { name: b, static_layer: { x: [1] } }
    - { name: c, rtds_layer: {} }
`);
  for (const place of [
    "layers: holds more than one admin_layer",
    'layers[1].name: there are two layers named "a"',
    "layers[2].static_layer.x: found a list",
    "layers[3].rtds_layer.name: is empty",
    "layers[3].rtds_layer.rtds_config: must be set",
  ])
    assert.ok(
      wrong.some((fault) => fault.includes(`layered_runtime.${place}`)),
      `${place} in ${wrong.join("\n")}`,
    );
});

test("a second text is merged over the first, and each fault has the place in its own", () => {
  const overlay = (text: string) => readBootstrap("b.yaml", ADS, types, { overlay: { file: "--config-yaml", text } });
  const merged = overlay("node: { id: m }\nstatic_resources: { clusters: [{ name: more }] }");
  assert.ok(merged.ok);
  assert.equal(merged.value.bootstrap.node.id, "m");
  assert.equal(merged.value.bootstrap.node.cluster, "c");
  assert.deepEqual(merged.value.bootstrap.clusters, [{ name: "xds" }, { name: "more" }]);
  const wrong = overlay("nod: {}\nstatic_resources: { clusters: [{ name: bad }] }");
  assert.ok(!wrong.ok);
  assert.match(formatDiagnostic(wrong.error[0]!), /^--config-yaml:1:1: nod: is no field/);
  assert.match(formatDiagnostic(wrong.error[2]!), /^--config-yaml:2:34: static_resources\.clusters\[1\]\.name: is bad/);
});

test("fields that nobody knows are errors, or reported where that is allowed", () => {
  const text = "nod: {}\nstatic_resources: { clusters: [{ name: c, nam: x }] }";
  assert.equal(faults(text).length, 2);
  const allowed = readBootstrap("b.yaml", text, types, { allowUnknownFields: true });
  assert.ok(allowed.ok);
  assert.deepEqual(
    allowed.value.warnings.map(({ path }) => path),
    ["nod", "static_resources.clusters[0].nam"],
  );
  assert.deepEqual(allowed.value.bootstrap.clusters, [{ name: "c" }]);
});

test("refuses a discovery service that it cannot use, rather than serve without it", () => {
  const cases: [from: string, to: string, error: RegExp][] = [
    ["cluster_name: xds", "cluster_name: sdx", /cluster_name: found "sdx", which is no cluster of static_resources/],
    ["api_type: DELTA_GRPC", "api_type: REST", /ads_config\.api_type: allowed are GRPC and DELTA_GRPC/],
    ["version: V3\n    grpc", "version: V2\n    grpc", /transport_api_version: found V2, allowed is V3/],
    ["V3, ads: {} }", "V3, self: {} }", /cds_config\.self: means nothing here/],
    [
      "{ resource_api_version: V3, ads: {} }",
      "{ api_config_source: { api_type: GRPC } }",
      /cds_config\.api_config_source\.grpc_services: must be set/,
    ],
    [
      "{ resource_api_version: V3, ads: {} }",
      "{ api_config_source: { api_type: REST, transport_api_version: V3, cluster_names: [sdx], refresh_delay: 1s } }",
      /cds_config\.api_config_source\.cluster_names\[0\]: found "sdx", which is no cluster of static_resources/,
    ],
    [
      "{ resource_api_version: V3, ads: {} }",
      "{ api_config_source: { api_type: REST } }",
      /refresh_delay: must be set for REST/,
    ],
    ["grpc_services: [{ envoy_grpc: { cluster_name: xds } }]", "grpc_services: []", /grpc_services: must be set/],
  ];
  for (const [from, to, error] of cases) {
    assert.ok(ADS.includes(from), from);
    assert.match(faults(ADS.replace(from, to)).join("\n"), error);
  }
  assert.match(faults("dynamic_resources: { lds_config: { ads: {} } }").join("\n"), /ads_config is missing/);
});

test("refuses two clusters of one name, an empty file, and a second document", () => {
  assert.match(faults("static_resources: { clusters: [{ name: a }, { name: a }] }")[0]!, /two clusters named "a"/);
  assert.deepEqual(faults(""), ["b.yaml: the bootstrap is empty"]);
  assert.match(faults("node: {}\n---\nnode: {}")[0]!, /^b\.yaml:3:1: found a second document/);
});

test("routes of a static listener must name static clusters; where CDS brings others it is a warning", () => {
  const listener =
    "{ name: in, stat_prefix: orders, address: { socket_address: { address: 127.0.0.1, port_value: 80 } } }";
  assert.deepEqual(faults(`static_resources: { listeners: [${listener}] }`), [
    'b.yaml:1:33: static_resources.listeners[0]: its routes name the cluster "orders", which is no static cluster',
  ]);
  read(`static_resources: { listeners: [${listener}], clusters: [{ name: orders }] }`);
  const { warnings } = read(ADS.replace("static_resources:\n", `static_resources:\n  listeners: [${listener}]\n`));
  assert.match(
    warnings.map(formatDiagnostic).join("\n"),
    /"orders", which is no static cluster; requests to it get 503/,
  );
});

test("a static resource that stands alone is a list of one; what is no resource is refused, not skipped", () => {
  const clustersOf = (text: string) => read(`static_resources: { clusters: ${text} }`).bootstrap.clusters;
  assert.deepEqual(clustersOf("{ name: a }"), clustersOf("[{ name: a }]"));
  assert.match(faults("static_resources: { clusters: a }")[0]!, /^b\.yaml:1:\d+: static_resources\.clusters/);
  assert.match(faults("[]")[0]!, /^b\.yaml:1:1: /);
});

test("rules of the API hold for the bootstrap itself", () => {
  assert.match(faults("stats_flush_interval: 0.0001s").join("\n"), /stats_flush_interval: /);
});
