import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure } from "@heddle/base";
import type { UpstreamState } from "@heddle/filter";
import { HeaderMap, RequestHead } from "@heddle/http";
import { type ClusterConfig, defaultHttp2Options, type EndpointsConfig } from "@heddle/traffic";
import type { MemoryConnection } from "../../http/testing-connection.ts";
import {
  clusterConfig,
  endpointsConfig,
  Harness,
  type HarnessOptions,
  retryPolicy,
  routeTo,
} from "../../http/testing-harness.ts";
import { sendSideRequest } from "../side-request.ts";
import {
  ENABLE_CONNECT_PROTOCOL,
  INTERNAL_ERROR,
  MAX_CONCURRENT_STREAMS,
  REFUSED_STREAM,
  ScriptedH2Server,
} from "./scripted-h2-server.ts";

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody";

/** A proxy before HTTP/2 servers. */
class Http2Harness extends Harness {
  readonly #servers: ScriptedH2Server[] = [];

  constructor(config: Partial<ClusterConfig> = {}, options: HarnessOptions = {}) {
    super({ clusters: [clusterConfig("app", { upstreamProtocol: "http2", ...config })], ...options });
  }

  /** The n-th upstream connection, with all that has come on it. */
  server(n = 0): ScriptedH2Server {
    this.#servers[n] ??= new ScriptedH2Server(this.upstream(n));
    return this.#servers[n].read();
  }

  /** Sends a request from each of that many clients. */
  ask(count = 1, request = GET): MemoryConnection[] {
    const clients = Array.from({ length: count }, () => this.connect());
    for (const client of clients) client.send(request);
    this.run();
    return clients;
  }

  get pool() {
    const cluster = this.runtime.current.clusters.get("app");
    const [endpoint] = cluster?.endpoints?.byKey.values() ?? [];
    assert.ok(cluster !== undefined && endpoint !== undefined);
    return cluster.pool(endpoint, new RequestHead("GET", "http", "a", "/", new HeaderMap()));
  }
}

function withHarness(harness: Http2Harness, body: (harness: Http2Harness) => void): void {
  body(harness);
  assert.equal(harness.leaks(), "");
}

const statusOf = (client: MemoryConnection): string => /^HTTP\/1\.1 (\d+)/.exec(client.take())?.[1] ?? "none";

function limited(maxConnections: number, maxPendingRequests = 99, maxRequests = 99): Partial<ClusterConfig> {
  const thresholds = { maxConnections, maxPendingRequests, maxRequests, maxRetries: 3 };
  return { circuitBreakers: { default: thresholds, high: thresholds } };
}

describe("a pool of HTTP/2 connections", () => {
  test("gives one connection to all requests that it can carry", () => {
    withHarness(new Http2Harness(), (harness) => {
      const clients = harness.ask(5);
      assert.equal(harness.upstreams.length, 1);
      assert.deepEqual(harness.identities[0]?.protocol, "http2");
      harness
        .server()
        .settings()
        .answer(...harness.server().streams);
      harness.run();
      assert.deepEqual(clients.map(statusOf), Array<string>(5).fill("200"));
      const [later] = harness.ask();
      assert.equal(harness.upstreams.length, 1);
      assert.deepEqual(harness.server().streams, [1, 3, 5, 7, 9, 11]);
      harness.server().answer(11);
      harness.run();
      assert.equal(later && statusOf(later), "200");
      assert.deepEqual(harness.pool.counts, { idle: 1, connections: 1, waiting: 0, dialling: 0 });
      assert.equal(harness.value("cluster.upstream_cx_http2_total"), 1);
      const { httpVersion, wireBytesSent, wireBytesReceived, connectionReused } = harness.logged[5]!
        .upstream as UpstreamState;
      assert.deepEqual([httpVersion, connectionReused], ["2", true]);
      // One frame each way, which HPACK has shortened by what the five before it said.
      assert.ok(wireBytesSent > 9 && wireBytesSent < 60, `${wireBytesSent} bytes`);
      assert.equal(wireBytesReceived, 10);
      assert.equal(harness.value("cluster.upstream_cx_http1_total"), 0);
    });
  });

  test("makes as many connections as its requests need at the limit that the peer has told", () => {
    withHarness(new Http2Harness(), (harness) => {
      harness.ask();
      harness.server().settings({ [MAX_CONCURRENT_STREAMS]: 2 });
      harness.run();
      harness.ask(6);
      assert.equal(harness.upstreams.length, 4, "2 on the first, and room for 5 more on three");
      for (const n of [0, 1, 2, 3]) harness.server(n).settings({ [MAX_CONCURRENT_STREAMS]: 2 });
      harness.run();
      assert.deepEqual(
        [0, 1, 2, 3].map((n) => harness.server(n).streams.length),
        [2, 2, 2, 1],
      );
    });
  });

  test("holds to its own limit of streams below the peer's", () => {
    const http2 = { ...defaultHttp2Options, maxConcurrentStreams: 3 };
    withHarness(new Http2Harness({ http2 }), (harness) => {
      harness.ask(7);
      assert.deepEqual(
        harness.upstreams.map((_, n) => harness.server(n).streams.length),
        [3, 3, 1],
      );
    });
  });

  test("makes requests wait where the circuit breaker allows no further connection, until a stream has ended", () => {
    withHarness(new Http2Harness(limited(1)), (harness) => {
      const [first] = harness.ask();
      harness.server().settings({ [MAX_CONCURRENT_STREAMS]: 1 });
      harness.run();
      const [second, third] = harness.ask(2);
      assert.deepEqual(harness.pool.counts, { idle: 0, connections: 1, waiting: 2, dialling: 0 });
      assert.equal(harness.value("cluster.upstream_rq_pending_active"), 2);
      harness.server().answer(1);
      harness.run();
      assert.equal(first && statusOf(first), "200");
      assert.deepEqual(harness.server().streams, [1, 3]);
      harness.server().answer(3);
      harness.run();
      harness.server().answer(5);
      harness.run();
      assert.deepEqual(
        [second, third].map((client) => client && statusOf(client)),
        ["200", "200"],
      );
      assert.equal(harness.upstreams.length, 1);
    });
  });

  test("turns requests away when too many wait for a stream, or are under way", () => {
    withHarness(new Http2Harness(limited(1, 1)), (harness) => {
      harness.ask();
      harness.server().settings({ [MAX_CONCURRENT_STREAMS]: 1 });
      harness.run();
      const [waiting, refused] = harness.ask(2);
      assert.equal(refused && statusOf(refused), "503");
      assert.equal(harness.value("cluster.upstream_rq_pending_overflow"), 1);
      harness.server().answer(1);
      harness.run();
      harness.server().answer(3);
      harness.run();
      assert.equal(waiting && statusOf(waiting), "200");
    });
    withHarness(new Http2Harness(limited(9, 9, 2)), (harness) => {
      const clients = harness.ask(3);
      assert.deepEqual(harness.server().streams, [1, 3]);
      assert.deepEqual(clients.map(statusOf), ["none", "none", "503"]);
    });
  });

  test("makes no further connection while the peer allows no stream at all", () => {
    withHarness(new Http2Harness(), (harness) => {
      harness.ask();
      harness
        .server()
        .settings({ [MAX_CONCURRENT_STREAMS]: 0 })
        .answer(1);
      harness.run();
      const clients = harness.ask(3);
      assert.deepEqual(harness.pool.counts, { idle: 0, connections: 1, waiting: 3, dialling: 0 });
      harness.server().settings({ [MAX_CONCURRENT_STREAMS]: 5 });
      harness.run();
      harness.server().answer(3, 5, 7);
      harness.run();
      assert.deepEqual(clients.map(statusOf), ["200", "200", "200"]);
    });
  });

  test("a dial that failed fails all requests that waited for it", () => {
    withHarness(new Http2Harness(), (harness) => {
      harness.dialFailures.push(failure("connect-refused", "upstream", "refused", "safe"));
      const clients = harness.ask(3);
      assert.deepEqual(clients.map(statusOf), ["503", "503", "503"]);
      assert.equal(harness.value("cluster.upstream_rq_pending_failure_eject"), 3);
      assert.equal(harness.upstreams.length, 0);
    });
  });

  test("a client that leaves resets its stream and disturbs no other", () => {
    withHarness(new Http2Harness(), (harness) => {
      const [leaving, staying] = harness.ask(2);
      leaving?.break();
      harness.run();
      assert.deepEqual(harness.server().resets, [1]);
      harness.server().settings().answer(3);
      harness.run();
      assert.equal(staying && statusOf(staying), "200");
      assert.equal(harness.upstreams.length, 1);
    });
  });

  test("ends a connection that has had no stream for the idle timeout, and none that has one", () => {
    withHarness(new Http2Harness({ idleTimeoutMs: 1000 }), (harness) => {
      const [client] = harness.ask();
      harness.advance(3000);
      assert.equal(harness.upstream().closed, false);
      harness.server().settings().answer(1);
      harness.run();
      assert.equal(client && statusOf(client), "200");
      harness.advance(980);
      assert.equal(harness.upstream().closed, false);
      harness.advance(40);
      assert.equal(harness.upstream().closed, true);
      assert.equal(harness.value("cluster.upstream_cx_idle_timeout"), 1);
    });
  });

  test("takes a connection that is old enough, or has carried enough, out of use behind its last stream", () => {
    withHarness(new Http2Harness({ maxConnectionDurationMs: 1000 }), (harness) => {
      const [slow] = harness.ask();
      harness.advance(1010);
      assert.equal(harness.upstream().closed, false);
      harness.ask();
      assert.equal(harness.upstreams.length, 2);
      harness.server(0).settings().answer(1);
      harness.run();
      assert.equal(slow && statusOf(slow), "200");
      assert.equal(harness.upstream(0).closed, true);
      assert.equal(harness.value("cluster.upstream_cx_max_duration_reached"), 1);
    });
    withHarness(new Http2Harness({ maxRequestsPerConnection: 2 }), (harness) => {
      harness.ask(5);
      assert.deepEqual(
        harness.upstreams.map((_, n) => harness.server(n).streams.length),
        [2, 2, 1],
      );
      assert.equal(harness.value("cluster.upstream_cx_max_requests"), 2);
      harness.server(0).settings().answer(1, 3);
      harness.run();
      assert.equal(harness.upstream(0).closed, true);
    });
  });

  test("an endpoint that leaves finishes its streams", () => {
    withHarness(new Http2Harness(), (harness) => {
      const [client] = harness.ask();
      harness.configure({
        clusters: [clusterConfig("app", { upstreamProtocol: "http2" })],
        endpoints: { app: ["10.0.0.9:80"] },
      });
      harness.run();
      assert.equal(harness.upstream().closed, false);
      harness.server().settings().answer(1);
      harness.run();
      assert.equal(client && statusOf(client), "200");
      assert.equal(harness.upstream().closed, true);
    });
  });

  test("other workers are not asked for a connection, nor given one", () => {
    const harness = new Http2Harness();
    Object.assign(harness.env, { sharing: { join: () => assert.fail("HTTP/2 connections stay where they are") } });
    withHarness(harness, () => harness.ask());
  });
});

describe("an upstream that goes away", () => {
  test("finishes what it has begun, and the rest goes to the next connection, a POST too", () => {
    withHarness(new Http2Harness(), (harness) => {
      const clients = harness.ask(4, POST);
      harness.server().settings().goAway(3);
      harness.run();
      assert.equal(harness.upstreams.length, 2);
      assert.deepEqual(harness.server(1).streams, [1, 3]);
      assert.deepEqual([...harness.server(1).data.values()], ["body", "body"]);
      harness.ask();
      assert.equal(harness.upstreams.length, 2, "new requests go to the new connection");
      harness.server(0).answer(1, 3);
      harness.server(1).settings().answer(1, 3, 5);
      harness.run();
      assert.deepEqual(clients.map(statusOf), Array<string>(4).fill("200"));
      assert.equal(harness.upstream(0).closed, true);
      assert.equal(harness.upstream(1).closed, false);
      assert.equal(harness.value("cluster.upstream_cx_close_notify"), 1);
      assert.equal(harness.value("cluster.upstream_rq_replay"), 2);
    });
  });

  test("is left behind even where the circuit breaker has no room, or its long streams would hold up all others", () => {
    withHarness(new Http2Harness(limited(1)), (harness) => {
      harness.ask();
      harness.server().settings({ [MAX_CONCURRENT_STREAMS]: 1 });
      harness.run();
      harness.ask();
      assert.equal(harness.upstreams.length, 1);
      harness.server().goAway(1);
      harness.run();
      assert.equal(harness.upstreams.length, 2);
      assert.deepEqual(harness.server(1).streams, [1]);
    });
  });

  test("a refused stream is sent again at most three times", () => {
    withHarness(new Http2Harness(), (harness) => {
      const [client] = harness.ask(1, POST);
      harness.server().settings();
      for (let attempt = 0; attempt < 4; attempt++) {
        assert.equal(harness.server().streams.length, attempt + 1);
        harness.server().reset(harness.server().streams[attempt]!, REFUSED_STREAM); // it has as many
        harness.run();
      }
      assert.equal(client && statusOf(client), "503");
      assert.equal(harness.server().streams.length, 4);
      assert.equal(harness.upstreams.length, 1);
    });
  });

  test("then a retry policy that names refused streams has its turn", () => {
    const routes = routeTo("app", { retryPolicy: { ...retryPolicy, retryOn: ["refused-stream"] } });
    withHarness(new Http2Harness({}, { routes }), (harness) => {
      const [client] = harness.ask(1, POST);
      harness.server().settings();
      for (let attempt = 0; attempt < 5; attempt++) {
        harness.server().reset(harness.server().streams[attempt]!, REFUSED_STREAM); // it has as many
        harness.advance(30);
      }
      assert.equal(client && statusOf(client), "503");
      assert.equal(harness.server().streams.length, 5);
      assert.equal(harness.value("cluster.upstream_rq_replay"), 3);
      assert.equal(harness.value("cluster.upstream_rq_retry"), 1);
    });
  });

  test("an answer of gRPC that a retry policy names is followed by another attempt", () => {
    const routes = routeTo("app", { retryPolicy: { ...retryPolicy, retryOn: ["unavailable"] } });
    withHarness(new Http2Harness({}, { routes }), (harness) => {
      const [client] = harness.ask(1, POST);
      harness.server().settings().grpcStatus(1, 14);
      harness.advance(30);
      harness.server().grpcStatus(3, 0);
      harness.run();
      assert.match(client?.take() ?? "", /grpc-status: 0/);
      assert.equal(harness.upstreams.length, 1);
      assert.equal(harness.value("cluster.upstream_rq_retry_success"), 1);
    });
  });

  test("any other reset is the answer, and says nothing about the connection", () => {
    withHarness(new Http2Harness(), (harness) => {
      const [broken, other] = harness.ask(2);
      harness.server().settings().reset(1, INTERNAL_ERROR).answer(3);
      harness.run();
      assert.deepEqual(
        [broken, other].map((client) => client && statusOf(client)),
        ["503", "200"],
      );
      assert.equal(harness.logged[0]?.upstream.failure?.kind, "reset-by-upstream");
    });
  });

  test("a server that speaks HTTP/1 after all is a broken one: 502", () => {
    withHarness(new Http2Harness(), (harness) => {
      const [client] = harness.ask();
      harness.upstream().send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
      harness.run();
      assert.equal(client && statusOf(client), "502");
      assert.equal(harness.upstream().closed, true);
      assert.equal(harness.value("cluster.upstream_cx_protocol_error"), 1);
    });
  });

  test("a connection that breaks takes what it may have processed with it; idempotent requests go out once more", () => {
    withHarness(new Http2Harness(), (harness) => {
      const [first] = harness.ask();
      harness.server().settings().answer(1);
      harness.run();
      assert.equal(first && statusOf(first), "200");
      const [get] = harness.ask();
      const [post] = harness.ask(1, POST);
      harness.upstream(0).break();
      harness.run();
      assert.equal(post && statusOf(post), "503");
      assert.equal(harness.upstreams.length, 2);
      harness.server(1).settings().answer(1);
      harness.run();
      assert.equal(get && statusOf(get), "200");
      assert.equal(harness.value("cluster.upstream_cx_destroy_remote_with_active_rq"), 1);
    });
  });
});

describe("PINGs of upstream connections", () => {
  const keepalive = { intervalMs: 1000, timeoutMs: 300, intervalJitterPercent: 0, connectionIdleIntervalMs: 0 };

  test("go out in the interval, and silence ends the connection and its exchanges", () => {
    withHarness(new Http2Harness({ http2: { ...defaultHttp2Options, keepalive } }), (harness) => {
      const [client] = harness.ask(1, POST);
      harness.server().settings();
      harness.advance(1010);
      assert.equal(harness.server().pings.length, 1);
      harness.server().pong();
      harness.advance(1010);
      assert.equal(harness.server().pings.length, 2);
      harness.advance(280);
      assert.equal(harness.upstream().closed, false);
      harness.advance(40);
      assert.equal(harness.upstream().closed, true);
      assert.equal(client && statusOf(client), "503");
      assert.equal(harness.logged[0]?.upstream.failure?.kind, "connection-closed");
      assert.equal(harness.value("cluster.http2.keepalive_timeout"), 1);
      assert.equal(harness.value("cluster.upstream_cx_destroy_local_with_active_rq"), 1);
    });
  });

  test("go before the first request after a pause", () => {
    const paused = { ...keepalive, intervalMs: 0, connectionIdleIntervalMs: 500 };
    withHarness(new Http2Harness({ http2: { ...defaultHttp2Options, keepalive: paused } }), (harness) => {
      harness.ask();
      harness.server().settings().answer(1);
      harness.advance(600);
      assert.equal(harness.server().pings.length, 0);
      harness.ask();
      assert.equal(harness.server().pings.length, 1);
      harness.server().pong().answer(3);
      harness.run();
    });
  });
});

describe("an upgrade to an HTTP/2 upstream", () => {
  const UPGRADE =
    "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  const options = { manager: { upgradeConfigs: [{ upgradeType: "websocket", enabled: true }] } };

  test("waits until the upstream has said whether it takes one", () => {
    withHarness(new Http2Harness({}, options), (harness) => {
      const [client] = harness.ask(1, UPGRADE);
      assert.equal(harness.upstreams.length, 1);
      assert.deepEqual(harness.server().streams, []);
      harness.ask();
      assert.deepEqual(harness.server().streams, [1], "others do not wait for that");
      harness.server().settings({ [ENABLE_CONNECT_PROTOCOL]: 1 });
      harness.run();
      assert.deepEqual(harness.server().streams, [1, 3]);
      harness.server().answerHead(3);
      harness.run();
      assert.equal(client && statusOf(client), "101");
      assert.equal(harness.upstreams.length, 1);
    });
  });

  test("is refused where the upstream takes none", () => {
    withHarness(new Http2Harness({}, options), (harness) => {
      const [client] = harness.ask(1, UPGRADE);
      harness.server().settings();
      harness.run();
      assert.equal(client && statusOf(client), "403");
      assert.deepEqual(harness.server().streams, []);
    });
  });
});

describe("which protocol a request takes", () => {
  const OK = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

  function withSidecar(): EndpointsConfig {
    const config = endpointsConfig("app", ["10.0.0.1:80"]);
    return {
      ...config,
      localities: config.localities.map((locality) => ({
        ...locality,
        endpoints: locality.endpoints.map((endpoint) => ({ ...endpoint, metadata: { heddle: { h2: true } } })),
      })),
    };
  }

  test("where the cluster says nothing it is HTTP/1, and HTTP/2 where a sidecar of ours stands", () => {
    withHarness(new Http2Harness({ upstreamProtocol: "unset" }), (harness) => {
      harness.ask();
      assert.match(harness.upstream(0).take(), /^GET /);
      harness.upstream(0).send(OK);
      harness.run();
      harness.runtime.current.clusters.get("app")?.setEndpoints(withSidecar(), "with");
      harness.ask();
      assert.deepEqual(harness.server(1).streams, [1]);
    });
  });

  test("what the cluster says holds wherever a request goes", () => {
    withHarness(new Http2Harness({ upstreamProtocol: "http1" }), (harness) => {
      harness.runtime.current.clusters.get("app")?.setEndpoints(withSidecar(), "with");
      harness.ask();
      assert.match(harness.upstream(0).take(), /^GET /);
    });
  });

  test("that of the client, with pools of their own, where the cluster follows it", () => {
    withHarness(new Http2Harness({ upstreamProtocol: "use-downstream" }), (harness) => {
      harness.ask();
      const cluster = harness.runtime.current.clusters.get("app")!; // it is configured
      const head = new RequestHead("GET", "http", "a", "/", new HeaderMap(), "2");
      sendSideRequest(cluster, "app", { head, timeoutMs: 100 }, harness.env, () => undefined);
      harness.run();
      assert.deepEqual(
        harness.identities.map(({ protocol }) => protocol),
        ["http1", "http2"],
      );
      harness.server(1).settings().answer(1);
      harness.run();
    });
  });
});

test("a request of a filter's own goes over HTTP/2 like any other", () => {
  withHarness(new Http2Harness(), (harness) => {
    const cluster = harness.runtime.current.clusters.get("app");
    const head = new RequestHead("POST", "http", "a", "/", new HeaderMap());
    const answers: unknown[] = [];
    const request = { head, body: Buffer.from("question"), timeoutMs: 1000 };
    sendSideRequest(cluster, "app", request, harness.env, (result) =>
      answers.push(result.ok && [result.value.head.status, String(Buffer.from(result.value.body))]),
    );
    harness.run();
    assert.deepEqual([...harness.server().data], [[1, "question"]]);
    harness.server().settings().answerHead(1).body(1, "answer", true);
    harness.run();
    assert.deepEqual(answers, [[200, "answer"]]);
  });
});
