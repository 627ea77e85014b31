import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json } from "@heddle/base";
import { readRbacRules } from "./read-rbac.ts";
import { RuleReader } from "./rule-reader.ts";
import { type TestRequest, testSubject } from "./testing-subject.ts";

const T = "type.googleapis.com";
const extension = (type: string, fields: object = {}): Json => ({
  name: "x",
  typedConfig: { "@type": `${T}/${type}`, ...fields },
});
const network = (name: string): Json => extension(`envoy.extensions.matching.common_inputs.network.v3.${name}`);
const header = (headerName: string): Json =>
  extension("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", { headerName });
const query = (queryParam: string): Json =>
  extension("envoy.type.matcher.v3.HttpRequestQueryParamMatchInput", { queryParam });
const allow = (name: string): Json => ({ action: extension("envoy.config.rbac.v3.Action", { name }) });
const deny = (name: string): Json => ({ action: extension("envoy.config.rbac.v3.Action", { name, action: "DENY" }) });
const block = (addressPrefix: string, prefixLen: number): Json => ({ addressPrefix, prefixLen });

/** The name of the action that a request comes to; "" for none, which is denied. */
function actionOf(matcher: Json, request: TestRequest): string {
  const reader = new RuleReader("http");
  const rules = readRbacRules({ matcher }, reader).enforced!;
  assert.deepEqual(reader.issues, []);
  const decision = rules.decide(testSubject(request));
  assert.equal(decision.allowed, !["", "NO"].includes(decision.policy));
  return decision.policy;
}

const from = (address: string): TestRequest => ({ connection: { directRemoteAddress: address } });

describe("a matcher tree", () => {
  test("looks up exact values", () => {
    const tree = { matcherTree: { input: header("x"), exactMatchMap: { map: { a: allow("A"), b: allow("B") } } } };
    assert.equal(actionOf(tree, { headers: ["x", "b"] }), "B");
    assert.equal(actionOf(tree, { headers: ["x", "__proto__"] }), "");
    assert.equal(actionOf(tree, {}), "");
  });

  test("CVE-2026-26308: gives no access for one value of several, and refuses for one", () => {
    const map = { a: allow("A"), b: allow("B"), "a,c": allow("AC"), no: deny("NO") };
    const ofHeader = { matcherTree: { input: header("x"), exactMatchMap: { map } }, onNoMatch: allow("else") };
    const ofQuery = { ...ofHeader, matcherTree: { input: query("x"), exactMatchMap: { map } } };
    const twice = (first: string, second: string): readonly string[] => [
      actionOf(ofHeader, { headers: ["x", first, "x", second] }),
      actionOf(ofQuery, { path: `/?x=${first}&x=${second}` }),
    ];
    assert.deepEqual(twice("c", "a"), ["else", "else"]);
    assert.deepEqual(twice("a", "d"), ["else", "else"]);
    assert.deepEqual(twice("a", "c"), ["AC", "else"]);
    assert.deepEqual(twice("a", "b"), ["else", "B"]);
    assert.deepEqual([...twice("a", "no"), ...twice("no", "a")], ["NO", "NO", "NO", "NO"]);
  });

  test("takes the longest prefix that comes to an action", () => {
    const nothing = { matcher: { matcherTree: { input: header("none"), exactMatchMap: { map: { x: allow("no") } } } } };
    const map = { "/": allow("root"), "/a": allow("a"), "/a/b": nothing };
    const tree = { matcherTree: { input: header(":path"), prefixMatchMap: { map } }, onNoMatch: allow("else") };
    assert.equal(actionOf(tree, { path: "/x" }), "root");
    assert.equal(actionOf(tree, { path: "/a/c" }), "a");
    assert.equal(actionOf(tree, { path: "/a/b/c" }), "a");
    assert.equal(actionOf(tree, { method: "CONNECT", path: "" }), "else");
  });

  test("goes on behind a matcher that comes to nothing, and behind an action that keeps matching", () => {
    const is = (value: string): Json => ({ singlePredicate: { input: header("x"), valueMatch: { exact: value } } });
    const empty = { matcher: { matcherList: { matchers: [{ predicate: is("z"), onMatch: allow("no") }] } } };
    const list = {
      matcherList: {
        matchers: [
          { predicate: is("a"), onMatch: empty },
          { predicate: is("a"), onMatch: { ...(allow("passed by") as object), keepMatching: true } },
          { predicate: is("a"), onMatch: allow("at last") },
        ],
      },
      onNoMatch: allow("else"),
    };
    assert.equal(actionOf(list, { headers: ["x", "a"] }), "at last");
    assert.equal(actionOf(list, { headers: ["x", "b"] }), "else");
  });

  test("takes the narrowest block of addresses, and a wider one unless it is exclusive", () => {
    const nothing = { matcher: {} };
    const ip = extension("xds.type.matcher.v3.IPMatcher", {
      rangeMatchers: [
        { ranges: [block("0.0.0.0", 0)], onMatch: allow("v4") },
        { ranges: [block("10.0.0.0", 8), block("2001:db8::", 32)], onMatch: allow("wide") },
        { ranges: [block("10.1.0.0", 16)], onMatch: allow("narrow") },
        { ranges: [block("10.2.0.0", 16)], onMatch: nothing },
        { ranges: [block("10.3.0.0", 16)], onMatch: nothing, exclusive: true },
      ],
    });
    const tree = { matcherTree: { input: network("DirectSourceIPInput"), customMatch: ip }, onNoMatch: allow("else") };
    assert.equal(actionOf(tree, from("10.1.2.3")), "narrow");
    assert.equal(actionOf(tree, from("10.9.2.3")), "wide");
    assert.equal(actionOf(tree, from("10.2.0.1")), "wide");
    assert.equal(actionOf(tree, from("10.3.0.1")), "else");
    assert.equal(actionOf(tree, from("192.0.2.9")), "v4");
    assert.equal(actionOf(tree, from("2001:db8::1")), "wide");
    assert.equal(actionOf(tree, from("2001:db9::1")), "else");
    assert.equal(actionOf(tree, from("")), "else");
  });

  test("knows server names and their wildcards", () => {
    const names = extension("xds.type.matcher.v3.ServerNameMatcher", {
      domainMatchers: [
        { domains: ["a.example"], onMatch: allow("exact") },
        { domains: ["*.b.example", "*.example"], onMatch: allow("wild") },
        { domains: ["*.c.b.example"], onMatch: allow("wilder") },
      ],
    });
    const tree = { matcherTree: { input: network("ServerNameInput"), customMatch: names } };
    const of = (serverName: string): string => actionOf(tree, { connection: { serverName } });
    assert.deepEqual(["A.example", "x.b.example", "y.c.b.example", "example", "z"].map(of), [
      "exact",
      "wild",
      "wilder",
      "",
      "",
    ]);
  });

  test("sees ports, the kind of transport, protocols, where the client is, and each value of a parameter", () => {
    const is = (input: Json, exact: string): Json => ({
      matcherList: {
        matchers: [{ predicate: { singlePredicate: { input, valueMatch: { exact } } }, onMatch: allow("yes") }],
      },
    });
    assert.equal(actionOf(is(network("SourcePortInput"), "40000"), {}), "yes");
    assert.equal(actionOf(is(network("TransportProtocolInput"), "raw_buffer"), {}), "yes");
    assert.equal(actionOf(is(network("TransportProtocolInput"), "tls"), { peer: {} }), "yes");
    assert.equal(
      actionOf(is(network("SourceTypeInput"), "local"), { connection: { remoteAddress: "127.0.0.1" } }),
      "yes",
    );
    assert.equal(actionOf(is(network("SourceTypeInput"), "local"), {}), "");
    const sniffed = { applicationProtocols: ["h2", "http/1.1"] };
    assert.equal(
      actionOf(is(network("ApplicationProtocolInput"), "'h2','http/1.1'"), { connection: { sniffed } }),
      "yes",
    );
    assert.equal(actionOf(is(query("role"), "admin"), { path: "/?role=user&role=%61dmin" }), "yes");
    assert.equal(actionOf(is(query("role"), "admin"), { path: "/?Role=admin" }), "");
  });

  test("sees what filters have left: a claim of a token, of any type", () => {
    const claim = (...keys: readonly string[]): Json =>
      extension("envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput", {
        filter: "envoy.filters.http.jwt_authn",
        path: keys.map((key) => ({ key })),
      });
    const is = (value: Json, more: object = {}): Json =>
      extension("envoy.extensions.matching.input_matchers.metadata.v3.Metadata", { value, ...more });
    const granted = (input: Json, customMatch: Json, token: Json): boolean => {
      const predicate = { singlePredicate: { input, customMatch } };
      const tree = { matcherList: { matchers: [{ predicate, onMatch: allow("A") }] } };
      const metadata = new Map([["envoy.filters.http.jwt_authn", new Map<string, Json>([["payload", token]])]]);
      return actionOf(tree, { metadata }) === "A";
    };
    const bob = is({ stringMatch: { exact: "bob" } });
    assert.ok(granted(claim("payload", "user", "name"), bob, { user: { name: "bob" } }));
    assert.ok(!granted(claim("payload", "user", "name"), bob, { user: { name: "eve" } }));
    assert.ok(!granted(claim("payload", "user", "name"), bob, { user: "bob" }));
    const admin = is({ listMatch: { oneOf: { stringMatch: { exact: "admin" } } } });
    assert.ok(granted(claim("payload", "roles"), admin, { roles: ["user", "admin"] }));
    assert.ok(!granted(claim("payload", "roles"), admin, { roles: "admin" }));
    const notBob = is({ stringMatch: { exact: "bob" } }, { invert: true });
    assert.ok(granted(claim("payload", "name"), notBob, {}));
    assert.ok(!granted(claim("payload", "name"), notBob, { name: "bob" }));
  });

  test("says of everything that it cannot read where it is", () => {
    const reader = new RuleReader("http");
    const filterState = extension("envoy.extensions.matching.common_inputs.network.v3.FilterStateInput", { key: "k" });
    readRbacRules(
      {
        matcher: {
          matcherList: { matchers: [] },
          matcherTree: { input: filterState, prefixMatchMap: { map: { a: {} } } },
          onNoMatch: { action: extension("x.Action") },
        },
      },
      reader,
    );
    assert.deepEqual(
      reader.issues.map(({ path }) => path),
      ["matcher", "matcher.matcherList.matchers", "matcher.matcherTree.input", "matcher.onNoMatch.action.typedConfig"],
    );
    assert.match(reader.issues[2]!.message, /FilterStateInput/);
  });

  test("is not read deeper than messages may lie in each other", () => {
    let matcher: Json = {};
    for (let i = 0; i < 5000; i++) matcher = { onNoMatch: { matcher } };
    const reader = new RuleReader("http");
    readRbacRules({ matcher }, reader);
    assert.equal(reader.issues.length, 1);
    assert.match(reader.issues[0]!.message, /deeper than 100/);
  });
});
