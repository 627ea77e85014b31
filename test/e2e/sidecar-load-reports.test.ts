import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import { LoadReportServer } from "@heddle/xds/server";
import { quietLog } from "@heddle/xds/testing";
import { cluster, http2Cluster, inlineRoutes, type Json, listener, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { startSidecar } from "../harness/sidecar.ts";

/** A server that answers with that status. */
async function upstream(t: TestContext, status: number): Promise<number> {
  const server = createServer((_, response) => response.writeHead(status).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function loadReportServer(t: TestContext): Promise<{ readonly loads: LoadReportServer; readonly port: number }> {
  const loads = new LoadReportServer({ clock: systemClock, log: quietLog, intervalMs: 200 });
  const server = new Server();
  loads.addTo(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  t.after(() => {
    loads.close();
    server.forceShutdown();
  });
  return { loads, port };
}

function locality(zone: string, port: number): Json {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  return { locality: { region: "r", zone }, lb_endpoints: [{ endpoint: { address } }] };
}

test("statement 79: a sidecar tells a management server what went to which zone, and nothing is lost or told twice", async (t) => {
  const { loads, port } = await loadReportServer(t);
  const endpoints = [locality("a", await upstream(t, 200)), locality("b", await upstream(t, 503))];
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
        clusters: [
          cluster("app", [], { load_assignment: { cluster_name: "app", endpoints } }),
          http2Cluster("lrs", [port]),
        ],
      },
    },
    t,
  );
  const url = `http://127.0.0.1:${await sidecar.port("in")}/`;
  const REQUESTS = 40;
  for (let i = 0; i < REQUESTS; i += 1) {
    await (await fetch(url)).arrayBuffer();
    // Spread over several intervals.
    if (i % 10 === 9) {
      const reports = loads.loads()[0]?.reports ?? 0;
      await eventually("another report", () => (loads.loads()[0]?.reports ?? 0) > reports + 1);
    }
  }
  const app = () => loads.loads()[0]?.clusters.find((one) => one.cluster === "app");
  const issued = (): number => (app()?.localities ?? []).reduce((sum, one) => sum + one.issued, 0);
  await eventually("all of it has been told", () => issued() >= REQUESTS);
  const reports = loads.loads()[0]!.reports; // it has just told
  await eventually("two more reports", () => loads.loads()[0]!.reports > reports + 1);
  assert.equal(issued(), REQUESTS);
  const [a, b] = [...(app()?.localities ?? [])].sort((one, other) => (one.zone < other.zone ? -1 : 1));
  assert.deepEqual([a?.zone, a?.succeeded, a?.failed], ["a", a?.issued, 0]);
  assert.deepEqual([b?.zone, b?.succeeded, b?.failed], ["b", 0, b?.issued]);
  assert.equal(loads.loads()[0]?.nodeId, "default/web/1");
});
