import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { startSidecar } from "../harness/sidecar.ts";

const PROMTOOL = "/usr/bin/promtool";
const skip = !existsSync(PROMTOOL) && `not installed: ${PROMTOOL}`;

/** What promtool would name otherwise than Envoy does. Anything else that it has to say is our fault. */
const NAMES =
  /counter metrics should have "_total" suffix|use base unit "seconds" instead of "(?:milliseconds|days)"|non-counter metrics should not have "_total" suffix|should not contain abbreviated units/;

test("Prometheus' own tool can read all metrics, and would only name some of them otherwise", { skip }, async (t) => {
  const owner = lastFirst(t);
  const upstream = createServer((request, response) => response.writeHead(request.url === "/no" ? 404 : 200).end());
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  owner.after(() => {
    upstream.closeAllConnections();
    upstream.close();
  });
  const port = (upstream.address() as AddressInfo).port;
  const odd = 'odd"name\\with:signs'; // has to be escaped in a label
  const host = {
    ...virtualHost("*", odd),
    virtual_clusters: [{ name: "all", headers: [{ name: ":method", string_match: { exact: "GET" } }] }],
  };
  const sidecar = await startSidecar(
    staticBootstrap([listener({ name: "in", routes: inlineRoutes([host]) })], [cluster(odd, [port])]),
    owner,
    { concurrency: 2 },
  );
  const entry = await sidecar.port("in");
  for (const path of ["/", "/no", "/"]) await (await fetch(`http://127.0.0.1:${entry}${path}`)).arrayBuffer();

  const response = await fetch(`http://${sidecar.admin}/stats/prometheus`);
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const input = await response.text();
  const { status, stdout, stderr } = spawnSync(PROMTOOL, ["check", "metrics"], { input, encoding: "utf8" });
  assert.ok(status === 0 || status === 3, `it can be parsed: ${stderr}`); // 3: names, and the like
  const complaints = `${stdout}${stderr}`.split("\n").filter((line) => line !== "" && !NAMES.test(line));
  assert.deepEqual(complaints, []);

  const label = 'envoy_cluster_name="odd\\"name\\\\with_signs"';
  for (const line of [
    `envoy_cluster_upstream_rq_total{${label}} 3`,
    `envoy_cluster_upstream_rq_xx{${label},envoy_response_code_class="2"} 2`,
    `envoy_cluster_upstream_rq{${label},envoy_response_code="404"} 1`,
    `envoy_cluster_upstream_rq_time_count{${label}} 3`,
    `envoy_cluster_membership_total{${label}} 1`,
    'envoy_http_downstream_rq_completed{envoy_http_conn_manager_prefix="in"} 3',
    'envoy_vhost_vcluster_upstream_rq_total{envoy_virtual_host="*",envoy_virtual_cluster="all"} 3',
    "envoy_server_live 1",
    "envoy_server_concurrency 2",
  ]) {
    assert.ok(input.includes(`\n${line}\n`), line);
  }
  // Nothing is under way, so nothing is said to be.
  const busy = input
    .split("\n")
    .filter((line) => /_rq_active|_pending_active|_open\{/.test(line) && !/^#| 0$/.test(line));
  assert.deepEqual(busy, []);
});
