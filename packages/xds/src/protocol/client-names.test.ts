import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { DeltaResource } from "@heddle/proto";
import type { ResourceKind } from "../resource/resource-type.ts";
import { testNode, textResource, textType } from "../testing.ts";
import { deltaClient } from "./client-delta.ts";
import { ClientSession } from "./client-session.ts";
import { typeUrlOfKind } from "./type-urls.ts";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "./wire.ts";

/* Names that are not simply the name of the resource: aliases, envelopes, structured names, collections. */

const CLUSTER = "envoy.config.cluster.v3.Cluster";

test("statement 45: a name that was asked for is answered by a resource that has it as an alias", () => {
  const c = client("virtual-host", ["routes/a.example", "routes/b.example"]);
  const update = c.receive([named("routes/one", "one", ["routes/a.example", "routes/c.example"])]);
  assert.deepEqual([...update.changed.keys()], ["routes/one"]);
  assert.deepEqual(update.changed.get("routes/one")?.aliases, ["routes/a.example"]);
  assert.deepEqual(c.states(), {
    "routes/a.example": "SYNCED",
    "routes/b.example": "REQUESTED",
    "routes/one": "SYNCED",
  });
  c.session.close();
});

test("statement 45: an alias that is answered by what is held already is told as refreshed", () => {
  const c = client("virtual-host", ["routes/a.example"]);
  c.receive([named("routes/one", "one", ["routes/a.example"])]);
  c.session.adjust("virtual-host", ["routes/b.example"], []);
  const update = c.receive([named("routes/one", "one", ["routes/a.example", "routes/b.example"])]);
  assert.deepEqual(
    [update.changed.size, update.refreshed],
    [0, ["routes/one", "routes/a.example", "routes/b.example"]],
  );
});

test("statement 45: the versions on a new stream are those of real names, and the aliases are what is asked for", () => {
  const c = client("virtual-host", ["routes/a.example"]);
  c.receive([named("routes/one", "one", ["routes/a.example"])]);
  c.session.closeStream();
  c.session.openStream();
  const [request] = c.session.takeRequests();
  assert.deepEqual(request?.resourceNamesSubscribe, ["routes/a.example"]);
  assert.deepEqual([...(request?.initialResourceVersions.keys() ?? [])], ["routes/one"]);
  assert.equal(c.clock.pending, 0, "what is answered is not waited for");
});

test("a resource goes with the last name that it answered", () => {
  const c = client("virtual-host", ["routes/a.example", "routes/b.example"]);
  c.receive([named("routes/one", "one", ["routes/a.example", "routes/b.example"])]);
  c.session.adjust("virtual-host", [], ["routes/a.example"]);
  assert.equal(c.states()["routes/one"], "SYNCED");
  c.session.adjust("virtual-host", [], ["routes/b.example"]);
  assert.deepEqual(c.states(), {});
});

test("when a resource is removed, the names that it answered do not exist either", () => {
  const c = client("virtual-host", ["routes/a.example"]);
  c.receive([named("routes/one", "one", ["routes/a.example"])]);
  const update = c.receive([], ["routes/one"]);
  assert.deepEqual([update.removed, update.absent], [["routes/one"], ["routes/a.example"]]);
});

test("a virtual host has its whole name in the envelope alone", () => {
  const c = client("virtual-host", ["routes/one"]);
  assert.deepEqual([...c.receive([named("routes/one", "one")]).changed.keys()], ["routes/one"]);
});

test("a name that the server answers without a body does not exist", () => {
  const c = client("virtual-host", ["routes/a.example"]);
  const missing = { name: "routes/a.example", aliases: ["routes/a.example"], version: "", resource: undefined };
  assert.deepEqual(c.receive([missing]).absent, ["routes/a.example"]);
  assert.deepEqual(c.states(), { "routes/a.example": "DOES_NOT_EXIST" });
});

test("one name more or less costs one name on the wire", () => {
  const many = Array.from({ length: 10_000 }, (_, index) => `routes/${index}`);
  const c = client("virtual-host", many);
  c.session.adjust("virtual-host", ["routes/new"], ["routes/7"]);
  const [request] = c.session.takeRequests();
  assert.deepEqual(
    [request?.resourceNamesSubscribe, request?.resourceNamesUnsubscribe],
    [["routes/new"], ["routes/7"]],
  );
  c.session.adjust("virtual-host", ["routes/new"], ["routes/7"]);
  assert.deepEqual(c.session.takeRequests(), [], "it was so already");
  c.session.close();
});

test("a name that is dropped and wanted again before anything was sent is asked for", () => {
  const c = client("endpoints", ["a"]);
  c.receive([named("a", "a")]);
  c.session.takeRequests();
  c.session.adjust("endpoints", [], ["a"]);
  c.session.adjust("endpoints", ["a"], []);
  const [request] = c.session.takeRequests();
  assert.deepEqual([request?.resourceNamesSubscribe, request?.resourceNamesUnsubscribe], [["a"], []]);
  c.session.close();
});

test("statement 75: a structured name is asked for in its one spelling, and its user is told in its own", () => {
  const mine = `xdstp://a/${CLUSTER}/web?zone=1&env=live`;
  const sorted = `xdstp://a/${CLUSTER}/web?env=live&zone=1`;
  const c = client("cluster", [mine]);
  assert.deepEqual(c.first?.resourceNamesSubscribe, [sorted]);
  assert.deepEqual([...c.receive([named(sorted, sorted)]).changed.keys()], [mine]);
  c.session.adjust("cluster", [sorted], []);
  assert.deepEqual(
    c.session.takeRequests().flatMap(({ resourceNamesSubscribe: names }) => names),
    [],
  );
  assert.deepEqual(c.receive([], [mine]).removed, [mine, sorted]);
});

test("statement 75: a server may spell a structured name as it likes", () => {
  const c = client("cluster", [`xdstp://a/${CLUSTER}/web?a=1&b=2`]);
  const theirs = `xdstp://a/${CLUSTER}/web?b=2&a=1`;
  assert.deepEqual([...c.receive([named(theirs, theirs)]).changed.keys()], [`xdstp://a/${CLUSTER}/web?a=1&b=2`]);
});

test("statement 75: a collection brings what lies directly in its folder, and nothing of it is waited for", () => {
  const folder = `xdstp://a/${CLUSTER}/x/*`;
  const c = client("cluster", [folder]);
  assert.equal(c.clock.pending, 0);
  const [inside, below] = [`xdstp://a/${CLUSTER}/x/web`, `xdstp://a/${CLUSTER}/x/y/web`];
  assert.deepEqual([...c.receive([named(inside, inside), named(below, below)]).changed.keys()], [inside]);
  c.session.subscribe("cluster", new Set());
  assert.deepEqual(c.states(), {});
});

function client(kind: ResourceKind, names: readonly string[]) {
  const clock = new ManualClock();
  const session = new ClientSession<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(
    testNode(),
    [textType(kind)],
    deltaClient,
    clock,
    () => undefined,
  );
  session.openStream();
  session.subscribe(kind, new Set(names));
  const [first] = session.takeRequests();
  return {
    clock,
    session,
    first,
    states: () => Object.fromEntries(session.statuses().map(({ name, state }) => [name, state])),
    receive(resources: readonly DeltaResource[], removedResources: readonly string[] = []) {
      const outcome = session.receive({
        systemVersionInfo: "",
        nonce: "n",
        typeUrl: typeUrlOfKind(kind),
        resources: resources.map((one) => ({
          ...one,
          resource: one.resource && { ...one.resource, typeUrl: typeUrlOfKind(kind) },
        })),
        removedResources,
        controlPlaneIdentifier: "",
      });
      assert.ok(outcome?.errors.length === 0);
      return outcome.update;
    },
  };
}

/** A resource whose envelope has one name and whose message another. */
function named(name: string, ownName: string, aliases: readonly string[] = []): DeltaResource {
  return { name, aliases, version: "1", resource: { typeUrl: "", value: textResource(ownName, "1").bytes } };
}
