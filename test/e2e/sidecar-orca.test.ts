import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import { LoadReportServer } from "@heddle/xds/server";
import { quietLog } from "@heddle/xds/testing";
import { cluster, http2Cluster, inlineRoutes, type Json, listener, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { startSidecar } from "../harness/sidecar.ts";

/* Endpoints say of their own load in their answers (ORCA), and a sidecar picks by it, and tells a management server. */

async function upstream(t: TestContext, answer: RequestListener): Promise<number> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Says of itself so much in the head of each answer. */
function saying(name: string, report: string): RequestListener {
  return (_, response) => response.writeHead(200, { "endpoint-load-metrics": report }).end(name);
}

const WEIGHTED =
  "type.googleapis.com/envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin";

/** What Envoy's parser test has of a server of grpc-go: 0.5 of the processor, 100 requests a second, 2 of them in error. */
const FROM_GRPC_GO = "CQAAAAAAAOA/MQAAAAAAAFlAOQAAAAAAAABAQg4KA3JpZhEAAAAAAAAQQA";

test("traffic goes where endpoints say that there is room, in heads and in trailers, and the client sees what they say", async (t) => {
  const busy = 'JSON {"rps_fractional": 100, "cpu_utilization": 0.9}';
  // weight 100 / (0.5 + 2 / 100 * 2) = 185.2 against 100 / 0.9 = 111.1: five of eight
  const roomy: RequestListener = (_, response) => {
    response.writeHead(200, { trailer: "endpoint-load-metrics-bin" });
    response.write("roomy");
    response.addTrailers({ "endpoint-load-metrics-bin": FROM_GRPC_GO });
    response.end();
  };
  const ports = [await upstream(t, saying("busy", busy)), await upstream(t, roomy)];
  const typed_config = {
    "@type": WEIGHTED,
    blackout_period: "0s",
    weight_update_period: "0.1s",
    error_utilization_penalty: 2,
  };
  const policies = [{ typed_extension_config: { name: "w", typed_config } }];
  const sidecar = await startSidecar(
    {
      node: { id: "default/web/1", cluster: "web" },
      static_resources: {
        listeners: [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app")]) })],
        clusters: [cluster("app", ports, { load_balancing_policy: { policies } })],
      },
    },
    t,
  );
  const url = `http://127.0.0.1:${await sidecar.port("in")}/`;
  /** How many of so many requests the roomy one got. */
  const roomyOf = async (requests: number): Promise<number> => {
    let count = 0;
    for (let i = 0; i < requests; i += 1) {
      const response = await fetch(url);
      const name = await response.text();
      if (name === "roomy") count += 1;
      assert.equal(response.headers.get("endpoint-load-metrics"), name === "busy" ? busy : null);
    }
    return count;
  };
  // Nobody says anything new, so the weights stand once they are known; then shares are exact to one request. Of equal weights it is 80.
  await eventually("100 of 160 requests go to the roomy one", async () => Math.abs((await roomyOf(160)) - 100) <= 1);
});

test("a sidecar tells a management server what endpoints said of their load, by zone and by endpoint", async (t) => {
  const loads = new LoadReportServer({ clock: systemClock, log: quietLog, intervalMs: 200, byEndpoint: true });
  const server = new Server();
  loads.addTo(server);
  const lrs = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
  t.after(() => {
    loads.close();
    server.forceShutdown();
  });
  const report = "TEXT cpu_utilization=0.25,named_metrics.queue=3,named_metrics.rows=8,eps=1";
  const zones = [
    ["a", await upstream(t, saying("a", report))],
    ["b", await upstream(t, saying("b", "TEXT cpu_utilization=2,cpu_utilization=3"))], // a report that is none
  ] as const;
  const endpoints = zones.map(([zone, port]): Json => {
    const address = { socket_address: { address: "127.0.0.1", port_value: port } };
    return { locality: { region: "r", zone }, lb_endpoints: [{ endpoint: { address } }] };
  });
  const app = cluster("app", [], {
    load_assignment: { cluster_name: "app", endpoints },
    lrs_report_endpoint_metrics: ["cpu_utilization", "mem_utilization", "named_metrics.*"],
  });
  const sidecar = await startSidecar(
    {
      node: { id: "default/web/1", cluster: "web" },
      cluster_manager: {
        load_stats_config: {
          api_type: "GRPC",
          transport_api_version: "V3",
          grpc_services: [{ envoy_grpc: { cluster_name: "lrs" } }],
        },
      },
      static_resources: {
        listeners: [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app")]) })],
        clusters: [app, http2Cluster("lrs", [lrs])],
      },
    },
    t,
  );
  const url = `http://127.0.0.1:${await sidecar.port("in")}/`;
  const localities = () => loads.loads()[0]?.clusters.find((one) => one.cluster === "app")?.localities ?? [];
  const answered = (): number => localities().reduce((sum, one) => sum + one.succeeded, 0);
  const REQUESTS = 20;
  for (let i = 0; i < REQUESTS; i += 1) {
    await (await fetch(url)).arrayBuffer();
    if (i === REQUESTS / 2) await eventually("a part of it has been told", () => answered() > 0);
  }
  await eventually("all of it has been told", () => answered() === REQUESTS);
  const [a, b] = localities().toSorted((one, other) => (one.zone < other.zone ? -1 : 1));
  const half = REQUESTS / 2; // in turn
  assert.deepEqual(
    a?.metrics?.toSorted((one, other) => (one.name < other.name ? -1 : 1)),
    [
      { name: "cpu_utilization", requests: half, total: half * 0.25 },
      { name: "mem_utilization", requests: half, total: 0 },
      { name: "named_metrics.queue", requests: half, total: half * 3 },
      { name: "named_metrics.rows", requests: half, total: half * 8 },
    ],
  );
  assert.deepEqual(a?.endpoints?.[0]?.metrics, a?.metrics);
  assert.equal(b?.succeeded, half);
  assert.equal(b?.metrics, undefined);
});
