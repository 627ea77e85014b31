import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import fc from "fast-check";
import { JsonFields, JsonItems, jsonPieces, type StreamedJson } from "./json-pieces.ts";

/** Every list and object made piece by piece, with pauses. */
function streamed(json: Json): StreamedJson {
  if (Array.isArray(json)) return new JsonItems([undefined, ...json.flatMap((item) => [streamed(item), undefined])]);
  if (typeof json !== "object" || json === null) return json;
  return new JsonFields(Object.entries(json).map(([name, value]) => [name, streamed(value)]));
}

test("JSON in pieces is the text of JSON.stringify", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.boolean(), (value, whole) => {
      const json = value as Json;
      const tree = whole ? new JsonFields([["a", new JsonItems([json])]]) : streamed(json);
      assert.equal([...jsonPieces(tree)].join(""), JSON.stringify(whole ? { a: [json] } : json, null, 1));
    }),
  );
});
