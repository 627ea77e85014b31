import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalName, collectionOf, formatXdstpName, isCollection, parseXdstpName } from "./xdstp-name.ts";

const CLUSTER = "envoy.config.cluster.v3.Cluster";

test("statement 75: a structured name has an authority, a type, an id and context parameters", () => {
  const name = parseXdstpName(`xdstp://mesh.example/${CLUSTER}/prod/eu/web?zone=a&env=live`);
  assert.ok(name.ok);
  const { authority, resourceType, id, context } = name.value;
  assert.deepEqual([authority, resourceType, id], ["mesh.example", CLUSTER, "prod/eu/web"]);
  assert.deepEqual(Object.fromEntries(context), { zone: "a", env: "live" });
});

test("statement 75: context parameters are a set: their order makes no other name", () => {
  const one = canonicalName(`xdstp://a/${CLUSTER}/web?zone=a&env=live`);
  assert.equal(one, `xdstp://a/${CLUSTER}/web?env=live&zone=a`);
  assert.equal(canonicalName(`xdstp://a/${CLUSTER}/web?env=live&zone=a`), one);
  assert.notEqual(canonicalName(`xdstp://a/${CLUSTER}/web?env=live`), one);
});

test("statement 75: names of the old form are opaque", () => {
  for (const name of ["web", "outbound/80/web.default", "a?z=1&b=2", "http://a/b/c?z=1&b=2", "*"]) {
    assert.equal(canonicalName(name), name);
    assert.equal(collectionOf(name), undefined);
    assert.equal(isCollection(name), false);
  }
});

test("an empty authority is one", () => {
  const name = parseXdstpName(`xdstp:///${CLUSTER}/web`);
  assert.ok(name.ok);
  assert.equal(name.value.authority, "");
});

test("what is escaped means the same as what is not", () => {
  assert.equal(canonicalName(`xdstp://a/${CLUSTER}/w%65b`), `xdstp://a/${CLUSTER}/web`);
  assert.equal(canonicalName(`xdstp://a/${CLUSTER}/web?k=a%26b`), `xdstp://a/${CLUSTER}/web?k=a%26b`);
});

test("an id that ends in /* is a collection, and holds what lies directly in its folder", () => {
  const folder = `xdstp://a/${CLUSTER}/prod/*`;
  assert.ok(isCollection(folder));
  assert.equal(collectionOf(`xdstp://a/${CLUSTER}/prod/web`), folder);
  assert.equal(collectionOf(`xdstp://a/${CLUSTER}/prod/eu/web`), `xdstp://a/${CLUSTER}/prod/eu/*`);
  assert.equal(collectionOf(`xdstp://a/${CLUSTER}/web`), `xdstp://a/${CLUSTER}/*`);
  assert.equal(collectionOf(folder), undefined);
});

test("a collection's context parameters are part of it", () => {
  assert.equal(collectionOf(`xdstp://a/${CLUSTER}/x/web?z=1&b=2`), `xdstp://a/${CLUSTER}/x/*?b=2&z=1`);
});

test("a name that is none says what is wrong", () => {
  for (const [name, reason] of [
    ["xdstp:web", /it is no name/],
    [`xdstp://a/${CLUSTER}`, /it is no name/],
    [`xdstp://a/${CLUSTER}/`, /it is no name/],
    [`xdstp://a/${CLUSTER}/web#entry=x`, /directives/],
    [`xdstp://a/${CLUSTER}/web?zone`, /"zone" is not KEY=VALUE/],
    [`xdstp://a/${CLUSTER}/web?z=1&z=2`, /"z" is there twice/],
    [`xdstp://a/${CLUSTER}/w%zz`, /hexadecimal/],
  ] as const) {
    const parsed = parseXdstpName(name);
    assert.ok(!parsed.ok, name);
    assert.match(parsed.error, reason);
    assert.match(parsed.error, /allowed: xdstp:/);
    assert.equal(canonicalName(name), name);
  }
});

test("whatever is in a name survives being written and read, and the writing is the one spelling", () => {
  // A lone surrogate is no text and cannot be on the wire.
  const text = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" });
  const name = fc.record({
    authority: text,
    resourceType: text,
    id: text,
    context: fc
      .uniqueArray(fc.tuple(text, text), { selector: ([key]) => key, maxLength: 4 })
      .map((list) => new Map(list)),
  });
  fc.assert(
    fc.property(name, (original) => {
      const written = formatXdstpName(original);
      const read = parseXdstpName(written);
      assert.ok(read.ok, written);
      assert.deepEqual(
        { ...read.value, context: Object.fromEntries(read.value.context) },
        {
          ...original,
          context: Object.fromEntries(original.context),
        },
      );
      assert.equal(canonicalName(written), written);
    }),
    { seed: 20261121, numRuns: 500 },
  );
});
