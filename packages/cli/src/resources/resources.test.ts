import assert from "node:assert/strict";
import { test } from "node:test";
import { parseYamlDocuments } from "@heddle/config/yaml";
import type { StoredResource } from "@heddle/control-plane/resource-api";
import { apiClient } from "./api-options.ts";
import { parseFor, parseResourceKey, parseResourceName } from "./names.ts";
import { documentOf, tableOf, yamlOf } from "./show.ts";

test("a resource is named by its type, in short or whole, with or without namespace", () => {
  const key = (text: string, namespace = "") => {
    const { type, namespace: found, name } = parseResourceKey(text, namespace, "");
    return [type.split(/[./]/).at(-1), found, name].join(" ");
  };
  assert.equal(key("cluster/outbound/80/a"), "Cluster  outbound/80/a");
  assert.equal(key("Clusters/a"), "Cluster  a");
  assert.equal(key("envoy.config.cluster.v3.Cluster/a"), "Cluster  a");
  assert.equal(key("svc/orders"), "Service default orders");
  assert.equal(key("service/shop/orders"), "Service shop orders");
  assert.equal(key("service/orders", "shop"), "Service shop orders");
  assert.equal(key("gateway.networking.k8s.io/HTTPRoute/r"), "HTTPRoute default r");
  assert.deepEqual([parseResourceName("httproute").name, parseResourceName("httproute").namespace], ["", ""]);
  assert.throws(() => key("clusterr/a"), /"clusterr" is no type; there are service, /);
  assert.throws(() => key("cluster"), /allowed: TYPE\/NAME/);
  assert.throws(() => key("service/a/b/c"), /TYPE\/NAMESPACE\/NAME/);
  assert.throws(() => key("service/a/b", "c"), /names another one/);
  assert.throws(() => key("cluster/a", "shop"), /without namespaces/);
  assert.equal(parseFor("node.cluster=web"), "web");
  assert.throws(() => parseFor("web"), /allowed: node\.cluster=NAME/);
});

test("what is shown as YAML is what heddle apply takes back", () => {
  const stored: StoredResource = {
    key: { type: "envoy.config.cluster.v3.Cluster", namespace: "", name: "c", nodeCluster: "web" },
    version: 12,
    createdVersion: 3,
    resource: {
      "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
      name: "c",
      a: "12345678901234567890",
      b: "yes",
      c: "1e3",
    },
    override: true,
    author: "ci",
    manager: "heddle apply",
    updated: "2026-01-31T12:00:00.000Z",
  };
  const yaml = yamlOf(stored);
  assert.match(
    yaml,
    /^# cluster\/c for node\.cluster=web, version 12, 2026-01-31T12:00:00\.000Z, by ci, heddle apply\n/,
  );
  const read = parseYamlDocuments("a", yaml);
  assert.deepEqual(read.ok && read.value[0]?.json, documentOf(stored));
  assert.deepEqual(
    documentOf({ ...stored, override: false, key: { ...stored.key, nodeCluster: "" } }),
    stored.resource,
  );
  assert.match(tableOf([stored]), /^RESOURCE +NODES +VERSION .*\ncluster\/c +web +12 /);
});

test("a token goes to this machine or over TLS, and nowhere else", () => {
  const environment = { HEDDLE_TOKEN: "heddle_abc" };
  for (const server of ["http://10.0.0.1:1", "http://heddle.example", "http://127.0.0.1.example"])
    assert.throws(() => apiClient({ server }, environment), /in plaintext/, server);
  for (const server of ["http://127.0.0.1:1", "http://localhost", "http://[::1]:1", "https://heddle.example"])
    assert.ok(apiClient({ server }, environment));
  assert.ok(apiClient({ server: "http://10.0.0.1:1" }, {}));
  for (const server of ["ftp://a", "127.0.0.1:1", ""])
    assert.throws(() => apiClient({ server }, {}), /allowed: http:/, server);
  assert.throws(() => apiClient({}, { HEDDLE_TOKEN: "a\nb" }), /no token/);
});
