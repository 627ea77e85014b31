import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { HttpRoute, RequestMatch } from "../model/http-route.ts";
import { orderMatches } from "./route-order.ts";

describe("the order of matches", () => {
  for (const [what, better, worse] of [
    ["an exact path before a longer prefix", match("exact", "/a"), match("prefix", "/a/b/c")],
    ["an exact path before a regular expression", match("exact", "/a"), match("regex", "/a.*")],
    ["a regular expression before a prefix", match("regex", "/a"), match("prefix", "/a/b/c")],
    [
      "a longer prefix before a shorter one with method and headers",
      match("prefix", "/a/b"),
      match("prefix", "/a", "GET", 3, 3),
    ],
    ["a method before headers", match("prefix", "/a", "GET"), match("prefix", "/a", undefined, 5, 5)],
    [
      "more headers before more query parameters",
      match("prefix", "/a", undefined, 2, 0),
      match("prefix", "/a", undefined, 1, 9),
    ],
    [
      "more query parameters before fewer",
      match("prefix", "/a", undefined, 1, 2),
      match("prefix", "/a", undefined, 1, 1),
    ],
    [
      "of exact paths the one with a method, whatever their length",
      match("exact", "/a", "GET"),
      match("exact", "/a/b"),
    ],
  ] as const) {
    it(`has ${what}`, () => {
      const ordered = orderMatches([route("a", [worse, better])]);
      assert.deepEqual(
        ordered.map((one) => one.match),
        [better, worse],
      );
    });
  }

  it("has the older route first among equals, then the first by namespace and name, then the first in its list", () => {
    const same = match("prefix", "/");
    const routes = [route("b", [same, same]), route("c", [same], 1), route("a", [same]), route("d", [same], 0)];
    assert.deepEqual(
      orderMatches(routes).map((one) => `${one.route.name}${one.matchIndex}`),
      ["d0", "c0", "a0", "b0", "b1"],
    );
  });

  it("does not depend on the order of the routes, loses no match, and never puts a weaker one first", () => {
    fc.assert(
      fc.property(fc.uniqueArray(ROUTES, { selector: ({ name }) => name, maxLength: 6 }), fc.nat(), (routes, turn) => {
        const ordered = orderMatches(routes);
        const turned = [...routes.slice(turn % (routes.length + 1)), ...routes.slice(0, turn % (routes.length + 1))];
        assert.deepEqual(orderMatches(turned), ordered);
        assert.equal(ordered.length, routes.flatMap(({ rules }) => rules.flatMap(({ matches }) => matches)).length);
        for (const [index, { match: weaker }] of ordered.entries())
          for (const { match: earlier } of ordered.slice(0, index)) assert.ok(!isStronger(weaker, earlier));
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});

/** The standard's rules, written once more in the form of its text. */
function isStronger(a: RequestMatch, b: RequestMatch): boolean {
  const ranks = (m: RequestMatch): readonly number[] => [
    ["prefix", "regex", "exact"].indexOf(m.path.type),
    m.path.type === "exact" ? 0 : m.path.value.length,
    m.method === undefined ? 0 : 1,
    m.headers.length,
    m.queryParameters.length,
  ];
  const [left, right] = [ranks(a), ranks(b)];
  const first = left.findIndex((rank, index) => rank !== right[index]);
  return first >= 0 && (left[first] ?? 0) > (right[first] ?? 0);
}

const MATCHES = fc
  .tuple(
    fc.constantFrom("exact", "prefix", "regex"),
    fc.constantFrom("/", "/a", "/b", "/a/b", "/a/b/c"),
    fc.constantFrom(undefined, "GET", "POST"),
    fc.nat(3),
    fc.nat(3),
  )
  .map(([type, value, method, headers, queries]) => match(type, value, method, headers, queries));

const ROUTES = fc
  .tuple(
    fc.constantFrom("a", "b", "c", "d", "e", "f", "g"),
    fc.array(MATCHES, { minLength: 1, maxLength: 5 }),
    fc.option(fc.nat(2), { nil: undefined }),
  )
  .map(([name, matches, createdAtMs]) => route(name, matches, createdAtMs));

function match(
  type: "exact" | "prefix" | "regex",
  value: string,
  method?: string,
  headers = 0,
  queryParameters = 0,
): RequestMatch {
  const values = (count: number): RequestMatch["headers"] =>
    Array.from({ length: count }, (_, index) => ({ name: `n${index}`, type: "exact", value: "v" }));
  return { path: { type, value }, method, headers: values(headers), queryParameters: values(queryParameters) };
}

function route(name: string, matches: readonly RequestMatch[], createdAtMs?: number): HttpRoute {
  const filters = { requestHeaders: undefined, responseHeaders: undefined, redirect: undefined, rewrite: undefined };
  return {
    kind: "http-route",
    namespace: "default",
    name,
    createdAtMs,
    parents: [],
    rules: [
      { name: "0", matches, filters, backends: [], requestTimeoutMs: undefined, backendRequestTimeoutMs: undefined },
    ],
    origin: { file: "test.yaml", line: 1, column: 1, path: "" },
  };
}
