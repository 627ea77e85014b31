import assert from "node:assert/strict";
import { test } from "node:test";
import { typeNameOf } from "@heddle/proto";
import { makeResourceTypes } from "@heddle/xds";
import { completeKey, findStoredType, formatKey, parseStoreKey, STORED_TYPES, storeKeyOf } from "./resource-key.ts";

test("every type that goes over xDS can be stored, and no two types have a name in common", () => {
  for (const { typeUrl } of Object.values(makeResourceTypes({ httpFilters: "unchecked" })))
    assert.equal(findStoredType(typeUrl)?.type, typeNameOf(typeUrl));
  const names = STORED_TYPES.flatMap(({ type, shortNames }) => [type, ...shortNames]);
  assert.equal(new Set(names).size, names.length);
});

test("a key comes back from the store as it was, whatever its names hold", () => {
  for (const name of ["a", "a/b", "a%2Fb", "ü 中 \n", ".."]) {
    const key = { type: "envoy.config.cluster.v3.Cluster", namespace: "", name, nodeCluster: "w/e b" };
    assert.deepEqual(parseStoreKey(storeKeyOf(key)), key);
  }
  for (const text of ["", "a", "a/b/c", "a/b/c/d/e", "/b/c/d", "a//%zz/"])
    assert.equal(parseStoreKey(text), undefined, text);
});

test("what is left out of a key is filled in, and what cannot be is told", () => {
  const service = completeKey({ type: "svc", name: "orders" });
  assert.equal(service.ok && formatKey(service.value), "service/default/orders");
  for (const [key, why] of [
    [{ name: "a" }, /^type: found ""/],
    [{ type: "cluster" }, /^name: is missing/],
    [{ type: "cluster", name: "a", namespace: "b" }, /^namespace: found "b"/],
    [{ type: "service", name: "a", nodeCluster: "b" }, /^nodeCluster: only xDS/],
    [{ type: "cluster", name: "\ud800" }, /^name: allowed are 1024 characters/],
    [{ type: "cluster", name: "x".repeat(1025) }, /^name: allowed are 1024 characters/],
  ] as const) {
    const read = completeKey(key);
    assert.match(read.ok ? "" : read.error, why);
  }
});
