import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { type DeltaResource, encodeWrappedResource } from "@heddle/proto";
import type { ResourceUpdate } from "../subscription.ts";
import { testNode, textResource, textType } from "../testing.ts";
import { deltaClient } from "./client-delta.ts";
import { CLIENT_FEATURES } from "./client-features.ts";
import { ClientSession } from "./client-session.ts";
import { sotwClient } from "./client-sotw.ts";
import { CLUSTER_TYPE_URL, ENDPOINTS_TYPE_URL, WRAPPED_RESOURCE_TYPE_URL } from "./type-urls.ts";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse } from "./wire.ts";

test("statement 67: a resource is dropped when its time to live is over", () => {
  const c = deltaPair();
  c.receive([resource("a", "1", 1000), resource("b", "1")]);
  c.clock.advance(999);
  assert.deepEqual(c.removed(), []);
  c.clock.advance(1);
  assert.deepEqual(c.removed(), ["a"]);
  assert.deepEqual(c.states(), { a: "DOES_NOT_EXIST", b: "SYNCED" });
});

test("statement 67: the time goes on while no stream is open, and the next stream asks for the resource anew", () => {
  const c = deltaPair();
  c.receive([resource("a", "1", 1000), resource("b", "1")]);
  c.session.closeStream();
  c.clock.advance(1000);
  assert.deepEqual(c.removed(), ["a"]);
  c.session.openStream();
  const [request] = c.session.takeRequests();
  assert.deepEqual(request?.resourceNamesSubscribe, ["a", "b"]);
  assert.deepEqual([...(request?.initialResourceVersions.keys() ?? [])], ["b"]);
  c.session.close();
});

test("statement 67: a resource that comes again without a time to live stays", () => {
  const c = deltaPair();
  c.receive([resource("a", "1", 1000)]);
  c.receive([resource("a", "1")]);
  c.clock.advance(100_000);
  assert.deepEqual(c.removed(), []);
});

test("statement 67: our client says that it can take a time to live, and envelopes", () => {
  assert.ok(CLIENT_FEATURES.includes("xds.config.supports-resource-ttl"));
  assert.ok(CLIENT_FEATURES.includes("xds.config.resource-in-sotw"));
});

test("statement 68: a heartbeat lets a resource live on and is no update", () => {
  const c = deltaPair();
  c.receive([resource("a", "1", 1000)]);
  for (let beat = 0; beat < 5; beat += 1) {
    c.clock.advance(600);
    const update = c.receive([heartbeat("a", "1", 1000)]);
    assert.deepEqual([update.changed.size, update.refreshed, update.removed], [0, [], []]);
  }
  assert.deepEqual(c.removed(), []);
  c.clock.advance(1000);
  assert.deepEqual(c.removed(), ["a"]);
});

test("statement 68: a heartbeat of another version than the one that is held refreshes nothing", () => {
  const c = deltaPair();
  c.receive([resource("a", "1", 1000)]);
  c.clock.advance(600);
  c.receive([heartbeat("a", "2", 1000)]);
  c.clock.advance(400);
  assert.deepEqual(c.removed(), ["a"]);
});

test("a heartbeat of what is not held brings nothing", () => {
  const c = deltaPair();
  const update = c.receive([heartbeat("a", "1", 1000)]);
  assert.deepEqual([update.changed.size, update.absent], [0, []]);
  assert.deepEqual(c.states(), { a: "REQUESTED", b: "REQUESTED" });
  c.session.close();
});

test("a heartbeat of what has expired here says that the stream should begin anew, once", () => {
  const c = deltaPair();
  c.receive([resource("a", "1", 1000)]);
  c.clock.advance(1000);
  const beat = () => c.outcome([heartbeat("a", "1", 1000)]).missed === true;
  assert.deepEqual([beat(), beat()], [true, false]);
  c.receive([resource("a", "1", 1000)]);
  assert.equal(beat(), false);
  c.clock.advance(1000);
  assert.equal(beat(), true);
  c.session.close();
});

test("what nobody wants any more has no time left to wait for", () => {
  const c = deltaPair();
  c.receive([resource("a", "1", 1000)]);
  c.session.subscribe("endpoints", new Set());
  assert.equal(c.clock.pending, 0);
});

test("a client that is closed calls nobody back", () => {
  const c = deltaPair();
  c.receive([resource("a", "1", 1000)]);
  c.session.close();
  assert.equal(c.clock.pending, 0);
});

test("statement 69: a resource in an envelope is taken out of it, and has its time to live", () => {
  const c = sotwPair();
  const update = c.receive("1", [wrapped(resource("a", "1", 1000, CLUSTER_TYPE_URL)), bare("b", "1")]);
  assert.deepEqual([...update.changed.keys()], ["a", "b"]);
  c.clock.advance(1000);
  assert.deepEqual(c.removed(), ["a"]);
});

test("statement 69: an envelope that cannot be read is rejected, and what is beside it is taken", () => {
  const c = sotwPair();
  const broken = { typeUrl: WRAPPED_RESOURCE_TYPE_URL, value: Buffer.from([0x0a, 0xff]) };
  const update = c.receive("1", [broken, bare("b", "1")]);
  assert.deepEqual([...update.changed.keys()], ["b"]);
  assert.match(c.session.takeRequests().at(-1)?.errorDetail?.message ?? "", /resources\[0\]/);
});

test("statement 69: what is in the envelope has to be of the type that was asked for", () => {
  const c = sotwPair();
  c.receive("1", [wrapped(resource("a", "1", 1000, ENDPOINTS_TYPE_URL))]);
  assert.match(c.session.takeRequests().at(-1)?.errorDetail?.message ?? "", /cluster "a": its type is .*ClusterLoad/);
});

test("statement 68: heartbeats in envelopes are not the complete set, and take nothing away", () => {
  const c = sotwPair();
  c.receive("1", [wrapped(resource("a", "1", 1000, CLUSTER_TYPE_URL)), bare("b", "1")]);
  c.clock.advance(600);
  const update = c.receive("1", [wrapped({ ...heartbeat("a", "", 1000) })]);
  assert.deepEqual([update.changed.size, update.removed], [0, []]);
  c.clock.advance(600);
  assert.deepEqual(c.removed(), []);
  c.clock.advance(400);
  assert.deepEqual(c.removed(), ["a"]);
});

test("state of the world: once something has expired, a new stream names no version, so that it is answered", () => {
  const c = sotwPair();
  c.receive("1", [wrapped(resource("a", "1", 1000, CLUSTER_TYPE_URL))]);
  assert.equal(c.reopened()?.versionInfo, "1");
  c.clock.advance(1000);
  assert.equal(c.reopened()?.versionInfo, "");
  c.receive("1", [wrapped(resource("a", "1", undefined, CLUSTER_TYPE_URL))]);
  assert.equal(c.reopened()?.versionInfo, "1");
});

function deltaPair() {
  const pair = record<DeltaDiscoveryRequest, DeltaDiscoveryResponse>("endpoints", deltaClient);
  pair.session.subscribe("endpoints", new Set(["a", "b"]));
  pair.session.takeRequests();
  return {
    ...pair,
    states: () => Object.fromEntries(pair.session.statuses().map(({ name, state }) => [name, state])),
    receive: (resources: readonly DeltaResource[]) => pair.take(deltaResponse(resources)).update,
    outcome: (resources: readonly DeltaResource[]) => pair.take(deltaResponse(resources)),
  };
}

function sotwPair() {
  const pair = record<DiscoveryRequest, DiscoveryResponse>("cluster", sotwClient);
  pair.session.subscribe("cluster", new Set(["*"]));
  pair.session.takeRequests();
  return {
    ...pair,
    reopened() {
      pair.session.closeStream();
      pair.session.openStream();
      return pair.session.takeRequests()[0];
    },
    receive: (versionInfo: string, resources: DiscoveryResponse["resources"]) =>
      pair.take({ versionInfo, nonce: "n", typeUrl: CLUSTER_TYPE_URL, resources, controlPlaneIdentifier: "" }).update,
  };
}

function record<
  Request extends DiscoveryRequest | DeltaDiscoveryRequest,
  Response extends DiscoveryResponse | DeltaDiscoveryResponse,
>(kind: "cluster" | "endpoints", make: ConstructorParameters<typeof ClientSession<Request, Response>>[2]) {
  const clock = new ManualClock();
  const removed: string[] = [];
  const onTimeout = (update: ResourceUpdate): void => void removed.push(...update.removed);
  const session = new ClientSession<Request, Response>(testNode(), [textType(kind)], make, clock, onTimeout);
  session.openStream();
  return {
    clock,
    session,
    removed: () => removed,
    take(response: Response) {
      const outcome = session.receive(response);
      assert.ok(outcome);
      return outcome;
    },
  };
}

function resource(name: string, text: string, ttlMs?: number, typeUrl = ENDPOINTS_TYPE_URL): DeltaResource {
  const { bytes } = textResource(name, text);
  return { name, aliases: [], version: text, resource: { typeUrl, value: bytes }, ttlMs };
}

function deltaResponse(resources: readonly DeltaResource[]): DeltaDiscoveryResponse {
  return {
    systemVersionInfo: "",
    nonce: "n",
    typeUrl: ENDPOINTS_TYPE_URL,
    resources,
    removedResources: [],
    controlPlaneIdentifier: "",
  };
}

function heartbeat(name: string, version: string, ttlMs: number): DeltaResource {
  return { name, aliases: [], version, resource: undefined, ttlMs };
}

function bare(name: string, text: string) {
  return { typeUrl: CLUSTER_TYPE_URL, value: textResource(name, text).bytes };
}

function wrapped(one: DeltaResource) {
  return { typeUrl: WRAPPED_RESOURCE_TYPE_URL, value: encodeWrappedResource(one) };
}
