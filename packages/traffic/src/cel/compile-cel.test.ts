import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type TestRequest, testSubject } from "../rbac/testing-subject.ts";
import { compileCel } from "./compile-cel.ts";

function decide(source: string, request: TestRequest = {}): boolean {
  const compiled = compileCel(source, "http");
  assert.ok(compiled.ok, `${source}: ${compiled.ok ? "" : compiled.error}`);
  return compiled.value(testSubject(request));
}

function refusal(source: string, scope: "http" | "network" = "http"): string {
  const compiled = compileCel(source, scope);
  assert.ok(!compiled.ok, source);
  return compiled.error;
}

const REQUEST: TestRequest = {
  method: "POST",
  authority: "shop.example",
  path: "/a/b?x=1&y=2",
  headers: [
    "x-role",
    "user",
    "x-role",
    "admin",
    "content-length",
    "12",
    "user-agent",
    "curl",
    "x-bad",
    "caf\xe9",
    "x-good",
    "caf\xc3\xa9",
  ],
  connection: { serverName: "shop.example", localPort: 8080 },
  metadata: new Map([["jwt", new Map<string, unknown>([["claims", { iss: "me", groups: ["a", "b"], level: 3 }]])]]),
  peer: { uriSans: ["spiffe://td/a", "spiffe://td/b"], dnsSans: ["a.example"] },
};

describe("a CEL condition", () => {
  for (const source of [
    'request.path == "/a/b?x=1&y=2" && request.url_path == "/a/b" && request.query == "x=1&y=2"',
    'request.host == "shop.example" && request.method == "POST" && request.scheme == "http"',
    'request.protocol == "HTTP/1.1" && request.id == "id-1" && request.useragent == "curl"',
    "request.size == 12 && request.total_size > 12",
    'request.time == timestamp("2026-01-01T00:00:00Z")',
    'request.headers["x-role"] == "user,admin" && request.headers[":method"] == "POST"',
    '"x-role" in request.headers && !("x-none" in request.headers)',
    'request.headers["x-good"] == "café" && request.headers["x-bad"].startsWith("caf")',
    'source.address == "192.0.2.1:40000" && source.port == 40000',
    'destination.address == "192.0.2.2:8080" && destination.port == 8080',
    'connection.mtls && connection.tls_version == "TLSv1.3" && connection.requested_server_name == "shop.example"',
    'connection.uri_san_peer_certificate == "spiffe://td/a" && connection.dns_san_peer_certificate == "a.example"',
    'connection.subject_peer_certificate == "CN=shop" && connection.id == 7',
    'metadata.filter_metadata["jwt"]["claims"]["iss"] == "me"',
    'metadata.filter_metadata.jwt.claims.groups.exists(g, g == "b")',
    'metadata.filter_metadata["jwt"]["claims"]["level"] == 3.0',
    "has(request.referer) == false && has(request.useragent)",
    'request.url_path.matches("^/a/[a-z]$") && matches(request.method, "P.ST")',
    'request.headers.all(name, name != "cookie")',
    'request.referer == "x" || request.method == "POST"',
    '["a", "b"].exists(x, ["b"].exists(y, x == y))',
    'request.method in ["GET", "POST"] && size(request.method) == 4',
  ]) {
    test(`holds: ${source}`, () => assert.equal(decide(source, REQUEST), true));
  }

  test("that comes to an error, or to something else than true, does not hold", () => {
    for (const source of [
      'request.referer == "x"',
      'request.headers["none"] == ""',
      'request.headers["none"].startsWith("a")',
      "int(request.path) == 1",
      "1 / 0 == 1",
      "request.path",
      "request.method == 1",
      'metadata.filter_metadata["none"]["a"] == "b"',
      "request.headers.constructor == null",
      'metadata.filter_metadata["jwt"]["__proto__"] == null',
    ]) {
      assert.equal(decide(source, REQUEST), false, source);
    }
  });

  test("knows no peer for whom nobody vouches", () => {
    const request = { peer: { uriSans: ["spiffe://td/a"] }, unverified: true } as const;
    assert.equal(decide("connection.mtls", request), false);
    assert.equal(decide('connection.uri_san_peer_certificate == "spiffe://td/a"', request), false);
  });

  test("is refused where it cannot be understood, or names what is not there", () => {
    assert.match(refusal("request."), /./);
    assert.match(refusal("request.path +"), /./);
    assert.match(refusal('"a" + 1'), /operator|overload/i);
    assert.match(refusal("1 + 1"), /needed is a bool/);
    assert.match(refusal("upstream.address == ''"), /upstream/);
    assert.match(refusal("response.code == 200"), /response/);
    assert.match(refusal("filter_state.x == ''"), /filter_state/);
    assert.match(refusal("request.method == 'GET'", "network"), /request/);
    assert.match(refusal('request.path.split("/").size() > 1'), /no function split/);
    assert.match(refusal("explode(request.path)"), /no function explode/);
  });

  test("cannot be made slow: what a loop asks for again and again is computed once for each request", () => {
    const compiled = compileCel(
      'request.headers.all(a, request.headers.all(b, request.path != "" && request.headers[b] != "x"))',
      "http",
    );
    assert.ok(compiled.ok);
    for (const path of ["/a", "/b"]) {
      const headers = Array.from({ length: 20 }, (_, i) => [`h${i}`, "v"]).flat();
      const subject = testSubject({ path, headers });
      let reads = 0;
      Object.defineProperty(subject.head, "path", {
        get() {
          reads++;
          return path;
        },
      });
      assert.equal(compiled.value(subject), true);
      assert.ok(reads > 0 && reads < 10, `${reads} reads`);
    }
  });

  test("cannot be made slow: bounds on its size, its loops and its patterns", () => {
    assert.match(refusal(`request.path == "${"a".repeat(20_000)}"`), /longer than/);
    assert.ok(refusal(Array.from({ length: 600 }, () => "true").join(" && ")));
    assert.match(refusal("[1].all(a, [1].all(b, [1].all(c, a == b)))"), /loops/);
    assert.match(refusal("request.path.matches(request.query)"), /stands in the expression/);
    assert.match(refusal('request.path.matches("(?=a)")'), /RE2/);
    const slow = `${"a".repeat(20_000)}!`;
    assert.equal(decide('request.headers["x"].matches("^(a+)+$")', { headers: ["x", slow] }), false);
  });
});
