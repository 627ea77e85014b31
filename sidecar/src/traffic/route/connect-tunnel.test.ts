import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Failure, failure } from "@heddle/base";
import { formatResponseFlags } from "@heddle/filter";
import type { RouteConfiguration } from "@heddle/traffic";
import {
  clusterConfig,
  Harness,
  type HarnessOptions,
  type MemoryConnection,
  routeTo,
} from "../http/testing-harness.ts";

const REFUSED: Failure = failure("connect-refused", "upstream", "ECONNREFUSED", "safe");
const CONNECT = "CONNECT db:5432 HTTP/1.1\r\nhost: db:5432\r\n\r\n";
const MATCH: RouteConfiguration["virtualHosts"][0]["routes"][0]["match"] = {
  path: { type: "connect" },
  caseSensitive: true,
  headers: [],
  queryParameters: [],
  grpc: false,
  runtimeFraction: undefined,
};

function connectRoute(cluster: string, terminates: boolean): RouteConfiguration {
  const upgrade = { upgradeType: "connect", enabled: true, ...(terminates ? { terminates: true as const } : {}) };
  return routeTo(cluster, { upgradeConfigs: [upgrade] }, { match: MATCH });
}

function withHarness(options: HarnessOptions, body: (harness: Harness, client: MemoryConnection) => void): void {
  const harness = new Harness({ routes: connectRoute("app", true), ...options });
  body(harness, harness.connect());
  harness.advance(10_000);
  assert.equal(harness.leaks(), "");
}

describe("a CONNECT that ends at a route", () => {
  test("joins the client with an endpoint, byte for byte, when there is a connection", () => {
    withHarness({}, (harness, client) => {
      harness.holdDials = true;
      client.send(`${CONNECT}early`);
      harness.run();
      assert.equal(client.take(), "", "no answer before there is somebody to talk to");
      harness.holdDials = false;
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 OK\r\ndate: .*\r\n\r\n$/);
      assert.equal(harness.upstream().take(), "early");
      harness.upstream().send("\0binary\r\n\r\n");
      client.send("GET / HTTP/1.1");
      harness.run();
      assert.equal(client.take(), "\0binary\r\n\r\n");
      assert.equal(harness.upstream().take(), "GET / HTTP/1.1");
    });
  });

  test("passes the end of each direction on by itself", () => {
    withHarness({}, (harness, client) => {
      client.send(CONNECT);
      harness.run();
      client.send("question");
      client.sendEnd();
      harness.run();
      assert.equal(harness.upstream().ended, true);
      assert.equal(client.ended, false);
      harness.upstream().send("answer");
      harness.upstream().sendEnd();
      harness.run();
      assert.match(client.take(), /answer$/);
      assert.equal(client.ended, true);
    });
  });

  test("lets the upstream read what is left when both directions have ended", () => {
    withHarness({}, (harness, client) => {
      client.send(CONNECT);
      harness.run();
      harness.upstream().stall(true);
      harness.upstream().sendEnd();
      harness.run();
      client.send("last words");
      client.sendEnd();
      harness.run();
      assert.equal(harness.upstream().closed, false);
      harness.upstream().stall(false);
      harness.run();
      assert.equal(harness.upstream().take(), "last words");
    });
  });

  test("breaks the client's connection when the upstream's breaks", () => {
    withHarness({}, (harness, client) => {
      client.send(CONNECT);
      harness.run();
      harness.upstream().break();
      harness.run();
      assert.equal(client.closed, true);
    });
  });

  test("closes the upstream's connection when the client goes, also while it is being made", () => {
    withHarness({}, (harness, client) => {
      client.send(CONNECT);
      harness.run();
      client.break();
      harness.run();
      assert.equal(harness.upstream().closed, true);
      harness.holdDials = true;
      const other = harness.connect();
      other.send(CONNECT);
      harness.run();
      other.break();
      harness.run();
      assert.equal(harness.upstreams.length, 1);
    });
  });

  test("is answered 503 where nobody can be reached, with the flag that says why", () => {
    withHarness({}, (harness, client) => {
      harness.dialFailures.push(REFUSED);
      client.send(CONNECT);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 /);
      assert.equal(formatResponseFlags(harness.logged[0]?.responseFlags ?? 0), "UF");
    });
    withHarness({ endpoints: { app: [] } }, (harness, client) => {
      client.send(CONNECT);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 /);
      assert.equal(formatResponseFlags(harness.logged[0]?.responseFlags ?? 0), "UH");
    });
    withHarness({ routes: connectRoute("nowhere", true) }, (harness, client) => {
      client.send(CONNECT);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 503 /);
      assert.equal(formatResponseFlags(harness.logged[0]?.responseFlags ?? 0), "NC");
    });
  });

  test("counts as a connection of the circuit breaker", () => {
    const thresholds = { maxConnections: 1, maxPendingRequests: 9, maxRequests: 9, maxRetries: 0 };
    const clusters = [clusterConfig("app", { circuitBreakers: { default: thresholds, high: thresholds } })];
    withHarness({ clusters }, (harness, client) => {
      client.send(CONNECT);
      harness.run();
      const second = harness.connect();
      second.send(CONNECT);
      harness.run();
      assert.match(second.take(), /^HTTP\/1\.1 503 /);
      assert.equal(formatResponseFlags(harness.logged[0]?.responseFlags ?? 0), "UO");
    });
  });
});

describe("a CONNECT that goes on", () => {
  const options: HarnessOptions = { routes: connectRoute("app", false) };

  test("is sent to the upstream, and opens when that one agrees", () => {
    withHarness(options, (harness, client) => {
      client.send(CONNECT);
      harness.run();
      assert.match(harness.upstream().take(), /^CONNECT db:5432 HTTP\/1\.1\r\nhost: db:5432\r\n/);
      harness.upstream().send("HTTP/1.1 200 Connection established\r\n\r\n");
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 Connection established\r\n/);
      client.send("ping");
      harness.run();
      assert.equal(harness.upstream().take(), "ping");
    });
  });

  test("gets the port back that was taken off for routing", () => {
    withHarness({ ...options, manager: { stripPort: "any" } }, (harness, client) => {
      client.send(CONNECT);
      harness.run();
      assert.match(harness.upstream().take(), /^CONNECT db:5432 HTTP\/1\.1\r\nhost: db:5432\r\n/);
    });
  });
});

test("a CONNECT without a route for it is not found, since no path matches it", () => {
  withHarness(
    { routes: routeTo("app"), manager: { upgradeConfigs: [{ upgradeType: "connect", enabled: true }] } },
    (harness, client) => {
      client.send(CONNECT);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 404 /);
    },
  );
});
