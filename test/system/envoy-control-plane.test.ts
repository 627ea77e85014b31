import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { adsBootstrap, edsCluster, startControlPlane } from "../harness/control-plane.ts";
import { type EnvoyProcess, skipWithoutEnvoy, startEnvoy } from "../harness/envoy.ts";
import { type Json, loadAssignment } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { startLoad } from "../harness/load.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawUpstream } from "../harness/raw-peer.ts";
import { answersAre, serverIs, swappedWorld } from "../harness/swapped-world.ts";

for (const variant of ["sotw", "delta"] as const) {
  describe(`a real Envoy under our control plane (${variant})`, { skip: skipWithoutEnvoy }, () => {
    test("routes, endpoints, clusters and listeners are swapped under load, and no request is lost", async (t) => {
      const { owner, a, b } = await upstreams(t);
      const controlPlane = await startControlPlane(owner, swappedWorld({ to: "first", endpoints: { first: [a] } }));
      const envoy = await startEnvoy(adsBootstrap(controlPlane.port, variant), owner);
      const url = `http://127.0.0.1:${await envoy.port("in")}/`;
      const load = startLoad(url, 8, t);
      owner.after(() => load.stop()); // or a failed test would never end
      await answersAre(load, "a");
      for (let round = 0; round < 3; round++) {
        controlPlane.set(swappedWorld({ to: "first", endpoints: { first: [b] } }));
        await answersAre(load, "b");
        controlPlane.set(swappedWorld({ to: "second", endpoints: { first: [b], second: [a] } }));
        await answersAre(load, "a");
        controlPlane.set(swappedWorld({ to: "third", endpoints: { third: [b] }, cluster: { lb_policy: "RANDOM" } }));
        await answersAre(load, "b");
        const http = { server_name: `round-${round}` };
        controlPlane.set(swappedWorld({ to: "first", endpoints: { first: [a] }, http }));
        await answersAre(load, "a");
        await serverIs(url, `round-${round}`);
      }
      const { requests, failures } = await load.stop();
      t.diagnostic(`${requests} requests`);
      assert.deepEqual([...failures], []);
      assert.deepEqual(rejections(controlPlane.nodes()), []);
    });

    test("statement 81: a cluster that is updated while its endpoints stay does not warm for ever", async (t) => {
      const { owner, a } = await upstreams(t);
      const world = (connect_timeout: string) =>
        swappedWorld({ to: "first", endpoints: { first: [a] }, cluster: { connect_timeout } });
      const controlPlane = await startControlPlane(owner, world("1s"));
      const envoy = await startEnvoy(adsBootstrap(controlPlane.port, variant), owner);
      const url = `http://127.0.0.1:${await envoy.port("in")}/`;
      const load = startLoad(url, 2, t);
      owner.after(() => load.stop()); // or a failed test would never end
      for (const seconds of [2, 3, 4]) {
        controlPlane.set(world(`${seconds}s`));
        await eventually("Envoy has the update, and nothing warms", async () => {
          const modified = await envoy.stat("cluster_manager.cluster_modified");
          return modified === seconds - 1 && (await envoy.warming()).length === 0;
        });
        assert.match(await envoy.page("/config_dump"), new RegExp(`"connect_timeout": "${seconds}s"`));
      }
      await answersAre(load, "a");
      assert.deepEqual([...(await load.stop()).failures], []);
    });

    test("statement 81: the same where clusters come on a stream of their own, and endpoints on another", async (t) => {
      const { owner, a } = await upstreams(t);
      const world = (connect_timeout: string) =>
        swappedWorld({ to: "first", endpoints: { first: [a] }, cluster: { connect_timeout } });
      const controlPlane = await startControlPlane(owner, world("1s"));
      const bootstrap = adsBootstrap(controlPlane.port, variant);
      const { ads_config, ...resources } = bootstrap["dynamic_resources"] as Json;
      const cds_config = { resource_api_version: "V3", api_config_source: ads_config };
      const envoy = await startEnvoy(
        { ...bootstrap, dynamic_resources: { ...resources, ads_config, cds_config } },
        owner,
      );
      for (const seconds of [2, 3, 4]) {
        controlPlane.set(world(`${seconds}s`));
        // An Envoy that nothing was sent again takes its old endpoints after `initial_fetch_timeout`, 15 s.
        await eventually("Envoy has the update, and nothing warms", async () => {
          const modified = await envoy.stat("cluster_manager.cluster_modified");
          return modified === seconds - 1 && (await envoy.warming()).length === 0;
        });
      }
      assert.equal(controlPlane.nodes()[0]?.streams, 2);
      assert.deepEqual(rejections(controlPlane.nodes()), []);
    });

    test("statement 81: a listener that is updated while its routes stay does not warm for ever", async (t) => {
      const { owner, a } = await upstreams(t);
      const world = (server_name: string) =>
        swappedWorld({ to: "first", endpoints: { first: [a] }, http: { server_name } });
      const controlPlane = await startControlPlane(owner, world("v0"));
      const envoy = await startEnvoy(adsBootstrap(controlPlane.port, variant), owner);
      const url = `http://127.0.0.1:${await envoy.port("in")}/`;
      for (const name of ["v1", "v2", "v3"]) {
        controlPlane.set(world(name));
        await serverIs(url, name);
      }
      assert.deepEqual(await envoy.warming(), []);
    });

    test("statement 81: a cluster that has gone and come again is served as before", async (t) => {
      const { owner, a } = await upstreams(t);
      const there = swappedWorld({ to: "first", endpoints: { first: [a] } });
      const controlPlane = await startControlPlane(owner, there);
      const envoy = await startEnvoy(adsBootstrap(controlPlane.port, variant), owner);
      const url = `http://127.0.0.1:${await envoy.port("in")}/`;
      for (let round = 0; round < 3; round++) {
        controlPlane.set({ ...there, clusters: [], endpoints: [] });
        await eventually("the cluster is gone", async () => (await fetch(url)).status === 503);
        controlPlane.set(there);
        await eventually("the cluster is there again", async () => (await fetch(url)).status === 200);
      }
      assert.deepEqual(await envoy.warming(), []);
    });

    test("statement 52: a control plane that starts anew with the same resources changes nothing in an Envoy", async (t) => {
      const { owner, a, b } = await upstreams(t);
      const world = swappedWorld({ to: "first", endpoints: { first: [a], second: [b] } });
      const first = await startControlPlane(owner, world);
      const envoy = await startEnvoy(adsBootstrap(first.port, variant), owner);
      const load = startLoad(`http://127.0.0.1:${await envoy.port("in")}/`, 4, t);
      owner.after(() => load.stop()); // or a failed test would never end
      await answersAre(load, "a");
      const before = await changes(envoy);
      const connections = await envoy.stat("http.in.downstream_cx_total");
      first.stop();
      await eventually("Envoy misses it", async () => (await envoy.stat("control_plane.connected_state")) === 0);
      const second = await startControlPlane(owner, world, first.port);
      await eventually("Envoy is back", () => second.nodes().length === 1 && second.settled, 30_000);
      await answersAre(load, "a");
      assert.deepEqual(await changes(envoy), before);
      assert.equal(await envoy.stat("http.in.downstream_cx_total"), connections, "no connection was made anew");
      second.set(swappedWorld({ to: "second", endpoints: { first: [a], second: [b] } }));
      await answersAre(load, "b");
      assert.deepEqual([...(await load.stop()).failures], []);
    });

    test("what an Envoy rejects is seen with its reason, the last good one serves, and a good one heals it", async (t) => {
      const { owner, a, b } = await upstreams(t);
      const good = swappedWorld({ to: "first", endpoints: { first: [a] } });
      const controlPlane = await startControlPlane(owner, good);
      const envoy = await startEnvoy(adsBootstrap(controlPlane.port, variant), owner);
      const load = startLoad(`http://127.0.0.1:${await envoy.port("in")}/`, 4, t);
      owner.after(() => load.stop()); // or a failed test would never end
      await answersAre(load, "a");
      controlPlane.set({ ...good, clusters: [edsCluster("first", { lb_policy: "CLUSTER_PROVIDED" })] });
      await eventually("the rejection is told", () => controlPlane.rejection("cluster") !== undefined);
      assert.match(controlPlane.rejection("cluster") ?? "", /first/);
      await answersAre(load, "a");
      controlPlane.set({ ...good, endpoints: [loadAssignment("first", [b.port])] });
      await answersAre(load, "b");
      await eventually("nothing is rejected any more", () => controlPlane.settled);
      assert.deepEqual([...(await load.stop()).failures], []);
    });
  });
}

/** Whatever an Envoy counts when it takes something up or lets it go. */
async function changes(envoy: EnvoyProcess): Promise<readonly number[]> {
  return Promise.all(
    [
      "cluster_manager.cluster_added",
      "cluster_manager.cluster_modified",
      "cluster_manager.cluster_removed",
      "listener_manager.listener_added",
      "listener_manager.listener_modified",
      "listener_manager.listener_removed",
      "cluster.first.membership_change",
    ].map((name) => envoy.stat(name)),
  );
}

function rejections(nodes: ReturnType<Awaited<ReturnType<typeof startControlPlane>>["nodes"]>): readonly string[] {
  return nodes.flatMap(({ types }) => types.flatMap(({ rejected }) => rejected?.message ?? []));
}

async function upstreams(t: TestContext) {
  const owner = lastFirst(t);
  const [a, b] = [await RawUpstream.listen(owner), await RawUpstream.listen(owner)];
  a.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na");
  b.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb");
  return { owner, a, b };
}
