import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeBase64url } from "./base64url.ts";
import { readStrictJson } from "./strict-json.ts";

const SPACES = fc.constantFrom(undefined, 1, "\t", " \n");

test("every object that JSON can write is read as it was, however it is spaced", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), SPACES, (object, spaces) => {
      const text = JSON.stringify(object, null, spaces);
      assert.deepEqual(readStrictJson(Buffer.from(text)), JSON.parse(text));
    }),
  );
});

test("a name that stands twice is found wherever it stands, and however it is written", () => {
  fc.assert(
    fc.property(fc.string(), fc.dictionary(fc.string(), fc.jsonValue()), SPACES, (name, rest, spaces) => {
      const units = Array.from({ length: name.length }, (_, i) => name.charCodeAt(i).toString(16).padStart(4, "0"));
      const escaped = `"${units.map((unit) => `\\u${unit}`).join("")}"`;
      const others = Object.entries(rest).map(
        ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value, null, spaces)},`,
      );
      const object = `{${escaped}:1,${others.filter((one) => !one.startsWith(`${JSON.stringify(name)}:`)).join("")}${JSON.stringify(name)} :2}`;
      assert.doesNotThrow(() => JSON.parse(object));
      assert.equal(readStrictJson(Buffer.from(object)), undefined);
      assert.equal(readStrictJson(Buffer.from(`{"a":[{"b":${object}}]}`)), undefined);
    }),
  );
});

test("bytes have one text in base64url, and no other is read", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
      const text = Buffer.from(bytes).toString("base64url");
      assert.deepEqual(decodeBase64url(text), Buffer.from(bytes));
    }),
  );
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Za-z0-9_-]{0,12}$/), (text) => {
      const bytes = decodeBase64url(text);
      assert.ok(bytes === undefined || bytes.toString("base64url") === text);
    }),
  );
});
