import assert from "node:assert/strict";
import { test } from "node:test";
import { addMetric, buildEndpointSet, type Endpoint, type EndpointSet } from "@heddle/traffic";
import { LoadLedger, type LocalityLoad } from "./load-ledger.ts";

/** Endpoints by zone, in the order of priorities. */
function endpoints(zones: { readonly [zone: string]: readonly string[] }, previous?: EndpointSet): EndpointSet {
  const localities = Object.entries(zones).map(([zone, addresses], priority) => ({
    locality: { region: "r", zone, subZone: "" },
    loadBalancingWeight: undefined,
    priority,
    endpoints: addresses.map((address) => ({
      address: { type: "socket" as const, address, port: 80 },
      hostname: "",
      healthStatus: "UNKNOWN" as const,
      loadBalancingWeight: 1,
      metadata: {},
    })),
  }));
  const config = { clusterName: "c", localities, overprovisioningFactorPercent: 140, dropOverloads: [] };
  return buildEndpointSet(config, previous);
}

const endpoint = (set: EndpointSet, address: string): Endpoint => set.byKey.get(`${address}:80`)!; // the tests name known ones

/** "zone/priority issued-succeeded-failed-inProgress" of one cluster. */
function loads(ledger: LoadLedger, set: EndpointSet | undefined, name = "c"): string[] {
  const found = ledger
    .read(set === undefined ? [] : [{ name, endpoints: set }])
    .find(({ cluster }) => cluster === name);
  return (found?.localities ?? []).map(
    ({ zone, priority, issued, succeeded, failed, inProgress }: LocalityLoad) =>
      `${zone}/${priority} ${issued}-${succeeded}-${failed}-${inProgress}`,
  );
}

test("requests add up by locality and priority, and what has begun since the worker did is there at the first reading", () => {
  const ledger = new LoadLedger();
  const set = endpoints({ a: ["10.0.0.1", "10.0.0.2"], b: ["10.0.0.3"] });
  endpoint(set, "10.0.0.1").requests = 3;
  endpoint(set, "10.0.0.1").countAnswer(200);
  endpoint(set, "10.0.0.2").requests = 1;
  endpoint(set, "10.0.0.2").countAnswer(503);
  endpoint(set, "10.0.0.3").requests = 2;
  endpoint(set, "10.0.0.3").activeRequests = 2;
  assert.deepEqual(loads(ledger, set), ["a/0 4-1-1-0", "b/1 2-0-0-2"]);
});

test("what an endpoint has counted before it leaves stays, and what ends after that is added", () => {
  const ledger = new LoadLedger();
  const first = endpoints({ a: ["10.0.0.1", "10.0.0.2"] });
  ledger.read([]);
  const leaver = endpoint(first, "10.0.0.2");
  leaver.requests = 2;
  leaver.activeRequests = 1;
  leaver.countAnswer(200);
  const second = endpoints({ a: ["10.0.0.1"] }, first);
  ledger.settle("c", first, second);
  assert.deepEqual(loads(ledger, second), ["a/0 2-1-0-1"]);
  leaver.countAnswer(500);
  leaver.activeRequests = 0;
  assert.deepEqual(loads(ledger, second), ["a/0 2-1-1-0"]);
  assert.deepEqual(loads(ledger, second), ["a/0 2-1-1-0"]);
});

test("an endpoint that moves to another locality takes nothing along that was counted before", () => {
  const ledger = new LoadLedger();
  const first = endpoints({ a: ["10.0.0.1"] });
  ledger.read([]);
  const mover = endpoint(first, "10.0.0.1");
  mover.requests = 5;
  const second = endpoints({ b: ["10.0.0.1"] }, first);
  assert.equal(endpoint(second, "10.0.0.1"), mover);
  ledger.settle("c", first, second);
  mover.requests = 7;
  assert.deepEqual(loads(ledger, second), ["a/0 5-0-0-0", "b/0 2-0-0-0"]);
});

test("a cluster that comes again under its name goes on from where the one before ended", () => {
  const ledger = new LoadLedger();
  const before = endpoints({ a: ["10.0.0.1"] });
  ledger.read([]);
  endpoint(before, "10.0.0.1").requests = 4;
  ledger.settle("c", before, undefined);
  assert.deepEqual(loads(ledger, undefined), ["a/0 4-0-0-0"]);
  const after = endpoints({ a: ["10.0.0.1"] });
  endpoint(after, "10.0.0.1").requests = 1;
  assert.deepEqual(loads(ledger, after), ["a/0 5-0-0-0"]);
});

test("before anybody has asked, nothing is written down", () => {
  const ledger = new LoadLedger();
  const set = endpoints({ a: ["10.0.0.1"] });
  endpoint(set, "10.0.0.1").requests = 4;
  ledger.settle("c", set, undefined);
  assert.deepEqual(loads(ledger, undefined), []);
});

test("figures of endpoints begin when somebody asks for them; one that has left is told of twice more, and then forgotten", () => {
  const ledger = new LoadLedger();
  const first = endpoints({ a: ["10.0.0.1", "10.0.0.2", "10.0.0.3"] });
  const read = (set: EndpointSet, byEndpoint = true): string[] | undefined =>
    ledger
      .read([{ name: "c", endpoints: set }], byEndpoint)[0]
      ?.localities[0]?.endpoints?.map(({ address, issued, inProgress }) => {
        return `${address.type === "socket" ? address.address : ""} ${issued}-${inProgress}`;
      });
  const leaver = endpoint(first, "10.0.0.2");
  leaver.requests = 5;
  assert.equal(read(first, false), undefined);
  leaver.requests = 7;
  leaver.activeRequests = 1;
  endpoint(first, "10.0.0.1").requests = 1;
  assert.deepEqual(read(first), ["10.0.0.1 1-0", "10.0.0.2 2-1"]);
  leaver.requests = 8;
  const second = endpoints({ a: ["10.0.0.1", "10.0.0.3"] }, first);
  ledger.settle("c", first, second);
  assert.deepEqual(read(second), ["10.0.0.1 1-0", "10.0.0.2 3-1"], "a request of it is under way");
  leaver.activeRequests = 0;
  for (let turn = 0; turn < 3; turn++) assert.deepEqual(read(second), ["10.0.0.1 1-0", "10.0.0.2 3-0"]);
  assert.deepEqual(read(second), ["10.0.0.1 1-0"]);
  assert.equal(read(second, false), undefined);
});

/** Says so of its load that many times, in an answer each. */
function say(one: Endpoint, name: string, total: number, requests = 1): void {
  addMetric(one.beginReports().metrics, name, requests, total);
  one.requests += requests;
}

test("what endpoints say of their load adds up by locality, and by endpoint where that is asked for", () => {
  const ledger = new LoadLedger();
  const set = endpoints({ a: ["10.0.0.1", "10.0.0.2"], b: ["10.0.0.3"] });
  const read = () => ledger.read([{ name: "c", endpoints: set }], true)[0]?.localities;
  say(endpoint(set, "10.0.0.1"), "cpu_utilization", 0.5);
  say(endpoint(set, "10.0.0.2"), "cpu_utilization", 1.5, 2);
  endpoint(set, "10.0.0.3").requests = 1;
  const first = read();
  assert.deepEqual(
    first?.map(({ metrics }) => metrics),
    [[{ name: "cpu_utilization", requests: 3, total: 2 }], undefined],
  );
  assert.deepEqual(
    first?.[0]?.endpoints?.map(({ metrics }) => metrics),
    [[{ name: "cpu_utilization", requests: 1, total: 0.5 }], [{ name: "cpu_utilization", requests: 2, total: 1.5 }]],
  );
  assert.deepEqual(read()?.[0]?.metrics, first?.[0]?.metrics, "totals only grow");
  say(endpoint(set, "10.0.0.1"), "eps", 4);
  const second = endpoints({ a: ["10.0.0.2"] }, set);
  ledger.settle("c", set, second);
  assert.deepEqual(
    ledger.read([{ name: "c", endpoints: second }])[0]?.localities[0]?.metrics,
    [
      { name: "cpu_utilization", requests: 3, total: 2 },
      { name: "eps", requests: 1, total: 4 },
    ],
    "what an endpoint said before it left stays",
  );
});
