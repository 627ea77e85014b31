import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatSpiffeId, parseSpiffeId, trustDomainFault } from "./spiffe-id.ts";

test("SPIFFE-ID §2: an ID is the scheme, a trust domain and a path", () => {
  assert.deepEqual(read("spiffe://example.org/ns/shop/sa/web"), {
    trustDomain: "example.org",
    path: "/ns/shop/sa/web",
  });
  assert.deepEqual(read("spiffe://example.org"), { trustDomain: "example.org", path: "" });
});

test("SPIFFE-ID §2: the scheme is spiffe, in any case", () => {
  assert.deepEqual(read("SPIFFE://example.org/a"), { trustDomain: "example.org", path: "/a" });
  for (const text of [
    "http://example.org/a",
    "spiffe:/example.org/a",
    "spiffe:example.org",
    "//example.org/a",
    "",
    "a",
  ])
    refused(text, /does not begin/);
});

test("SPIFFE-ID §2: there is a trust domain", () => {
  for (const text of ["spiffe://", "spiffe:///a"]) refused(text, /no trust domain/);
});

test("SPIFFE-ID §2: there is neither a query nor a fragment", () => {
  for (const text of [
    "spiffe://example.org/a?b",
    "spiffe://example.org/a#b",
    "spiffe://example.org?a",
    "spiffe://example.org#a",
  ])
    refused(text, /other characters/);
});

test("SPIFFE-ID §2.1: a trust domain is compared without regard to case, and kept in lower case", () => {
  assert.deepEqual(read("spiffe://EXAMPLE.org/Case"), { trustDomain: "example.org", path: "/Case" });
});

test("SPIFFE-ID §2.1: a trust domain has no user info and no port", () => {
  for (const text of ["spiffe://me@example.org/a", "spiffe://example.org:443/a", "spiffe://example.org:/a"])
    refused(text, /trust domain with other characters/);
});

test("SPIFFE-ID §2.1: a trust domain is letters, digits, dots, dashes and underscores, never percent-encoded", () => {
  assert.equal(read("spiffe://a-b_c.9/x").trustDomain, "a-b_c.9");
  for (const text of [
    "spiffe://exam%70le.org/a",
    "spiffe://exämple.org/a",
    "spiffe://a b/c",
    "spiffe://[::1]/a",
    "spiffe://a\0b/c",
  ])
    refused(text, /trust domain with other characters/);
});

test("SPIFFE-ID §2.2: no segment of a path is empty, and no path ends with a slash", () => {
  for (const text of [
    "spiffe://example.org/",
    "spiffe://example.org/a/",
    "spiffe://example.org//a",
    "spiffe://example.org/a//b",
  ])
    refused(text, /empty path segment/);
});

test('SPIFFE-ID §2.2: no segment of a path is "." or ".."', () => {
  for (const text of ["spiffe://example.org/.", "spiffe://example.org/a/../b", "spiffe://example.org/.."])
    refused(text, /"\." or "\.\."/);
  assert.equal(read("spiffe://example.org/...").path, "/...");
});

test("SPIFFE-ID §2.2: a path has no percent-encoding, no NUL and nothing beyond ASCII", () => {
  for (const text of [
    "spiffe://example.org/a%2Fb",
    "spiffe://example.org/a\0b",
    "spiffe://example.org/ä",
    "spiffe://example.org/a;b",
  ])
    refused(text, /path with other characters/);
});

test("SPIFFE-ID §2.3: 2048 bytes are taken, and not one more", () => {
  const longest = `spiffe://example.org/${"a".repeat(2048 - "spiffe://example.org/".length)}`;
  assert.equal(formatSpiffeId(read(longest)), longest);
  refused(`${longest}a`, /more than 2048/);
});

test("SPIFFE-ID §2.3: a trust domain of 255 bytes is taken, and not one more", () => {
  assert.equal(trustDomainFault("a".repeat(255)), undefined);
  refused(`spiffe://${"a".repeat(256)}/b`, /more than 255/);
});

test("whatever is read as an ID is written as one that is read the same", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc
      .string({ unit: fc.constantFrom("a", "Z", "0", ".", "-", "_", "/", "%", ":", "@", "?", "#", "\0") })
      .map((rest) => `spiffe://${rest}`),
  );
  fc.assert(
    fc.property(text, (candidate) => {
      const id = parseSpiffeId(candidate);
      if (!id.ok) return;
      assert.deepEqual(parseSpiffeId(formatSpiffeId(id.value)), id);
      assert.match(formatSpiffeId(id.value), /^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/);
    }),
  );
});

function read(text: string) {
  const id = parseSpiffeId(text);
  assert.ok(id.ok, String(!id.ok && id.error));
  return id.value;
}

function refused(text: string, why: RegExp): void {
  const id = parseSpiffeId(text);
  assert.ok(!id.ok, `taken: ${text}`);
  assert.match(id.error, why);
}
