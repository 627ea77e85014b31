import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { compileSafeRegex, compileSubstitution, type SafeRegex } from "./safe-regex.ts";

function regex(source: string): SafeRegex {
  const result = compileSafeRegex(source);
  assert.ok(result.ok, source);
  return result.value;
}

function replace(source: string, substitution: string, value: string): string {
  const compiled = regex(source);
  const replacement = compileSubstitution(substitution, compiled.groupCount);
  assert.ok(replacement.ok, substitution);
  return compiled.replaceAll(value, replacement.value);
}

/** Bytes as a head carries them. */
const latin1 = (text: string): string => Buffer.from(text, "utf8").toString("latin1");

describe("safe regex", () => {
  it("must match the whole value, alternatives included", () => {
    assert.ok(regex("a|ab").test("ab"));
    assert.ok(!regex("/users/[0-9]+").test("/users/7/x"));
    assert.ok(!regex("b").test("abc"));
    assert.ok(!regex("a.b").test("a\nb"), "a dot is no line feed");
    assert.ok(!regex("abc$").test("abc\n"));
  });

  it("means what RE2 means, not what V8 would", () => {
    assert.ok(regex("\\Aabc\\z").test("abc"));
    assert.ok(regex("[[:alpha:]]+").test("abc"));
    assert.ok(regex("\\Qa.b\\E").test("a.b"));
    assert.ok(!regex("\\Qa.b\\E").test("axb"));
    assert.ok(!regex("\\s").test("\u00a0"), "white space is ASCII");
    assert.ok(regex("(?i)ABC").test("abc"));
  });

  it("refuses what RE2 refuses, and says why", () => {
    for (const source of ["(", "a{1001}", "(?=a)", "\\1", "*", "[z-a]"]) {
      const result = compileSafeRegex(source);
      assert.ok(!result.ok && result.error.includes(source), source);
    }
  });

  it("takes time in proportion to the value where backtracking would take for ever", () => {
    assert.ok(!regex("(a+)+b").test("a".repeat(5000)));
    assert.ok(!regex("(a|aa)*c").test("a".repeat(5000)));
  });

  it("CVE-2026-73552: sees bytes, so that one which is no UTF-8 hides nothing from it", () => {
    assert.ok(regex(".*marker.*").test("a marker \xe9"));
    assert.ok(regex(".*").test("/caf\xe9"));
    assert.ok(regex("[^x]*").test("\xff\xc3"));
    assert.ok(regex("/café").test(latin1("/café")));
    assert.ok(regex("/caf..").test(latin1("/café")), "a dot is one byte");
    assert.ok(regex("/caf\\xe9").test("/caf\xe9"));
  });

  it("finds groups in plain text", () => {
    assert.deepEqual(regex("^é(.+)ü$").find("éaöü"), ["éaöü", "aö"]);
    assert.equal(regex("b").find("a"), undefined);
  });

  it("agrees with V8 where both mean the same", () => {
    const atom = fc.constantFrom("a", "b", "[ab]", "[^a]", "(a|b)", "(ab)", ".");
    const piece = fc.tuple(atom, fc.constantFrom("", "*", "+", "?", "{1,2}")).map(([a, q]) => a + q);
    const pattern = fc.array(piece, { minLength: 1, maxLength: 5 }).map((pieces) => pieces.join(""));
    const value = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 8 });
    fc.assert(
      fc.property(pattern, value, (source, text) => {
        assert.equal(regex(source).test(text), new RegExp(`^(?:${source})$`).test(text), `${source} on ${text}`);
      }),
      { seed: 5, numRuns: 500 },
    );
  });
});

describe("regex substitution", () => {
  it("replaces every match and knows groups", () => {
    assert.equal(replace("^/service/([^/]+)(/.*)$", "\\2/instance/\\1", "/service/foo/v1/api"), "/v1/api/instance/foo");
    assert.equal(replace("one", "two", "/xxx/one/yyy/one/zzz"), "/xxx/two/yyy/two/zzz");
    assert.equal(replace("(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb"), "/aaa/yyy/bbb");
    assert.equal(replace("b", "[\\0\\\\]", "abc"), "a[b\\]c");
    assert.equal(replace("x*", "-", "ab"), "-a-b-");
    assert.equal(replace("[a-z]*", "X", "/foo/b"), "X/X/X", "nothing right behind a match is none");
  });

  it("keeps bytes as they are", () => {
    assert.equal(replace("b", "é", latin1("aéb")), latin1("aéé"));
    assert.equal(replace("a", "b", "a\xff"), "b\xff");
  });

  it("refuses groups that are not there and stray backslashes", () => {
    for (const text of ["\\2", "\\x", "a\\"]) assert.equal(compileSubstitution(text, 1).ok, false, text);
  });
});
