import assert from "node:assert/strict";
import { test } from "node:test";
import { applyMask, parseMask } from "./field-mask.ts";

const SECTION = {
  "@type": "t",
  list: [
    { name: "a", cluster: { "@type": "c", name: "x", extra: 1 } },
    { name: "b", cluster: { "@type": "c", name: "y" } },
  ],
  last_updated: "now",
};

test("a mask keeps the fields that it names, through lists, and the types", () => {
  assert.deepEqual(applyMask(SECTION, parseMask("list.cluster.name")), {
    "@type": "t",
    list: [{ cluster: { "@type": "c", name: "x" } }, { cluster: { "@type": "c", name: "y" } }],
  });
  assert.deepEqual(applyMask(SECTION, parseMask("list.name, last_updated")), {
    "@type": "t",
    list: [{ name: "a" }, { name: "b" }],
    last_updated: "now",
  });
});

test("the shorter of two paths wins, in either order", () => {
  const whole = { "@type": "t", list: SECTION.list };
  assert.deepEqual(applyMask(SECTION, parseMask("list,list.name")), whole);
  assert.deepEqual(applyMask(SECTION, parseMask("list.name,list")), whole);
});

test("a mask that names nothing leaves nothing", () => {
  assert.equal(applyMask(SECTION, parseMask("nothing")), undefined);
  assert.equal(applyMask(SECTION, parseMask("last_updated.below")), undefined);
  assert.equal(applyMask(SECTION, parseMask("__proto__,constructor")), undefined);
});
