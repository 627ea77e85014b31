import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeMessage, encodeMessage } from "@heddle/proto";
import { decodeTxn, decodeWatch, encodeTxn, encodeWatch } from "./etcd-wire.ts";

const key = Buffer.from("/mesh/a");

test("a batch is one transaction: what is expected is compared, and found out where it is not there", () => {
  const bytes = encodeTxn({
    expected: [{ key, modRevision: 0 }],
    changes: [
      { key, value: Buffer.from("v") },
      { key, value: undefined },
    ],
  });
  // Field numbers and meanings of etcd's rpc.proto: an absent mod_revision in a oneof would compare nothing.
  assert.equal(
    bytes.toString("hex"),
    [
      "0a0d",
      "1002",
      "1a07",
      key.toString("hex"),
      "3000", // compare: target MOD, key, mod_revision 0
      "120e",
      "120c",
      "0a07",
      key.toString("hex"),
      "120176", // success: put
      "120b",
      "1a09",
      "0a07",
      key.toString("hex"), // success: delete
      "1a0d",
      "0a0b",
      "0a07",
      key.toString("hex"),
      "4001", // failure: range, keys only
    ].join(""),
  );
});

test("a transaction that only removed what is not there has changed nothing", () => {
  const answer = (responses: readonly object[]) =>
    decodeTxn(encodeMessage("etcdserverpb.TxnResponse", { header: { revision: 7 }, succeeded: true, responses }));
  assert.deepEqual(answer([{ response_delete_range: {} }]), { succeeded: true, revision: 7, changed: false });
  assert.deepEqual(answer([{ response_delete_range: { deleted: 1 } }]), {
    succeeded: true,
    revision: 7,
    changed: true,
  });
  assert.deepEqual(answer([{}, { response_delete_range: {} }]), { succeeded: true, revision: 7, changed: true });
});

test("a watch begins at a revision, and says when what it wants is forgotten", () => {
  const asked = decodeMessage("etcdserverpb.WatchRequest", encodeWatch(key, Buffer.from("/mesh/b"), 2 ** 40));
  assert.ok(asked.ok);
  assert.equal(String((asked.value["create_request"] as { start_revision: unknown }).start_revision), String(2 ** 40));
  const told = encodeMessage("etcdserverpb.WatchResponse", {
    canceled: true,
    compact_revision: 9,
    cancel_reason: "gone",
  });
  assert.deepEqual(decodeWatch(told), {
    revision: 0,
    created: false,
    canceled: true,
    compactRevision: 9,
    cancelReason: "gone",
    events: [],
  });
  assert.throws(() => decodeWatch(Buffer.from([0xff])), /not a etcdserverpb.WatchResponse/);
});
