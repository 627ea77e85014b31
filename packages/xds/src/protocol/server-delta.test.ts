import assert from "node:assert/strict";
import { test } from "node:test";
import type { Snapshot } from "../snapshot.ts";
import { type TextWorld, textResource, textSnapshot } from "../testing.ts";
import { deltaServer, type ServerResponse, ServerSession } from "./server-session.ts";
import {
  CLUSTER_TYPE_URL,
  ENDPOINTS_TYPE_URL,
  LISTENER_TYPE_URL,
  ROUTE_CONFIGURATION_TYPE_URL,
  SECRET_TYPE_URL,
  VIRTUAL_HOST_TYPE_URL,
} from "./type-urls.ts";
import type { DeltaDiscoveryRequest } from "./wire.ts";

test("statement 35: a first request without names gets everything", () => {
  const s = new Stream({ cluster: { a: "1", b: "1" } });
  s.ask(CLUSTER_TYPE_URL);
  s.receive(["a", "b"]);
});

test("statement 35: and an empty response where there is nothing, so that the client need not wait", () => {
  const s = new Stream({});
  s.ask(CLUSTER_TYPE_URL);
  s.receive([]);
  s.idle();
});

test("statement 39: endpoints are never sent to a request without names", () => {
  const s = new Stream({ endpoints: { a: "1" } });
  s.ask(ENDPOINTS_TYPE_URL);
  s.idle();
});

test("statement 40: every name that is subscribed is answered, even one that was sent before", () => {
  const s = new Stream({ endpoints: { a: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a"]);
  s.ack(s.receive(["a"]));
  s.ask(ENDPOINTS_TYPE_URL, ["a"]);
  s.ack(s.receive(["a"]));
  s.idle();
});

test("statement 42: taking a name away is not answered", () => {
  const s = new Stream({ endpoints: { a: "1", b: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"]);
  s.ack(s.receive());
  s.ask(ENDPOINTS_TYPE_URL, [], ["a"]);
  s.idle();
  s.set({ endpoints: { a: "2", b: "1" } });
  s.idle();
});

test("statement 42: taking a name away while the wildcard stands is answered with what the name is now", () => {
  const s = new Stream({ cluster: { a: "1", b: "1" } });
  s.ask(CLUSTER_TYPE_URL, ["*", "a", "z"]);
  s.ack(s.receive(["a", "b"], ["z"]));
  s.ask(CLUSTER_TYPE_URL, [], ["a", "z"]);
  s.receive(["a"], ["z"]);
});

test("statement 43: a subscribed name that does not exist is answered as removed", () => {
  const s = new Stream({ endpoints: { a: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a", "z"]);
  s.ack(s.receive(["a"], ["z"]));
  s.idle();
});

test("statement 30 and 44: a deletion is announced once, and what is made again is sent as new", () => {
  const s = new Stream({ endpoints: { a: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a"]);
  s.ack(s.receive(["a"]));
  s.set({});
  s.ack(s.receive([], ["a"]));
  s.set({ endpoints: { other: "1" } });
  s.idle();
  s.set({ endpoints: { a: "1" } });
  s.ack(s.receive(["a"]));
});

test("statement 44: a removal is told once, and what is made again is sent as new", () => {
  const s = new Stream({ cluster: { a: "1", b: "1" } });
  s.ask(CLUSTER_TYPE_URL);
  s.ack(s.receive(["a", "b"]));
  s.set({ cluster: { b: "1" } });
  s.ack(s.receive([], ["a"]));
  s.idle();
  s.set({ cluster: { b: "2" } });
  s.ack(s.receive(["b"], []));
  s.set({ cluster: { a: "1", b: "2" } });
  s.ack(s.receive(["a"], []));
  s.idle();
});

test("statement 82: a name that is asked for is answered although the client holds it as it is", () => {
  const s = new Stream({ endpoints: { a: "1", b: "1" } });
  const versions = new Map(["a", "b"].map((name) => [name, textResource(name, "1").version]));
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"], [], { initialResourceVersions: versions });
  s.idle();
  s.ask(ENDPOINTS_TYPE_URL, ["b"]);
  s.ack(s.receive(["b"], []));
  s.idle();
});

test("statement 46: only what changed is sent", () => {
  const s = new Stream({ cluster: { a: "1", b: "1" } });
  s.ask(CLUSTER_TYPE_URL);
  s.ack(s.receive());
  s.set({ cluster: { a: "1", b: "2", c: "1" } });
  s.ack(s.receive(["b", "c"]));
  s.set({ cluster: { b: "2", c: "1" } });
  s.ack(s.receive([], ["a"]));
  s.idle();
});

test("statement 51: of what the client says it holds only the difference is sent", () => {
  const s = new Stream({ cluster: { same: "1", changed: "2", made: "1" } });
  s.ask(CLUSTER_TYPE_URL, [], [], {
    initialResourceVersions: new Map([
      ["same", textResource("same", "1").version],
      ["changed", textResource("changed", "1").version],
      ["vanished", textResource("vanished", "1").version],
    ]),
  });
  s.ack(s.receive(["changed", "made"], ["vanished"]));
  s.idle();
});

test("statement 51: with names as with the wildcard, and nothing at all when nothing differs", () => {
  const s = new Stream({ endpoints: { a: "1", b: "1" } });
  const held = new Map([["a", textResource("a", "1").version]]);
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"], [], { initialResourceVersions: held });
  s.ack(s.receive(["b"]));
  const t = new Stream({ endpoints: { a: "1", b: "1" } });
  t.ask(ENDPOINTS_TYPE_URL, ["a"], [], { initialResourceVersions: held });
  t.idle();
});

test("statement 51: what the client holds and no longer asks for is not spoken of", () => {
  const s = new Stream({ endpoints: { b: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["b"], [], { initialResourceVersions: new Map([["a", "x"]]) });
  s.receive(["b"], []);
});

test("statement 50: versions in a later request are not taken as what the client holds", () => {
  const s = new Stream({ endpoints: { a: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, []);
  s.ask(ENDPOINTS_TYPE_URL, ["a"], [], {
    initialResourceVersions: new Map([["a", textResource("a", "1").version]]),
  });
  s.receive(["a"]);
});

test("statement 22: a stale nonce does not cause a subscription change to be ignored", () => {
  const s = new Stream({ endpoints: { a: "1", b: "1" } });
  s.ask(ENDPOINTS_TYPE_URL, ["a"]);
  s.ack(s.receive(["a"]));
  s.set({ endpoints: { a: "2", b: "1" } });
  s.receive(["a"]);
  s.ask(ENDPOINTS_TYPE_URL, ["b"], [], { responseNonce: "1" });
  s.receive(["b"]);
});

test("statement 17: what was rejected is not sent again in a loop", () => {
  const s = new Stream({ cluster: { a: "bad" } });
  s.ask(CLUSTER_TYPE_URL);
  s.nack(s.receive(["a"]), "text: bad");
  s.idle();
  assert.equal(s.session.status()[0]?.rejected?.message, "text: bad");
  s.set({ cluster: { a: "good" } });
  s.ack(s.receive(["a"]));
  assert.equal(s.session.status()[0]?.rejected, undefined);
});

test("statement 20: a rejection stays in view while other resources are accepted", () => {
  const s = new Stream({ cluster: { a: "bad", b: "1" } });
  s.ask(CLUSTER_TYPE_URL, ["a"]);
  s.nack(s.receive(["a"]), "text: bad");
  s.ask(CLUSTER_TYPE_URL, ["b"]);
  s.ack(s.receive(["b"]));
  assert.equal(s.session.status()[0]?.rejected?.message, "text: bad");
});

test("statement 54: what nothing names any more is taken away last, clusters before their endpoints", () => {
  const world = (name: string): TextWorld => ({
    cluster: { [name]: "1" },
    endpoints: { [name]: "1" },
    "route-configuration": { r: `to ${name}` },
  });
  const s = new Stream(world("old"));
  s.ask(CLUSTER_TYPE_URL);
  s.ack(s.receive());
  s.ask(ENDPOINTS_TYPE_URL, ["old", "new"]);
  s.ack(s.receive(["old"], ["new"]));
  s.ask(ROUTE_CONFIGURATION_TYPE_URL, ["r"]);
  s.ack(s.receive());
  s.set(world("new"));
  s.ack(s.receive(["new"], []));
  s.ack(s.receive(["new"], []));
  const routes = s.receive(["r"]);
  s.held();
  s.ack(routes);
  assert.equal(s.peek().typeUrl, CLUSTER_TYPE_URL);
  s.ack(s.receive([], ["old"]));
  s.ack(s.receive([], ["old"]));
  s.idle();
});

test("statement 81: a reconnecting client gets the endpoints of an updated cluster, although it says it holds them", () => {
  const s = new Stream({ cluster: { a: "2", b: "1" }, endpoints: { a: "1", b: "1" } });
  s.ask(CLUSTER_TYPE_URL, [], [], {
    initialResourceVersions: new Map([
      ["a", textResource("a", "1").version],
      ["b", textResource("b", "1").version],
    ]),
  });
  s.ack(s.receive(["a"]));
  s.ask(ENDPOINTS_TYPE_URL, ["a", "b"], [], {
    initialResourceVersions: new Map([
      ["a", textResource("a", "1").version],
      ["b", textResource("b", "1").version],
    ]),
  });
  s.ack(s.receive(["a"]));
  s.idle();
});

test("statement 81: the same when endpoints are asked for before clusters", () => {
  const s = new Stream({ cluster: { a: "2" }, endpoints: { a: "1" } });
  const held = (name: string) => new Map([[name, textResource(name, "1").version]]);
  s.ask(ENDPOINTS_TYPE_URL, ["a"], [], { initialResourceVersions: held("a") });
  s.idle();
  s.ask(CLUSTER_TYPE_URL, [], [], { initialResourceVersions: held("a") });
  s.ack(s.receive(["a"]));
  assert.equal(s.receive(["a"]).typeUrl, ENDPOINTS_TYPE_URL);
});

test("a type that the server does not know is served by name from the snapshot", () => {
  const secret = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
  const s = new Stream({ resources: new Map([[secret, new Map([["s", textResource("s", "1")]])]]) });
  s.ask(secret, ["s"]);
  s.receive(["s"]);
  s.ask(LISTENER_TYPE_URL);
  s.receive([]);
});

test("before the source has a snapshot nothing is removed from a client that holds something", () => {
  const s = new Stream(undefined);
  s.ask(CLUSTER_TYPE_URL, [], [], { initialResourceVersions: new Map([["a", textResource("a", "1").version]]) });
  s.idle();
  s.set({ cluster: { a: "1" } });
  s.idle();
});

test("statement 54: a secret goes after the listener that named it", () => {
  const s = new Stream({ secret: { cert: "1" }, listener: { l: "with cert" } });
  s.ask(LISTENER_TYPE_URL);
  s.ack(s.receive(["l"]));
  s.ask(SECRET_TYPE_URL, ["cert"]);
  s.ack(s.receive(["cert"]));
  s.set({ listener: { l: "without" } });
  const listeners = s.receive(["l"], []);
  assert.equal(listeners.typeUrl, LISTENER_TYPE_URL);
  s.held();
  s.ack(listeners);
  s.ack(s.receive([], ["cert"]));
  s.idle();
});

test("statement 55: a virtual host that names a new cluster is not pushed before the verdict on that cluster", () => {
  const s = new Stream({ "virtual-host": { "r/a": "to old" }, cluster: { old: "1" } });
  s.ask(CLUSTER_TYPE_URL);
  s.ack(s.receive(["old"]));
  s.ask(VIRTUAL_HOST_TYPE_URL, ["r/a"]);
  s.ack(s.receive(["r/a"]));
  s.set({ "virtual-host": { "r/a": "to new" }, cluster: { old: "1", new: "1" } });
  const clusters = s.receive(["new"], []);
  s.held();
  s.ack(clusters);
  s.ack(s.receive(["r/a"], []));
  s.idle();
});

/** A session with its client's side played by the test. */
class Stream {
  readonly session = new ServerSession(deltaServer);
  snapshot: Snapshot | undefined;

  constructor(world: TextWorld | Snapshot | undefined) {
    if (world !== undefined) this.set(world);
  }

  set(world: TextWorld | Snapshot): void {
    this.snapshot = "resources" in world ? world : textSnapshot(world);
  }

  ask(
    typeUrl: string,
    resourceNamesSubscribe: readonly string[] = [],
    resourceNamesUnsubscribe: readonly string[] = [],
    more: Partial<DeltaDiscoveryRequest> = {},
  ): void {
    this.session.take({
      typeUrl,
      resourceNamesSubscribe,
      resourceNamesUnsubscribe,
      initialResourceVersions: new Map(),
      node: undefined,
      responseNonce: "",
      errorDetail: undefined,
      ...more,
    });
  }

  ack(response: ServerResponse): void {
    this.ask(response.typeUrl, [], [], { responseNonce: response.nonce });
  }

  nack(response: ServerResponse, message: string): void {
    this.ask(response.typeUrl, [], [], { responseNonce: response.nonce, errorDetail: { code: 3, message } });
  }

  receive(resources?: readonly string[], removed?: readonly string[]): ServerResponse {
    const response = this.peek();
    if (resources !== undefined) assert.deepEqual(response.resources.map(({ name }) => name).sort(), resources);
    if (removed !== undefined) assert.deepEqual([...response.removed].sort(), removed);
    this.#peeked = undefined;
    return response;
  }

  /** The next response, kept for `receive`. */
  peek(): ServerResponse {
    if (this.#peeked !== undefined) return this.#peeked;
    const step = this.session.next(this.snapshot, 0);
    assert.ok(step.step === "send");
    this.#peeked = step.response;
    return this.#peeked;
  }

  #peeked: ServerResponse | undefined;

  idle(): void {
    assert.deepEqual(this.session.next(this.snapshot, 0), { step: "idle" });
  }

  held(): void {
    assert.equal(this.session.next(this.snapshot, 0).step, "hold");
  }
}
