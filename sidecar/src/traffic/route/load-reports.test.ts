import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ClusterConfig, Endpoint } from "@heddle/traffic";
import { clusterConfig, Harness, retryPolicy, routeTo } from "../http/testing-harness.ts";
import { loadReports } from "../upstream/endpoint-reports.ts";

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

const weighted: Partial<ClusterConfig> = {
  lbPolicy: {
    type: "client-side-weighted-round-robin",
    blackoutPeriodMs: 0,
    weightExpirationPeriodMs: 180_000,
    weightUpdatePeriodMs: 1000,
    errorUtilizationPenalty: 1,
    metricNamesForComputingUtilization: [],
  },
};

/** A harness of one cluster whose endpoints are 10.0.0.1:80 and 10.0.0.2:80. */
async function makeHarness(config: Partial<ClusterConfig>, retries = false) {
  await loadReports();
  const harness = new Harness({
    clusters: [clusterConfig("app", config)],
    endpoints: { app: ["10.0.0.1:80", "10.0.0.2:80"] },
    ...(retries && { routes: routeTo("app", { retryPolicy }) }),
  });
  const client = harness.connect();
  const endpointOf = (key: string): Endpoint =>
    harness.runtime.current.clusters.get("app")?.endpoints?.byKey.get(key) ?? assert.fail(key);
  return {
    harness,
    client,
    /** What load reports would tell of that endpoint. */
    metricsOf: (key: string) => [...(endpointOf(key).reportedLoad?.metrics ?? [])].map(([name, sum]) => [name, sum]),
    /** Answers on the upstream connection of that number. */
    answer(upstream: number, head: string, trailers = ""): void {
      harness.upstream(upstream).take();
      const lines = `HTTP/1.1 ${head}transfer-encoding: chunked\r\n\r\n0\r\n${trailers}\r\n`;
      harness.upstream(upstream).send(lines);
      harness.run();
    },
    end: () => assert.equal(harness.leaks(), ""),
  };
}

const EPS = { lrsReportEndpointMetrics: ["eps"] };
const say = (eps: number): string => `endpoint-load-metrics: TEXT eps=${eps}\r\n`;

describe("what an endpoint says of its load", () => {
  test("is taken from the head or from the trailers, once of an answer, and goes on to the client", async () => {
    const { harness, client, metricsOf, answer, end } = await makeHarness(EPS);
    const answers = [
      [`200 OK\r\n${say(1)}`, ""],
      ["200 OK\r\n", say(20)],
      [`200 OK\r\n${say(300)}`, say(4000)],
      ["200 OK\r\nendpoint-load-metrics: TEXT\r\n", say(50_000)],
    ] as const;
    for (const [i, [head, trailers]] of answers.entries()) {
      client.send(GET);
      harness.run();
      answer(i % 2, head, trailers); // in turn, each on a connection of its own
      const passedOn = client.take();
      for (const said of [head.slice("200 OK\r\n".length), trailers]) assert.ok(passedOn.includes(said), said);
    }
    assert.deepEqual(metricsOf("10.0.0.1:80"), [["eps", { requests: 2, total: 301 }]]);
    assert.deepEqual(metricsOf("10.0.0.2:80"), [["eps", { requests: 2, total: 50_020 }]]);
    end();
  });

  test("counts of an attempt that is followed by another, too, for who said it", async () => {
    const { harness, client, metricsOf, answer, end } = await makeHarness(EPS, true);
    client.send(GET);
    harness.run();
    answer(0, `503 Service Unavailable\r\n${say(7)}`);
    harness.advance(30);
    answer(1, `200 OK\r\n${say(1)}`);
    assert.match(client.take(), /^HTTP\/1\.1 200 /);
    assert.deepEqual(metricsOf("10.0.0.1:80"), [["eps", { requests: 1, total: 7 }]]);
    assert.deepEqual(metricsOf("10.0.0.2:80"), [["eps", { requests: 1, total: 1 }]]);
    end();
  });

  test("gives it its share, and leaves no timer when the cluster goes", async () => {
    const { harness, client, answer, end } = await makeHarness(weighted);
    for (const [upstream, utilization] of [0.9, 0.1].entries()) {
      client.send(GET);
      harness.run();
      answer(upstream, `200 OK\r\nendpoint-load-metrics: TEXT rps_fractional=10,cpu_utilization=${utilization}\r\n`);
      client.take();
    }
    harness.advance(1000);
    const counts = [0, 0];
    for (let i = 0; i < 100; i++) {
      client.send(GET);
      harness.run();
      const upstream = harness.upstream(0).take() === "" ? 1 : 0;
      counts[upstream]! += 1;
      answer(upstream, "200 OK\r\n");
      client.take();
    }
    assert.ok(Math.abs(counts[0]! - 10) <= 1, `${counts.join(", ")}: one of ten, and nine`);
    assert.ok(harness.clock.pending > 0, "weights expire");
    end();
  });

  test("is nobody's business where the cluster has no use for it", async () => {
    const { harness, client, metricsOf, answer, end } = await makeHarness({});
    client.send(GET);
    harness.run();
    answer(0, `200 OK\r\n${say(1)}`);
    assert.match(client.take(), /endpoint-load-metrics: TEXT eps=1/);
    assert.deepEqual(metricsOf("10.0.0.1:80"), []);
    end();
  });
});
