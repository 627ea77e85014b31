import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parse, run } from "@bufbuild/cel";
import { ParsedExprSchema } from "@bufbuild/cel-spec/cel/expr/syntax_pb.js";
import { toJson } from "@bufbuild/protobuf";
import type { Json } from "@heddle/base";
import fc from "fast-check";
import { readRbacRules } from "../rbac/read-rbac.ts";
import { RuleReader } from "../rbac/rule-reader.ts";
import { testSubject } from "../rbac/testing-subject.ts";
import { compileCel } from "./compile-cel.ts";

/* Another implementation of CEL, of other people, decides the same expressions. Ours gets them as text and as a syntax tree. */

const SUBJECT = testSubject({
  method: "POST",
  authority: "shop.example",
  path: "/a/b?x=1",
  headers: ["x-role", "admin", "content-length", "12"],
  peer: { uriSans: ["spiffe://td/a"] },
});

const BINDINGS = {
  request: {
    method: "POST",
    host: "shop.example",
    path: "/a/b?x=1",
    url_path: "/a/b",
    query: "x=1",
    scheme: "http",
    id: "id-1",
    size: 12n,
    headers: {
      ":method": "POST",
      ":authority": "shop.example",
      ":scheme": "http",
      ":path": "/a/b?x=1",
      "x-role": "admin",
      "content-length": "12",
    },
  },
  source: { address: "192.0.2.1:40000", port: 40000n },
  connection: { mtls: true, id: 7n, uri_san_peer_certificate: "spiffe://td/a" },
};

function theirs(source: string): boolean {
  return run(source, BINDINGS) === true;
}

function ours(source: string): boolean {
  const compiled = compileCel(source, "http");
  assert.ok(compiled.ok, `${source}: ${compiled.ok ? "" : compiled.error}`);
  return compiled.value(SUBJECT);
}

/** As the condition of a policy, whose syntax tree a control plane has made. */
function oursAsTree(source: string): boolean {
  const parsed = toJson(ParsedExprSchema, parse(source)) as { readonly expr: Json };
  const reader = new RuleReader("http");
  const policy = { permissions: [{ any: true }], principals: [{ any: true }], condition: parsed.expr };
  const rules = readRbacRules({ rules: { policies: { p: policy } } }, reader).enforced!;
  assert.deepEqual(reader.issues, [], source);
  return rules.decide(SUBJECT).allowed;
}

const ATOMS = [
  'request.method == "POST"',
  'request.method != "GET"',
  'request.path.startsWith("/a")',
  'request.url_path.endsWith("/b")',
  'request.path.contains("c")',
  'request.url_path.matches("^/a/.$")',
  'request.host.matches("x+")',
  "request.size > 10",
  "request.size + 3 >= 16",
  "request.size * 2 == 24",
  "request.size % 5 == 2",
  "-request.size < 0",
  "request.size / 0 == 1",
  'request.headers["x-role"] == "admin"',
  'request.headers["none"] == "admin"',
  'request.headers.none == "x"',
  '"x-role" in request.headers',
  "has(request.headers.none)",
  "has(request.host)",
  'request.method in ["GET", "POST"]',
  '["a", "b"].exists(x, x == "b")',
  '["a", "b"].all(x, size(x) == 1)',
  '["a", "b", "b"].exists_one(x, x == "a")',
  "[1, 2, 3].filter(x, x > 1).size() == 2",
  "[1, 2, 3].map(x, x * 2)[1] == 4",
  "[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
  'request.headers.exists(name, name == "x-role")',
  'request.host + ":" + request.scheme == "shop.example:http"',
  "connection.mtls",
  'connection.uri_san_peer_certificate == "spiffe://td/a"',
  "connection.id == 7",
  'source.address.startsWith("192.0.2.")',
  'int("12") == request.size',
  "int(request.host) == 1",
  'string(request.size) == "12"',
  "size(request.host) == 12",
  "request.size == 12 ? request.size < 13 : false",
  "1.5 < 2.0",
  "2u > 1u",
  '{"a": 1}["a"] == 1',
  'duration("90s") > duration("1m")',
  'timestamp("2026-01-01T00:00:00Z") < timestamp("2026-01-02T00:00:00Z")',
  "null == null",
  'b"ab" == b"ab"',
  '"\\u00e9\\n\\"" == "é\\n\\""',
  "true",
  "false",
];

describe("a second opinion on CEL", () => {
  test("agrees on each expression of the table", () => {
    for (const source of ATOMS) {
      assert.equal(ours(source), theirs(source), source);
      assert.equal(oursAsTree(source), theirs(source), `as a tree: ${source}`);
    }
  });

  test("agrees on expressions made of them", () => {
    const atom = fc.constantFrom(...ATOMS);
    const { expression } = fc.letrec<{ expression: string }>((tie) => ({
      expression: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        atom,
        fc
          .tuple(tie("expression"), fc.constantFrom("&&", "||"), tie("expression"))
          .map(([a, op, b]) => `(${a}) ${op} (${b})`),
        tie("expression").map((a) => `!(${a})`),
        fc
          .tuple(tie("expression"), tie("expression"), tie("expression"))
          .map(([a, b, c]) => `(${a}) ? (${b}) : (${c})`),
      ),
    }));
    fc.assert(
      fc.property(expression, (source) => {
        const expected = theirs(source);
        assert.equal(ours(source), expected, source);
        assert.equal(oursAsTree(source), expected, `as a tree: ${source}`);
      }),
      { seed: 7, numRuns: 200 },
    );
  });
});
