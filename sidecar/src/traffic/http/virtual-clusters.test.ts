import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouteConfiguration, VirtualClusterConfig } from "@heddle/traffic";
import { Harness, routeTo } from "./testing-harness.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

function header(name: string, value: string): VirtualClusterConfig["headers"][number] {
  const match = { type: "string", matcher: { type: "exact", value, ignoreCase: false } } as const;
  return { name, match, invert: false, treatMissingHeaderAsEmpty: false };
}

function routesWith(virtualClusters: readonly VirtualClusterConfig[]): RouteConfiguration {
  const routes = routeTo("app");
  return { ...routes, virtualHosts: routes.virtualHosts.map((host) => ({ ...host, virtualClusters })) };
}

test("a request counts for the first virtual cluster that matches it as it came, else for other", () => {
  const harness = new Harness({
    routes: routesWith([
      { name: "post-users", headers: [header(":method", "POST"), header(":path", "/users")] },
      { name: "users", headers: [header(":path", "/users")] },
    ]),
  });
  const client = harness.connect();
  const names: (string | undefined)[] = [];
  for (const line of ["GET /users", "POST /users", "GET /other"]) {
    client.send(`${line} HTTP/1.1\r\nhost: a\r\n${line.startsWith("POST") ? "content-length: 0\r\n" : ""}\r\n`);
    harness.run();
    harness.upstream().send(OK);
    harness.run();
    names.push((harness.logged.at(-1) as { virtualCluster?: { name: string } }).virtualCluster?.name);
  }
  assert.deepEqual(names, ["users", "post-users", ""], "as in Envoy, logs have no name for the rest");
  assert.equal(harness.value("vhost.vcluster.upstream_rq_total"), 3);
  assert.equal(harness.value("vhost.vcluster.upstream_rq_2xx"), 3);
  assert.equal(harness.value("vhost.vcluster.upstream_rq_200"), 3);
  assert.equal(harness.value("vhost.vcluster.upstream_rq_time.count"), 3);
  assert.equal(harness.value("cluster.upstream_rq_200"), 3);
  assert.equal(harness.leaks(), "");
});

test("a host without virtual clusters has no such statistics", () => {
  const harness = new Harness();
  const client = harness.connect();
  client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  harness.run();
  harness.upstream().send(OK);
  harness.run();
  assert.deepEqual(
    [...harness.metrics.values.keys()].filter((name) => name.startsWith("vhost")),
    [],
  );
});
