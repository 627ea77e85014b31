import assert from "node:assert/strict";
import { test } from "node:test";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import { startSidecar } from "../harness/sidecar.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/** A client between two requests has this long at least before the process ends its connection. */
const LINGER_MS = 1000;

/** Far more than any of these sidecars needs. */
const DRAIN_TIME_S = 60;

for (const concurrency of [1, 3]) {
  test(`at SIGTERM under load every client is told with an answer: no request is lost (${concurrency} workers)`, async (t) => {
    const owner = lastFirst(t);
    const upstream = await RawUpstream.listen(owner);
    upstream.answerAll(OK);
    const bootstrap = staticBootstrap(
      [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app")]) })],
      [cluster("app", [upstream.port])],
    );
    const sidecar = await startSidecar(bootstrap, owner, { concurrency, drainTimeS: DRAIN_TIME_S });
    const port = await sidecar.port("in");
    let answers = 0;

    /** One request behind the other until an answer says that it was the last. */
    const client = async (): Promise<string> => {
      const peer = await RawPeer.connect(port, owner);
      let answeredMs = performance.now();
      for (;;) {
        const pauseMs = performance.now() - answeredMs;
        try {
          await peer.send(GET);
          const answer = await peer.message();
          assert.equal(answer.status, 200);
          answers++;
          answeredMs = performance.now();
          if (answer.headers.get("connection") !== "close") continue;
          assert.equal(await peer.readToEnd(), "");
          return "told";
        } catch (error) {
          // A machine so busy that this client slept says nothing about the sidecar.
          return pauseMs >= LINGER_MS / 2 ? "slept" : String(error);
        }
      }
    };

    const clients = Array.from({ length: 12 }, client);
    while (answers < 500) await new Promise((resolve) => setImmediate(resolve));
    const began = performance.now();
    sidecar.terminate();
    const outcomes = await Promise.all(clients);
    assert.deepEqual(
      outcomes.filter((outcome) => outcome !== "told" && outcome !== "slept"),
      [],
    );
    assert.equal(await sidecar.ended, 0);
    assert.ok(
      performance.now() - began < (DRAIN_TIME_S * 1000) / 2,
      "it does not wait for the drain time when nothing is left",
    );
  });
}

test("a connection that is idle at SIGTERM has a moment for a request, and its answer says close", async (t) => {
  const owner = lastFirst(t);
  const upstream = await RawUpstream.listen(owner);
  upstream.answerAll(OK);
  const bootstrap = staticBootstrap(
    [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app")]) })],
    [cluster("app", [upstream.port])],
  );
  const sidecar = await startSidecar(bootstrap, owner, { drainTimeS: DRAIN_TIME_S });
  const port = await sidecar.port("in");
  const [busy, idle] = await Promise.all([RawPeer.connect(port, owner), RawPeer.connect(port, owner)]);
  await busy.send(GET);
  assert.equal((await busy.message()).headers.get("connection"), undefined);
  sidecar.terminate();
  const began = performance.now();
  for (let lastMs = began, closes = false; !closes; ) {
    const sentAtMs = performance.now();
    await busy.send(GET);
    if (performance.now() - lastMs >= LINGER_MS / 2) break; // this process has slept: its moment may be over
    const answer = await busy.message();
    closes = answer.headers.get("connection") === "close";
    assert.equal(answer.status, 200);
    // A request may be faster than the signal, which has to get to the worker.
    assert.ok(closes || performance.now() - began < (DRAIN_TIME_S * 1000) / 2, "no answer says close");
    lastMs = sentAtMs;
  }
  assert.equal(await idle.readToEnd(), "");
  assert.equal(await sidecar.ended, 0);
});

test("what an operator says on admin reaches the traffic: health checks that fail, listeners that drain", async (t) => {
  const owner = lastFirst(t);
  const upstream = await RawUpstream.listen(owner);
  upstream.answerAll(OK);
  const bootstrap = staticBootstrap(
    [
      listener({
        name: "in",
        routes: inlineRoutes([virtualHost("*", "app")]),
        filters: [
          {
            name: "envoy.filters.http.health_check",
            typed_config: {
              "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
              pass_through_mode: false,
              headers: [{ name: ":path", string_match: { exact: "/healthz" } }],
            },
          },
        ],
      }),
    ],
    [cluster("app", [upstream.port])],
  );
  const sidecar = await startSidecar(bootstrap, owner, { concurrency: 2 });
  const port = await sidecar.port("in");
  const say = async (path: string): Promise<void> => {
    const answer = await fetch(`http://${sidecar.admin}${path}`, { method: "POST" });
    assert.equal(answer.status, 200, path);
  };
  const ask = async (path = "/"): Promise<readonly [status: number, connection: string | undefined]> => {
    const peer = await RawPeer.connect(port, owner);
    await peer.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const { status, headers } = await peer.message();
    peer.end();
    return [status, headers.get("connection")];
  };
  const each = async (path: string, status: number, connection: string | undefined): Promise<boolean> => {
    // Connections go to either worker.
    for (let i = 0; i < 8; i++) {
      const [foundStatus, foundConnection] = await ask(path);
      if (foundStatus !== status || foundConnection !== connection) return false;
    }
    return true;
  };

  assert.ok(await each("/", 200, undefined));
  assert.ok(await each("/healthz", 200, undefined));
  await say("/healthcheck/fail");
  await eventually("answers close", () => each("/", 200, "close"));
  await eventually("health checks fail", () => each("/healthz", 503, "close"));
  assert.equal((await fetch(`http://${sidecar.admin}/ready`)).status, 503);
  assert.equal((await sidecar.stat("http.in.downstream_cx_drain_close")) > 0, true);
  await say("/healthcheck/ok");
  await eventually("answers do not close", () => each("/", 200, undefined));
  assert.equal(await sidecar.page("/ready"), "LIVE\n");

  const kept = await RawPeer.connect(port, owner);
  await kept.send(GET);
  await kept.message();
  await say("/drain_listeners");
  await eventually("nobody is let in", async () =>
    ask().then(
      () => false,
      () => true,
    ),
  );
  await kept.send(GET);
  assert.equal((await kept.message()).status, 200, "a connection of before goes on");
});
