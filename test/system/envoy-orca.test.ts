import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import { ProtobufWriter } from "@heddle/http";
import { LoadReportServer } from "@heddle/xds/server";
import { quietLog } from "@heddle/xds/testing";
import { skipWithoutEnvoy, startEnvoy } from "../harness/envoy.ts";
import { cluster, http2Cluster, inlineRoutes, type Json, listener, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst } from "../harness/owner.ts";
import { startSidecar } from "../harness/sidecar.ts";

/* A real Envoy beside a sidecar of ours, with the same bootstrap and the same endpoints: what both make of reports of load (ORCA). */

type Fields = readonly (readonly [name: string, value: string])[];

interface Report {
  readonly head?: Fields;
  readonly trailers?: Fields;
}

const BIN = "endpoint-load-metrics-bin";
const text = (value: string): Report => ({ head: [["endpoint-load-metrics", value]] });

/** Of the message's fields: numbers, and entries of maps. */
function message(
  ...fields: readonly (readonly [field: number, value: number | readonly [key: string, value: number]])[]
) {
  const writer = new ProtobufWriter();
  for (const [field, value] of fields) {
    if (typeof value === "number") writer.double(field, value);
    else {
      const entry = writer.open(field);
      writer.text(1, value[0]);
      writer.double(2, value[1]);
      writer.close(entry);
    }
  }
  return Buffer.from(writer.finish()).toString("base64");
}

const WHOLE = message(
  [1, 0.5],
  [2, 0.25],
  [9, 2],
  [6, 100],
  [7, 3],
  [4, ["rows", 7]],
  [5, ["disk", 0.5]],
  [8, ["q", -4]],
);
const UNPADDED = message([1, 0.5]).replaceAll("=", "");

/** What both read alike, and what both take for nothing. */
const ALIKE: readonly Report[] = [
  {},
  text("TEXT cpu_utilization=0.5,mem_utilization=0.25,application_utilization=2,rps_fractional=100,eps=3"),
  text("TEXT cpu_utilization:0.5, mem_utilization : 0.25"),
  text("TEXT cpu_utilization: 0.5 ,, mem_utilization:0.25,"),
  text("TEXT named_metrics.a=1,named_metrics.b=2e3,utilization.disk=.5"),
  text("TEXT named_metrics.a=-1"),
  text("TEXT named_metrics.a.b=1,named_metrics.a=1"),
  text("TEXT named_metrics.a=b=1"),
  text("TEXT named_metrics.a:b=1"),
  text("TEXT request_cost.rows=1"),
  text("TEXT cpu_utilization=0.5,cpu_utilization=0.5"),
  text("TEXT cpu_utilization=0.5,named_metrics.a=1,named_metrics.a=2"),
  text("TEXT cpu_utilization=0.5,unknown=1"),
  text("TEXT cpu_utilization=-0.5"),
  text("TEXT eps=-1"),
  text("TEXT utilization.disk=-1"),
  text("TEXT cpu_utilization=nan"),
  text("TEXT cpu_utilization=inf"),
  text("TEXT cpu_utilization=1e400"),
  text("TEXT cpu_utilization=+1."),
  text("TEXT cpu_utilization=1e"),
  text("TEXT cpu_utilization="),
  text("TEXT cpu_utilization"),
  text("TEXT =1"),
  text("TEXT named_metrics.=1"),
  text("TEXT utilization.=1"),
  text("text cpu_utilization=0.5"),
  text("cpu_utilization=0.5"),
  text("TEXT"),
  text('JSON {"cpu_utilization": 0.5, "namedMetrics": {"a": 1}, "requestCost": {"b": 2}, "utilization": {"c": 3}}'),
  text('JSON {"cpuUtilization": "0.5", "rps": "7", "rps_fractional": null}'),
  text('JSON {"named_metrics": {"a": -1}, "request_cost": {"b": -2}}'),
  text('JSON {"named_metrics": {"a": 1, "a": 2}}'),
  text('JSON {"cpu_utilization": 0.5, "unknown": 1}'),
  text('JSON {"cpu_utilization": true}'),
  text('JSON {"cpu_utilization": 0.5'),
  text("JSON {}"),
  text("JSON []"),
  text("JSON "),
  text(`BIN ${WHOLE}`),
  { head: [[BIN, WHOLE]] },
  { head: [[BIN, UNPADDED]] },
  text(`BIN ${UNPADDED}`),
  { head: [[BIN, "not-a-valid-binary-proto"]] },
  { head: [[BIN, Buffer.from("\x09\x00").toString("base64")]] },
  { head: [[BIN, ""]] },
  { head: [[BIN, WHOLE], ["endpoint-load-metrics", "TEXT cpu_utilization=9"]] }, // biome-ignore format: one case
  {
    head: [
      [BIN, "?"],
      ["endpoint-load-metrics", "TEXT cpu_utilization=9"],
    ],
  },
  {
    head: [
      ["endpoint-load-metrics", "TEXT eps=1"],
      ["endpoint-load-metrics", "TEXT eps=2"],
    ],
  },
  { trailers: [[BIN, WHOLE]] },
  { trailers: [["endpoint-load-metrics", "TEXT eps=1"]] },
  { head: [["endpoint-load-metrics", "TEXT eps=1"]], trailers: [["endpoint-load-metrics", "TEXT eps=2"]] },
  { head: [["endpoint-load-metrics", "TEXT bad=1"]], trailers: [["endpoint-load-metrics", "TEXT eps=2"]] },
];

/** What Envoy takes and we do not: more than one meaning, no number, or one that cannot be. */
const STRICTER: readonly Report[] = [
  text("TEXT cpu_utilization=0x10"),
  text('JSON {"cpuUtilization": 0.5, "cpu_utilization": 0.25}'),
  text('JSON {"cpuUtilization": 0.5, "cpuUtilization": 0.25}'),
  text('JSON {"cpu_utilization": -1}'),
  text('JSON {"cpu_utilization": "NaN"}'),
  text(`BIN ${message([1, -1])}`),
  text(`BIN ${message([1, Number.POSITIVE_INFINITY])}`),
];

const METRICS = [
  "cpu_utilization",
  "mem_utilization",
  "application_utilization",
  "eps",
  "rps_fractional",
  "named_metrics.*",
  "utilization.*",
  "request_cost.*",
];

test("a sidecar reads and tells of endpoints' load what Envoy does, or less", { skip: skipWithoutEnvoy }, async (t) => {
  const reports = [...ALIKE, ...STRICTER];
  const { loads, port: lrs } = await loadReportServer(t);
  const upstream = await listen(t, (request, response) => {
    const { head = [], trailers = [] } = reports[Number(request.url?.split("/")[1])] ?? assert.fail("a case");
    response.writeHead(200, [...head.flat(), ...(trailers.length > 0 ? ["trailer", trailers[0]![0]] : [])]);
    response.write("x");
    response.addTrailers(trailers as [string, string][]);
    response.end();
  });
  const fields = { lrs_report_endpoint_metrics: METRICS, http_protocol_options: { enable_trailers: true } };
  const bootstrap = (id: string): Json => ({
    node: { id, cluster: "edge" },
    cluster_manager: {
      load_stats_config: {
        api_type: "GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "lrs" } }],
      },
    },
    static_resources: {
      listeners: [listener({ name: "in", routes: inlineRoutes([byPath(reports.length)]) })],
      clusters: [...reports.map((_, i) => cluster(`case-${i}`, [upstream], fields)), http2Cluster("lrs", [lrs])],
    },
  });
  const envoy = await startEnvoy(bootstrap("default/envoy/1"), lastFirst(t));
  const sidecar = await startSidecar(bootstrap("default/sidecar/1"), t);

  /** What the proxy told of each case. */
  const tell = async (id: string, proxy: { port(name: string): Promise<number> }): Promise<string[]> => {
    const url = `http://127.0.0.1:${await proxy.port("in")}`;
    for (const [i, { head = [] }] of reports.entries()) {
      const response = await fetch(`${url}/${i}/`);
      await response.arrayBuffer();
      const isPassedOn = head.every(([name]) => response.headers.has(name));
      assert.ok(isPassedOn, `${id} tells its client what case ${i} says`);
    }
    const clusters = () => loads.loads().find(({ nodeId }) => nodeId === id)?.clusters ?? [];
    const localityOf = (i: number) => clusters().find((one) => one.cluster === `case-${i}`)?.localities[0];
    const isTold = () => reports.every((_, i) => localityOf(i)?.succeeded === 1);
    await eventually(`${id} has told of every case`, isTold);
    return reports.map((_, i) => {
      const metrics = localityOf(i)?.metrics ?? [];
      return metrics
        .map(({ name, requests, total }) => `${name} ${requests} ${total}`)
        .toSorted()
        .join(", ");
    });
  };
  const ofEnvoy = await tell("default/envoy/1", envoy);
  const ofSidecar = await tell("default/sidecar/1", sidecar);
  const named = (told: readonly string[]) => ALIKE.map((report, i) => `${JSON.stringify(report)}: ${told[i]}`);
  assert.deepEqual(named(ofSidecar), named(ofEnvoy));
  for (const [i, report] of STRICTER.entries()) {
    assert.equal(ofSidecar[ALIKE.length + i], "", JSON.stringify(report));
    assert.notEqual(ofEnvoy[ALIKE.length + i], "", JSON.stringify(report));
  }
});

test("a sidecar gives endpoints the shares that Envoy gives them", { skip: skipWithoutEnvoy }, async (t) => {
  // Weights 100 / (0.5 + 2 * 2 / 100) and 100 / 0.9: five of eight.
  const ports = [
    await listen(t, (_, response) =>
      response.writeHead(200, { [BIN]: message([1, 0.5], [6, 100], [7, 2]) }).end("roomy"),
    ),
    await listen(t, (_, response) => response.writeHead(200, { [BIN]: message([1, 0.9], [6, 100]) }).end("busy")),
  ];
  const typed_config = {
    "@type": `type.googleapis.com/${POLICIES}.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin`,
    blackout_period: "0s",
    weight_update_period: "0.1s",
    error_utilization_penalty: 2,
  };
  const policies = [{ typed_extension_config: { name: "w", typed_config } }];
  const bootstrap = {
    node: { id: "default/edge/1", cluster: "edge" },
    static_resources: {
      listeners: [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app")]) })],
      clusters: [cluster("app", ports, { load_balancing_policy: { policies } })],
    },
  };
  for (const [proxy, most] of [
    [await startEnvoy(bootstrap, lastFirst(t)), 5], // two workers, and weights of whole numbers
    [await startSidecar(bootstrap, t), 1],
  ] as const) {
    const url = `http://127.0.0.1:${await proxy.port("in")}/`;
    await eventually(`five of eight requests go to the roomy one, ${most} of 160 more or less`, async () => {
      let roomy = 0;
      for (let i = 0; i < 160; i += 1) if ((await (await fetch(url)).text()) === "roomy") roomy += 1;
      return Math.abs(roomy - 100) <= most;
    });
  }
});

const POLICIES = "envoy.extensions.load_balancing_policies";

function byPath(cases: number): Json {
  const routes = Array.from({ length: cases }, (_, i) => {
    return { match: { prefix: `/${i}/` }, route: { cluster: `case-${i}` } };
  });
  return { name: "all", domains: ["*"], routes };
}

async function loadReportServer(t: TestContext): Promise<{ readonly loads: LoadReportServer; readonly port: number }> {
  const loads = new LoadReportServer({ clock: systemClock, log: quietLog, intervalMs: 200 });
  const server = new Server();
  loads.addTo(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  t.after(() => {
    loads.close();
    server.forceShutdown();
  });
  return { loads, port };
}

async function listen(t: TestContext, answer: RequestListener): Promise<number> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
