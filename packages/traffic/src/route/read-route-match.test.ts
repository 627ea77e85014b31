import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderMap, RequestHead } from "@heddle/http";
import { pathOnly } from "./path.ts";
import { readRouteMatch } from "./read-route-match.ts";
import { RequestToMatch, RouteMatcher } from "./route-matcher.ts";

function matches(json: Parameters<typeof readRouteMatch>[0], target: string, headers: Record<string, string> = {}) {
  const read = readRouteMatch(json);
  assert.ok(read.ok, JSON.stringify(read));
  const head = new RequestHead("GET", "http", "a", target, HeaderMap.from(headers));
  return new RouteMatcher(read.value).matches(new RequestToMatch(head, pathOnly(target), undefined), 0);
}

test("every form of a path, and its case, is read", () => {
  assert.deepEqual([matches({ prefix: "/a" }, "/ab?x"), matches({ prefix: "/a" }, "/b")], [true, false]);
  assert.deepEqual([matches({ path: "/a" }, "/a?x"), matches({ path: "/a" }, "/ab")], [true, false]);
  assert.deepEqual([matches({ path: "/A", caseSensitive: false }, "/a"), matches({ path: "/A" }, "/a")], [true, false]);
  assert.equal(matches({ pathSeparatedPrefix: "/a" }, "/ab"), false);
  assert.equal(matches({ safeRegex: { regex: "/[a-c]+" } }, "/abc"), true);
});

test("headers and parameters of the query have to fit as well", () => {
  const match = { prefix: "/", headers: [{ name: "x-a", stringMatch: { exact: "1" } }] };
  assert.deepEqual([matches(match, "/", { "x-a": "1" }), matches(match, "/")], [true, false]);
  const query = { prefix: "/", queryParameters: [{ name: "q" }, { name: "r", stringMatch: { prefix: "a" } }] };
  assert.deepEqual(
    [matches(query, "/?q&r=ab"), matches(query, "/?r=ab"), matches(query, "/?q&r=b")],
    [true, false, false],
  );
});

test("what cannot be honoured is refused with its place", () => {
  const read = readRouteMatch({
    grpc: {},
    headers: [{ name: "" }],
    queryParameters: [{ name: "a", stringMatch: { safeRegex: { regex: "(" } } }],
  });
  assert.ok(!read.ok);
  assert.deepEqual(
    read.error.map(({ path }) => path),
    ["grpc", "", "headers[0]", "queryParameters[0].stringMatch"],
  );
});

test("the path of a target ends before its query and its fragment, whichever comes first", () => {
  const targets = ["/a/b", "/a?b", "/a#b", "/a?b#c", "/a#b?c", "?a", "#", "*", ""];
  assert.deepEqual(targets.map(pathOnly), ["/a/b", "/a", "/a", "/a", "/a", "", "", "*", ""]);
});
