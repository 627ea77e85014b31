import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "@heddle/base";
import { TestAuthority } from "@heddle/net/testing";
import { readJwks } from "./read-jwks.ts";
import { TestIssuer } from "./testing-jwt.ts";

const EC = new TestIssuer("ES256", "ec").jwk();
const ED = new TestIssuer("EdDSA", "ed").jwk();
const RSA: JsonObject = { kty: "RSA", n: "AQAB", e: "AQAB" };
const SECRET: JsonObject = { kty: "oct", k: "c2VjcmV0" };

function algorithmsOf(key: JsonObject, from: "local" | "fetched" = "local"): readonly string[] {
  const read = readJwks(JSON.stringify({ keys: [key] }), from);
  return read.ok ? (read.value[0]?.algorithms ?? []) : [read.error];
}

const NONE: readonly string[] = [];

describe("a set of keys", () => {
  test("binds each key to the algorithms of its type, and to the one that it names", () => {
    assert.deepEqual(algorithmsOf(EC), ["ES256"]);
    assert.deepEqual(algorithmsOf(ED), ["EdDSA"]);
    assert.deepEqual(algorithmsOf(RSA), ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]);
    assert.deepEqual(algorithmsOf({ ...RSA, alg: "PS384" }), ["PS384"]);
    assert.deepEqual(algorithmsOf(SECRET), ["HS256", "HS384", "HS512"]);
    for (const confused of [
      { ...RSA, alg: "HS256" },
      { ...EC, alg: "ES384" },
      { ...EC, alg: "none" },
      { ...SECRET, alg: "RS256" },
      { ...EC, crv: "P-256K" },
      { ...ED, crv: "X25519" },
    ])
      assert.deepEqual(algorithmsOf(confused), NONE, JSON.stringify(confused));
  });

  test("that is fetched has no secrets: whoever can fetch them can sign", () => {
    assert.deepEqual(algorithmsOf(SECRET, "fetched"), ["doesn't have any valid public key"]);
    assert.deepEqual(algorithmsOf(EC, "fetched"), ["ES256"]);
  });

  test("leaves keys for something else out, and keys that lack something, and keeps the rest", () => {
    const others = [
      { ...EC, use: "enc" },
      { ...EC, key_ops: ["sign"] },
      { ...EC, kid: 1 },
      { ...EC, x: "" },
      { kty: "RSA", n: "AQAB" },
      { kty: "toString" },
      { kid: "a" },
    ];
    for (const key of others) assert.deepEqual(algorithmsOf(key), NONE, JSON.stringify(key));
    const read = readJwks(
      JSON.stringify({ keys: [null, 1, "a", ...others, { ...EC, use: "sig", key_ops: ["verify"] }] }),
      "local",
    );
    assert.ok(read.ok);
    assert.equal(read.value.length, 1);
    assert.equal(read.value[0]?.id, "ec");
  });

  test("keeps nothing of a key that verifying does not need, least of all its private part", () => {
    const read = readJwks(JSON.stringify({ keys: [{ ...EC, d: "private", x5u: "http://evil.example/" }] }), "local");
    assert.ok(read.ok);
    assert.deepEqual(Object.keys(read.value[0]?.jwk ?? {}).sort(), ["crv", "kty", "x", "y"]);
  });

  test("may be certificates by the ids of their keys, the older form", () => {
    const authority = new TestAuthority();
    const set = { ec: authority.issue({}).certificate, rsa: authority.issue({ keyType: "rsa" }).certificate };
    const read = readJwks(JSON.stringify(set), "fetched");
    assert.ok(read.ok);
    assert.deepEqual(
      read.value.map(({ id, algorithms }) => [id, algorithms.length]),
      [
        ["ec", 1],
        ["rsa", 6],
      ],
    );
  });

  test("of 10^5 keys, of more than a megabyte, or that is none, is refused as a whole", () => {
    const many = JSON.stringify({ keys: Array.from({ length: 100_000 }, () => ({})) });
    assert.match(JSON.stringify(readJwks(many, "local")), /has 100000 keys, allowed are 1000/);
    const large = JSON.stringify({ keys: [{ ...EC, pad: "x".repeat(1024 * 1024) }] });
    assert.match(JSON.stringify(readJwks(large, "local")), /allowed are 1048576/);
    for (const text of ["", "[]", "null", "{}", '{"keys":{}}', '{"a":"no certificate"}'])
      assert.equal(readJwks(text, "local").ok, false, text);
    assert.deepEqual([readJwks('{"keys":[]}', "local").ok, readJwks('{"keys":[]}', "fetched").ok], [true, false]);
  });
});
