import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Failure, failure, ok } from "@heddle/base";
import { defineFilter, formatResponseFlags, type HttpFilter } from "@heddle/filter";
import { HeaderMap } from "@heddle/http";
import {
  clusterConfig,
  Harness,
  type HarnessOptions,
  type MemoryConnection,
  retryPolicy,
  routeEntry,
  routesOf,
  routeTo,
} from "../http/testing-harness.ts";

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const UNAVAILABLE = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

function withHarness(options: HarnessOptions, body: (harness: Harness, client: MemoryConnection) => void): void {
  const harness = new Harness(options);
  body(harness, harness.connect());
  assert.equal(harness.leaks(), "");
}

/** Leaves one idle connection to the upstream. */
function warmUp(harness: Harness, client: MemoryConnection): void {
  client.send(GET);
  harness.run();
  harness.upstream().send(OK);
  harness.run();
  harness.upstream().take();
  assert.match(client.take(), /ok$/);
}

function flagsOf(harness: Harness): string {
  return formatResponseFlags(harness.logged.at(-1)?.responseFlags ?? 0);
}

const REFUSED: Failure = failure("connect-refused", "upstream", "ECONNREFUSED", "safe");

describe("values of headers that a route adds", () => {
  const add = (name: string, value: string) =>
    ({ name, value, appendAction: "APPEND_IF_EXISTS_OR_ADD", keepEmptyValue: false }) as const;

  test("are made of the upstream's response, and of the cluster that has been chosen", () => {
    const routes = routeTo(
      "app",
      {},
      {
        requestHeadersToAdd: [add("x-cluster", "%UPSTREAM_CLUSTER%")],
        responseHeadersToAdd: [add("x-seen", "%RESPONSE_CODE% %RESP(x-kind)% %UPSTREAM_CLUSTER%")],
      },
    );
    withHarness({ routes }, (harness, client) => {
      client.send(GET);
      harness.run();
      assert.match(harness.upstream().take(), /\r\nx-cluster: app\r\n/);
      harness.upstream().send("HTTP/1.1 201 Created\r\nx-kind: blue\r\ncontent-length: 0\r\n\r\n");
      harness.run();
      assert.match(client.take(), /\r\nx-seen: 201 blue app\r\n/);
    });
  });

  test("know that an answer is the route's own", () => {
    const action = { type: "direct-response", status: 200, body: "" } as const;
    const entry = routeEntry({ action, responseHeadersToAdd: [add("x-details", "%RESPONSE_CODE_DETAILS%")] });
    withHarness({ routes: routesOf([entry]) }, (harness, client) => {
      client.send(GET);
      harness.run();
      assert.match(client.take(), /\r\nx-details: direct_response\r\n/);
    });
  });
});

describe("what a route's answers carry", () => {
  const add = (name: string, value: string) =>
    ({ name, value, appendAction: "APPEND_IF_EXISTS_OR_ADD", keepEmptyValue: false }) as const;
  const routes = routeTo(
    "app",
    {},
    {
      responseHeadersToAdd: [add("x-added", "%RESPONSE_FLAGS%"), add("content-type", "text/x"), add("x-own", "route")],
      responseHeadersToRemove: ["x-mine"],
    },
  );
  const hooks: HttpFilter = {
    requestHead(exchange) {
      const headers = new HeaderMap(["x-own", "filter", "x-mine", "1"]);
      exchange.reply({ status: 403, body: "no", details: "denied", headers });
      return "pause";
    },
  };
  const denying = defineFilter({ parse: () => ok({}), create: () => ({ create: () => hooks }) });

  test("is in answers in the upstream's place too", () => {
    withHarness({ routes }, (harness, client) => {
      harness.dialFailures.push(REFUSED);
      client.send(GET);
      harness.run();
      const answer = client.take();
      assert.match(answer, /^HTTP\/1\.1 503 /);
      assert.match(answer, /\r\nx-added: UF\r\ncontent-type: text\/x\r\nx-own: route\r\n/);
    });
  });

  test("is in answers of filters, which keep what they have of their own", () => {
    withHarness({ routes, filters: { denying } }, (harness, client) => {
      client.send(GET);
      harness.run();
      const answer = client.take();
      assert.match(answer, /^HTTP\/1\.1 403 /);
      assert.match(answer, /\r\nx-added: -\r\n/);
      assert.match(answer, /\r\nx-own: filter\r\nx-mine: 1\r\n/);
      assert.doesNotMatch(answer, /x-own: route/);
    });
  });

  test("is not in the answer to a request that was not routed, and an answer without body has no content-type", () => {
    withHarness({ routes, manager: { normalizePath: true } }, (harness, client) => {
      client.send("GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n");
      harness.run();
      assert.doesNotMatch(client.take(), /x-added|content-type/);
      client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      harness.run();
      const refused = client.take();
      assert.match(refused, /^HTTP\/1\.1 403 .*\r\nx-added: -\r\n/s);
      assert.doesNotMatch(refused, /content-type/);
    });
  });
});

describe("a pooled connection that was closed while it was idle", () => {
  test("GET is sent again, on a new connection", () => {
    withHarness({}, (harness, client) => {
      warmUp(harness, client);
      client.send(GET);
      client.turn();
      harness.upstream().turn(); // handed to the kernel
      harness.upstream().break();
      harness.run();
      assert.match(harness.upstream(1).take(), /^GET \/ /);
      harness.upstream(1).send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
      assert.equal(harness.logged.at(-1)?.upstream.attempts, 2);
      assert.equal(harness.value("cluster.upstream_rq_replay"), 1);
    });
  });

  test("PUT is sent again with its body, which the router holds", () => {
    withHarness({}, (harness, client) => {
      warmUp(harness, client);
      client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab");
      client.turn();
      harness.upstream().turn();
      harness.upstream().break();
      harness.run();
      client.send("cd");
      harness.run();
      assert.match(harness.upstream(1).take(), /^PUT \/ .*\r\n\r\nabcd$/s);
      harness.upstream(1).send(OK);
      harness.run();
    });
  });

  test("PUT whose body is above the buffer limit is not: 503, UC", () => {
    withHarness({ bufferLimitBytes: 1000 }, (harness, client) => {
      warmUp(harness, client);
      client.send(`PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n${"x".repeat(1500)}`);
      client.turn();
      harness.upstream().turn();
      harness.upstream().break();
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 /);
      assert.equal(flagsOf(harness), "UC");
      assert.equal(harness.upstreams.length, 1);
    });
  });

  test("POST of which the kernel has got bytes is not: 503, UC", () => {
    withHarness({}, (harness, client) => {
      warmUp(harness, client);
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab");
      client.turn();
      harness.upstream().turn();
      harness.upstream().break();
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 /);
      assert.equal(flagsOf(harness), "UC");
      assert.equal(
        harness.logged.at(-1)?.responseCodeDetails,
        "upstream_reset_before_response_started{connection_termination}",
      );
    });
  });

  test("POST of which the kernel has got nothing is sent again", () => {
    withHarness({}, (harness, client) => {
      warmUp(harness, client);
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab");
      client.turn();
      harness.upstream().break(); // before its turn: what was queued is lost
      harness.run();
      assert.match(harness.upstream(1).take(), /^POST \/ .*\r\n\r\nab$/s);
      harness.upstream(1).send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
    });
  });

  test("is not replayed when a byte of the answer has come", () => {
    withHarness({}, (harness, client) => {
      warmUp(harness, client);
      client.send(GET);
      harness.run();
      harness.upstream().send("HTTP/1.1 20");
      harness.run();
      harness.upstream().break();
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 /);
      assert.equal(harness.upstreams.length, 1);
    });
  });

  test("is replayed once only, and never on a first use", () => {
    withHarness({}, (harness, client) => {
      warmUp(harness, client);
      client.send(GET);
      harness.run();
      harness.upstream().break();
      harness.run();
      harness.upstream(1).break();
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 /);
      assert.equal(flagsOf(harness), "UC");
      assert.equal(harness.upstreams.length, 2);
    });
  });
});

describe("a retry policy", () => {
  const routes = routeTo("app", { retryPolicy });

  test("repeats a request whose answer it names, after a pause, on the kept connection", () => {
    withHarness({ routes }, (harness, client) => {
      harness.random = 2 ** 31; // half of the interval
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab");
      harness.run();
      harness.upstream().take();
      harness.upstream().send(UNAVAILABLE);
      harness.run();
      assert.equal(client.take(), "");
      harness.advance(20);
      assert.match(harness.upstream().take(), /^POST \/ .*ab$/s);
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
      assert.equal(harness.value("cluster.upstream_rq_retry"), 1);
      assert.equal(harness.value("cluster.upstream_rq_retry_success"), 1);
      const counted = ["upstream_rq_completed", "upstream_rq_200", "upstream_rq_503", "upstream_rq_5xx"];
      assert.deepEqual(
        counted.flatMap((name) => [harness.value(`cluster.${name}`), harness.value(`cluster.retry.${name}`)]),
        [1, 1, 1, 0, 0, 1, 0, 1],
        "what no client sees counts by itself, as in Envoy",
      );
    });
  });

  test("gives the last answer when its attempts are used up: URX", () => {
    withHarness({ routes }, (harness, client) => {
      client.send(GET);
      for (let i = 0; i < 2; i++) {
        harness.advance(30);
        harness.upstream().send(UNAVAILABLE);
      }
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 /);
      assert.equal(flagsOf(harness), "URX");
      assert.equal(harness.logged[0]?.upstream.attempts, 2);
    });
  });

  test("repeats after a refused connection", () => {
    withHarness(
      { routes: routeTo("app", { retryPolicy: { ...retryPolicy, retryOn: ["connect-failure"] } }) },
      (harness, client) => {
        harness.dialFailures.push(REFUSED);
        client.send(GET);
        harness.advance(30);
        harness.upstream().send(OK);
        harness.run();
        assert.match(client.take(), /^HTTP\/1\.1 200 /);
      },
    );
  });

  test("repeats an attempt that takes too long, and tells 504 at the end", () => {
    withHarness(
      { routes: routeTo("app", { retryPolicy: { ...retryPolicy, perTryTimeoutMs: 100 } }) },
      (harness, client) => {
        client.send(GET);
        harness.advance(150);
        assert.equal(harness.upstreams.length, 2);
        assert.equal(harness.upstream(0).closed, true);
        harness.advance(150);
        assert.match(client.take(), /^HTTP\/1\.1 504 /);
        assert.equal(flagsOf(harness), "UT,URX");
        assert.equal(harness.value("cluster.upstream_rq_per_try_timeout"), 2);
      },
    );
  });

  test("gives up a body above the buffer limit", () => {
    withHarness({ routes, bufferLimitBytes: 1000 }, (harness, client) => {
      client.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n${"x".repeat(2000)}`);
      harness.run();
      harness.upstream().send(UNAVAILABLE);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 /);
    });
  });

  test("repeats nothing once the answer has begun", () => {
    withHarness({ routes }, (harness, client) => {
      client.send(GET);
      harness.run();
      harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
      harness.run();
      harness.upstream().break();
      harness.run();
      assert.match(client.take(), /abc$/);
      assert.equal(client.closed, true, "the client must see that its answer is not complete");
      assert.equal(flagsOf(harness), "UC");
      assert.equal(harness.upstreams.length, 1);
    });
  });

  test("is bounded by the circuit breaker", () => {
    const thresholds = { maxConnections: 9, maxPendingRequests: 9, maxRequests: 9, maxRetries: 0 };
    const clusters = [clusterConfig("app", { circuitBreakers: { default: thresholds, high: thresholds } })];
    withHarness({ routes, clusters }, (harness, client) => {
      client.send(GET);
      harness.run();
      harness.upstream().send(UNAVAILABLE);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 /);
      assert.equal(harness.value("cluster.upstream_rq_retry_overflow"), 1);
    });
  });

  test("leaves nothing behind when the client goes away in the pause", () => {
    withHarness({ routes }, (harness, client) => {
      harness.random = 2 ** 31;
      client.send(GET);
      harness.run();
      harness.upstream().send(UNAVAILABLE);
      harness.run();
      client.break();
      harness.advance(100);
      assert.equal(harness.value("cluster.upstream_rq_total"), 1);
    });
  });
});

describe("hooks of filters", () => {
  const filter = (hooks: HttpFilter) => defineFilter({ parse: () => ok({}), create: () => ({ create: () => hooks }) });

  test("selectUpstream chooses a cluster and an endpoint", () => {
    const clusters = [clusterConfig("app"), clusterConfig("other")];
    const filters = {
      a: filter({
        selectUpstream: () => ({ cluster: "other", endpoint: { type: "socket", address: "10.9.9.9", port: 1 } }),
      }),
    };
    withHarness({ clusters, filters }, (harness, client) => {
      client.send(GET);
      harness.run();
      assert.equal(harness.upstream().address, "10.9.9.9:1");
      harness.upstream().send(OK);
      harness.run();
      assert.equal(harness.logged[0]?.upstream.cluster, "other");
    });
  });

  test("connectFailure asks for another attempt", () => {
    withHarness({ filters: { a: filter({ connectFailure: () => "retry" }) } }, (harness, client) => {
      harness.dialFailures.push(REFUSED, REFUSED);
      client.send(GET);
      harness.run();
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
      assert.equal(harness.logged[0]?.upstream.attempts, 3);
    });
  });

  test("upstreamRequest changes what one attempt sends, and the request stays", () => {
    const filters = {
      a: filter({ upstreamRequest: (_exchange, head, attempt) => head.headers.set("x-attempt", String(attempt)) }),
    };
    withHarness({ filters }, (harness, client) => {
      client.send(GET);
      harness.run();
      assert.match(harness.upstream().take(), /x-attempt: 1\r\n/);
      harness.upstream().send(OK);
      harness.run();
      assert.equal(harness.logged[0]?.request.headers.has("x-attempt"), false);
    });
  });
});

describe("limits", () => {
  const limited = (limits: object) => {
    const thresholds = { maxConnections: 9, maxPendingRequests: 9, maxRequests: 9, maxRetries: 9, ...limits };
    return [clusterConfig("app", { circuitBreakers: { default: thresholds, high: thresholds } })];
  };

  test("too many requests: 503, UO", () => {
    withHarness(
      { clusters: limited({ maxRequests: 1 }), router: { suppressEnvoyHeaders: false } },
      (harness, client) => {
        const second = harness.connect();
        client.send(GET);
        second.send(GET);
        harness.run();
        assert.match(second.take(), /^HTTP\/1\.1 503 .*x-envoy-overloaded: true/s);
        assert.equal(flagsOf(harness), "UO");
        harness.upstream().send(OK);
        harness.run();
        assert.match(client.take(), /^HTTP\/1\.1 200 /);
      },
    );
  });

  test("above the connections that it may have a cluster lets requests wait", () => {
    withHarness({ clusters: limited({ maxConnections: 1 }) }, (harness, client) => {
      const second = harness.connect();
      client.send(GET);
      second.send(GET);
      harness.run();
      assert.equal(harness.upstreams.length, 1);
      harness.upstream().send(OK);
      harness.run();
      harness.upstream().send(OK);
      harness.run();
      assert.match(second.take(), /^HTTP\/1\.1 200 /);
    });
  });

  test("too many requests that wait: 503, UO", () => {
    withHarness({ clusters: limited({ maxConnections: 1, maxPendingRequests: 1 }) }, (harness, client) => {
      const others = [harness.connect(), harness.connect()];
      client.send(GET);
      harness.run();
      for (const other of others) other.send(GET);
      harness.run();
      assert.match(others[1]?.take() ?? "", /^HTTP\/1\.1 503 /);
      assert.equal(harness.value("cluster.upstream_rq_pending_overflow"), 1);
    });
  });
});

test("x-envoy fields are added unless they are suppressed", () => {
  withHarness({ router: { suppressEnvoyHeaders: false } }, (harness, client) => {
    client.send(GET);
    harness.run();
    assert.match(harness.upstream().take(), /x-envoy-expected-rq-timeout-ms: 15000\r\n/);
    harness.clock.advance(7);
    harness.upstream().send(OK);
    harness.run();
    assert.match(client.take(), /x-envoy-upstream-service-time: 7\r\n/);
  });
});

test("the host becomes the endpoint's where the route says so", () => {
  withHarness({ routes: routeTo("app", { hostRewrite: { type: "auto" } }) }, (harness, client) => {
    client.send(GET);
    harness.run();
    assert.match(harness.upstream().take(), /^GET \/ HTTP\/1\.1\r\nhost: host-of-10\.0\.0\.1\r\n/);
  });
});
