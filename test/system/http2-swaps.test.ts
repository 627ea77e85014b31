import assert from "node:assert/strict";
import { type ChildProcess, execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, before, describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import {
  adsBootstrap,
  edsCluster,
  rds,
  startControlPlane,
  type TestControlPlane,
  type World,
} from "../harness/control-plane.ts";
import {
  cluster,
  http2Upstream,
  inlineRoutes,
  type Json,
  listener,
  loadAssignment,
  staticBootstrap,
  virtualHost,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { startHttp2Load } from "../harness/http2-load.ts";
import type { RunningLoad } from "../harness/load.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarProcess, spawnSidecar, startSidecar } from "../harness/sidecar.ts";

const H2LOAD = "/usr/bin/h2load";
const run = promisify(execFile);

describe("configuration is swapped and sidecars end under HTTP/2 load, and no exchange is lost", () => {
  const suite = lastFirst({ after });
  let a: number;
  let b: number;

  before(async () => {
    [a, b] = [await namedServer("a", suite), await namedServer("b", suite)];
  });

  /** One after the other: routes, endpoints, clusters, and back. */
  function* worlds(): Generator<[World, string]> {
    for (let round = 0; ; round += 1) {
      yield [world("second", { first: [a], second: [b] }), "b"];
      yield [world("second", { first: [a], second: [a] }), "a"];
      yield [world("third", { third: [b] }, { lb_policy: "LEAST_REQUEST" }), "b"];
      // With it another connection manager, so that the listener's connections are drained.
      yield [world("first", { first: [a], second: [b] }, {}, { server_name: `round-${round}` }), "a"];
    }
  }

  for (const concurrency of [1, 3]) {
    test(`routes, endpoints, clusters and listeners, with ${concurrency} workers`, async (t) => {
      const { controlPlane, sidecar, owner } = await start(t, concurrency);
      const load = startHttp2Load(`http://127.0.0.1:${await sidecar.port("in")}`, 4, 8, owner);
      const swaps = worlds();
      for (let i = 0; i < 12; i += 1) {
        const [next, answer] = swaps.next().value as [World, string];
        controlPlane.set(next);
        await answersAre(load, answer);
      }
      const { requests, failures } = await load.stop();
      t.diagnostic(`${requests} requests`);
      assert.deepEqual([...failures], []);
    });
  }

  const noH2load = !existsSync(H2LOAD) && `not installed: ${H2LOAD}`;
  test("h2load sees nothing of other routes, endpoints and clusters", { skip: noH2load }, async (t) => {
    const { controlPlane, sidecar, owner } = await start(t, 2);
    const url = `http://127.0.0.1:${await sidecar.port("in")}/`;
    const running = run(H2LOAD, ["-c8", "-m10", "-n20000", url], { timeout: 60_000 });
    const tool: ChildProcess = running.child;
    let swapped = 0;
    const probe = startHttp2Load(url, 1, 1, owner);
    for (const [next, answer] of worlds()) {
      // The listener stays: h2load does not dial again after a GOAWAY.
      controlPlane.set({ ...next, listeners: world("first", {}).listeners ?? [] });
      await eventually(`the answers are ${answer}`, () => probe.recent.at(-1) === answer);
      if (tool.exitCode !== null) break;
      swapped += 1;
    }
    const { stdout } = await running;
    t.diagnostic(`${swapped} swaps`);
    assert.match(stdout, /20000 succeeded, 0 failed, 0 errored, 0 timeout/);
    assert.match(stdout, /20000 2xx/);
    assert.ok(swapped >= 2);
    assert.deepEqual([...(await probe.stop()).failures], []);
  });

  test("a back sidecar ends while another takes over, the streams between the sidecars being drained", async (t) => {
    const owner = lastFirst(t);
    const bootstrap = (): Json =>
      staticBootstrap(
        [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "up")]), http: { codec_type: "AUTO" } })],
        [cluster("up", [a], http2Upstream())],
      );
    const backs = [await startSidecar(bootstrap(), owner, { drainTimeS: 3 }), await startSidecar(bootstrap(), owner)];
    const ports = await Promise.all(backs.map((back) => back.port("in")));
    const front = await startSidecar(
      staticBootstrap(
        [
          listener({
            name: "in",
            // Nobody has told the front that an endpoint is gone, so every second attempt dials it and is refused; only a retry
            // policy can make good for that. One in two to the power of 20 does not meet the other one.
            routes: inlineRoutes([
              virtualHost("*", "back", {
                retry_policy: {
                  retry_on: "connect-failure",
                  num_retries: 20,
                  retry_back_off: { base_interval: "0.005s" },
                },
              }),
            ]),
            http: { codec_type: "AUTO" },
          }),
        ],
        [
          cluster("back", ports, {
            ...http2Upstream(),
            // All that the load has at a time may be retries; of 3, the default, it would be told 503 (UO).
            circuit_breakers: { thresholds: [{ max_retries: 4 * 8 }] },
          }),
        ],
      ),
      owner,
    );
    const load = startHttp2Load(`http://127.0.0.1:${await front.port("in")}`, 4, 8, owner);
    await eventually("there is traffic", () => load.count > 500);
    backs[0]!.terminate();
    await backs[0]!.ended;
    const count = load.count;
    await eventually("traffic goes on", () => load.count > count + 500);
    const { requests, failures } = await load.stop();
    t.diagnostic(`${requests} requests`);
    assert.deepEqual([...failures], []);
    // The streams themselves needed no second attempt: what the back had been sent it has answered.
    assert.equal(await front.stat("cluster.back.upstream_cx_close_notify"), 1);
    for (const name of ["upstream_rq_replay", "upstream_rq_rx_reset", "upstream_cx_destroy_remote_with_active_rq"]) {
      assert.equal(await front.stat(`cluster.back.${name}`), 0, name);
    }
  });

  test("a front sidecar ends: every stream that it took is answered", async (t) => {
    const owner = lastFirst(t);
    const sidecar = await startSidecar(
      staticBootstrap(
        [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "up")]), http: { codec_type: "AUTO" } })],
        [cluster("up", [a], http2Upstream())],
      ),
      owner,
      { drainTimeS: 3 },
    );
    const load = startHttp2Load(`http://127.0.0.1:${await sidecar.port("in")}`, 4, 8, owner);
    await eventually("there is traffic", () => load.count > 500);
    sidecar.terminate();
    await sidecar.ended;
    const { requests, failures } = await load.stop();
    t.diagnostic(`${requests} requests`);
    // Whoever dials when nobody listens any more is refused, which is no lost exchange.
    assert.deepEqual(
      [...failures].filter(([what]) => !what.includes("ECONNREFUSED")),
      [],
    );
  });

  async function start(
    t: TestContext,
    concurrency: number,
  ): Promise<{ controlPlane: TestControlPlane; sidecar: SidecarProcess; owner: Owner }> {
    const owner = lastFirst(t);
    const controlPlane = await startControlPlane(owner, world("first", { first: [a], second: [b] }));
    const sidecar = spawnSidecar(adsBootstrap(controlPlane.port, "delta"), owner, { concurrency, drainTimeS: 2 });
    await sidecar.untilReady();
    return { controlPlane, sidecar, owner };
  }
});

function world(
  to: string,
  endpoints: Readonly<Record<string, readonly number[]>>,
  fields: Json = {},
  http: Json = {},
): World {
  return {
    listeners: [
      listener({ name: "in", routes: rds("all"), http: { codec_type: "AUTO", drain_timeout: "0.5s", ...http } }),
    ],
    routes: [{ name: "all", virtual_hosts: [virtualHost("*", to)] }],
    clusters: Object.keys(endpoints).map((name) => edsCluster(name, { ...http2Upstream(), ...fields })),
    endpoints: Object.entries(endpoints).map(([name, ports]) => loadAssignment(name, ports)),
  };
}

/** Answers everything with its name, over HTTP/2. */
async function namedServer(name: string, owner: Owner): Promise<number> {
  const server = createServer();
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200 });
    stream.end(name);
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  owner.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function answersAre(load: RunningLoad, body: string): Promise<void> {
  await eventually(`the answers are ${body}`, () => {
    const last = load.recent.slice(-40);
    return last.length === 40 && last.every((text) => text === body);
  });
}
