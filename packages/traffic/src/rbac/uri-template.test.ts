import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RuleReader } from "./rule-reader.ts";
import { testSubject } from "./testing-subject.ts";
import { templatePattern, uriTemplateTest } from "./uri-template.ts";

function fits(pathTemplate: string, path: string): boolean {
  const reader = new RuleReader("http");
  const matches = uriTemplateTest({ pathTemplate }, "", reader);
  assert.deepEqual(reader.issues, []);
  return matches(testSubject({ path }));
}

describe("a URI template", () => {
  const cases: readonly (readonly [template: string, fits: readonly string[], others: readonly string[]])[] = [
    ["/a/b", ["/a/b", "/a/b?x"], ["/a/b/", "/a", "/a/bc", "/x/a/b"]],
    ["/a.b+(c)", ["/a.b+(c)"], ["/axb+(c)", "/a.bb(c)"]],
    ["/*/b", ["/a/b", "/a.b-c/b"], ["/b", "//b", "/a/x/b"]],
    ["/a/**", ["/a/", "/a/b/c"], ["/b/a/c"]],
    ["/{user}/info", ["/joe/info"], ["/joe/x/info", "//info"]],
    ["/a/{rest=**}", ["/a/b/c"], ["/b"]],
    ["/{kind=shelves/*}/books", ["/shelves/7/books"], ["/shelves/books", "/x/7/books"]],
  ];
  for (const [template, good, bad] of cases) {
    test(`${template} fits ${good.join(" ")} and not ${bad.join(" ")}`, () => {
      for (const path of good) assert.ok(fits(template, path), path);
      for (const path of bad) assert.ok(!fits(template, path), path);
    });
  }

  test("is refused where it is none", () => {
    for (const template of [
      "a",
      "/{",
      "/{1}",
      "/{a}/{a}",
      "/**/b",
      "/{a=**}/b",
      "/{a}/{b}/{c}/{d}/{e}/{f}",
      "/\\d",
      "/a?b",
      `/${"a".repeat(256)}`,
    ]) {
      assert.equal(templatePattern(template).ok, false, template);
    }
  });
});
