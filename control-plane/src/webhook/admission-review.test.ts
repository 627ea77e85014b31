import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAdmissionReview, readAdmissionReview } from "./admission-review.ts";
import { podReview } from "./testing.ts";

const POD = { metadata: { name: "web" }, spec: { containers: [] } };

function faultOf(review: unknown) {
  const read = readAdmissionReview(typeof review === "string" ? review : JSON.stringify(review));
  assert.equal(read.ok, false);
  return read.ok ? undefined : read.error;
}

function withRequest(change: object) {
  const review = podReview(POD);
  return { ...review, request: { ...review.request, ...change } };
}

test("a review is read with everything that is decided by", () => {
  assert.deepEqual(readAdmissionReview(JSON.stringify(withRequest({ dryRun: true, name: undefined }))), {
    ok: true,
    value: {
      uid: "705ab4f5-6393-11e8-b7cc-42010a800002",
      group: "",
      version: "v1",
      kind: "Pod",
      resource: "pods",
      subResource: "",
      operation: "CREATE",
      name: "",
      namespace: "shop",
      object: POD,
      oldObject: undefined,
      dryRun: true,
    },
  });
});

test("a DELETE has no object, and null counts as none", () => {
  const read = readAdmissionReview(JSON.stringify(withRequest({ operation: "DELETE", object: null, oldObject: POD })));
  assert.ok(read.ok);
  assert.equal(read.value.object, undefined);
  assert.deepEqual(read.value.oldObject, POD);
});

test("a review whose uid cannot be read is a fault without one", () => {
  for (const [review, message] of [
    ["", /no JSON/],
    ["[]", /no object/],
    ["null", /no object/],
    [{ kind: "Pod" }, /kind: found "Pod", allowed: "AdmissionReview"/],
    [{ ...podReview(POD), apiVersion: "admission.k8s.io/v1beta1" }, /found "admission.k8s.io\/v1beta1"/],
    [{ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" }, /request: is missing/],
    [withRequest({ uid: 7 }), /request.uid/],
    [withRequest({ uid: "" }), /request.uid/],
    [withRequest({ uid: "u".repeat(257) }), /request.uid/],
    ['{"kind":"AdmissionReview","kind":"AdmissionReview"}', /"kind" stands twice/],
  ] as const) {
    const fault = faultOf(review);
    assert.equal(fault?.uid, undefined);
    assert.match(fault?.message ?? "", message);
  }
});

test("what is wrong behind the uid is told with it", () => {
  for (const [change, message] of [
    [{ kind: undefined }, /^request.kind: is missing/],
    [{ kind: { kind: "" } }, /^request.kind.kind: is missing/],
    [{ resource: [] }, /^request.resource: is missing/],
    [{ operation: "PATCH" }, /^request.operation: found "PATCH", allowed: CREATE/],
    [{ object: undefined }, /^request.object: is missing, and a CREATE has one/],
    [{ object: [1] }, /^request.object: is no object/],
    [{ operation: "UPDATE", object: null }, /^request.object: is missing, and a UPDATE/],
    [{ namespace: 5 }, /^request.namespace: is no text/],
    [{ dryRun: "yes" }, /^request.dryRun/],
  ] as const) {
    const fault = faultOf(withRequest(change));
    assert.equal(fault?.uid, podReview(POD).request.uid);
    assert.match(fault?.message ?? "", message);
  }
});

test("an admission echoes the uid, and carries its patch in base64 with its type", () => {
  const patch = [{ op: "add", path: "/metadata/labels", value: { a: "b" } }] as const;
  const answer = JSON.parse(formatAdmissionReview("u-1", { allowed: true, patch, audit: { injected: "true" } }));
  assert.deepEqual(answer, {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: {
      uid: "u-1",
      allowed: true,
      patchType: "JSONPatch",
      patch: Buffer.from(JSON.stringify(patch)).toString("base64"),
      auditAnnotations: { injected: "true" },
    },
  });
});

test("an admission without a patch has no patchType: an API server refuses one without the other", () => {
  const { response } = JSON.parse(formatAdmissionReview("u-1", { allowed: true, patch: [] }));
  assert.deepEqual(response, { uid: "u-1", allowed: true });
});

test("a refusal has a Status with its code, and warnings are bounded", () => {
  const warnings = Array.from({ length: 30 }, () => "w".repeat(1000));
  const { response } = JSON.parse(formatAdmissionReview("u-1", { allowed: false, code: 422, message: "no", warnings }));
  assert.deepEqual(
    { ...response, warnings: undefined },
    {
      uid: "u-1",
      allowed: false,
      status: {
        apiVersion: "v1",
        kind: "Status",
        metadata: {},
        status: "Failure",
        message: "no",
        reason: "Invalid",
        code: 422,
      },
      warnings: undefined,
    },
  );
  assert.equal(response.warnings.length, 21);
  assert.equal(response.warnings[0].length, 256);
  assert.equal(response.warnings[20], "… and 10 more");
});
