import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KnownText } from "./known-text.ts";

const SAFE = Array.from("\t\r\n !09:;AZaz~\x80\xa0\xef\xf0\xff");

function viewOf(text: string): DataView {
  const bytes = Buffer.from(text, "latin1");
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

test("a known text stands where its characters are, and nowhere else", () => {
  const character = fc.constantFrom(...SAFE);
  const text = fc.array(character, { maxLength: 30 }).map((all) => all.join(""));
  // Few of the texts have eight characters that are a NaN together; those may go unseen, which costs another reading.
  const isNan = (known: string): boolean => {
    const view = viewOf(known);
    for (let i = 0; i + 8 <= known.length; i += 8) if (Number.isNaN(view.getFloat64(i, true))) return true;
    return false;
  };
  fc.assert(
    fc.property(text, text, text, (before, known, behind) => {
      const stands = new KnownText(known).stands(viewOf(before + known + behind), before.length);
      assert.equal(stands, !isNan(known));
    }),
    { seed: 9112, numRuns: 500 },
  );
  fc.assert(
    fc.property(text, fc.nat(), fc.nat(255), (known, place, code) => {
      fc.pre(known !== "");
      const at = place % known.length;
      const other = known.slice(0, at) + String.fromCharCode(code) + known.slice(at + 1);
      fc.pre(other !== known);
      assert.equal(new KnownText(known).stands(viewOf(other), 0), false, JSON.stringify([known, other]));
      assert.equal(new KnownText(known).stands(viewOf(known.slice(0, at)), 0), false);
    }),
    { seed: 9112, numRuns: 3000 },
  );
});

test("zeros in what is read are no text", () => {
  const known = new KnownText("        ");
  for (const first of ["\0", "\x80"]) assert.equal(known.stands(viewOf(`\0\0\0\0\0\0\0${first}`), 0), false);
});
