import assert from "node:assert/strict";
import { test } from "node:test";
import type { EncodedResource, Snapshot } from "../snapshot.ts";
import { textResource } from "../testing.ts";
import { deltaServer, type ServerResponse, ServerSession, sotwServer } from "./server-session.ts";
import { CLUSTER_TYPE_URL, VIRTUAL_HOST_TYPE_URL } from "./type-urls.ts";

/* Names that are not simply the name of the resource: aliases, structured names, collections. */

const CLUSTER = "envoy.config.cluster.v3.Cluster";

test("statement 45: a resource is sent to who asked for one of its aliases, under its real name", () => {
  const s = delta(VIRTUAL_HOST_TYPE_URL, [host("routes/one", "1", ["routes/a", "routes/b"])]);
  s.ask(["routes/a"]);
  assert.deepEqual(names(s.take()), ["routes/one"]);
  s.ask([], ["routes/a"]);
  s.set([host("routes/one", "2", ["routes/a"])]);
  s.idle();
});

test("statement 45: two aliases of one resource bring it once, and its changes come", () => {
  const s = delta(VIRTUAL_HOST_TYPE_URL, [host("routes/one", "1", ["routes/a", "routes/b"])]);
  s.ask(["routes/a", "routes/b"]);
  s.ack(s.take(["routes/one"]));
  s.set([host("routes/one", "2", ["routes/a", "routes/b"])]);
  s.ack(s.take(["routes/one"]));
  s.idle();
  s.ask(["routes/b"]);
  s.ack(s.take(["routes/one"]));
});

test("statement 45: what is removed is told by its real name", () => {
  const s = delta(VIRTUAL_HOST_TYPE_URL, [host("routes/one", "1", ["routes/a"])]);
  s.ask(["routes/a"]);
  s.ack(s.take());
  s.set([]);
  assert.deepEqual(s.take().removed, ["routes/one"]);
});

test("statement 45: a client that comes back under an alias is answered, since it names what it does not claim to hold", () => {
  const one = host("routes/one", "1", ["routes/a"]);
  const s = delta(VIRTUAL_HOST_TYPE_URL, [one]);
  s.ask(["routes/a"], [], new Map([["routes/one", one.version]]));
  assert.deepEqual(names(s.take()), ["routes/one"]);
  s.idle();
});

test("a virtual host that does not exist is answered by a resource without body, as an Envoy waits for one", () => {
  const s = delta(VIRTUAL_HOST_TYPE_URL, []);
  s.ask(["routes/none"]);
  const response = s.take([]);
  assert.deepEqual(response.bodiless, [{ name: "routes/none", aliases: ["routes/none"], version: "" }]);
  assert.deepEqual(response.removed, []);
  s.ack(response);
  s.set([host("routes/none", "1", [])]);
  s.take(["routes/none"]);
});

test("statement 75: the order of context parameters makes no other name", () => {
  const name = `xdstp://a/${CLUSTER}/web?env=live&zone=1`;
  const s = delta(CLUSTER_TYPE_URL, [textResource(name, "1")]);
  s.ask([`xdstp://a/${CLUSTER}/web?zone=1&env=live`]);
  s.ack(s.take([name]));
  s.ask([], [`xdstp://a/${CLUSTER}/web?zone=1&env=live`]);
  s.set([textResource(name, "2")]);
  s.idle();
});

test("statement 75: a collection is everything that lies directly in its folder, and follows it", () => {
  const [web, api, deep] = ["x/web", "x/api", "x/y/deep"].map((id) => `xdstp://a/${CLUSTER}/${id}`) as [
    string,
    string,
    string,
  ];
  const s = delta(CLUSTER_TYPE_URL, [textResource(web, "1"), textResource(deep, "1"), textResource("plain", "1")]);
  s.ask([`xdstp://a/${CLUSTER}/x/*`]);
  s.ack(s.take([web]));
  s.set([textResource(web, "1"), textResource(api, "1"), textResource(deep, "2"), textResource("plain", "2")]);
  s.ack(s.take([api]));
  s.set([textResource(api, "1")]);
  assert.deepEqual(s.take().removed, [web]);
});

test("statement 75: an empty collection is answered, so that the client need not wait", () => {
  const s = delta(CLUSTER_TYPE_URL, []);
  s.ask([`xdstp://a/${CLUSTER}/x/*`]);
  const response = s.take([]);
  assert.deepEqual(response.removed, []);
  s.ack(response);
  s.idle();
});

test("statement 75: state of the world: a collection's set is complete", () => {
  const web = `xdstp://a/${CLUSTER}/x/web`;
  const session = new ServerSession(sotwServer);
  const snapshot = world(CLUSTER_TYPE_URL, [textResource(web, "1"), textResource("plain", "1")]);
  session.take({
    typeUrl: CLUSTER_TYPE_URL,
    resourceNames: [`xdstp://a/${CLUSTER}/x/*`],
    versionInfo: "",
    responseNonce: "",
    node: undefined,
    errorDetail: undefined,
  });
  const step = session.next(snapshot, 0);
  assert.ok(step.step === "send");
  assert.deepEqual(names(step.response), [web]);
});

function delta(typeUrl: string, resources: readonly EncodedResource[]) {
  const session = new ServerSession(deltaServer);
  let snapshot = world(typeUrl, resources);
  const request = {
    typeUrl,
    resourceNamesSubscribe: [] as readonly string[],
    resourceNamesUnsubscribe: [] as readonly string[],
    initialResourceVersions: new Map<string, string>(),
    node: undefined,
    responseNonce: "",
    errorDetail: undefined,
  };
  return {
    set(changed: readonly EncodedResource[]) {
      snapshot = world(typeUrl, changed);
    },
    ask(
      resourceNamesSubscribe: readonly string[],
      resourceNamesUnsubscribe: readonly string[] = [],
      initialResourceVersions: ReadonlyMap<string, string> = new Map(),
    ) {
      session.take({ ...request, resourceNamesSubscribe, resourceNamesUnsubscribe, initialResourceVersions });
    },
    ack: (response: ServerResponse) => session.take({ ...request, responseNonce: response.nonce }),
    take(expected?: readonly string[]) {
      const step = session.next(snapshot, 0);
      assert.ok(step.step === "send");
      if (expected !== undefined) assert.deepEqual(names(step.response), expected);
      return step.response;
    },
    idle: () => assert.deepEqual(session.next(snapshot, 0), { step: "idle" }),
  };
}

function world(typeUrl: string, resources: readonly EncodedResource[]): Snapshot {
  return { resources: new Map([[typeUrl, new Map(resources.map((one) => [one.name, one]))]]) };
}

function host(name: string, text: string, aliases: readonly string[]): EncodedResource {
  return { ...textResource(name, text), aliases };
}

function names(response: ServerResponse): string[] {
  return response.resources.map(({ name }) => name);
}
