import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeMessage } from "@heddle/proto";
import { makeExtensionConfigType } from "./extension-config.ts";
import { makeListenerType } from "./listener.ts";
import { makeResourceTypes } from "./resource-types.ts";
import { accept, errorsOf, httpFilters, MANAGER, MODULE, ROUTER } from "./testing.ts";

const types = makeResourceTypes({ httpFilters });
const type = makeExtensionConfigType(httpFilters);
const listenerType = makeListenerType({ httpFilters });

const module_ = { "@type": MODULE, module_path: "a.ts" };
const ads = { ads: {}, resource_api_version: "V3" };

function listenerWith(...http_filters: object[]): object {
  const manager = { "@type": MANAGER, stat_prefix: "in", route_config: { name: "r" }, http_filters };
  return {
    name: "in",
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [{ name: "hcm", typed_config: manager }] }],
  };
}

const routerFilter = { name: "router", typed_config: { "@type": ROUTER } };

test("the configuration of a filter is read by its type, and refused as in a listener", () => {
  assert.deepEqual(accept(type, { name: "auth", typed_config: module_ }), {
    name: "auth",
    config: { name: "auth", type: "heddle.filters.http.v1.Module", config: { modulePath: "a.ts" } },
  });
  assert.deepEqual(errorsOf(type, { name: "auth", typed_config: { ...module_, module_path: "missing.ts" } }), [
    "typed_config.modulePath: cannot be loaded",
  ]);
  const unknown = { "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua" };
  assert.match(errorsOf(type, { name: "auth", typed_config: unknown })[0] ?? "", /there is no filter .*Lua/);
});

test("a filter that does nothing while it is empty is refused where it has a field that this version does not know", () => {
  const fault = (value: readonly number[]) =>
    encodeMessage("envoy.config.core.v3.TypedExtensionConfig", {
      name: "fault",
      typed_config: {
        type_url: "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        value: Uint8Array.from(value),
      },
    });
  assert.ok(type.decode(fault([])).ok);
  const newer = type.decode(fault([0xc2, 0x0c, 0])); // field 200
  assert.match(newer.ok ? "" : newer.error.join(), /there is no filter .*HTTPFault/);
});

test("a TypedStruct is the message that it stands for, in both of its packages", () => {
  for (const struct of ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"]) {
    const typed_config = {
      "@type": `type.googleapis.com/${struct}`,
      type_url: MODULE,
      value: { module_path: "a.ts" },
    };
    assert.deepEqual(accept(type, { name: "auth", typed_config }).config.config, { modulePath: "a.ts" });
  }
});

test("a filter of a listener says what may come, where from, and what serves until then", () => {
  const discovered = (config_discovery: object) => listenerWith({ name: "auth", config_discovery }, routerFilter);
  const filtersOf = (json: object) => {
    const filter = accept(listenerType, json).filterChains[0]?.filters[0];
    return filter?.type === "http-connection-manager" ? filter.config.httpFilters : [];
  };
  const [plain] = filtersOf(discovered({ config_source: ads, type_urls: [MODULE] }));
  assert.deepEqual(plain?.discovery, { types: ["heddle.filters.http.v1.Module"] });
  assert.equal(plain?.config.type, "heddle.filters.http.v1.MissingConfig");
  const [eager] = filtersOf(
    discovered({
      config_source: { ads: {}, initial_fetch_timeout: "1s", resource_api_version: "V3" },
      type_urls: [MODULE],
      default_config: module_,
      apply_default_config_without_warming: true,
    }),
  );
  assert.deepEqual(eager?.config.config, { modulePath: "a.ts" });
  assert.deepEqual(
    [eager?.discovery?.startsWithDefault, eager?.discovery?.source?.initialFetchTimeoutMs],
    [true, 1000],
  );
});

test("what cannot work is refused: types that are not there, a default of another type, none to begin with", () => {
  const faults = (config_discovery: object, ...behind: object[]) =>
    errorsOf(listenerType, listenerWith({ name: "auth", config_discovery }, ...behind));
  const at = "filter_chains[0].filters[0].typed_config.http_filters[0]";
  const lua = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";
  assert.ok(
    faults({ config_source: ads, type_urls: [lua] }, routerFilter)[0]?.startsWith(
      `${at}.config_discovery.type_urls[0]: there is no filter`,
    ),
  );
  assert.deepEqual(
    faults({ config_source: ads, type_urls: [MODULE], default_config: { "@type": ROUTER } }, routerFilter),
    [
      `${at}.config_discovery.default_config: found envoy.extensions.filters.http.router.v3.Router, allowed are type_urls: heddle.filters.http.v1.Module`,
    ],
  );
  assert.deepEqual(
    faults({ config_source: ads, type_urls: [MODULE], apply_default_config_without_warming: true }, routerFilter),
    [`${at}.config_discovery.apply_default_config_without_warming: is set without default_config`],
  );
  assert.deepEqual(faults({ config_source: ads, type_urls: [MODULE, ROUTER] }), [
    `${at}.config_discovery.type_urls: holds types that end the chain and types that do not`,
  ]);
});

const TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const ECHO = "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo";
const PROXY_PROTOCOL = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
const proxy = (cluster: string): object => ({ "@type": TCP_PROXY, stat_prefix: "tcp", cluster });
const tcpListener = (filters: readonly object[], more: object = {}): object => ({
  name: "in",
  address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
  filter_chains: [{ filters }],
  ...more,
});

test("network and listener filters may come as well, and are read as where they stand in a listener", () => {
  const { network } = accept(types["extension-config"], { name: "bytes", typed_config: proxy("a") });
  const { listener } = accept(types["extension-config"], { name: "who", typed_config: { "@type": PROXY_PROTOCOL } });
  assert.equal(network?.type === "tcp-proxy" && network.config.clusters[0]?.name, "a");
  assert.equal(listener?.type, "proxy-protocol");
  assert.equal(accept(types["extension-config"], { name: "auth", typed_config: module_ }).network, undefined);
  const wrong = { name: "bytes", typed_config: { "@type": TCP_PROXY, stat_prefix: "tcp" } };
  assert.match(errorsOf(types["extension-config"], wrong).join(), /cluster/);

  const { filterChains, listenerFilters } = accept(
    types.listener,
    tcpListener(
      [{ name: "bytes", config_discovery: { config_source: ads, type_urls: [TCP_PROXY], default_config: proxy("b") } }],
      { listener_filters: [{ name: "who", config_discovery: { config_source: ads, type_urls: [PROXY_PROTOCOL] } }] },
    ),
  );
  const [filter] = filterChains[0]?.filters ?? [];
  assert.deepEqual(filter?.discovered, { types: ["envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"] });
  assert.equal(filter?.type === "discovered" && filter.fallback?.type, "tcp-proxy");
  assert.deepEqual(listenerFilters, [
    {
      type: "discovered",
      name: "who",
      discovered: { types: ["envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"] },
    },
  ]);
});

test("a chain whose last filter is to come has to know that it will serve, and no other filter may", () => {
  const faults = (type_urls: readonly string[], ...behind: object[]): string =>
    errorsOf(
      types.listener,
      tcpListener([{ name: "bytes", config_discovery: { config_source: ads, type_urls } }, ...behind]),
    ).join("\n");
  assert.match(
    faults([TCP_PROXY], { name: "echo", typed_config: { "@type": ECHO } }),
    /filters: "bytes" ends the chain/,
  );
  assert.match(faults([MODULE]), /type_urls\[0\]: there is no filter heddle\.filters\.http\.v1\.Module/);
  assert.match(
    faults([PROXY_PROTOCOL]),
    /type_urls\[0\]: there is no filter/,
    "a listener filter is no network filter",
  );
});
