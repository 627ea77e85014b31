import assert from "node:assert/strict";
import { test } from "node:test";
import { clusterType } from "./cluster.ts";
import { resourceFromJson } from "./resource-from-json.ts";

const CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

test("a resource is read by its @type, and named by its own name", () => {
  const resource = resourceFromJson({
    "@type": CLUSTER,
    name: "a",
    connectTimeout: "1s",
    type: "EDS",
    edsClusterConfig: { edsConfig: { ads: {} } },
  });
  assert.ok(resource.ok);
  assert.equal(resource.value.type, CLUSTER);
  assert.equal(resource.value.name, "a");
  const decoded = clusterType.decode(resource.value.bytes);
  assert.ok(decoded.ok);
  assert.equal(decoded.value.config.connectTimeoutMs, 1000);
});

test("endpoints are named by their cluster", () => {
  const resource = resourceFromJson({ "@type": ENDPOINTS, cluster_name: "a" });
  assert.equal(resource.ok && resource.value.name, "a");
});

test("everything that is wrong is reported by its path in the document", () => {
  const resource = resourceFromJson({ "@type": CLUSTER, name: "a", nonsense: 1, connect_timeout: 5 });
  assert.ok(!resource.ok);
  assert.deepEqual(
    resource.error.map((issue) => `${issue.path}: ${issue.message}`),
    [
      "nonsense: is no field of envoy.config.cluster.v3.Cluster",
      'connect_timeout: found 5, allowed is a duration in seconds such as "1.5s"',
    ],
  );
});

test("what is no resource says what is allowed", () => {
  for (const json of [
    null,
    [],
    "x",
    {},
    { "@type": 5 },
    { "@type": "x/google.protobuf.Empty" },
    { "@type": CLUSTER },
  ]) {
    const resource = resourceFromJson(json);
    assert.ok(!resource.ok, JSON.stringify(json));
    assert.equal(resource.error.length, 1);
  }
});
