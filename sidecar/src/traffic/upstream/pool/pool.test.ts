import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure } from "@heddle/base";
import { HeaderMap, RequestHead } from "@heddle/http";
import { clusterConfig, Harness, type HarnessOptions } from "../../http/testing-harness.ts";
import type { SslStats } from "../../tls/ssl-stats.ts";
import { idleLimitMs } from "./idle-limit.ts";
import { poolKey } from "./pool-key.ts";

const REQUEST = new RequestHead("GET", "http", "a", "/", new HeaderMap());
const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

function withHarness(options: HarnessOptions, body: (harness: Harness) => void): void {
  const harness = new Harness(options);
  body(harness);
  assert.equal(harness.leaks(), "");
}

/** Sends that many requests at the same time, each from a client of its own, and answers them. */
function burst(harness: Harness, count: number, answer = OK): void {
  const from = harness.upstreams.length;
  for (let i = 0; i < count; i++) harness.connect().send(GET);
  harness.run();
  for (const upstream of harness.upstreams) if (upstream.take() !== "") upstream.send(answer);
  harness.run();
  assert.ok(harness.upstreams.length - from <= count);
}

function countsOf(harness: Harness) {
  const cluster = harness.runtime.current.clusters.get("app");
  const endpoint = [...(cluster?.endpoints?.byKey.values() ?? [])][0];
  return endpoint === undefined ? undefined : cluster?.pool(endpoint, REQUEST).counts;
}

describe("a pool", () => {
  test("makes one connection for each request that finds none, and uses the last one first", () => {
    withHarness({}, (harness) => {
      burst(harness, 3);
      assert.deepEqual(countsOf(harness), { idle: 3, connections: 3, waiting: 0, dialling: 0 });
      harness.connect().send(GET);
      harness.run();
      assert.match(harness.upstream(2).take(), /^GET/);
      assert.equal(harness.upstreams.length, 3);
      harness.upstream(2).send(OK);
      harness.run();
    });
  });

  test("retires idle connections after 4 s where nobody says anything else", () => {
    withHarness({}, (harness) => {
      burst(harness, 1);
      harness.advance(3990);
      assert.equal(harness.upstream().closed, false);
      harness.advance(20);
      assert.equal(harness.upstream().closed, true);
      assert.equal(harness.value("cluster.upstream_cx_idle_timeout"), 1);
    });
  });

  test("honours what the upstream announces", () => {
    withHarness({}, (harness) => {
      burst(harness, 1, "HTTP/1.1 200 OK\r\nkeep-alive: timeout=10\r\ncontent-length: 0\r\n\r\n");
      harness.advance(8990);
      assert.equal(harness.upstream().closed, false);
      harness.advance(20);
      assert.equal(harness.upstream().closed, true);
    });
  });

  test("forgets a connection that the upstream closes while it is idle", () => {
    withHarness({}, (harness) => {
      burst(harness, 1);
      harness.upstream().sendEnd();
      harness.run();
      assert.deepEqual(countsOf(harness), { idle: 0, connections: 0, waiting: 0, dialling: 0 });
      burst(harness, 1);
      assert.equal(harness.upstreams.length, 2);
    });
  });

  test("does not keep a connection on which unasked bytes came, nor one that says close", () => {
    withHarness({}, (harness) => {
      burst(harness, 1, `${OK}HTTP/1.1 200 OK\r\n`);
      assert.equal(harness.upstream(0).closed, true);
      burst(harness, 1, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
      assert.equal(harness.upstream(1).closed, true);
    });
  });

  test("keeps to the limits on requests and on age of a connection", () => {
    withHarness({ clusters: [clusterConfig("app", { maxRequestsPerConnection: 2 })] }, (harness) => {
      burst(harness, 1);
      burst(harness, 1);
      assert.equal(harness.upstream(0).closed, true);
      assert.equal(harness.value("cluster.upstream_cx_max_requests"), 1);
    });
    withHarness({ clusters: [clusterConfig("app", { maxConnectionDurationMs: 500 })] }, (harness) => {
      burst(harness, 1);
      harness.advance(510);
      assert.equal(harness.upstream().closed, true);
    });
  });

  test("a connection's age has a limit of its own where there is jitter", () => {
    const cluster = clusterConfig("app", {
      maxConnectionDurationMs: 1000,
      maxConnectionDurationJitterPercent: 50,
      idleTimeoutMs: 0,
    });
    for (const [random, atMs] of [
      [0, 1000],
      [5000, 1250],
      [9999, 1499],
    ] as const) {
      withHarness({ clusters: [cluster] }, (harness) => {
        harness.random = random;
        burst(harness, 1);
        harness.random = 0;
        harness.advance(atMs - 10);
        assert.equal(harness.upstream().closed, false, `${random}`);
        harness.advance(20);
        assert.equal(harness.upstream().closed, true, `${random}`);
        assert.equal(harness.value("cluster.upstream_cx_max_duration_reached"), 1);
      });
    }
  });

  test("an age that is reached while a request is under way ends the connection behind its answer", () => {
    withHarness({ clusters: [clusterConfig("app", { maxConnectionDurationMs: 1000 })] }, (harness) => {
      const client = harness.connect();
      client.send(GET);
      harness.advance(3000);
      assert.equal(harness.upstream().closed, false);
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /ok$/);
      assert.equal(harness.upstream().closed, true);
    });
  });

  test("the end of a connection is counted by who ended it, and whether it broke a request", () => {
    withHarness({}, (harness) => {
      const counts = (): number[] =>
        ["", "_local", "_remote", "_with_active_rq", "_local_with_active_rq", "_remote_with_active_rq"].map((suffix) =>
          harness.value(`cluster.upstream_cx_destroy${suffix}`),
        );
      burst(harness, 1);
      harness.upstream().sendEnd();
      harness.run();
      assert.deepEqual(counts(), [1, 0, 1, 0, 0, 0]);
      burst(harness, 1);
      harness.advance(5000);
      assert.deepEqual(counts(), [2, 1, 1, 0, 0, 0], "idle for too long");
      harness.connect().send(GET);
      harness.run();
      harness.upstream(2).break();
      harness.run();
      assert.deepEqual(counts(), [3, 1, 2, 1, 0, 1]);
      harness.connect().send(GET);
      harness.run();
      harness.upstream(3).send("HTTP/1.1 nonsense\r\n\r\n");
      harness.run();
      assert.equal(harness.value("cluster.upstream_cx_protocol_error"), 1);
      assert.equal(harness.value("cluster.upstream_cx_http1_total"), 4);
    });
  });

  test("an upstream that half-closes behind its answer has given it, and the connection is not used again", () => {
    withHarness({}, (harness) => {
      const client = harness.connect();
      client.send(GET);
      harness.run();
      harness.upstream().send(OK);
      harness.upstream().sendEnd();
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 .*ok$/s);
      client.send(GET);
      harness.run();
      assert.equal(harness.upstreams.length, 2);
    });
  });

  test("an answer before the request was whole is passed on, and its connection is not used again", () => {
    withHarness({}, (harness) => {
      const client = harness.connect();
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf ");
      harness.run();
      harness.upstream().send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 403 .*no$/s);
      assert.equal(harness.upstream().closed, true);
      assert.equal(harness.value("http.downstream_rq_response_before_rq_complete"), 1);
      client.send("whole");
      client.send(GET);
      harness.run();
      assert.match(harness.upstream(1).take(), /^GET /, "what was left of the request went nowhere");
    });
  });

  test("HTTP/1.0 is kept only where it says so", () => {
    withHarness({}, (harness) => {
      burst(harness, 1, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok");
      assert.equal(harness.upstream().closed, true);
      burst(harness, 1, "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok");
      assert.equal(harness.upstream(1).closed, false);
    });
  });

  test("a failed dial fails the request that came first; the others wait for theirs", () => {
    withHarness({}, (harness) => {
      harness.dialFailures.push(failure("connect-timeout", "upstream", "timed out", "safe"));
      const first = harness.connect();
      const second = harness.connect();
      first.send(GET);
      second.send(GET);
      harness.run();
      assert.match(first.take(), /^HTTP\/1\.1 503 /);
      assert.equal(harness.upstreams.length, 1);
      harness.upstream().send(OK);
      harness.run();
      assert.match(second.take(), /^HTTP\/1\.1 200 /);
      assert.equal(harness.value("cluster.upstream_cx_connect_timeout"), 1);
    });
  });

  test("what was dialled for a client that left serves the next one", () => {
    withHarness({}, (harness) => {
      harness.holdDials = true;
      const leaving = harness.connect();
      leaving.send(GET);
      harness.run();
      leaving.break();
      harness.run();
      assert.deepEqual(countsOf(harness), { idle: 0, connections: 0, waiting: 0, dialling: 1 });
      harness.holdDials = false;
      harness.run();
      burst(harness, 1);
      assert.equal(harness.upstreams.length, 1);
    });
  });

  test("always makes one connection, whatever other pools of the cluster use up", () => {
    const thresholds = { maxConnections: 1, maxPendingRequests: 9, maxRequests: 9, maxRetries: 0 };
    const clusters = [clusterConfig("app", { circuitBreakers: { default: thresholds, high: thresholds } })];
    withHarness({ clusters, endpoints: { app: ["10.0.0.1:80", "10.0.0.2:80"] } }, (harness) => {
      burst(harness, 2);
      assert.deepEqual(harness.upstreams.map(({ address }) => address).sort(), ["10.0.0.1:80", "10.0.0.2:80"]);
      assert.equal(harness.value("cluster.upstream_cx_overflow"), 1);
    });
  });
});

describe("when the configuration changes", () => {
  test("an endpoint that leaves loses its idle connections at once and the others after their exchange", () => {
    withHarness({}, (harness) => {
      burst(harness, 2);
      const busy = harness.connect();
      busy.send(GET);
      harness.run();
      harness.configure({ endpoints: { app: ["10.0.0.9:80"] } });
      harness.run();
      assert.equal(harness.upstream(0).closed, true);
      assert.equal(harness.upstream(1).closed, false);
      harness.upstream(1).send(OK);
      harness.run();
      assert.match(busy.take(), /^HTTP\/1\.1 200 /);
      assert.equal(harness.upstream(1).closed, true);
      burst(harness, 1);
      assert.equal(harness.upstream(2).address, "10.0.0.9:80");
    });
  });

  test("statement 63: an endpoint that stays keeps its connections", () => {
    withHarness({}, (harness) => {
      burst(harness, 1);
      harness.configure({ endpoints: { app: ["10.0.0.1:80", "10.0.0.2:80"] } });
      assert.equal(countsOf(harness)?.idle, 1);
    });
  });

  test("a cluster with the same content stays the same object; a changed one is drained", () => {
    withHarness({}, (harness) => {
      const before = harness.runtime.current.clusters.get("app");
      burst(harness, 1);
      harness.configure({});
      assert.equal(harness.runtime.current.clusters.get("app"), before);
      harness.configure({ clusters: [clusterConfig("app", { connectTimeoutMs: 1 })] });
      assert.notEqual(harness.runtime.current.clusters.get("app"), before);
      harness.run();
      assert.equal(harness.upstream(0).closed, true);
    });
  });
});

test("what must be equal to share a connection is in the key", () => {
  const identity = {
    address: { type: "socket" as const, address: "10.0.0.1", port: 80 },
    protocol: "http1" as const,
    tls: undefined,
    source: undefined,
    socketOptions: "",
    preface: "",
  };
  const client = { current: undefined };
  const stats = {} as SslStats; // not asked
  const tls = {
    serverName: "a",
    verifiedName: undefined,
    certificate: "c",
    verification: "v",
    client,
    istio: false,
    stats,
  };
  const keys = [
    identity,
    { ...identity, address: { type: "pipe" as const, path: "10.0.0.1:80", mode: undefined } },
    { ...identity, socketOptions: "keepalive" },
    { ...identity, protocol: "http2" as const },
    { ...identity, protocol: "auto" as const },
    { ...identity, tls },
    { ...identity, tls: { ...tls, serverName: "b" } },
    { ...identity, tls: { ...tls, verifiedName: "a" } },
    { ...identity, tls: { ...tls, certificate: "d" } },
    { ...identity, tls: { ...tls, verification: "w" } },
  ].map(poolKey);
  assert.equal(new Set(keys).size, keys.length);
});

test("an idle connection is retired a second before the server does it, after half of the time at least", () => {
  assert.equal(idleLimitMs(undefined, undefined), 4000);
  assert.equal(idleLimitMs(undefined, 5000), 4000);
  assert.equal(idleLimitMs(undefined, 1000), 500);
  assert.equal(idleLimitMs(undefined, 60_000), 59_000);
  assert.equal(idleLimitMs(10_000, 60_000), 10_000);
  assert.equal(idleLimitMs(10_000, 5000), 4000);
  assert.equal(idleLimitMs(0, undefined), 0);
  assert.equal(idleLimitMs(0, 5000), 4000);
});
