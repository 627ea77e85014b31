import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure } from "@heddle/base";
import { formatResponseFlags } from "@heddle/filter";
import {
  Harness,
  type HarnessOptions,
  type MemoryConnection,
  routeEntry,
  routesOf,
  routeTo,
} from "./testing-harness.ts";

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/** Runs a test on a harness that must not leak. */
function withHarness(options: HarnessOptions, body: (harness: Harness, client: MemoryConnection) => void): void {
  const harness = new Harness(options);
  body(harness, harness.connect());
  assert.equal(harness.leaks(), "");
}

describe("an exchange", () => {
  test("goes to the upstream and its answer comes back", () => {
    withHarness({}, (harness, client) => {
      client.send("GET /hello?a=1 HTTP/1.1\r\nhost: example.org\r\n\r\n");
      harness.run();
      const request = harness.upstream().take();
      assert.match(request, /^GET \/hello\?a=1 HTTP\/1\.1\r\nhost: example\.org\r\n/);
      assert.match(request, /\r\nx-forwarded-proto: http\r\n/);
      assert.match(request, /\r\nx-request-id: [0-9a-f-]{36}\r\n/);
      assert.match(request, /\r\ntraceparent: 00-(ba){16}-(ab){8}-01\r\n/);
      harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
      harness.run();
      const date = "Thu, 01 Jan 2026 00:00:00 GMT";
      assert.equal(client.take(), `HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: ${date}\r\n\r\nhello`);
      assert.equal(harness.logged[0]?.responseCodeDetails, "via_upstream");
      assert.equal(harness.logged[0]?.responseBodyBytes, 5);
      assert.equal(harness.logged[0]?.upstream.address, "10.0.0.1:80");
      assert.equal(harness.value("cluster.upstream_rq_2xx"), 1);
      assert.equal(harness.value("http.downstream_rq_2xx"), 1);
    });
  });

  test("carries bodies and trailers of unknown length both ways", () => {
    withHarness({}, (harness, client) => {
      client.send("POST /up HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
      harness.run();
      client.send("2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n");
      harness.run();
      assert.match(harness.upstream().take(), /chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n$/);
      harness.upstream().send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-t: 1\r\n\r\n");
      harness.run();
      assert.match(client.take(), /transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-t: 1\r\n\r\n$/);
      assert.equal(harness.logged[0]?.requestBodyBytes, 5);
      assert.equal(harness.logged[0]?.responseTrailers?.get("x-t"), "1");
    });
  });

  test("follows another one on the same connections", () => {
    withHarness({}, (harness, client) => {
      for (let i = 0; i < 3; i++) {
        client.send(GET);
        harness.run();
        assert.match(harness.upstream().take(), /^GET \/ /);
        harness.upstream().send(OK);
        harness.run();
        assert.match(client.take(), /ok$/);
      }
      assert.equal(harness.upstreams.length, 1);
      assert.equal(harness.logged[2]?.upstream.connectionReused, true);
    });
  });

  test("waits for its turn when requests are pipelined", () => {
    withHarness({}, (harness, client) => {
      client.send(GET + GET + GET);
      for (let i = 0; i < 3; i++) {
        harness.run();
        const asked = harness.upstreams.filter((upstream) => upstream.take() !== "");
        assert.equal(asked.length, 1);
        asked[0]?.send(`HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n${i}`);
      }
      harness.run();
      assert.deepEqual(client.take().match(/\r\n\r\n\d/g), ["\r\n\r\n0", "\r\n\r\n1", "\r\n\r\n2"]);
    });
  });

  test("forwards 103 and drops nothing behind it", () => {
    withHarness({}, (harness, client) => {
      client.send(GET);
      harness.run();
      harness.upstream().send(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${OK}`);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/a>\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    });
  });

  test("ends when the answer is complete though the request is not", () => {
    withHarness({}, (harness, client) => {
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
      harness.run();
      harness.upstream().send("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n");
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 413 /);
      assert.equal(harness.logged.length, 1);
      assert.equal(harness.upstream().closed, true, "what the upstream reads next would not be a request");
      client.send("defghij");
      client.send(GET);
      harness.run();
      assert.match(harness.upstream(1).take(), /^GET /);
    });
  });

  test("keeps the route that it began with when the configuration changes", () => {
    withHarness({}, (harness, client) => {
      client.send(GET);
      harness.run();
      harness.configure({ routes: routesOf([]) });
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 OK/);
      client.send(GET);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 404 Not Found/);
      assert.equal(harness.logged[0]?.route?.routeConfigName, "routes");
    });
  });

  test("is let go when the client leaves", () => {
    withHarness({}, (harness, client) => {
      client.send(GET);
      harness.run();
      client.break(failure("downstream-reset", "downstream", "ECONNRESET"));
      harness.run();
      assert.equal(harness.upstream().closed, true);
      assert.equal(formatResponseFlags(harness.logged[0]?.responseFlags ?? 0), "DC");
      assert.equal(harness.logged[0]?.responseCodeDetails, "downstream_remote_disconnect");
    });
  });
});

describe("what the sidecar answers itself", () => {
  const cases: readonly [name: string, options: HarnessOptions, status: string, flag: string, details: string][] = [
    ["no route", { routes: routesOf([]) }, "404 Not Found", "NR", "route_not_found"],
    ["no cluster", { routes: routeTo("other") }, "503 Service Unavailable", "NC", "cluster_not_found"],
    ["no endpoint", { endpoints: { app: [] } }, "503 Service Unavailable", "UH", "no_healthy_upstream"],
  ];
  for (const [name, options, status, flag, details] of cases) {
    test(`${name}: ${status}, ${flag}`, () => {
      withHarness(options, (harness, client) => {
        client.send(GET);
        harness.run();
        assert.ok(client.take().startsWith(`HTTP/1.1 ${status}\r\n`));
        assert.equal(formatResponseFlags(harness.logged[0]?.responseFlags ?? 0), flag);
        assert.equal(harness.logged[0]?.responseCodeDetails, details);
      });
    });
  }

  test("a refused connection: 503, UF", () => {
    withHarness({}, (harness, client) => {
      harness.dialFailures.push(failure("connect-refused", "upstream", "ECONNREFUSED", "safe"));
      client.send(GET);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 .*remote connection failure$/s);
      assert.equal(formatResponseFlags(harness.logged[0]?.responseFlags ?? 0), "UF");
    });
  });

  test("redirects and direct responses, HEAD without body", () => {
    const routes = routesOf([
      routeEntry({
        match: { ...routeEntry({ action: { type: "non-forwarding" } }).match, path: { type: "path", value: "/old" } },
        action: {
          type: "redirect",
          redirect: {
            scheme: "https",
            host: undefined,
            port: undefined,
            path: { type: "path", value: "/new" },
            responseCode: 301,
            stripQuery: false,
          },
        },
      }),
      routeEntry({ action: { type: "direct-response", status: 200, body: "direct" } }),
    ]);
    withHarness({ routes }, (harness, client) => {
      client.send("GET /old HTTP/1.1\r\nhost: a\r\n\r\n");
      client.send("GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
      client.send("HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n");
      harness.run();
      const [redirect, direct, head] = client.take().split("HTTP/1.1 ").slice(1);
      assert.match(redirect ?? "", /^301 .*location: https:\/\/a\/new\r\n/s);
      assert.match(direct ?? "", /^200 .*content-length: 6\r\n.*\r\n\r\ndirect$/s);
      assert.match(head ?? "", /^200 .*content-length: 6\r\n.*\r\n\r\n$/s);
    });
  });

  test("a request that breaks the protocol: 400 and the end of the connection", () => {
    withHarness({}, (harness, client) => {
      client.send("GET / HTTP/1.1\r\n\r\n");
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 400 /);
      assert.equal(client.ended, true);
      harness.advance(1000);
      assert.equal(client.closed, true, "after the grace period");
      assert.equal(harness.value("http.downstream_cx_protocol_error"), 1);
    });
  });
});

describe("an upgrade", () => {
  test("CONNECT makes a tunnel where configuration and route allow it", () => {
    const connect = "CONNECT db.example:5432 HTTP/1.1\r\nhost: db.example:5432\r\n\r\n";
    const match = { ...routeEntry({ action: { type: "non-forwarding" } }).match, path: { type: "connect" } as const };
    const options = { routes: routeTo("app", {}, { match }) };
    withHarness(options, (harness, client) => {
      client.send(connect);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 403 /);
    });
    const upgradeConfigs = [{ upgradeType: "connect", enabled: true }];
    withHarness({ ...options, manager: { upgradeConfigs } }, (harness, client) => {
      client.send(connect);
      harness.run();
      assert.match(harness.upstream().take(), /^CONNECT db\.example:5432 HTTP\/1\.1\r\n/);
      harness.upstream().send("HTTP/1.1 200 OK\r\n\r\nhello");
      client.send("from client");
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nhello$/s);
      assert.equal(harness.upstream().take(), "from client");
    });
  });

  test("of an h1 request to h2c is ignored", () => {
    withHarness({}, (harness, client) => {
      client.send(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAM\r\n\r\n",
      );
      harness.run();
      assert.doesNotMatch(harness.upstream().take(), /h2c|http2-settings/);
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 OK/);
    });
  });
});

describe("back-pressure", () => {
  test("a client that does not read stops its upstream", () => {
    withHarness({}, (harness, client) => {
      client.highWatermarkBytes = 1000;
      client.send(GET);
      harness.run();
      client.stall(true);
      harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n");
      for (let i = 0; i < 4; i++) harness.upstream().send("x".repeat(1000));
      harness.run();
      assert.equal(harness.upstream().paused, true);
      assert.ok(client.bytesQueued < 2500);
      client.stall(false);
      harness.run();
      assert.match(client.take(), /x{4000}$/);
      assert.equal(harness.logged[0]?.responseBodyBytes, 4000);
    });
  });

  test("an upstream that does not read stops its client", () => {
    withHarness({}, (harness, client) => {
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4000\r\n\r\n");
      harness.run();
      harness.upstream().highWatermarkBytes = 1000;
      harness.upstream().stall(true);
      for (let i = 0; i < 4; i++) client.send("x".repeat(1000));
      harness.run();
      assert.equal(client.paused, true);
      assert.ok(harness.upstream().bytesQueued < 2500);
      harness.upstream().stall(false);
      harness.run();
      assert.match(harness.upstream().take(), /x{4000}$/);
    });
  });

  test("a request body waits while its connection is being made", () => {
    withHarness({}, (harness, client) => {
      harness.holdDials = true;
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000\r\n\r\n");
      client.send("x".repeat(1000));
      client.send("x".repeat(1000));
      client.send("x".repeat(1000));
      harness.run();
      assert.equal(client.paused, true);
      harness.holdDials = false;
      harness.run();
      assert.match(harness.upstream().take(), /x{3000}$/);
    });
  });
});

describe("time", () => {
  test("the route's timeout: 504, UT", () => {
    withHarness({ routes: routeTo("app", { timeoutMs: 200 }) }, (harness, client) => {
      client.send(GET);
      harness.advance(190);
      assert.equal(client.take(), "");
      harness.advance(20);
      assert.match(client.take(), /^HTTP\/1\.1 504 .*upstream request timeout$/s);
      assert.equal(formatResponseFlags(harness.logged[0]?.responseFlags ?? 0), "UT");
      assert.equal(harness.upstream().closed, true);
    });
  });

  test("the route's timeout begins when the request is complete, and does not outlive its exchange", () => {
    withHarness({ routes: routeTo("app", { timeoutMs: 200 }) }, (harness, client) => {
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na");
      harness.advance(300);
      client.send("b");
      harness.advance(100);
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200/);
      client.send(GET);
      harness.advance(150);
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200/);
    });
  });

  test("a silent upstream: 504, a silent client: 408, both SI", () => {
    withHarness(
      { manager: { streamIdleTimeoutMs: 500 }, routes: routeTo("app", { timeoutMs: 0 }) },
      (harness, client) => {
        client.send(GET);
        harness.advance(510);
        assert.match(client.take(), /^HTTP\/1\.1 504 /);
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na");
        harness.advance(510);
        assert.match(client.take(), /^HTTP\/1\.1 408 .*connection: close/s);
        assert.deepEqual(
          harness.logged.map(({ responseFlags }) => formatResponseFlags(responseFlags)),
          ["SI", "SI"],
        );
      },
    );
  });

  test("each sign of life starts the idle timeout anew", () => {
    withHarness(
      { manager: { streamIdleTimeoutMs: 500 }, routes: routeTo("app", { timeoutMs: 0 }) },
      (harness, client) => {
        client.send(GET);
        harness.run();
        harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n");
        for (const letter of "abc") {
          harness.advance(400);
          harness.upstream().send(letter);
        }
        harness.run();
        assert.match(client.take(), /abc$/);
      },
    );
  });

  test("a head that does not come: 408 and the end of the connection", () => {
    withHarness({ manager: { requestHeadersTimeoutMs: 300 } }, (harness, client) => {
      client.send("GET / HTTP/1.1\r\nho");
      harness.advance(310);
      assert.match(client.take(), /^HTTP\/1\.1 408 .*connection: close/s);
      assert.equal(client.ended, true);
    });
  });

  test("a request that does not come whole: 408", () => {
    withHarness({ manager: { requestTimeoutMs: 300 } }, (harness, client) => {
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na");
      harness.advance(310);
      assert.match(client.take(), /^HTTP\/1\.1 408 .*request timeout$/s);
      assert.equal(client.ended, true);
    });
  });
});

describe("header names with underscores", () => {
  const request = "GET / HTTP/1.1\r\nhost: a\r\nx_a: 1\r\nx-b: 2\r\nX_A: 3\r\nc_d: 4\r\n\r\n";

  test("are passed on as they are unless the configuration says otherwise", () => {
    withHarness({}, (harness, client) => {
      client.send(request);
      harness.run();
      assert.match(harness.upstream().take(), /x_a: 1\r\nx-b: 2\r\nx_a: 3\r\nc_d: 4\r\n/);
      client.sendEnd();
      harness.run();
    });
  });

  test("are dropped where it says so", () => {
    withHarness({ manager: { headersWithUnderscoresAction: "DROP_HEADER" } }, (harness, client) => {
      client.send(request);
      harness.run();
      const passedOn = harness.upstream().take();
      assert.match(passedOn, /x-b: 2\r\n/);
      assert.doesNotMatch(passedOn, /x_a|c_d/);
      client.sendEnd();
      harness.run();
    });
  });

  test("or make the request a bad one", () => {
    withHarness({ manager: { headersWithUnderscoresAction: "REJECT_REQUEST" } }, (harness, client) => {
      client.send(request);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 400 /);
      client.send("GET / HTTP/1.1\r\nhost: a\r\nx-b: 2\r\n\r\n");
      harness.run();
      assert.match(harness.upstream().take(), /x-b: 2\r\n/);
      client.sendEnd();
      harness.run();
    });
  });
});

describe("forwarding headers", () => {
  test("at the edge the peer is appended, its request id replaced, internal headers taken away", () => {
    withHarness({ manager: { useRemoteAddress: true } }, (harness, client) => {
      client.send(
        "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: https\r\nx-request-id: mine\r\n" +
          "x-envoy-retry-on: 5xx\r\nx-envoy-decorator-operation: x\r\nx-envoy-peer-metadata: kept\r\n\r\n",
      );
      harness.run();
      const request = harness.upstream().take();
      assert.match(request, /x-forwarded-for: 203\.0\.113\.9,192\.0\.2\.1\r\n/);
      assert.match(request, /x-forwarded-proto: http\r\n/);
      assert.match(request, /x-envoy-peer-metadata: kept\r\n/);
      assert.doesNotMatch(request, /retry-on|decorator|x-request-id: mine/);
      client.sendEnd();
      harness.run();
    });
  });

  test("inside, what the hop before has written is believed", () => {
    withHarness({}, (harness, client) => {
      client.send(
        "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 198.51.100.1, 203.0.113.9\r\nx-request-id: mine\r\n\r\n",
      );
      harness.run();
      const request = harness.upstream().take();
      assert.match(request, /x-forwarded-for: 198\.51\.100\.1, 203\.0\.113\.9\r\n/);
      assert.match(request, /x-request-id: mine\r\n/);
      harness.upstream().send(OK);
      harness.run();
      assert.equal(harness.logged[0]?.downstream.remoteAddress, "203.0.113.9");
      assert.equal(harness.logged[0]?.downstream.directRemoteAddress, "192.0.2.1");
    });
  });

  test("trusted hops tell the client's address", () => {
    withHarness({ manager: { useRemoteAddress: true, xffNumTrustedHops: 2 } }, (harness, client) => {
      client.send("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3\r\n\r\n");
      harness.run();
      harness.upstream().send(OK);
      harness.run();
      assert.equal(harness.logged[0]?.downstream.remoteAddress, "2.2.2.2");
    });
  });

  test("a trace that came is passed on as it is", () => {
    withHarness({}, (harness, client) => {
      const traceparent = `00-${"1".repeat(32)}-${"2".repeat(16)}-00`;
      client.send(`GET / HTTP/1.1\r\nhost: a\r\ntraceparent: ${traceparent}\r\n\r\n`);
      harness.run();
      assert.ok(harness.upstream().take().includes(`traceparent: ${traceparent}\r\n`));
      harness.upstream().send(OK);
      harness.run();
      assert.equal(harness.logged[0]?.trace.traceId, "1".repeat(32));
    });
  });
});
