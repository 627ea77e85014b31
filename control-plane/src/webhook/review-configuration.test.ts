import assert from "node:assert/strict";
import { test } from "node:test";
import { readAdmissionReview } from "./admission-review.ts";
import { type JudgeObject, reviewConfiguration } from "./review-configuration.ts";
import { podReview } from "./testing.ts";

const SERVICE_PARENT = { group: "", kind: "Service", name: "web", port: 80 };

function review(object: object, change: object = {}, judge?: JudgeObject) {
  const { apiVersion = "", kind = "" } = object as { apiVersion?: string; kind?: string };
  const [group = "", version = ""] = apiVersion.split("/");
  const resource = { group, version, resource: `${kind.toLowerCase()}s` };
  const read = readAdmissionReview(
    JSON.stringify(podReview(object, { kind: { group, version, kind }, resource, name: "", ...change })),
  );
  assert.ok(read.ok, JSON.stringify(read));
  return reviewConfiguration(read.value, judge);
}

function route(spec: object, metadata: object = {}) {
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "web", ...metadata },
    spec,
  };
}

const BAD_RULE = { matches: [{ path: { type: "RegularExpression", value: "(" } }] };

test("what heddle check refuses is refused, with every reason and its path", () => {
  const answer = review(route({ parentRefs: [SERVICE_PARENT], rules: [BAD_RULE, { backendRefs: [{ name: "a" }] }] }));
  assert.ok(!answer.allowed && answer.code === 422);
  assert.match(
    answer.message,
    /spec\.rules\[0\]\.matches\[0\]\.path\.value: .*; spec\.rules\[1\]\.backendRefs\[0\]\.port: is missing/,
  );
});

test("what is good is allowed, and what has no effect is a warning", () => {
  assert.deepEqual(review(route({ parentRefs: [SERVICE_PARENT], hostnames: ["web.example"] })), {
    allowed: true,
    warnings: ["spec.hostnames: has no effect on a route whose parent is a Service"],
  });
});

test("a kind of ours has no unknown fields, and its status is none of it", () => {
  const policy = {
    apiVersion: "heddle.dev/v1",
    kind: "PeerAuthentication",
    metadata: { name: "all" },
    spec: { mtls: { mode: "STRICT" } },
  };
  assert.equal(review(policy).allowed, true);
  assert.equal(review({ ...policy, status: { conditions: [] } }).allowed, true);
  const answer = review({ ...policy, spec: { mtls: { mode: "STRICTER" }, more: 1 } });
  assert.ok(!answer.allowed);
  assert.match(answer.message, /more.*allowed/);
});

test("a route of somebody's gateway is that gateway's to judge", () => {
  assert.deepEqual(review(route({ parentRefs: [{ name: "edge" }], rules: [BAD_RULE] })), { allowed: true });
});

test("never in the way of what mends or ends an object", () => {
  const bad = route({ parentRefs: [SERVICE_PARENT], rules: [BAD_RULE] });
  const labelled = route(bad.spec, { labels: { a: "b" } });
  assert.equal(review(bad).allowed, false);
  assert.equal(review(bad, { operation: "DELETE", object: null, oldObject: bad }).allowed, true);
  assert.equal(review(bad, { operation: "UPDATE", oldObject: bad, subResource: "status" }).allowed, true);
  assert.equal(review(labelled, { operation: "UPDATE", oldObject: bad }).allowed, true);
  assert.equal(
    review(route(bad.spec, { deletionTimestamp: "2026-01-01T00:00:00Z" }), { operation: "UPDATE", oldObject: bad })
      .allowed,
    true,
  );
  const worse = route({ parentRefs: [SERVICE_PARENT], rules: [BAD_RULE, BAD_RULE] });
  assert.equal(review(worse, { operation: "UPDATE", oldObject: bad }).allowed, false);
});

test("objects of other groups are let through without a look", () => {
  assert.deepEqual(review({ apiVersion: "apps/v1", kind: "Deployment", spec: 5 }), { allowed: true });
});

test("an object whose name is yet to be generated has one", () => {
  const { name: _name, ...metadata } = { ...route({}).metadata, generateName: "web-" };
  assert.equal(review({ ...route({ parentRefs: [SERVICE_PARENT] }), metadata }).allowed, true);
});

test("what is no object in the places where one stands is refused, and never a crash", () => {
  for (const object of [
    route([] as never),
    { ...route({}), metadata: 5 },
    { ...route({}), spec: { parentRefs: [5, SERVICE_PARENT], rules: {} } },
    { ...route({}), apiVersion: "heddle.dev/v1", kind: "Nothing" },
  ]) {
    const answer = review(object);
    assert.equal(typeof answer.allowed, "boolean");
  }
});

test("between objects what the change itself breaks refuses it, and all else is a warning", () => {
  const good = route({ parentRefs: [SERVICE_PARENT] });
  const place = "kubernetes HTTPRoute shop/web";
  const fault = (severity: "error" | "warning", file: string, message: string) => ({
    severity,
    file,
    line: 0,
    column: 0,
    path: file === place ? "spec" : "",
    message,
  });
  const asked: unknown[] = [];
  const judge: JudgeObject = (namespace, at, objects) => {
    asked.push([namespace, at, objects.map(({ kind, name }) => `${kind} ${name}`)]);
    return {
      errors: [fault("error", place, "is twice"), fault("error", "stored x", "is twice too")],
      warnings: [fault("warning", place, "leads nowhere")],
    };
  };
  const inShop = { namespace: "shop", name: "web" };
  assert.deepEqual(review(good, inShop, judge), {
    allowed: false,
    code: 422,
    message: "spec: is twice; stored x: is twice too",
    warnings: ["spec: leads nowhere"],
  });
  assert.deepEqual(asked.splice(0), [["shop", place, ["http-route web"]]]);
  assert.equal(review(good, { ...inShop, operation: "UPDATE", oldObject: good }, judge).allowed, true);
  assert.equal(review(good, { operation: "DELETE", object: null, oldObject: good }, judge).allowed, true);
  assert.equal(review(route({ parentRefs: [{ name: "edge" }] }), inShop, judge).allowed, true);
  assert.equal(review(route({ parentRefs: [SERVICE_PARENT], rules: [BAD_RULE] }), inShop, judge).allowed, false);
  assert.deepEqual(asked, [], "what passes or is refused alone is not asked about");
});

test("where the other objects are not known yet, the object alone is judged, and that is said", () => {
  assert.deepEqual(
    review(route({ parentRefs: [SERVICE_PARENT] }), {}, () => undefined),
    {
      allowed: true,
      warnings: ["not all of the mesh's configuration has been read yet: this object was judged alone"],
    },
  );
});
