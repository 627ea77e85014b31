import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Failure, ok, type Result } from "@heddle/base";
import {
  defineFilter,
  type FilterModule,
  formatResponseFlags,
  type HttpFilter,
  type SideResponse,
} from "@heddle/filter";
import { HeaderMap, RequestHead } from "@heddle/http";
import type { HttpConnectionManagerConfig } from "@heddle/traffic";
import {
  clusterConfig,
  Harness,
  type HarnessOptions,
  type MemoryConnection,
  routeEntry,
  routesOf,
} from "./testing-harness.ts";

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

function withHarness(options: HarnessOptions, body: (harness: Harness, client: MemoryConnection) => void): void {
  const harness = new Harness(options);
  body(harness, harness.connect());
  assert.equal(harness.leaks(), "");
}

const filterOf = (phases: HttpFilter): FilterModule =>
  defineFilter({ parse: () => ok(undefined), create: () => ({ create: () => phases }) });

/** What reaches the upstream of a request that is sent to a manager with this configuration. */
function forwarded(manager: Partial<HttpConnectionManagerConfig>, request: string): string {
  let seen = "";
  withHarness({ manager }, (harness, client) => {
    client.send(request);
    harness.run();
    seen = harness.upstreams[0]?.take() ?? client.take();
  });
  return seen;
}

describe("before anything matches", () => {
  test("paths are normalised, refused or redirected as configured", () => {
    const get = "GET /a//../b%2Fc HTTP/1.1\r\nhost: a\r\n\r\n";
    assert.match(forwarded({}, get), /^GET \/a\/\/\.\.\/b%2Fc /);
    assert.match(forwarded({ normalizePath: true, mergeSlashes: true }, get), /^GET \/a\/b%2Fc /);
    assert.match(forwarded({ pathWithEscapedSlashesAction: "REJECT_REQUEST" }, get), /^HTTP\/1\.1 400 /);
    const redirected = forwarded({ pathWithEscapedSlashesAction: "UNESCAPE_AND_REDIRECT" }, get);
    assert.match(redirected, /^HTTP\/1\.1 307 .*location: \/a\/\/\.\.\/b\/c\r\n/s);
  });

  test("the port is taken from the host as configured", () => {
    const get = (host: string) => `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
    assert.match(forwarded({ stripPort: "any" }, get("a:81")), /\r\nhost: a\r\n/);
    assert.match(forwarded({ stripPort: "matching" }, get("a:81")), /\r\nhost: a:81\r\n/);
    assert.match(forwarded({ stripPort: "matching" }, get("a:15001")), /\r\nhost: a\r\n/);
    assert.match(forwarded({ stripPort: "any" }, get("[::1]:81")), /\r\nhost: \[::1\]\r\n/);
  });

  test("HTTP/1.0 is refused, given a host, or refused for want of one", () => {
    const get = "GET / HTTP/1.0\r\n\r\n";
    assert.match(forwarded({ acceptHttp10: false }, get), /^HTTP\/1\.1 426 /);
    assert.match(forwarded({ acceptHttp10: true }, get), /^HTTP\/1\.1 400 /);
    assert.match(forwarded({ defaultHostForHttp10: "old" }, get), /^GET \/ HTTP\/1\.1\r\nhost: old\r\n/);
  });

  test("via is appended in both directions, the server's name as configured, the request id on demand", () => {
    const manager = {
      via: "1.1 heddle",
      serverHeaderTransformation: "OVERWRITE",
      alwaysSetRequestIdInResponse: true,
    } as const;
    withHarness({ manager }, (harness, client) => {
      client.send("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: 7\r\n\r\n");
      harness.run();
      assert.match(harness.upstream().take(), /\r\nvia: 1\.1 heddle\r\n/);
      harness.upstream().send("HTTP/1.1 200 OK\r\nserver: app\r\ndate: then\r\ncontent-length: 0\r\n\r\n");
      harness.run();
      const answer = client.take();
      assert.match(answer, /\r\nserver: heddle\r\n/);
      assert.match(answer, /\r\nvia: 1\.1 heddle\r\n/);
      assert.match(answer, /\r\nx-request-id: 7\r\n/);
      assert.equal(answer.match(/date: /g)?.length, 1);
    });
  });
});

describe("the guard", () => {
  const broken = filterOf({
    requestHead() {
      throw new Error("broken");
    },
  });

  test("ends the exchange of a filter that throws, and no other; its stack is logged once", () => {
    withHarness({ filters: { broken } }, (harness, client) => {
      for (let i = 0; i < 3; i++) {
        client.send(GET);
        harness.run();
        assert.match(client.take(), /^HTTP\/1\.1 500 /);
      }
      assert.equal(harness.logged[0]?.responseCodeDetails, "filter_error");
      assert.equal(harness.value("http.internal_error"), 3);
      assert.equal(harness.problems.length, 1);
      assert.match(harness.problems[0] ?? "", /"filter":"broken"/);
    });
  });

  test("breaks an answer off that has begun", () => {
    const filters = {
      late: filterOf({
        responseData() {
          throw new Error("late");
        },
      }),
    };
    withHarness({ filters }, (harness, client) => {
      client.send(GET);
      harness.run();
      harness.upstream().send(OK);
      harness.run();
      assert.equal(client.closed, true);
      assert.equal(harness.value("http.downstream_rq_tx_reset"), 1);
    });
  });
});

describe("a filter", () => {
  test("that holds a body holds its client back, and lets it go on", () => {
    const filters = {
      hold: filterOf({
        requestHead(exchange) {
          exchange.after(100, () => exchange.continueRequest());
          return "pause";
        },
      }),
    };
    withHarness({ filters, bufferLimitBytes: 1000 }, (harness, client) => {
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000\r\n\r\n");
      for (let i = 0; i < 3; i++) client.send("x".repeat(1000));
      harness.run();
      assert.equal(client.paused, true);
      assert.equal(harness.upstreams.length, 0);
      harness.advance(100);
      assert.match(harness.upstream().take(), /x{3000}$/);
    });
  });

  test("that buffers above the limit gets its client 413", () => {
    const filters = { buffer: filterOf({ requestData: (_e, _c, end) => (end ? "continue" : "buffer") }) };
    withHarness({ filters, bufferLimitBytes: 1000 }, (harness, client) => {
      client.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n${"x".repeat(1001)}`);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 413 /);
    });
  });

  test("is taken out, or put in, by a route's configuration", () => {
    const tag = filterOf({
      requestHead(exchange) {
        exchange.request.headers.set("x-tag", "1");
        return "continue";
      },
    });
    const base = routesOf([]).virtualHosts[0]!;
    const forward = { type: "forward", forward: forwardTo("app") } as const;
    const off = routeEntry({ action: forward, typedPerFilterConfig: { tag: { disabled: true, config: undefined } } });
    const routes = { ...routesOf([off]), virtualHosts: [{ ...base, routes: [off] }] };
    withHarness({ filters: { tag }, routes }, (harness, client) => {
      client.send(GET);
      harness.run();
      assert.doesNotMatch(harness.upstream().take(), /x-tag/);
    });
  });

  test("calls a cluster, and what it holds is given back with the answer", () => {
    const results: Result<SideResponse, Failure>[] = [];
    const asking = filterOf({
      requestHead(exchange) {
        const head = new RequestHead("POST", "http", "authz", "/check", HeaderMap.from({ "content-length": "3" }));
        exchange.send("authz", { head, body: Buffer.from("who"), timeoutMs: 200 }, (result) => {
          results.push(result);
          exchange.continueRequest();
        });
        return "pause";
      },
    });
    const clusters = [clusterConfig("app"), clusterConfig("authz")];
    const endpoints = { authz: ["10.0.0.7:80"] };
    withHarness({ filters: { asking }, clusters, endpoints }, (harness, client) => {
      client.send(GET);
      harness.run();
      assert.match(harness.upstream(0).take(), /^POST \/check HTTP\/1\.1\r\nhost: authz\r\n.*\r\n\r\nwho$/s);
      harness.upstream(0).send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes");
      harness.run();
      const [result] = results;
      assert.equal(result?.ok && Buffer.from(result.value.body).toString(), "yes");
      assert.match(harness.upstream(1).take(), /^GET \//);
      assert.equal(harness.upstream(0).closed, false);
    });
    results.length = 0;
    withHarness({ filters: { asking }, clusters, endpoints }, (harness, client) => {
      client.send(GET);
      harness.advance(210);
      assert.equal(results[0]?.ok === false && results[0].error.kind, "response-timeout");
      assert.equal(harness.upstream(0).closed, true);
    });
    results.length = 0;
    withHarness({ filters: { asking } }, (harness, client) => {
      client.send(GET);
      harness.advance(1);
      assert.equal(results[0]?.ok === false && results[0].error.kind, "no-cluster");
      client.break();
      harness.run();
    });
  });
});

test("an answer that the codec gave to a broken request is counted and logged", () => {
  withHarness({}, (harness, client) => {
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
    harness.run();
    assert.match(client.take(), /^HTTP\/1\.1 400 /);
    assert.equal(harness.logged[0]?.response?.status, 400);
    assert.equal(formatResponseFlags(harness.logged[0]?.responseFlags ?? 0), "DPE");
    assert.equal(harness.value("http.downstream_rq_4xx"), 1);
    assert.equal(harness.value("http.downstream_cx_protocol_error"), 1);
  });
});

test("a client that reads slowly gets its last answer as long as it reads", () => {
  withHarness({}, (harness, client) => {
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    harness.run();
    client.stall(true);
    harness.upstream().send(`HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n${"x".repeat(1000)}`);
    harness.advance(1500);
    assert.equal(client.closed, false, "it may have read a part");
    harness.advance(1000);
    assert.equal(client.closed, true, "it has read nothing for a whole period");
  });
});

function forwardTo(name: string) {
  return {
    cluster: { type: "cluster", name } as const,
    clusterNotFoundResponseCode: 503,
    prefixRewrite: undefined,
    regexRewrite: undefined,
    hostRewrite: { type: "none" } as const,
    appendXForwardedHost: false,
    timeoutMs: 0,
    idleTimeoutMs: undefined,
    maxStreamDuration: undefined,
    retryPolicy: undefined,
    upgradeConfigs: [],
  };
}
