import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json } from "@heddle/base";
import { formatResponseFlags } from "@heddle/filter";
import type { HttpFilterConfig } from "@heddle/traffic";
import { clusterConfig, Harness } from "../http/testing-harness.ts";
import { SERVING } from "../listener/serving-state.ts";
import { healthCheckType } from "./health-check-type.ts";
import { routerType } from "./router-type.ts";

const CHECK = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
const OTHER = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const PATH = [{ name: ":path", stringMatch: { exact: "/healthz" } }];

/** A sidecar with the filter, and what it answers to one request; the upstream answers 200. */
function withFilter(
  config: Json,
  body: (ask: (request: string) => string, harness: Harness) => void,
  endpoints: Readonly<Record<string, readonly string[]>> = {},
): void {
  const filter: HttpFilterConfig = {
    name: "health",
    config: { name: "health", type: "test.health", config },
    disabled: false,
  };
  const router = {
    name: "router",
    config: { name: "router", type: routerType.configType, config: { suppressEnvoyHeaders: true } },
    disabled: false,
  };
  const harness = new Harness({
    filters: { health: healthCheckType },
    manager: { httpFilters: [filter, router] },
    clusters: [clusterConfig("app"), clusterConfig("db")],
    endpoints,
  });
  const ask = (request: string): string => {
    const client = harness.connect();
    client.send(request);
    harness.run();
    for (const upstream of harness.upstreams) if (upstream.take() !== "") upstream.send(OK);
    harness.run();
    return client.take();
  };
  body(ask, harness);
  assert.equal(harness.leaks(), "");
}

const FAILING = { ...SERVING, healthCheckFailed: true };

describe("the health check filter", () => {
  test("answers checks itself, and lets other requests pass", () => {
    withFilter({ passThroughMode: false, headers: PATH }, (ask, harness) => {
      assert.match(ask(CHECK), /^HTTP\/1\.1 200 .*content-length: 0/s);
      assert.equal(harness.upstreams.length, 0);
      assert.equal(harness.value("http.downstream_rq_2xx"), 0, "it is no answer of the service");
      assert.match(ask(OTHER), /ok$/);
      assert.equal(harness.value("http.downstream_rq_2xx"), 1);
    });
  });

  test("answers 503 while the health check fails, and tells every other caller", () => {
    withFilter({ passThroughMode: false, headers: PATH }, (ask, harness) => {
      harness.serving.publish(FAILING);
      const answer = ask(CHECK);
      assert.match(answer, /^HTTP\/1\.1 503 .*connection: close/s);
      assert.equal(harness.logged[0]?.responseCodeDetails, "health_check_failed");
      assert.equal(formatResponseFlags(harness.logged[0]?.responseFlags ?? 0), "LH");
      assert.match(ask(OTHER), /^HTTP\/1\.1 200 .*x-envoy-immediate-health-check-fail: true.*ok$/s);
      harness.serving.publish(SERVING);
      assert.match(ask(CHECK), /^HTTP\/1\.1 200 /);
      assert.doesNotMatch(ask(OTHER), /immediate/);
    });
  });

  test("passes checks on where it shall, but for a failing one", () => {
    withFilter({ passThroughMode: true, headers: PATH }, (ask, harness) => {
      assert.match(ask(CHECK), /ok$/);
      harness.serving.publish(FAILING);
      assert.match(ask(CHECK), /^HTTP\/1\.1 503 /);
    });
  });

  test("a request is a check when all its conditions hold, and always where there is none", () => {
    const headers = [...PATH, { name: "x-probe", presentMatch: true }];
    withFilter({ passThroughMode: false, headers }, (ask) => {
      assert.match(ask(CHECK), /ok$/);
      assert.doesNotMatch(ask(CHECK.replace("host: a", "host: a\r\nx-probe: 1")), /ok$/);
    });
    withFilter({ passThroughMode: false }, (ask) => assert.doesNotMatch(ask(OTHER), /ok$/));
  });

  test("fails when a cluster has too few healthy endpoints, or is not there", () => {
    const wants = (cluster: string, value: number): Json => ({
      passThroughMode: false,
      headers: PATH,
      clusterMinHealthyPercentages: { [cluster]: { value } },
    });
    withFilter(wants("db", 100), (ask) => assert.match(ask(CHECK), /^HTTP\/1\.1 200 /));
    withFilter(wants("db", 1), (ask) => assert.match(ask(CHECK), /^HTTP\/1\.1 503 /), { db: [] });
    withFilter(wants("db", 0), (ask) => assert.match(ask(CHECK), /^HTTP\/1\.1 200 /), { db: [] });
    withFilter(wants("other", 1), (ask) => assert.match(ask(CHECK), /^HTTP\/1\.1 503 /));
  });
});

describe("gRPC's health service", () => {
  const GRPC_PATHS = [{ name: ":path", stringMatch: { prefix: "/grpc.health.v1.Health/" } }];
  const OURS: Json = { passThroughMode: false, headers: GRPC_PATHS };
  const SERVING_ANSWER = "7\r\n\0\0\0\0\u0002\u0008\u0001\r\n0\r\ngrpc-status: 0\r\n\r\n";
  const NOT_SERVING_ANSWER = SERVING_ANSWER.replace("\u0008\u0001", "\u0008\u0002");

  /** A call of a method with that message, in a body that is cut in the middle. */
  function call(message: string, method = "Check"): string {
    const prefix = `\0\0\0\0${String.fromCharCode(message.length)}`;
    return `POST /grpc.health.v1.Health/${method} HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n3\r\n${prefix.slice(0, 3)}\r\n${(message.length + 2).toString(16)}\r\n${prefix.slice(3)}${message}\r\n0\r\n\r\n`;
  }

  const asks = (service: string): string =>
    call(service === "" ? "" : `\u000a${String.fromCharCode(service.length)}${service}`);
  const status = (answer: string): string | undefined => /\r\ngrpc-status: (\d+)/.exec(answer)?.[1];

  test("Check is SERVING, and NOT_SERVING after /healthcheck/fail", () => {
    withFilter(OURS, (ask, harness) => {
      assert.match(ask(asks("")), /^HTTP\/1\.1 200 .*\r\ncontent-type: application\/grpc\r\n/s);
      assert.ok(ask(asks("")).endsWith(SERVING_ANSWER));
      harness.serving.publish(FAILING);
      assert.ok(ask(asks("")).endsWith(NOT_SERVING_ANSWER));
      assert.equal(formatResponseFlags(harness.logged[2]?.responseFlags ?? 0), "LH");
      assert.equal(harness.upstreams.length, 0);
      assert.equal(harness.value("http.downstream_rq_2xx"), 0);
    });
  });

  test("a cluster that the configuration names can be asked after, another service is NOT_FOUND", () => {
    const config = {
      ...(OURS as object),
      clusterMinHealthyPercentages: { db: { value: 1 }, app: { value: 1 } },
    } as Json;
    withFilter(
      config,
      (ask) => {
        assert.ok(ask(asks("app")).endsWith(SERVING_ANSWER));
        assert.ok(ask(asks("db")).endsWith(NOT_SERVING_ANSWER));
        assert.ok(ask(asks("")).endsWith(NOT_SERVING_ANSWER), "all of them have to be healthy");
        assert.equal(status(ask(asks("orders"))), "5");
      },
      { db: [] },
    );
  });

  test("Watch is UNIMPLEMENTED, and what is no request is INTERNAL", () => {
    withFilter(OURS, (ask) => {
      assert.equal(status(ask(call("", "Watch"))), "12");
      assert.equal(status(ask(call("\u000a\u0005a"))), "13");
      const head = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n";
      assert.equal(status(ask(`${head}\r\n`)), "13");
      assert.equal(status(ask(`${head}content-length: 3\r\n\r\n\0\0\0`)), "13");
      assert.equal(status(ask(`${head}content-length: 5\r\n\r\n\0\u007f\0\0\0`)), "13", "too long");
      assert.equal(status(ask(`${head}content-length: 5\r\n\r\n\u0001\0\0\0\0`)), "12", "compressed");
    });
  });

  test("what is passed on goes to the upstream, until the health check fails", () => {
    withFilter({ passThroughMode: true, headers: GRPC_PATHS }, (ask, harness) => {
      assert.match(ask(asks("")), /ok$/);
      harness.serving.publish(FAILING);
      assert.ok(ask(asks("")).endsWith(NOT_SERVING_ANSWER));
    });
  });

  test("over HTTP without gRPC the same paths are checks like any other", () => {
    withFilter(OURS, (ask) => {
      assert.match(ask("GET /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: a\r\n\r\n"), /content-length: 0/);
    });
  });
});

test("what is wrong with its configuration is told by place", () => {
  const issues = (config: Json) => {
    const parsed = healthCheckType.parse(config);
    return parsed.ok ? [] : parsed.error.map(({ path }) => path);
  };
  assert.deepEqual(issues({ passThroughMode: false, headers: [...PATH, {}] }), ["headers[1]"]);
  assert.deepEqual(issues({ passThroughMode: true, clusterMinHealthyPercentages: { a: { value: 1 } } }), [
    "clusterMinHealthyPercentages",
  ]);
});
