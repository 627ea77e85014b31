import assert from "node:assert/strict";
import { test } from "node:test";
import { err, ok } from "@heddle/base";
import type { XdsNode } from "@heddle/xds";
import { testNode } from "@heddle/xds/testing";
import type { Caller } from "../api/access.ts";
import { statusRights } from "./status-rights.ts";

const WEB = { trustDomain: "mesh.test", path: "/ns/shop/sa/web" };
const NODES: readonly XdsNode[] = [
  testNode("shop/a/1"),
  testNode("shop/b/1"),
  { ...testNode("shop/a/1"), identity: WEB },
  { ...testNode("shop/c/1"), cluster: "c", identity: { ...WEB, path: "/ns/shop/sa/c" } },
];
const READER: Caller = { name: "ci", role: "read", groups: undefined, namespaces: undefined };

/** Which of the nodes are shown, or why none is. */
function shown(asker: Parameters<ReturnType<typeof statusRights>>[0], isOpen = false): readonly number[] | string {
  const holders = new Map([
    ["Bearer all", READER],
    ["Bearer c", { ...READER, groups: ["c"] }],
  ]);
  const rights = statusRights({ isOpen, tokenHolderOf: (authorization) => holders.get(authorization ?? "") })(asker);
  return rights.ok ? NODES.flatMap((node, index) => (rights.value(node) ? [index] : [])) : rights.error;
}

test("X7: on the plaintext port a client is shown the node that it says it is, and none that has a certificate", () => {
  const asker = { authorization: undefined, peer: undefined };
  assert.deepEqual(shown({ ...asker, nodeId: "shop/a/1" }), [0]);
  assert.deepEqual(shown({ ...asker, nodeId: "shop/c/1" }), []);
  assert.deepEqual(shown({ ...asker, nodeId: "" }), []);
  assert.deepEqual(shown({ ...asker, nodeId: "" }, true), [0, 1, 2, 3], "nothing tells callers apart");
});

test("X1: a certificate shows what nodes of the same identity have, whatever the request says", () => {
  const peer = ok({ identity: WEB, notAfterMs: 0 });
  assert.deepEqual(shown({ authorization: undefined, peer, nodeId: "shop/c/1" }), [2]);
  const nobody = { authorization: undefined, peer: err("the connection has no certificate"), nodeId: "shop/a/1" };
  assert.equal(shown(nobody), "the connection has no certificate, and the call no token that is known");
});

test("a token of the resource API shows all, or its groups", () => {
  const peer = err("the connection has no certificate");
  assert.deepEqual(shown({ authorization: "Bearer all", peer, nodeId: "" }), [0, 1, 2, 3]);
  assert.deepEqual(shown({ authorization: "Bearer all", peer: undefined, nodeId: "" }), [0, 1, 2, 3]);
  assert.deepEqual(shown({ authorization: "Bearer c", peer, nodeId: "" }), [3]);
});
