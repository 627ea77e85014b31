import assert from "node:assert/strict";
import { test } from "node:test";
import { failure, ok } from "@heddle/base";
import { defineFilter } from "@heddle/filter";
import fc from "fast-check";
import { SERVING } from "../listener/serving-state.ts";
import { clusterConfig, Harness, type MemoryConnection, retryPolicy, routeTo } from "./testing-harness.ts";

/*
 * Whatever clients, upstreams, time and configuration do, in whatever order: every exchange ends and is logged once, and
 * nothing that was taken (connections, places in circuit breakers, timers) stays taken.
 */

const REQUESTS = [
  "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
  "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
  "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab",
  "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
  "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
  "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
  "cd",
  "0\r\n\r\n",
  "nonsense\r\n\r\n",
  "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
] as const;

const ANSWERS = [
  "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
  "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\npart",
  "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
  "HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy",
  "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhi",
  "HTTP/1.1 103 Early Hints\r\n\r\n",
  "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
  "HTTP/1.1 200 OK\r\n\r\nuntil the end",
  "garbage\r\n\r\n",
  "HTTP/1.1 100 Continue\r\n\r\n",
] as const;

const number = fc.nat({ max: 9 });
const clientSends = {
  do: fc.constant("client sends" as const),
  which: number,
  what: fc.nat({ max: REQUESTS.length - 1 }),
};
const upstreamSends = {
  do: fc.constant("upstream sends" as const),
  which: number,
  what: fc.nat({ max: ANSWERS.length - 1 }),
};
const step = fc.oneof(
  { arbitrary: fc.record(clientSends), weight: 4 },
  { arbitrary: fc.record(upstreamSends), weight: 4 },
  fc.record({
    do: fc.constantFrom(
      "client ends",
      "client breaks",
      "client stalls",
      "client reads",
      "client drains",
      "client drains gently",
      "listener drains",
      "health check fails",
      "upstream ends",
      "upstream breaks",
      "upstream stalls",
      "upstream reads",
      "dial fails",
      "time passes",
      "much time passes",
      "endpoints change",
      "cluster changes",
    ),
    which: number,
    what: number,
  }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

test("nothing is left behind, whatever happens", () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 10, maxLength: 60, size: "max" }),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      (steps, lazily, limited, proxied, asked) => {
        const most = limited ? 1 : 100;
        const thresholds = { maxConnections: most, maxPendingRequests: most, maxRequests: most + 1, maxRetries: 1 };
        const clusters = [
          clusterConfig("app", {
            circuitBreakers: { default: thresholds, high: thresholds },
            maxRequestsPerConnection: limited ? 2 : 0,
            maxConnectionDurationMs: limited ? 600 : 0,
            maxConnectionDurationJitterPercent: 50,
            maxStreamDurationMs: limited ? 250 : 0,
          }),
        ];
        const harness = new Harness({
          clusters,
          routes: routeTo("app", { timeoutMs: 300, retryPolicy: { ...retryPolicy, perTryTimeoutMs: 120 } }),
          manager: {
            streamIdleTimeoutMs: 400,
            idleTimeoutMs: 1000,
            drainTimeoutMs: 300,
            maxConnectionDurationMs: limited ? 700 : 0,
            maxStreamDurationMs: limited ? 350 : 0,
            requestTimeoutMs: limited ? 320 : 0,
            proxy100Continue: proxied,
            upgradeConfigs: [{ upgradeType: "websocket", enabled: true }],
          },
          filters: { hold: holding },
          bufferLimitBytes: 100,
          drain: { strategy: limited ? "gradual" : "immediate", timeMs: 500 },
        });
        harness.random = 2 ** 31;
        const clients = [harness.connect(), harness.connect(), harness.connect()];
        for (const next of steps) {
          play(harness, clients, next);
          if (!lazily || next.which % 3 === 0) harness.run();
        }
        harness.advance(50);
        // Every client's connection ends, asked to or by its timeouts, however little its peers cooperate.
        if (asked) for (const client of clients) client.http.drainGently(100);
        for (let i = 0; i < 50; i++) {
          harness.clock.advance(100);
          harness.run();
        }
        for (const client of clients) assert.ok(client.closed, "it has not ended");
        assert.deepEqual([harness.leaks(), harness.value("http.internal_error"), harness.problems], ["", 0, []]);
        assert.equal(new Set(harness.logged).size, harness.logged.length);
        assert.equal(harness.value("http.downstream_rq_total"), harness.logged.length);
      },
    ),
    { seed: 11, numRuns: 1000 },
  );
});

/** Lets every other request wait, and takes the second chunk of bodies as a whole. */
let turn = 0;
const holding = defineFilter({
  parse: () => ok(undefined),
  create: () => ({
    create: () => ({
      requestHead(exchange) {
        if (turn++ % 2 === 0) return "continue";
        exchange.after(20, () => exchange.continueRequest());
        return "pause";
      },
      responseData: (_exchange, _chunk, endStream) => (endStream ? "continue" : "buffer"),
      responseTrailers: () => "continue",
    }),
  }),
});

function play(
  harness: Harness,
  clients: readonly ReturnType<Harness["connect"]>[],
  { do: what, which, what: n }: Step,
): void {
  const client = clients[which % clients.length]!; // there are three
  const upstream: MemoryConnection | undefined = harness.upstreams[which % Math.max(1, harness.upstreams.length)];
  switch (what) {
    case "client sends":
      client.send(REQUESTS[n]!); // the arbitrary stays below the lengths of both lists
      return;
    case "upstream sends":
      upstream?.send(ANSWERS[n]!);
      return;
    case "client ends":
      client.sendEnd();
      return;
    case "client breaks":
      client.break(failure("downstream-reset", "downstream", "ECONNRESET"));
      return;
    case "client stalls":
    case "client reads":
      client.highWatermarkBytes = 10;
      client.stall(what === "client stalls");
      return;
    case "client drains":
      client.http.drain();
      return;
    case "client drains gently":
      client.http.drainGently(n * 30);
      return;
    case "listener drains":
      harness.manager.drainGradually();
      return;
    case "health check fails":
      harness.serving.publish({ ...SERVING, healthCheckFailed: n % 2 === 0 });
      return;
    case "upstream ends":
      upstream?.sendEnd();
      return;
    case "upstream breaks":
      upstream?.break();
      return;
    case "upstream stalls":
    case "upstream reads":
      if (upstream === undefined) return;
      upstream.highWatermarkBytes = 10;
      upstream.stall(what === "upstream stalls");
      return;
    case "dial fails":
      harness.dialFailures.push(failure("connect-refused", "upstream", "ECONNREFUSED", "safe"));
      return;
    case "time passes":
      harness.advance(25);
      return;
    case "much time passes":
      harness.advance(500);
      return;
    case "endpoints change":
      harness.configure({ endpoints: { app: n % 2 === 0 ? ["10.0.0.2:80"] : [] } });
      return;
    case "cluster changes":
      harness.configure({ clusters: [clusterConfig("app", { connectTimeoutMs: 1000 + n })] });
      return;
    default:
      throw new Error(`unknown step ${String(what satisfies never)}`);
  }
}
