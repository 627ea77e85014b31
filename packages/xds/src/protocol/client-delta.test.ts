import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { testNode, textResource, textType } from "../testing.ts";
import { deltaClient } from "./client-delta.ts";
import { ClientSession } from "./client-session.ts";
import { CLUSTER_TYPE_URL, ENDPOINTS_TYPE_URL } from "./type-urls.ts";
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from "./wire.ts";

test("statement 23: only a verdict carries a nonce", () => {
  const c = client();
  c.receive(response("n1", [["a", "1"]]));
  assert.equal(c.last().responseNonce, "n1");
  c.want(["a", "b"]);
  const spontaneous = c.last();
  assert.deepEqual([spontaneous.responseNonce, spontaneous.resourceNamesSubscribe], ["", ["b"]]);
});

test("statement 13: every response gets one verdict, which may carry a change of subscription", () => {
  const c = client();
  c.receive(response("n1", [["a", "1"]]));
  c.want(["a", "b"]);
  const request = c.last();
  assert.deepEqual([request.responseNonce, request.resourceNamesSubscribe], ["n1", ["b"]]);
  assert.equal(c.sent().length, 0);
});

test("statement 19: of a response with a bad resource the good ones are taken and the bad one is named", () => {
  const c = client(["a", "b"]);
  const { update } = c.receive(
    response("n1", [
      ["a", "bad1 bad2"],
      ["b", "1"],
    ]),
  );
  assert.deepEqual([...update.changed.keys()], ["b"]);
  assert.deepEqual(c.last().errorDetail, {
    code: 3,
    message: 'endpoints "a": text: bad1\nendpoints "a": text: bad2',
  });
});

test("statement 34: a response with the same name twice is rejected", () => {
  const c = client();
  const { update, errors } = c.receive(
    response("n1", [
      ["a", "1"],
      ["a", "2"],
    ]),
  );
  assert.equal(update.changed.size, 0);
  assert.deepEqual(errors, ['endpoints "a": the response has it twice']);
});

test("a resource whose envelope gives it another name is rejected", () => {
  const c = client();
  const value = textResource("other", "1").bytes;
  const resources = [{ name: "a", aliases: [], version: "1", resource: { typeUrl: ENDPOINTS_TYPE_URL, value } }];
  assert.deepEqual(c.receive(response("n1", [], { resources })).errors, ['endpoints "a": it calls itself "other"']);
});

test("statement 47: resources that are not mentioned stay", () => {
  const c = client(["a", "b"]);
  c.receive(
    response("n1", [
      ["a", "1"],
      ["b", "1"],
    ]),
  );
  const { update } = c.receive(response("n2", [["a", "2"]]));
  assert.deepEqual(update.removed, []);
  assert.deepEqual(c.held(), ["a", "b"]);
});

test("statement 48: the removal of a name that is not known is ignored", () => {
  const c = client();
  const { update, errors } = c.receive(response("n1", [], { removedResources: ["unknown"] }));
  assert.deepEqual([update.removed, update.absent, errors], [[], [], []]);
});

test("statement 43: a removal of what is wanted and not held says that it does not exist", () => {
  const c = client();
  const { update } = c.receive(response("n1", [], { removedResources: ["a"] }));
  assert.deepEqual([update.removed, update.absent], [[], ["a"]]);
  assert.equal(c.clock.pending, 0);
});

test("a removal of what is held removes it", () => {
  const c = client();
  c.receive(response("n1", [["a", "1"]]));
  const { update } = c.receive(response("n2", [], { removedResources: ["a"] }));
  assert.deepEqual([update.removed, update.absent], [["a"], []]);
});

test("statement 50: a new stream tells what is held, with versions, and every name; the first stream and later requests do not", () => {
  const clock = new ManualClock();
  const types = [textType("endpoints")];
  const session = new ClientSession<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(
    testNode(),
    types,
    deltaClient,
    clock,
    () => undefined,
  );
  session.subscribe("endpoints", new Set(["a", "b"]));
  session.openStream();
  const [first] = session.takeRequests();
  assert.deepEqual([first?.resourceNamesSubscribe, first?.initialResourceVersions.size], [["a", "b"], 0]);
  session.receive(response("n1", [["a", "1"]]));
  assert.equal(session.takeRequests()[0]?.initialResourceVersions.size, 0);
  session.closeStream();
  session.openStream();
  const [again] = session.takeRequests();
  assert.deepEqual(again?.resourceNamesSubscribe, ["a", "b"]);
  assert.deepEqual([...(again?.initialResourceVersions ?? [])], [["a", textResource("a", "1").version]]);
  assert.equal(again?.responseNonce, "");
  session.closeStream();
});

test("to another server what is held is named without versions, so that it tells what does not exist there", () => {
  const c = client(["a", "b"]);
  c.receive(
    response("n1", [
      ["a", "1"],
      ["b", "1"],
    ]),
  );
  c.sent();
  c.session.closeStream();
  c.session.openStream(true);
  const first = c.last();
  assert.deepEqual(
    [first.resourceNamesSubscribe, [...first.initialResourceVersions]],
    [
      ["a", "b"],
      [
        ["a", ""],
        ["b", ""],
      ],
    ],
  );
  const { update } = c.receive(response("m1", [["a", "1"]], { removedResources: ["b"] }));
  assert.deepEqual([update.refreshed, update.removed], [["a"], ["b"]]);
});

test("a wildcard begins in its old form, beside names in its new one", () => {
  for (const [names, expected] of [
    [["*"], []],
    [
      ["*", "a"],
      ["*", "a"],
    ],
  ]) {
    const session = new ClientSession<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(
      testNode(),
      [textType("cluster")],
      deltaClient,
      new ManualClock(),
      () => undefined,
    );
    session.subscribe("cluster", new Set(names));
    session.openStream();
    assert.deepEqual(session.takeRequests()[0]?.resourceNamesSubscribe, expected);
    session.subscribe("cluster", new Set(["a"]));
    assert.deepEqual(session.takeRequests()[0]?.resourceNamesUnsubscribe, ["*"]);
    session.closeStream();
  }
});

test("a response of a type that was never asked for is not answered", () => {
  const c = client();
  assert.equal(c.session.receive(response("n1", [], { typeUrl: CLUSTER_TYPE_URL })), undefined);
  assert.equal(c.sent().length, 0);
});

function client(names: readonly string[] = ["a"]) {
  const clock = new ManualClock();
  const types = [textType("endpoints")];
  const session = new ClientSession<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(
    testNode(),
    types,
    deltaClient,
    clock,
    () => undefined,
  );
  session.openStream();
  session.subscribe("endpoints", new Set(names));
  session.takeRequests();
  return {
    clock,
    session,
    want: (wanted: readonly string[]) => session.subscribe("endpoints", new Set(wanted)),
    sent: () => session.takeRequests(),
    last() {
      const requests = session.takeRequests();
      assert.equal(requests.length, 1);
      return requests[0]!; // counted above
    },
    receive(message: DeltaDiscoveryResponse) {
      const outcome = session.receive(message);
      assert.ok(outcome);
      return outcome;
    },
    held: () =>
      session
        .statuses()
        .filter(({ state }) => state === "SYNCED")
        .map(({ name }) => name),
  };
}

function response(
  nonce: string,
  texts: readonly (readonly [string, string])[],
  more: Partial<DeltaDiscoveryResponse> = {},
): DeltaDiscoveryResponse {
  const resources = texts.map(([name, body]) => {
    const { version, bytes } = textResource(name, body);
    return { name, aliases: [], version, resource: { typeUrl: ENDPOINTS_TYPE_URL, value: bytes } };
  });
  return {
    systemVersionInfo: "",
    nonce,
    typeUrl: ENDPOINTS_TYPE_URL,
    resources,
    removedResources: [],
    controlPlaneIdentifier: "",
    ...more,
  };
}
