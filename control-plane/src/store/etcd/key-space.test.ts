import assert from "node:assert/strict";
import { test } from "node:test";
import { KeySpace } from "./key-space.ts";

test("a key space is what begins with its prefix, and nothing beside it", () => {
  const keys = new KeySpace("/mesh/blue/");
  const holds = (key: string): boolean => {
    const bytes = Buffer.from(key);
    return Buffer.compare(bytes, keys.first) >= 0 && Buffer.compare(bytes, keys.end) < 0;
  };
  assert.ok(holds("/mesh/blue/a"));
  assert.ok(holds("/mesh/blue/\u{10ffff}"));
  for (const beside of ["/mesh/blue", "/mesh/blue0", "/mesh/blue-2/a", "/mesh/a"]) assert.ok(!holds(beside), beside);
});

test("keys come back as they went; those that no store has put there are left out", () => {
  const keys = new KeySpace("/mesh/");
  for (const key of ["a", "ключ/鍵 🧵\n\0", "/"]) assert.equal(keys.fromEtcd(keys.toEtcd(key)), key);
  assert.equal(keys.fromEtcd(Buffer.from("/mesh/")), undefined);
  assert.equal(keys.fromEtcd(Buffer.concat([keys.first, Buffer.from([0xff, 0xfe])])), undefined);
});
