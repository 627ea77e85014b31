import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { ResourceUpdate } from "../subscription.ts";
import { testNode, textResource, textType } from "../testing.ts";
import { ClientSession } from "./client-session.ts";
import { sotwClient } from "./client-sotw.ts";
import { CLUSTER_TYPE_URL, ENDPOINTS_TYPE_URL } from "./type-urls.ts";
import type { DiscoveryRequest, DiscoveryResponse, ResourceError } from "./wire.ts";

test("the first request for clusters names nothing, which every server takes for all", () => {
  const c = client();
  c.session.openStream();
  c.want("cluster", ["*"]);
  const [request] = c.sent();
  assert.deepEqual([request?.resourceNames, request?.versionInfo, request?.responseNonce], [[], "", ""]);
});

test("statement 5: the first request of each stream carries the node, the others do not", () => {
  const c = client();
  c.want("cluster", ["*"]);
  c.want("endpoints", ["a"]);
  for (let stream = 0; stream < 2; stream += 1) {
    c.session.openStream();
    assert.deepEqual(
      c.sent().map(({ node }) => node?.id),
      ["default/web/1", undefined],
    );
    c.session.closeStream();
  }
});

test("statement 8: a resource of another type than the response's is rejected", () => {
  const c = client(["*"]);
  const { bytes } = textResource("a", "1");
  c.receive(response("v1", "n1", [], { resources: [{ typeUrl: ENDPOINTS_TYPE_URL, value: bytes }] }));
  assert.match(c.last().errorDetail?.message ?? "", /cluster "a": its type is .*ClusterLoadAssignment/);
});

test("statement 14: an accepted response is acknowledged with its version and nonce", () => {
  const c = client(["*"]);
  const { update } = c.receive(response("v1", "n1", [["a", "1"]]));
  assert.deepEqual(text(update), { a: "1" });
  const ack = c.last();
  assert.deepEqual([ack.versionInfo, ack.responseNonce, ack.errorDetail], ["v1", "n1", undefined]);
});

test("statement 15: a rejection carries every reason and the version accepted last", () => {
  const c = client(["*"]);
  c.receive(response("v1", "n1", [["a", "1"]]));
  c.sent();
  c.receive(
    response("v2", "n2", [
      ["a", "bad1 bad2"],
      ["b", "bad3"],
    ]),
  );
  const nack = c.last();
  assert.deepEqual([nack.versionInfo, nack.responseNonce], ["v1", "n2"]);
  assert.deepEqual(nack.errorDetail, {
    code: 3,
    message: 'cluster "a": text: bad1\ncluster "a": text: bad2\ncluster "b": text: bad3',
  });
});

test("statement 15: a rejection before anything was accepted has an empty version", () => {
  const c = client(["*"]);
  c.receive(response("v1", "n1", [["a", "bad"]]));
  assert.equal(c.last().versionInfo, "");
});

test("statement 13: every response gets one verdict", () => {
  const c = client(["*"]);
  c.receive(response("v1", "n1", [["a", "1"]]));
  assert.equal(c.sent().length, 1);
  assert.equal(c.sent().length, 0);
});

test("statements 18 and 19: what is valid in a rejected response is taken, and what is not keeps its last good version", () => {
  const c = client(["*"]);
  c.receive(
    response("v1", "n1", [
      ["a", "1"],
      ["b", "1"],
    ]),
  );
  const { update } = c.receive(
    response("v2", "n2", [
      ["a", "bad"],
      ["b", "2"],
    ]),
  );
  assert.deepEqual(text(update), { b: "2" });
  assert.deepEqual(update.removed, []);
  assert.deepEqual(c.states(), { a: "NACKED v1", b: "SYNCED v2" });
});

test("after parts of a response were taken a new stream names no version, since none describes what is held", () => {
  const c = client(["*"]);
  c.receive(response("v1", "n1", [["a", "1"]]));
  c.receive(
    response("v2", "n2", [
      ["a", "2"],
      ["b", "bad"],
    ]),
  );
  c.sent();
  c.reopen();
  assert.equal(c.last().versionInfo, "");
});

test("statement 24: a change of subscription carries the latest nonce and the accepted version", () => {
  const c = client();
  c.session.openStream();
  c.want("endpoints", ["a"]);
  c.sent();
  c.receive(response("v1", "n1", [["a", "1"]], { typeUrl: ENDPOINTS_TYPE_URL }));
  c.sent();
  c.want("endpoints", ["a", "b"]);
  const request = c.last();
  assert.deepEqual(
    [request.resourceNames, request.versionInfo, request.responseNonce, request.errorDetail],
    [["a", "b"], "v1", "n1", undefined],
  );
});

test("subscribing to the same again sends nothing", () => {
  const c = client(["*"]);
  c.want("cluster", ["*"]);
  assert.equal(c.sent().length, 0);
});

test("statement 31: a cluster that is absent from a response is removed", () => {
  const c = client(["*"]);
  c.receive(
    response("v1", "n1", [
      ["a", "1"],
      ["b", "1"],
    ]),
  );
  const { update } = c.receive(response("v2", "n2", [["b", "1"]]));
  assert.deepEqual(update.removed, ["a"]);
  assert.deepEqual(update.refreshed, ["b"]);
  assert.equal(update.changed.size, 0);
});

test("statement 31: when a resource of the response cannot be named, nothing counts as absent", () => {
  const c = client(["*"]);
  c.receive(response("v1", "n1", [["a", "1"]]));
  const { update, errors } = c.receive(
    response("v2", "n2", [], { resources: [{ typeUrl: CLUSTER_TYPE_URL, value: Buffer.from([0xff]) }] }),
  );
  assert.deepEqual(update.removed, []);
  assert.deepEqual(errors, ["resources[0]: it is no cluster with a name"]);
});

test("statement 32: endpoints that are absent from a response stay", () => {
  const c = client();
  c.session.openStream();
  c.want("endpoints", ["a", "b"]);
  c.receive(
    response(
      "v1",
      "n1",
      [
        ["a", "1"],
        ["b", "1"],
      ],
      { typeUrl: ENDPOINTS_TYPE_URL },
    ),
  );
  const { update } = c.receive(response("v2", "n2", [["a", "2"]], { typeUrl: ENDPOINTS_TYPE_URL }));
  assert.deepEqual(update.removed, []);
  const empty = c.receive(response("v3", "n3", [], { typeUrl: ENDPOINTS_TYPE_URL }));
  assert.deepEqual(empty.errors, []);
  assert.deepEqual(c.states(), { a: "SYNCED v2", b: "SYNCED v1" });
});

test("statement 33: resources that were not asked for are passed over, bad ones too", () => {
  const c = client(["a"]);
  const { update, errors } = c.receive(
    response("v1", "n1", [
      ["a", "1"],
      ["b", "bad"],
    ]),
  );
  assert.deepEqual(text(update), { a: "1" });
  assert.deepEqual(errors, []);
});

test("statement 34: a response with the same name twice is rejected", () => {
  const c = client(["*"]);
  const { update, errors } = c.receive(
    response("v1", "n1", [
      ["a", "1"],
      ["a", "2"],
      ["b", "1"],
    ]),
  );
  assert.deepEqual(errors, ['cluster "a": the response has it twice']);
  assert.deepEqual(text(update), { b: "1" });
});

test("statement 49: a new stream begins with the accepted version, no nonce and all names", () => {
  const c = client();
  c.session.openStream();
  c.want("endpoints", ["a", "b"]);
  const both: [string, string][] = [
    ["a", "1"],
    ["b", "1"],
  ];
  c.receive(response("v1", "n1", both, { typeUrl: ENDPOINTS_TYPE_URL }));
  c.sent();
  c.reopen();
  const request = c.last();
  assert.deepEqual([request.resourceNames, request.versionInfo, request.responseNonce], [["a", "b"], "v1", ""]);
});

test("a stream to another server names no version: it would mean something else there", () => {
  const c = client(["a"]);
  c.receive(response("v1", "n1", [["a", "1"]]));
  c.sent();
  c.session.closeStream();
  c.session.openStream(true);
  assert.deepEqual([c.last().versionInfo, c.states()], ["", { a: "SYNCED v1" }]);
  c.receive(response("w1", "m1", [["a", "1"]]));
  assert.equal(c.last().versionInfo, "w1");
  c.reopen();
  assert.equal(c.last().versionInfo, "w1", "and its own version is named to it again");
});

test("a new stream names no version while a name is unanswered: the server could take it for known", () => {
  const c = client(["a"]);
  c.receive(response("v1", "n1", [["a", "1"]]));
  c.want("cluster", ["a", "b"]);
  c.sent();
  c.reopen();
  assert.equal(c.last().versionInfo, "");
});

test("statement 65: a resource that never comes is absent 15 s after it was asked for, and used if it comes later", () => {
  const c = client(["a"]);
  c.clock.advance(14_999);
  assert.deepEqual(c.timeouts, []);
  c.clock.advance(1);
  assert.deepEqual(c.timeouts, [["a"]]);
  assert.deepEqual(c.states(), { a: "DOES_NOT_EXIST " });
  const { update } = c.receive(response("v1", "n1", [["a", "1"]]));
  assert.deepEqual(text(update), { a: "1" });
  assert.deepEqual(c.states(), { a: "SYNCED v1" });
  assert.equal(c.clock.pending, 0);
});

test("statement 65: without a stream the time does not run", () => {
  const c = client(["a"]);
  c.clock.advance(10_000);
  c.session.closeStream();
  assert.equal(c.clock.pending, 0);
  c.clock.advance(60_000);
  c.session.openStream();
  c.clock.advance(14_999);
  assert.deepEqual(c.timeouts, []);
  c.clock.advance(1);
  assert.deepEqual(c.timeouts, [["a"]]);
});

test("a complete set without a name that was just asked for may be the answer to an older request", () => {
  const c = client(["a"]);
  c.receive(response("v1", "n1", [["a", "1"]]));
  c.want("cluster", ["a", "b"]);
  const { update } = c.receive(response("v2", "n2", [["a", "2"]]));
  assert.deepEqual(update.absent, []);
});

test("statement 66: what is no longer wanted is forgotten", () => {
  const c = client(["a", "b"]);
  c.receive(
    response("v1", "n1", [
      ["a", "1"],
      ["b", "1"],
    ]),
  );
  c.want("cluster", ["b"]);
  assert.deepEqual(c.states(), { b: "SYNCED v1" });
});

test("statement 74: a stated error keeps what is held, and NOT_FOUND removes it", () => {
  const c = client(["a", "b", "z"]);
  c.receive(
    response("v1", "n1", [
      ["a", "1"],
      ["b", "1"],
    ]),
  );
  const resourceErrors: ResourceError[] = [
    { name: "a", status: { code: 14, message: "source is away" } },
    { name: "b", status: { code: 5, message: "gone" } },
    { name: "z", status: { code: 5, message: "never was" } },
  ];
  const { update, errors } = c.receive(response("v2", "n2", [], { resourceErrors }));
  assert.deepEqual([update.removed, update.absent, errors], [["b"], ["z"], []]);
  assert.deepEqual(c.states(), { a: "NACKED v1", b: "DOES_NOT_EXIST ", z: "DOES_NOT_EXIST " });
});

test("statement 78: each resource says how it stands, with every reason", () => {
  const c = client(["a", "b", "c"]);
  c.receive(
    response("v1", "n1", [
      ["a", "1"],
      ["b", "bad1 bad2"],
    ]),
  );
  const statuses = c.session.statuses();
  assert.deepEqual(c.states(), { a: "SYNCED v1", b: "NACKED ", c: "REQUESTED " });
  assert.deepEqual(statuses[1]?.errors, ["text: bad1", "text: bad2"]);
  assert.equal(statuses[1]?.rejectedVersion, "v1");
});

test("a resource that comes again unchanged is not decoded again and is no change", () => {
  const c = client(["*"]);
  const first = c.receive(response("v1", "n1", [["a", "1"]]));
  const again = c.receive(response("v2", "n2", [["a", "1"]]));
  assert.equal(first.update.changed.size, 1);
  assert.deepEqual([again.update.changed.size, again.update.refreshed], [0, ["a"]]);
  assert.deepEqual(c.states(), { a: "SYNCED v2" });
});

function client(clusters?: readonly string[]) {
  const clock = new ManualClock();
  const timeouts: (readonly string[])[] = [];
  const types = [textType("cluster"), textType("endpoints")];
  const session = new ClientSession<DiscoveryRequest, DiscoveryResponse>(
    testNode(),
    types,
    sotwClient,
    clock,
    ({ absent }) => timeouts.push(absent),
  );
  const c = {
    clock,
    timeouts,
    session,
    want: (kind: "cluster" | "endpoints", names: readonly string[]) => session.subscribe(kind, new Set(names)),
    sent: () => session.takeRequests(),
    last() {
      const requests = session.takeRequests();
      assert.equal(requests.length, 1);
      return requests[0]!; // counted above
    },
    receive(message: DiscoveryResponse) {
      const outcome = session.receive(message);
      assert.ok(outcome);
      return outcome;
    },
    reopen() {
      session.closeStream();
      session.openStream();
    },
    states: () => Object.fromEntries(session.statuses().map((s) => [s.name, `${s.state} ${s.version}`])),
  };
  if (clusters !== undefined) {
    session.openStream();
    c.want("cluster", clusters);
    c.sent();
  }
  return c;
}

function response(
  versionInfo: string,
  nonce: string,
  texts: readonly (readonly [string, string])[],
  more: Partial<DiscoveryResponse> = {},
): DiscoveryResponse {
  const typeUrl = more.typeUrl ?? CLUSTER_TYPE_URL;
  const resources = texts.map(([name, body]) => ({ typeUrl, value: textResource(name, body).bytes }));
  return { versionInfo, nonce, typeUrl, resources, controlPlaneIdentifier: "", ...more };
}

function text(update: ResourceUpdate): Record<string, string> {
  return Object.fromEntries([...update.changed].map(([name, { config }]) => [name, (config as { text: string }).text]));
}
