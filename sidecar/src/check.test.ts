import assert from "node:assert/strict";
import { test } from "node:test";
import { resourceFromJson } from "@heddle/xds";
import { notDisabled, sidecarResourceTypes } from "./check.ts";

const ROUTER = "envoy.extensions.filters.http.router.v3.Router";
const LISTENER = {
  name: "in",
  address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
};

test("a disabled filter is refused like one that there is not", () => {
  const manager =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
  const httpFilters = [{ name: "r", typed_config: { "@type": `type.googleapis.com/${ROUTER}` } }];
  const routes = { route_config: { name: "r", virtual_hosts: [] } };
  const config = { "@type": manager, stat_prefix: "x", ...routes, http_filters: httpFilters };
  const json = { ...LISTENER, filter_chains: [{ filters: [{ name: "h", typed_config: config }] }] };
  const verdict = (disabled: readonly string[]): readonly string[] => {
    const { listener } = sidecarResourceTypes(".", disabled);
    const resource = resourceFromJson({ "@type": listener.typeUrl, ...json });
    assert.ok(resource.ok);
    const decoded = listener.decode(resource.value.bytes);
    return decoded.ok ? [] : decoded.error;
  };
  assert.deepEqual(verdict([]), []);
  assert.match(verdict(["envoy.filters.http.router"]).join("\n"), new RegExp(`there is no filter ${ROUTER}`));
});

test("what is no HTTP filter cannot be disabled", () => {
  assert.deepEqual(notDisabled(["envoy.filters.http.router", "envoy.filters.network.tcp_proxy"]), [
    "envoy.filters.network.tcp_proxy",
  ]);
});
