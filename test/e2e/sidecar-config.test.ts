import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { adsBootstrap, edsCluster, startControlPlane, type TestControlPlane } from "../harness/control-plane.ts";
import { filterModule, router } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { startLoad } from "../harness/load.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import { type SidecarProcess, spawnSidecar } from "../harness/sidecar.ts";
import { answersAre, serverIs, swappedWorld } from "../harness/swapped-world.ts";

for (const { variant, concurrency } of [
  { variant: "sotw", concurrency: 3 },
  { variant: "delta", concurrency: 1 },
] as const) {
  describe(`a sidecar of ${concurrency} under a control plane (${variant})`, { concurrency: 2 }, () => {
    test("routes, endpoints, clusters and listeners are swapped under load, and no request is lost", async (t) => {
      const { controlPlane, sidecar, owner, a, b } = await start(t);
      controlPlane.set(swappedWorld({ to: "first", endpoints: { first: [a], second: [b] } }));
      await sidecar.untilReady();
      const port = await sidecar.port("in");
      const load = startLoad(`http://127.0.0.1:${port}/`, 8, t);
      owner.after(() => load.stop()); // or a failed test would never end
      for (let round = 0; round < 3; round++) {
        // The route goes to another cluster.
        controlPlane.set(swappedWorld({ to: "second", endpoints: { first: [a], second: [b] } }));
        await answersAre(load, "b");
        // The cluster's endpoints are others.
        controlPlane.set(swappedWorld({ to: "second", endpoints: { first: [a], second: [a] } }));
        await answersAre(load, "a");
        // At once another cluster comes, the route goes there, and the ones before are gone.
        controlPlane.set(
          swappedWorld({ to: "third", endpoints: { third: [b] }, cluster: { lb_policy: "LEAST_REQUEST" } }),
        );
        await answersAre(load, "b");
        // The clusters of before come again, and with them another connection manager.
        const back = { endpoints: { first: [a], second: [b] } };
        controlPlane.set(swappedWorld({ to: "first", ...back, http: { server_name: `round-${round}` } }));
        await answersAre(load, "a");
        await serverIs(`http://127.0.0.1:${port}/`, `round-${round}`);
      }
      const { requests, failures } = await load.stop();
      t.diagnostic(`${requests} requests`);
      assert.deepEqual([...failures], []);
    });

    test("statement 64: a listener's change lets the connections of before finish what they do, and closes them with it", async (t) => {
      const { controlPlane, sidecar, owner } = await start(t);
      const upstream = await RawUpstream.listen(owner);
      const before = { to: "one", endpoints: { one: [upstream] }, http: { server_name: "before" } };
      controlPlane.set(swappedWorld(before));
      await sidecar.untilReady();
      const port = await sidecar.port("in");
      const old = await RawPeer.connect(port, owner);
      await old.send("GET /old HTTP/1.1\r\nHost: a\r\n\r\n");
      const behind = await upstream.next();
      await behind.message();
      controlPlane.set(swappedWorld({ ...before, http: { server_name: "after" } }));
      await eventually("new connections meet the new one", async () => {
        const peer = await RawPeer.connect(port, owner);
        await peer.send("GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
        const fresh = await upstream.next();
        await fresh.message();
        await fresh.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        const { headers } = await peer.message();
        peer.socket.destroy();
        return headers.get("server") === "after";
      });
      await behind.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      const answer = await old.message();
      assert.equal(String(answer.body), "ok");
      assert.equal(answer.headers.get("server"), "before");
      assert.equal(answer.headers.get("connection"), "close");
      assert.equal(await old.readToEnd(), "");
      assert.equal(await sidecar.port("in"), port, "the address is the same");
    });

    test("a bad resource is rejected with every fault, the good ones beside it apply, and traffic goes on", async (t) => {
      const { controlPlane, sidecar, owner, a, b } = await start(t);
      const good = { to: "first", endpoints: { first: [a], second: [b] } };
      controlPlane.set(swappedWorld(good));
      await sidecar.untilReady();
      const load = startLoad(`http://127.0.0.1:${await sidecar.port("in")}/`, 4, t);
      owner.after(() => load.stop()); // or a failed test would never end
      await answersAre(load, "a");

      const bad = edsCluster("first", {
        lb_policy: "CLUSTER_PROVIDED",
        transport_socket: {
          name: "tls-of-nobody",
          typed_config: { "@type": "type.googleapis.com/google.protobuf.Struct", value: {} },
        },
      });
      const next = swappedWorld({ to: "third", endpoints: { third: [b], first: [a] } });
      controlPlane.set({ ...next, clusters: [bad, edsCluster("third")] });
      await answersAre(load, "b");
      await eventually("the rejection is told", () => controlPlane.rejection("cluster") !== undefined);
      const message = controlPlane.rejection("cluster") ?? "";
      assert.match(message, /first/);
      assert.match(message, /lb_policy/);
      assert.match(message, /transport_socket/);
      assert.doesNotMatch(message, /third/);
      assert.match(await sidecar.page("/clusters"), /^first::/m, "the last good one is kept");

      controlPlane.set(swappedWorld(good));
      await answersAre(load, "a");
      await eventually("nothing is rejected any more", () => controlPlane.settled);
      const { failures } = await load.stop();
      assert.deepEqual([...failures], []);
    });

    test("a listener whose filter module is not there is refused by path, and the one before serves on", async (t) => {
      const { controlPlane, sidecar, a } = await start(t);
      const good = { to: "first", endpoints: { first: [a] } };
      controlPlane.set(swappedWorld(good));
      await sidecar.untilReady();
      const url = `http://127.0.0.1:${await sidecar.port("in")}/`;
      controlPlane.set(swappedWorld({ ...good, http: { http_filters: [filterModule("./not-there.ts"), router] } }));
      await eventually("the rejection is told", () => controlPlane.rejection("listener") !== undefined);
      assert.match(
        controlPlane.rejection("listener") ?? "",
        /http_filters\[0\].*modulePath: cannot be loaded: .*not-there\.ts/,
      );
      assert.equal(await (await fetch(url)).text(), "a");
      controlPlane.set(swappedWorld(good));
      await eventually("nothing is rejected any more", () => controlPlane.settled);
    });

    test("a listener that is gone accepts nobody, and one that comes back does again", async (t) => {
      const { controlPlane, sidecar, a } = await start(t);
      const there = swappedWorld({ to: "first", endpoints: { first: [a] } });
      controlPlane.set(there);
      await sidecar.untilReady();
      const port = await sidecar.port("in");
      assert.equal(await accepts(port), true);
      controlPlane.set({ ...there, listeners: [] });
      await eventually("nobody is accepted", async () => !(await accepts(port)));
      assert.equal(await sidecar.listens("in"), false);
      controlPlane.set(there);
      await eventually("it listens again", () => sidecar.listens("in"));
      assert.equal(await accepts(await sidecar.port("in")), true);
    });

    test("endpoints are followed: others, more, none", async (t) => {
      const { controlPlane, sidecar, a, b } = await start(t);
      controlPlane.set(swappedWorld({ to: "first", endpoints: { first: [a] } }));
      await sidecar.untilReady();
      const url = `http://127.0.0.1:${await sidecar.port("in")}/`;
      const seen = async (): Promise<string> => {
        const answers = new Set<string>();
        for (let i = 0; i < 12; i++) {
          const response = await fetch(url);
          const body = await response.text();
          answers.add(response.status === 200 ? body : `${response.status} ${body}`);
        }
        return [...answers].sort().join(", ");
      };
      assert.equal(await seen(), "a");
      for (const [endpoints, expected] of [
        [[b], "b"],
        [[a, b], "a, b"],
        [[], "503 no healthy upstream"],
        [[a], "a"],
      ] as const) {
        controlPlane.set(swappedWorld({ to: "first", endpoints: { first: endpoints } }));
        await eventually(`answers are: ${expected}`, async () => (await seen()) === expected);
      }
    });

    // In delta a control plane says that they do not exist, and an Envoy too then serves the listener without them.
    const inSotw = variant === "sotw" ? test : undefined;
    inSotw?.("a listener whose routes have not come is not served, and the sidecar is not ready", async (t) => {
      const { controlPlane, sidecar, a } = await start(t);
      const whole = swappedWorld({ to: "first", endpoints: { first: [a] } });
      controlPlane.set({ ...whole, routes: [] });
      await sidecar.untilAdmin();
      await eventually("the listener has come", async () => (await sidecar.page("/config_dump")).includes('"in"'));
      assert.equal((await fetch(`http://${sidecar.admin}/ready`)).status, 503);
      assert.equal(await sidecar.listens("in"), false);
      controlPlane.set(whole);
      await sidecar.untilReady();
      assert.equal((await fetch(`http://127.0.0.1:${await sidecar.port("in")}/`)).status, 200);
    });

    async function start(t: TestContext): Promise<{
      owner: Owner;
      controlPlane: TestControlPlane;
      sidecar: SidecarProcess;
      a: RawUpstream;
      b: RawUpstream;
    }> {
      const owner = lastFirst(t);
      const [a, b] = [await RawUpstream.listen(owner), await RawUpstream.listen(owner)];
      a.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na");
      b.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb");
      const controlPlane = await startControlPlane(owner);
      const sidecar = spawnSidecar(adsBootstrap(controlPlane.port, variant), owner, { concurrency, drainTimeS: 2 });
      return { owner, controlPlane, sidecar, a, b };
    }
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
