import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "@heddle/base";
import { startControlPlane } from "@heddle/control-plane";
import { quietLog, quietMetrics } from "@heddle/xds/testing";
import { skipWithoutEnvoy, startEnvoy } from "../harness/envoy.ts";
import { cluster, type Json, listener, loadAssignment, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { startLoad } from "../harness/load.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawUpstream } from "../harness/raw-peer.ts";
import { scratchFolder } from "../harness/sidecar.ts";
import { answersAre } from "../harness/swapped-world.ts";

const TYPES = "type.googleapis.com/envoy.config";

/** Each type polled, five times a second. */
const REST: Json = {
  resource_api_version: "V3",
  api_config_source: {
    api_type: "REST",
    transport_api_version: "V3",
    cluster_names: ["xds"],
    refresh_delay: "0.2s",
    request_timeout: "1s",
  },
};

test("statement 77: a real Envoy polls our control plane (REST-JSON), and follows it under load", {
  skip: skipWithoutEnvoy,
}, async (t) => {
  const owner = lastFirst(t);
  const [a, b] = [await RawUpstream.listen(owner), await RawUpstream.listen(owner)];
  a.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na");
  b.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb");
  const folder = scratchFolder(owner);
  const tell = (wish: Wish): void => writeFileSync(join(folder, "edge.json"), JSON.stringify(resources(wish)));
  tell({ to: "first", port: a.port, connectTimeout: "1s" });
  const local = { host: "127.0.0.1", port: 0 };
  const controlPlane = await startControlPlane({
    folders: [folder],
    xdsAddress: local,
    adminAddress: local,
    xdsRestAddress: local,
    identifier: "test",
    clock: systemClock,
    log: quietLog,
    metrics: quietMetrics,
    collectMetrics: () => [],
  });
  owner.after(() => controlPlane.stop());
  const { port } = controlPlane.xdsRestAddress ?? assert.fail("it listens");
  const envoy = await startEnvoy(
    {
      node: { id: "edge-1", cluster: "edge" },
      dynamic_resources: { lds_config: REST, cds_config: REST },
      static_resources: { clusters: [cluster("xds", [port])] },
    },
    owner,
  );
  const load = startLoad(`http://127.0.0.1:${await envoy.port("edge")}/`, 4, t);
  owner.after(() => load.stop()); // or a failed test would never end
  await answersAre(load, "a");
  tell({ to: "first", port: b.port, connectTimeout: "1s" });
  await answersAre(load, "b");
  tell({ to: "second", port: a.port, connectTimeout: "1s" });
  await answersAre(load, "a");
  const modified = await envoy.stat("cluster_manager.cluster_modified");
  tell({ to: "second", port: a.port, connectTimeout: "2s" });
  await eventually("the cluster is updated, and nothing warms", async () => {
    return (await envoy.stat("cluster_manager.cluster_modified")) > modified && (await envoy.warming()).length === 0;
  });
  await answersAre(load, "a");
  assert.deepEqual([...(await load.stop()).failures], []);
  assert.equal(await envoy.stat("cluster_manager.cds.update_rejected"), 0);
  assert.equal(await envoy.stat("listener_manager.lds.update_rejected"), 0);
});

interface Wish {
  readonly to: "first" | "second";
  readonly port: number;
  readonly connectTimeout: string;
}

/** Both clusters are there at all times: polls of two types may come in any order. */
function resources({ to, port, connectTimeout }: Wish): Json {
  const names = ["first", "second"];
  return {
    for: { "node.cluster": "edge" },
    resources: [
      {
        "@type": `${TYPES}.listener.v3.Listener`,
        ...listener({ name: "edge", routes: { rds: { config_source: REST, route_config_name: "edge" } } }),
      },
      { "@type": `${TYPES}.route.v3.RouteConfiguration`, name: "edge", virtual_hosts: [virtualHost("*", to)] },
      ...names.map((name) => ({
        "@type": `${TYPES}.cluster.v3.Cluster`,
        name,
        type: "EDS",
        connect_timeout: connectTimeout,
        eds_cluster_config: { eds_config: REST },
      })),
      ...names.map((name) => ({
        "@type": `${TYPES}.endpoint.v3.ClusterLoadAssignment`,
        ...loadAssignment(name, [port]),
      })),
    ],
  };
}
