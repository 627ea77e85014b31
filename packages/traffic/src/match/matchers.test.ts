import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HeaderMap, RequestHead } from "@heddle/http";
import type { HeaderMatcherConfig } from "../route/route-config.ts";
import { compileHeaderMatcher } from "./header-matcher.ts";
import { parseQuery, QueryMatcher } from "./query-matcher.ts";
import { asciiLower, compileStringMatcher, type StringMatcherConfig } from "./string-matcher.ts";

describe("string matcher", () => {
  const cases: readonly (readonly [StringMatcherConfig["type"], string, boolean, string, boolean])[] = [
    ["exact", "abc", false, "abc", true],
    ["exact", "abc", false, "ABC", false],
    ["exact", "aBc", true, "AbC", true],
    ["prefix", "ab", false, "abc", true],
    ["prefix", "ab", false, "xab", false],
    ["suffix", "BC", true, "abc", true],
    ["suffix", "bc", false, "abcd", false],
    ["contains", "b", false, "abc", true],
    ["contains", "x", true, "abc", false],
  ];
  for (const [type, pattern, ignoreCase, value, expected] of cases) {
    it(`${type} "${pattern}"${ignoreCase ? " in any case" : ""} ${expected ? "takes" : "refuses"} "${value}"`, () => {
      if (type === "safe-regex") return;
      const matcher = compileStringMatcher({ type, value: pattern, ignoreCase });
      assert.equal(matcher.test(value), expected);
    });
  }

  it("compares bytes: case is a matter of ASCII alone, and a pattern stands as UTF-8", () => {
    assert.equal(asciiLower("ÀÉA\u0130"), "ÀÉa\u0130");
    const matcher = compileStringMatcher({ type: "exact", value: "é", ignoreCase: true });
    assert.ok(matcher.test("\xc3\xa9"));
    assert.ok(!matcher.test("\xe9"));
  });

  it("tells what it asks for", () => {
    assert.equal(
      String(compileStringMatcher({ type: "prefix", value: "/a", ignoreCase: true })),
      'prefix "/a" (any case)',
    );
    assert.equal(String(compileStringMatcher({ type: "safe-regex", regex: "a+" })), "regex a+");
  });
});

describe("header matcher", () => {
  const head = new RequestHead(
    "POST",
    "https",
    "shop.example:8080",
    "/a?b=1",
    new HeaderMap(["x-one", "1", "x-two", "a", "x-two", "b", "x-empty", ""]),
  );
  const match = (name: string, match: HeaderMatcherConfig["match"], more: Partial<HeaderMatcherConfig> = {}): boolean =>
    compileHeaderMatcher({ name, match, invert: false, treatMissingHeaderAsEmpty: false, ...more }).matches(head);
  const exact = (value: string): HeaderMatcherConfig["match"] => ({
    type: "string",
    matcher: { type: "exact", value, ignoreCase: false },
  });

  it("sees pseudo-headers as parts of the head", () => {
    assert.ok(match(":method", exact("POST")));
    assert.ok(match(":scheme", exact("https")));
    assert.ok(match(":authority", exact("shop.example:8080")));
    assert.ok(match("host", exact("shop.example:8080")));
    assert.ok(match(":path", exact("/a?b=1")));
  });

  it("CVE-2026-26308: sees the values of a repeated field one by one, so that none can hide behind another", () => {
    assert.ok(match("x-two", exact("a")));
    assert.ok(match("x-two", exact("b")));
    assert.ok(!match("x-two", exact("a,b")));
    assert.ok(!match("x-two", exact("a"), { invert: true }));
    assert.ok(!match("x-two", exact("b"), { invert: true }));
    assert.ok(match("x-two", exact("c"), { invert: true }));
  });

  it("does the same with values that were looked up elsewhere", () => {
    const of = (matcher: HeaderMatcherConfig["match"], invert: boolean, ...values: readonly string[]): boolean =>
      compileHeaderMatcher({ name: "x", match: matcher, invert, treatMissingHeaderAsEmpty: false }).testAll(values);
    assert.ok(of(exact("b"), false, "a", "b"));
    assert.ok(!of(exact("b"), true, "a", "b"));
    assert.ok(of(exact("c"), true, "a", "b"));
    assert.ok(!of(exact("c"), true));
    assert.ok(of({ type: "present", present: true }, false, ""));
    assert.ok(of({ type: "present", present: true }, true));
  });

  it("asks for presence, also of empty fields", () => {
    const present = { type: "present", present: true } as const;
    const absent = { type: "present", present: false } as const;
    assert.ok(match("x-empty", present));
    assert.ok(!match("x-none", present));
    assert.ok(match("x-none", absent));
    assert.ok(match("x-none", present, { invert: true }));
    assert.ok(!match("x-one", absent));
    assert.ok(match("x-one", absent, { invert: true }));
    assert.ok(match("x-none", present, { treatMissingHeaderAsEmpty: true }));
  });

  it("does not match a missing field, inverted or not, unless it counts as empty", () => {
    assert.ok(!match("x-none", exact("a")));
    assert.ok(!match("x-none", exact("a"), { invert: true }));
    assert.ok(match("x-none", exact("a"), { invert: true, treatMissingHeaderAsEmpty: true }));
    assert.ok(match("x-none", exact(""), { treatMissingHeaderAsEmpty: true }));
    assert.ok(match("x-one", exact("2"), { invert: true }));
  });

  it("takes whole numbers in a range, its end not included", () => {
    const inRange = (start: number, end: number, more?: Partial<HeaderMatcherConfig>): boolean =>
      match("x-one", { type: "range", start, end }, more);
    assert.ok(inRange(1, 2));
    assert.ok(!inRange(0, 1));
    assert.ok(inRange(0, 1, { invert: true }));
    assert.ok(!match("x-two", { type: "range", start: 0, end: 9 }));
    assert.ok(!match("x-empty", { type: "range", start: 0, end: 9 }));
  });
});

describe("query matcher", () => {
  const matches = (path: string, name: string, value?: string): boolean =>
    new QueryMatcher({
      name,
      match:
        value === undefined
          ? { type: "present" }
          : { type: "string", matcher: { type: "exact", value, ignoreCase: false } },
    }).matches(parseQuery(path));

  it("finds parameters by name, percent-decoded, the first of repeated ones", () => {
    assert.ok(matches("/?debug", "debug"));
    assert.ok(matches("/?a=1&b=2", "b", "2"));
    assert.ok(matches("/?a=x%20y%2", "a", "x y%2"));
    assert.ok(matches("/?%61=1", "a", "1"));
    assert.ok(!matches("/?a=1&a=2", "a", "2"));
    assert.ok(!matches("/a=1", "a"));
    assert.ok(!matches("/?ab=1", "a"));
    assert.ok(matches("/?a==", "a", "="));
    assert.ok(matches("/?a=1#f", "a", "1"));
  });
});
