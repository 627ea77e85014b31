import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { cluster, type Json, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst } from "../harness/owner.ts";
import { type RawMessage, RawPeer } from "../harness/raw-peer.ts";
import { scratchFolder } from "../harness/sidecar.ts";
import { type SidecarSlots, startSlots, untilLogged } from "../harness/sidecar-slots.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUSY = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";

/** Of a cluster. */
function http1(common_http_protocol_options: Json): Json {
  return {
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        common_http_protocol_options,
        explicit_http_config: { http_protocol_options: {} },
      },
    },
  };
}

for (const concurrency of [1, 3]) {
  describe(`a sidecar of ${concurrency} and its upstreams`, { concurrency: 8 }, () => {
    const suite = lastFirst({ after });
    let slots: SidecarSlots;
    let accessLog: string;

    before(async () => {
      const folder = scratchFolder(suite);
      accessLog = `${folder}/access.json`;
      slots = await startSlots(suite, {
        concurrency,
        folder,
        http: { server_header_transformation: "PASS_THROUGH" },
        slots: {
          shared: {},
          "idle-close-get": {},
          "idle-close-post": {},
          announced: { cluster: http1({ idle_timeout: "3600s" }) },
          "max-requests": {
            cluster: http1({ max_requests_per_connection: 3 }),
          },
          overflow: { cluster: { circuit_breakers: { thresholds: [{ max_requests: 2 }] } } },
          timeout: { route: { timeout: "0.2s" } },
          "per-try": {
            route: { retry_policy: { retry_on: "5xx", num_retries: 20, per_try_timeout: "0.2s" } },
          },
          retries: {
            route: {
              retry_policy: {
                retry_on: "5xx",
                num_retries: 2,
                retry_back_off: { base_interval: "0.005s", max_interval: "0.01s" },
              },
            },
          },
          "retries-used-up": {
            route: {
              retry_policy: {
                retry_on: "5xx",
                num_retries: 1,
                retry_back_off: { base_interval: "0.005s", max_interval: "0.01s" },
              },
            },
          },
          "retry-body": {
            route: {
              retry_policy: {
                retry_on: "connect-failure,reset",
                num_retries: 2,
                retry_back_off: { base_interval: "0.005s", max_interval: "0.01s" },
              },
            },
          },
          reset: {},
        },
        hosts: [
          virtualHost("refused", "nobody-listens"),
          virtualHost("empty", "no-endpoint"),
          virtualHost("unknown", "not-there"),
          {
            name: "some-paths",
            domains: ["some-paths"],
            routes: [{ match: { prefix: "/known" }, direct_response: { status: 204 } }],
          },
        ],
        clusters: [cluster("nobody-listens", [1]), cluster("no-endpoint", [])],
      });
    });

    /** One request on a connection of its own. */
    async function ask(host: string, request = "GET /", body = ""): Promise<RawMessage> {
      const owner = lastFirst({ after: () => undefined });
      const peer = await RawPeer.connect(slots.port, owner);
      const length = body === "" ? "" : `Content-Length: ${body.length}\r\n`;
      await peer.send(`${request} HTTP/1.1\r\nHost: ${host}\r\n${length}\r\n${body}`);
      const answer = await peer.message();
      peer.socket.destroy();
      return answer;
    }

    test("many clients, one after another, share few connections", async (t) => {
      const { host, upstream } = slots.slot("shared", t);
      upstream.answerAll(OK);
      for (let i = 0; i < 60; i++) assert.equal((await ask(host)).status, 200);
      const closedIdle = await slots.sidecar.stat("cluster.shared.upstream_cx_idle_timeout");
      assert.ok(upstream.accepted - closedIdle <= concurrency, `${upstream.accepted} connections for 60 requests`);
    });

    test("a GET that meets a connection which the upstream closes at that moment is sent again and succeeds", async (t) => {
      const { host, upstream, logged } = slots.slot("idle-close-get", t);
      // Every connection answers one request and is closed upon the second: the worst moment there is.
      upstream.serve(async (peer) => {
        await peer.message();
        await peer.send(OK);
        await peer.readUntil("\r\n\r\n");
        peer.socket.destroy();
      });
      for (let i = 0; i < 20; i++) assert.equal((await ask(host)).status, 200);
      const lines = await logged(20);
      assert.deepEqual([...new Set(lines.map(({ flags }) => flags))], ["-"]);
    });

    test("a POST that meets such a connection may have been processed, and is answered with 503 UC", async (t) => {
      const { host, upstream, logged } = slots.slot("idle-close-post", t);
      upstream.serve(async (peer) => {
        await peer.message();
        await peer.send(OK);
        await peer.message();
        peer.socket.destroy();
      });
      const statuses = new Set<number>();
      for (let i = 0; i <= concurrency * 3; i++) statuses.add((await ask(host, "POST /", "once")).status);
      assert.deepEqual([...statuses].sort(), [200, 503]);
      const lines = await logged(concurrency * 3 + 1);
      for (const line of lines) assert.equal(line.flags, line.status === 200 ? "-" : "UC");
    });

    test("a connection is retired before the time that the upstream announced for it", async (t) => {
      const { host, upstream, logged } = slots.slot("announced", t);
      // It never closes by itself, and the cluster would keep its connections for an hour: how long before the announced time
      // they are retired, idle-limit has tests of.
      upstream.serve(async (peer) => {
        await peer.message();
        await peer.send("HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nok");
        await peer.readToEnd();
        peer.end();
      });
      for (let round = 1; round <= 3; round++) {
        assert.equal((await ask(host, "POST /", "once")).status, 200);
        await eventually("the sidecar has retired its connection", () => upstream.open === 0);
        assert.equal(upstream.accepted, round);
      }
      for (const line of await logged(3)) assert.equal(line.flags, "-");
    });

    test("a connection carries no more requests than max_requests_per_connection", async (t) => {
      const { host, upstream } = slots.slot("max-requests", t);
      let most = 0;
      upstream.serve(async (peer) => {
        for (let count = 1; ; count++) {
          await peer.message();
          most = Math.max(most, count);
          await peer.send(OK);
        }
      });
      for (let i = 0; i < 12; i++) assert.equal((await ask(host)).status, 200);
      assert.ok(most <= 3, `${most} requests on one connection`);
      assert.ok(upstream.accepted >= 4, `${upstream.accepted} connections`);
    });

    test("above the circuit breaker's limit requests get 503 UO at once, whichever worker has them", async (t) => {
      const { host, upstream, logged } = slots.slot("overflow", t);
      const asked = Array.from({ length: 10 }, () => ask(host));
      const [first, second] = [await upstream.next(), await upstream.next()];
      const settled: RawMessage[] = [];
      for (const one of asked) void one.then((answer) => settled.push(answer));
      await eventually("8 requests are turned away", () => settled.length === 8);
      assert.ok(settled.every(({ status }) => status === 503));
      assert.ok(settled.every(({ headers }) => headers.get("x-envoy-overloaded") === "true"));
      for (const peer of [first, second]) {
        await peer.message();
        await peer.send(OK);
      }
      const statuses = (await Promise.all(asked)).map(({ status }) => status);
      assert.equal(statuses.filter((status) => status === 200).length, 2);
      const flags = (await logged(10)).map(({ status, flags }) => `${status} ${flags}`).sort();
      assert.deepEqual(flags, [...Array<string>(2).fill("200 -"), ...Array<string>(8).fill("503 UO")]);
      upstream.answerAll(OK);
      first.socket.destroy();
      second.socket.destroy();
      await eventually("the limit has room again", async () => (await ask(host)).status === 200);
    });

    test("an upstream where nobody listens is 503 UF", async () => {
      assert.equal((await ask("refused")).status, 503);
      const [line] = await untilLogged(accessLog, "refused", 1);
      assert.equal(line?.flags, "UF");
      assert.match(line?.details ?? "", /^upstream_reset_before_response_started\{/);
    });

    test("an upstream that answers too late is 504 UT, and is not listened to any more", async (t) => {
      const { host, upstream, logged } = slots.slot("timeout", t);
      const asked: RawPeer[] = [];
      upstream.serve(async (peer) => {
        await peer.message();
        asked.push(peer);
      });
      let requests = 0;
      // On a busy machine the time may be over before the connection is made.
      await eventually("a request has reached the upstream", async () => {
        requests++;
        assert.equal((await ask(host)).status, 504);
        return asked.length > 0;
      });
      assert.equal(await asked[0]?.readToEnd(), "");
      for (const { flags, details } of await logged(requests))
        assert.equal(`${flags} ${details}`, "UT response_timeout");
    });

    test("an attempt that takes too long is followed by another one", async (t) => {
      const { host, upstream, logged } = slots.slot("per-try", t);
      const answer = ask(host);
      const late = await upstream.next();
      // On a busy machine others may be too late as well.
      upstream.answerAll(OK);
      assert.equal((await answer).status, 200);
      const [line] = await logged();
      const tooLate = await slots.sidecar.stat("cluster.per-try.upstream_rq_per_try_timeout");
      assert.ok(tooLate >= 1);
      assert.equal(line?.attempts, 1 + tooLate);
      late.socket.destroy();
    });

    test("an answer of a retriable status is followed by another attempt", async (t) => {
      const { host, upstream, logged } = slots.slot("retries", t);
      let requests = 0;
      upstream.serve(async (peer) => {
        for (;;) {
          await peer.message();
          await peer.send(++requests < 3 ? BUSY : OK);
        }
      });
      assert.equal((await ask(host)).status, 200);
      const [line] = await logged();
      assert.equal(line?.attempts, 3);
      assert.equal(line?.flags, "-");
    });

    test("when the retries are used up the last answer is the client's, with URX", async (t) => {
      const { host, upstream, logged } = slots.slot("retries-used-up", t);
      upstream.answerAll(BUSY);
      const answer = await ask(host);
      assert.equal(answer.status, 503);
      assert.equal(String(answer.body), "busy");
      const [line] = await logged();
      assert.equal(line?.flags, "URX");
      assert.equal(line?.attempts, 2);
    });

    test("a retried request has its body again", async (t) => {
      const { host, upstream } = slots.slot("retry-body", t);
      const body = "b".repeat(50_000);
      const answer = ask(host, "POST /", body);
      const first = await upstream.next();
      await first.message();
      first.reset();
      const second = await upstream.next();
      assert.equal(String((await second.message()).body), body);
      await second.send(OK);
      assert.equal((await answer).status, 200);
    });

    test("an upstream that breaks a fresh connection before an answer is 503 UC", async (t) => {
      const { host, upstream, logged } = slots.slot("reset", t);
      upstream.serve(async (peer) => {
        await peer.message();
        peer.reset();
      });
      const answer = await ask(host);
      assert.equal(answer.status, 503);
      assert.match(String(answer.body), /^upstream connect error or disconnect\/reset before headers/);
      const [line] = await logged();
      assert.equal(line?.flags, "UC");
      assert.equal(upstream.accepted, 1);
    });

    for (const [what, host, path, status, flags] of [
      ["a route to a cluster that does not exist", "unknown", "/", 503, "NC"],
      ["a host that no virtual host has", "nobody", "/", 404, "NR"],
      ["a path that no route has", "some-paths", "/unknown", 404, "NR"],
      ["a cluster without endpoints", "empty", "/", 503, "UH"],
    ] as const) {
      test(`${what} is ${status} ${flags}`, async () => {
        assert.equal((await ask(host, `GET ${path}`)).status, status);
        const [line] = await untilLogged(accessLog, host, 1);
        assert.equal(`${line?.status} ${line?.flags}`, `${status} ${flags}`);
      });
    }
  });
}
