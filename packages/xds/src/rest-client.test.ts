import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { ManualClock, systemClock } from "@heddle/base";
import { makeResourceTypes } from "./resource/resource-types.ts";
import { httpFilters } from "./resource/testing.ts";
import { RestClient, type RestClientOptions } from "./rest-client.ts";
import type { ResourceUpdate } from "./subscription.ts";
import { eventually, quietLog, quietMetrics, testNode } from "./testing.ts";

const types = makeResourceTypes({ httpFilters });
const REFRESH_MS = 5000;

interface Answer {
  readonly status?: number;
  readonly body?: string;
  /** Never answers. */
  readonly silent?: true;
}

/** A client that polls a scripted server; time passes by hand. */
async function poll(t: TestContext, answers: readonly Answer[], more: Partial<RestClientOptions> = {}) {
  const asked: { path: string; host: string; request: Record<string, unknown> }[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on("end", () => {
      const answer = answers[Math.min(asked.length, answers.length - 1)]!; // there is one at least
      asked.push({ path: request.url ?? "", host: request.headers.host ?? "", request: JSON.parse(text) });
      if (answer.silent !== true) response.writeHead(answer.status ?? 200).end(answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const clock = new ManualClock();
  const updates: ResourceUpdate[] = [];
  const client = new RestClient({
    type: types.endpoints,
    endpoints: [{ address: { host: "127.0.0.1", port } }],
    host: "cp",
    refreshDelayMs: REFRESH_MS,
    requestTimeoutMs: 1000,
    origin: { type: "file", path: "/any" },
    node: testNode(),
    clock,
    log: quietLog,
    metrics: quietMetrics,
    onUpdate: (update) => updates.push(update),
    random: () => 0.5,
    ...more,
  });
  t.after(() => {
    client.close();
    assert.equal(clock.pending, 0);
    server.closeAllConnections();
    server.close();
  });
  /** Until the answer to the n-th question has been taken. */
  const answered = (count: number) =>
    eventually(() => asked.length === count && clock.pending > 0 && waits(client), `question ${count}`);
  return { asked, clock, updates, client, answered };
}

/** Whether the client waits for its next turn. */
function waits(client: RestClient): boolean {
  return (client.inspect() as { asking: boolean }).asking === false;
}

function eds(version: string, ...names: string[]): Answer {
  const type = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
  const resources = names.map((cluster_name) => ({ "@type": type, cluster_name }));
  return { body: JSON.stringify({ version_info: version, resources }) };
}

test("statement 77: a question carries node, names and the version in proto JSON, and 304 changes nothing", async (t) => {
  const it = await poll(t, [eds("1", "a"), { status: 304 }, eds("2", "a", "b", "unasked")]);
  it.client.subscribe("endpoints", new Set(["a"]));
  await it.answered(1);
  assert.equal(it.asked[0]?.path, "/v3/discovery:endpoints");
  assert.equal(it.asked[0]?.host, "cp");
  const { node, versionInfo, resourceNames, typeUrl } = it.asked[0]?.request ?? {};
  assert.equal((node as { id: string }).id, "default/web/1");
  assert.deepEqual([versionInfo, resourceNames], [undefined, ["a"]]);
  assert.match(String(typeUrl), /ClusterLoadAssignment$/);
  assert.deepEqual([...(it.updates[0]?.changed.keys() ?? [])], ["a"]);
  assert.deepEqual(it.updates[0]?.origin, { type: "file", path: "/any" });

  it.clock.advance(REFRESH_MS * 1.5);
  await it.answered(2);
  assert.equal(it.asked[1]?.request["versionInfo"], "1");
  assert.equal(it.updates.length, 1);

  it.client.subscribe("endpoints", new Set(["a", "b"]));
  await it.answered(3);
  assert.equal(it.asked[2]?.request["versionInfo"], undefined, "the version says nothing of what was just added");
  assert.deepEqual([...(it.updates[1]?.changed.keys() ?? [])], ["b"]);
});

test("what cannot be used changes nothing, says why, and is asked for again", async (t) => {
  const bad: [Answer, RegExp][] = [
    [{ status: 500 }, /status 500/],
    [{ body: "{" }, /no JSON/],
    [{ body: '{"resources": 1}' }, /no DiscoveryResponse: resources/],
    [{ body: '{"type_url": "x/y"}' }, /of type x\/y/],
    [
      {
        body: eds("1", "a").body!.replace(
          '"cluster_name":"a"',
          '"cluster_name":"a","policy":{"overprovisioning_factor":0}',
        ),
      },
      /overprovisioning_factor/,
    ],
  ];
  const it = await poll(t, [...bad.map(([answer]) => answer), eds("2", "a")]);
  it.client.subscribe("endpoints", new Set(["a"]));
  for (const [index, [, reason]] of bad.entries()) {
    await it.answered(index + 1);
    assert.match((it.client.inspect() as { lastError: string }).lastError, reason);
    it.clock.advance(REFRESH_MS * 1.5);
  }
  await it.answered(bad.length + 1);
  assert.deepEqual([...(it.updates.at(-1)?.changed.keys() ?? [])], ["a"]);
  assert.equal(it.updates.flatMap(({ changed }) => [...changed]).length, 1);
});

test("a server that says nothing is given up after the request's timeout", async (t) => {
  const it = await poll(t, [{ silent: true }, eds("1", "a")]);
  it.client.subscribe("endpoints", new Set(["a"]));
  await eventually(() => it.asked.length === 1);
  it.clock.advance(1000);
  assert.match((it.client.inspect() as { lastError: string }).lastError, /no answer within 1000 ms/);
  it.clock.advance(REFRESH_MS * 1.5);
  await it.answered(2);
  assert.equal(it.updates.length, 1);
});

test("nobody is asked any more once nothing is wanted", async (t) => {
  const it = await poll(t, [eds("1", "a")]);
  it.client.subscribe("endpoints", new Set(["a"]));
  await it.answered(1);
  it.client.subscribe("endpoints", new Set());
  assert.equal(it.clock.pending, 0);
});

test("a server that is not there is an error of polling, not of the program", async (t) => {
  const it = await poll(t, [{}], { endpoints: [{ address: { host: "127.0.0.1", port: 1 } }], clock: systemClock });
  it.client.subscribe("endpoints", new Set(["a"]));
  await eventually(() => /ECONNREFUSED/.test((it.client.inspect() as { lastError: string }).lastError));
});

function cds(version: string, ...names: string[]): Answer {
  const type = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
  const resources = names.map((name) => ({ "@type": type, name, type: "EDS", eds_cluster_config: EDS_ADS }));
  return { body: JSON.stringify({ version_info: version, resources }) };
}

const EDS_ADS = { eds_config: { ads: {}, resource_api_version: "V3" } };

test("a server that answers once with nothing takes nothing away; what stays away for a minute is removed", async (t) => {
  const gone = { status: 503 };
  const same = { status: 304 };
  const answers = [
    cds("1", "a", "b"),
    cds("2"),
    cds("3", "a", "b"),
    cds("4"),
    gone,
    ...Array.from({ length: 9 }, () => same),
  ];
  const it = await poll(t, answers, { type: types.cluster });
  const changes = (): unknown =>
    it.updates.splice(0).map(({ changed, removed }) => [[...changed.keys()].sort(), [...removed].sort()]);
  it.client.subscribe("cluster", new Set(["*"]));
  let asked = 1;
  const next = async (): Promise<void> => {
    it.clock.advance(REFRESH_MS * 1.5);
    await it.answered(++asked);
  };
  await it.answered(asked);
  assert.deepEqual(changes(), [[["a", "b"], []]]);
  await next();
  assert.deepEqual(changes(), [], "it has come back with nothing");
  assert.deepEqual((it.client.inspect() as { heldBack: string[] }).heldBack.sort(), ["a", "b"]);
  await next();
  it.clock.advance(0);
  assert.deepEqual((it.client.inspect() as { heldBack: string[] }).heldBack, []);
  changes();
  await next(); // nothing, at 22.5 s
  await next(); // not there: the minute begins anew with the answer behind it
  for (let turn = 0; turn < 8; turn++) await next();
  assert.deepEqual(changes(), [], "52.5 s");
  await next();
  assert.deepEqual(changes(), [[[], ["a", "b"]]]);
});
