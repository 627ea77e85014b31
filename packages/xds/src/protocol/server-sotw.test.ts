import assert from "node:assert/strict";
import { test } from "node:test";
import type { Snapshot } from "../snapshot.ts";
import { type TextWorld, textResource, textSnapshot } from "../testing.ts";
import { versionOf } from "./resources.ts";
import { type ServerResponse, ServerSession, sotwServer } from "./server-session.ts";
import { CLUSTER_TYPE_URL, ENDPOINTS_TYPE_URL, LISTENER_TYPE_URL, ROUTE_CONFIGURATION_TYPE_URL } from "./type-urls.ts";
import type { DiscoveryRequest } from "./wire.ts";

test("statement 2: types on one stream are independent", () => {
  const s = new Stream({ cluster: { c: "1" }, listener: { l: "1" } });
  s.ask(CLUSTER_TYPE_URL, []);
  s.ask(LISTENER_TYPE_URL, []);
  const [clusters, listeners] = [s.receive(), s.receive()];
  s.nack(clusters, "no");
  s.ack(listeners);
  const [a, b] = s.session.status();
  assert.equal(a?.rejected?.message, "no");
  assert.equal(a?.ackedVersion, "");
  assert.equal(b?.rejected, undefined);
  assert.equal(b?.ackedVersion, listeners.version);
});

test("statement 11: each response of a stream has a nonce of its own", () => {
  const s = new Stream({ cluster: { c: "1" }, listener: { l: "1" } });
  s.ask(CLUSTER_TYPE_URL, []);
  s.ask(LISTENER_TYPE_URL, []);
  assert.notEqual(s.receive().nonce, s.receive().nonce);
});

test("statement 11: a nonce of an earlier stream means nothing on a new one", () => {
  const s = new Stream({ endpoints: { e: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["e"], { responseNonce: "77" });
  assert.deepEqual(names(s.receive()), ["e"]);
});

test("statement 16: a rejection is recognised by its error, not by versions", () => {
  const s = new Stream({ cluster: { c: "1" } });
  s.ask(CLUSTER_TYPE_URL, []);
  const response = s.receive();
  s.ask(CLUSTER_TYPE_URL, [], {
    responseNonce: response.nonce,
    versionInfo: response.version,
    errorDetail: { code: 3, message: "no" },
  });
  assert.equal(s.session.status()[0]?.rejected?.message, "no");
});

test("statement 17: what was rejected is not sent again in a loop; a new version is", () => {
  const s = new Stream({ cluster: { c: "bad" } });
  s.ask(CLUSTER_TYPE_URL, []);
  for (let round = 0; round < 3; round += 1) {
    if (round === 0) s.nack(s.receive(), "no");
    s.idle();
    s.set({ cluster: { c: "bad" } });
  }
  s.set({ cluster: { c: "good" } });
  const mended = s.receive();
  s.ack(mended);
  assert.equal(s.session.status()[0]?.rejected, undefined);
});

test("statement 21: a request with a stale nonce is ignored", () => {
  const s = new Stream({ endpoints: { a: "1", b: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a"]);
  const first = s.receive();
  s.ack(first, ["a"]);
  s.set({ endpoints: { a: "2", b: "1" } });
  const second = s.receive();
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"], { responseNonce: first.nonce });
  s.held();
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"], { responseNonce: second.nonce });
  assert.deepEqual(names(s.receive()), ["b"]);
});

test("statement 21: what a stale request asks for is not sent when the verdict no longer asks for it", () => {
  const s = new Stream({ endpoints: { a: "1", b: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a"]);
  const first = s.receive();
  s.ack(first);
  s.set({ endpoints: { a: "2", b: "1" } });
  const second = s.receive();
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"], { responseNonce: first.nonce });
  s.ack(second, ["a"]);
  s.idle();
});

test("statement 21: a name that a stale request drops and the verdict asks for again is sent again", () => {
  const s = new Stream({ endpoints: { a: "1", b: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"]);
  const first = s.receive();
  s.ack(first);
  s.set({ endpoints: { a: "2", b: "1" } });
  const second = s.receive(["a"]);
  s.ask(ENDPOINTS_TYPE_URL, ["a"], { responseNonce: first.nonce });
  s.ack(second, ["a", "b"]);
  s.receive(["b"]);
});

test("statement 25: of requests that cross, only the latest needs an answer", () => {
  const s = new Stream({ cluster: { a: "1", b: "1", c: "1" } });
  s.ask(CLUSTER_TYPE_URL, ["a"]);
  s.ask(CLUSTER_TYPE_URL, ["b"]);
  s.ask(CLUSTER_TYPE_URL, ["b", "c"]);
  assert.deepEqual(names(s.receive()), ["b", "c"]);
  s.idle();
});

test("statement 26: nothing is sent when nothing changed", () => {
  const s = new Stream({ cluster: { c: "1" }, endpoints: { c: "1" } });
  s.ask(CLUSTER_TYPE_URL, []);
  s.ask(ENDPOINTS_TYPE_URL, ["c"]);
  s.ack(s.receive());
  s.ack(s.receive(), ["c"]);
  s.idle();
  s.set({ cluster: { c: "1" }, endpoints: { c: "1" } });
  s.idle();
  s.set({ cluster: { c: "1" }, endpoints: { c: "1", unwanted: "1" } });
  s.idle();
});

test("statement 27: a first request that names the current version of everything is not answered", () => {
  const world = textSnapshot({ cluster: { c: "1" } });
  const s = new Stream(world);
  const version = versionOf(world.resources.get(CLUSTER_TYPE_URL)!);
  s.ask(CLUSTER_TYPE_URL, [], { versionInfo: version });
  s.idle();
  assert.equal(s.session.status()[0]?.ackedVersion, version);
  s.set({ cluster: { c: "2" } });
  assert.deepEqual(names(s.receive()), ["c"]);
});

test("statement 27: with an empty version, or with names, a first request is answered", () => {
  const world = textSnapshot({ cluster: { c: "1" }, endpoints: { c: "1" } });
  const s = new Stream(world);
  s.ask(CLUSTER_TYPE_URL, []);
  assert.deepEqual(names(s.receive()), ["c"]);
  s.ask(ENDPOINTS_TYPE_URL, ["c"], { versionInfo: versionOf(world.resources.get(ENDPOINTS_TYPE_URL)!) });
  assert.deepEqual(names(s.receive()), ["c"]);
});

test("statement 29: a name that is added is sent even when it was sent before and has not changed", () => {
  const s = new Stream({ endpoints: { a: "1", b: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"]);
  let last = s.receive();
  s.ack(last, ["a"]);
  s.idle();
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"], { responseNonce: last.nonce });
  last = s.receive();
  assert.deepEqual(names(last), ["b"]);
});

test("statement 30: names that do not exist are remembered and pushed when they do", () => {
  const s = new Stream({ endpoints: { a: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a", "z"]);
  s.ack(s.receive(), ["a", "z"]);
  s.idle();
  s.set({ endpoints: { a: "1", z: "1" } });
  assert.deepEqual(names(s.receive()), ["z"]);
});

test("statement 31: a response of LDS and CDS is the complete set", () => {
  const s = new Stream({ cluster: { a: "1", b: "1" } });
  s.ask(CLUSTER_TYPE_URL, []);
  s.ack(s.receive());
  s.set({ cluster: { a: "1", b: "2", c: "1" } });
  s.ack(s.receive(["a", "b", "c"]));
  s.set({ cluster: { c: "1" } });
  s.receive(["c"]);
});

test("statement 31: an empty set is sent to the first request", () => {
  const s = new Stream({});
  s.ask(LISTENER_TYPE_URL, []);
  assert.deepEqual(names(s.receive()), []);
  s.idle();
});

test("statement 32: a response of EDS and RDS holds only what changed", () => {
  const s = new Stream({ endpoints: { a: "1", b: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"]);
  s.ack(s.receive(["a", "b"]), ["a", "b"]);
  s.set({ endpoints: { a: "1", b: "2" } });
  s.receive(["b"]);
});

test("statement 32: endpoints that went and came back unchanged are sent again", () => {
  const s = new Stream({ endpoints: { a: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a"]);
  s.ack(s.receive(), ["a"]);
  s.set({});
  s.idle();
  s.set({ endpoints: { a: "1" } });
  s.receive(["a"]);
});

test("statement 39: EDS without names gets nothing", () => {
  const s = new Stream({ endpoints: { a: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, []);
  s.idle();
});

test("unsubscribing from everything is not the wildcard", () => {
  const s = new Stream({ cluster: { a: "1", b: "1" } });
  s.ask(CLUSTER_TYPE_URL, ["a", "b"]);
  s.ack(s.receive(), []);
  s.set({ cluster: { a: "2", b: "1" } });
  s.idle();
});

test("unsubscribing alone is not answered", () => {
  const s = new Stream({ cluster: { a: "1", b: "1", c: "1" } });
  s.ask(CLUSTER_TYPE_URL, ["a", "b"]);
  s.ack(s.receive(), ["b"]);
  s.idle();
  s.set({ cluster: { a: "2", b: "2", c: "1" } });
  s.receive(["b"]);
});

test("nothing is sent before the source has a snapshot, and all of it then", () => {
  const s = new Stream(undefined);
  s.ask(CLUSTER_TYPE_URL, []);
  s.idle();
  s.set({ cluster: { a: "1" } });
  s.receive(["a"]);
});

test("statement 54: a push goes out as clusters, endpoints, listeners, routes", () => {
  const s = everything("1");
  s.set(all("2"));
  const order: string[] = [];
  for (let i = 0; i < 4; i += 1) {
    const response = s.receive();
    order.push(response.typeUrl);
    s.ack(response, ["x"]);
  }
  assert.deepEqual(order, [CLUSTER_TYPE_URL, ENDPOINTS_TYPE_URL, LISTENER_TYPE_URL, ROUTE_CONFIGURATION_TYPE_URL]);
});

test("statement 54: a cluster that nothing names any more is taken away after the routes have been accepted", () => {
  const s = new Stream({ cluster: { old: "1" }, "route-configuration": { r: "to old" } });
  s.ask(CLUSTER_TYPE_URL, []);
  s.ack(s.receive());
  s.ask(ROUTE_CONFIGURATION_TYPE_URL, ["r"]);
  s.ack(s.receive(), ["r"]);
  s.set({ cluster: { new: "1" }, "route-configuration": { r: "to new" } });
  const both = s.receive(["new", "old"]);
  assert.match(both.version, /kept/);
  s.ack(both);
  const routes = s.receive(["r"]);
  s.held();
  s.ack(routes, ["r"]);
  s.receive(["new"]);
});

test("statement 54: with no route under way a cluster is taken away at once", () => {
  const s = new Stream({ cluster: { a: "1", b: "1" } });
  s.ask(CLUSTER_TYPE_URL, []);
  s.ack(s.receive());
  s.set({ cluster: { a: "1" } });
  s.receive(["a"]);
});

test("statement 55: a route update waits until the clusters before it have been accepted", () => {
  const s = everything("1");
  s.set(all("2"));
  const clusters = s.receive();
  const endpoints = s.receive();
  s.held();
  s.ack(endpoints, ["x"]);
  s.held();
  s.ack(clusters);
  assert.equal(s.receive().typeUrl, LISTENER_TYPE_URL);
});

test("statement 55: it waits no longer than five seconds for a client that does not answer", () => {
  const s = everything("1");
  s.set(all("2"));
  s.receive();
  s.receive();
  const step = s.session.next(s.snapshot, s.nowMs);
  assert.deepEqual(step, { step: "hold", untilMs: 5000 });
  s.nowMs = 5000;
  assert.equal(s.receive().typeUrl, LISTENER_TYPE_URL);
});

test("what is asked for is answered although clusters wait for their verdict", () => {
  const s = everything("1");
  s.set({ ...all("2"), "route-configuration": { x: "1", y: "1" } });
  s.receive();
  s.receive();
  s.ask(ROUTE_CONFIGURATION_TYPE_URL, ["x", "y"], { responseNonce: s.nonceOf(ROUTE_CONFIGURATION_TYPE_URL) });
  s.receive(["y"]);
});

test("statement 55: what is pushed does not slip out beside an answer", () => {
  const s = everything("1");
  s.set({ ...all("2"), "route-configuration": { x: "2", y: "1" } });
  const [clusters, endpoints] = [s.receive(), s.receive()];
  s.ask(ROUTE_CONFIGURATION_TYPE_URL, ["x", "y"], { responseNonce: s.nonceOf(ROUTE_CONFIGURATION_TYPE_URL) });
  s.ack(s.receive(["y"]));
  s.held();
  s.ack(clusters);
  s.ack(endpoints);
  s.ack(s.receive(["x"]));
  assert.equal(s.receive(["x"]).typeUrl, ROUTE_CONFIGURATION_TYPE_URL);
});

test("a client that is slow to answer gets the newest state, once", () => {
  const s = new Stream({ endpoints: { a: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a"]);
  const first = s.receive();
  for (let i = 2; i < 50; i += 1) s.set({ endpoints: { a: String(i) } });
  s.held();
  s.ack(first, ["a"]);
  const last = s.receive();
  assert.equal(last.resources[0]?.version, textResource("a", "49").version);
  s.ack(last, ["a"]);
  s.idle();
});

test("statement 81: after an updated cluster its endpoints are sent again, unchanged as they are", () => {
  const s = new Stream({ cluster: { a: "1", b: "1" }, endpoints: { a: "1", b: "1" } });
  s.ask(CLUSTER_TYPE_URL, []);
  s.ack(s.receive());
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"]);
  s.ack(s.receive(), ["a", "b"]);
  s.set({ cluster: { a: "2", b: "1" }, endpoints: { a: "1", b: "1" } });
  s.ack(s.receive(["a", "b"]));
  const again = s.receive(["a"]);
  assert.equal(again.typeUrl, ENDPOINTS_TYPE_URL);
  s.ack(again, ["a", "b"]);
  s.idle();
});

test("statement 81: a resource's stated references decide what is sent again", () => {
  const cluster = textResource("c", "1", [{ kind: "endpoints", name: "service" }]);
  const updated = textResource("c", "2", [{ kind: "endpoints", name: "service" }]);
  const endpoints = new Map([["service", textResource("service", "1")]]);
  const world = (c: typeof cluster): Snapshot => ({
    resources: new Map([
      [CLUSTER_TYPE_URL, new Map([["c", c]])],
      [ENDPOINTS_TYPE_URL, endpoints],
    ]),
  });
  const s = new Stream(world(cluster));
  s.ask(CLUSTER_TYPE_URL, []);
  s.ack(s.receive());
  s.ask(ENDPOINTS_TYPE_URL, ["service"]);
  s.ack(s.receive(), ["service"]);
  s.set(world(updated));
  s.receive(["c"]);
  s.receive(["service"]);
});

test("statement 81: after an updated listener its route configuration is sent again", () => {
  const s = everything("1");
  s.set({ ...all("1"), listener: { x: "2" } });
  s.ack(s.receive(["x"]));
  assert.equal(s.receive(["x"]).typeUrl, ROUTE_CONFIGURATION_TYPE_URL);
});

function all(text: string): TextWorld {
  return { cluster: { x: text }, endpoints: { x: text }, listener: { x: text }, "route-configuration": { x: text } };
}

/** A stream that has asked for everything and accepted it. */
function everything(text: string): Stream {
  const s = new Stream(all(text));
  for (const typeUrl of [CLUSTER_TYPE_URL, ENDPOINTS_TYPE_URL, LISTENER_TYPE_URL, ROUTE_CONFIGURATION_TYPE_URL]) {
    s.ask(typeUrl, ["x"]);
    s.ack(s.receive(), ["x"]);
  }
  s.idle();
  return s;
}

function names(response: ServerResponse): string[] {
  return response.resources.map(({ name }) => name);
}

/** A session with its client's side played by the test. */
class Stream {
  readonly session = new ServerSession(sotwServer);
  snapshot: Snapshot | undefined;
  nowMs = 0;
  readonly #nonces: Map<string, string> = new Map();
  readonly #names: Map<string, readonly string[]> = new Map();

  constructor(world: TextWorld | Snapshot | undefined) {
    if (world !== undefined) this.set(world);
  }

  set(world: TextWorld | Snapshot): void {
    this.snapshot = "resources" in world ? world : textSnapshot(world);
  }

  nonceOf(typeUrl: string): string {
    return this.#nonces.get(typeUrl) ?? "";
  }

  ask(typeUrl: string, resourceNames: readonly string[], more: Partial<DiscoveryRequest> = {}): void {
    this.#names.set(typeUrl, resourceNames);
    this.session.take({
      typeUrl,
      resourceNames,
      versionInfo: "",
      node: undefined,
      responseNonce: "",
      errorDetail: undefined,
      ...more,
    });
  }

  /** Accepts, and goes on asking for the same unless told otherwise. */
  ack(response: ServerResponse, resourceNames = this.#names.get(response.typeUrl) ?? []): void {
    this.ask(response.typeUrl, resourceNames, { versionInfo: response.version, responseNonce: response.nonce });
  }

  nack(response: ServerResponse, message: string): void {
    this.ask(response.typeUrl, [], { responseNonce: response.nonce, errorDetail: { code: 3, message } });
  }

  receive(expected?: readonly string[]): ServerResponse {
    const step = this.session.next(this.snapshot, this.nowMs);
    assert.ok(step.step === "send");
    const { response } = step;
    if (expected !== undefined) assert.deepEqual(names(response), expected);
    this.#nonces.set(response.typeUrl, response.nonce);
    return response;
  }

  idle(): void {
    assert.equal(this.session.next(this.snapshot, this.nowMs).step, "idle");
  }

  held(): void {
    assert.equal(this.session.next(this.snapshot, this.nowMs).step, "hold");
  }
}
