import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TestAuthority } from "./testing-certificates.ts";
import {
  formatTrustBundle,
  parseTrustBundle,
  TrustBundles,
  trustBundleFromPem,
  trustBundlePem,
} from "./trust-bundle.ts";

const [one, two] = [new TestAuthority("One").certificate, new TestAuthority("Two").certificate];
const JWT_KEY = { kty: "EC", use: "jwt-svid", kid: "k1", crv: "P-256", x: "eA", y: "eQ" };

test("a bundle is written as a JWK set and read back the same", () => {
  const bundle = { ...fromPem(one + two), jwtAuthorities: [JWT_KEY], sequenceNumber: 7, refreshHintSeconds: 300 };
  const text = formatTrustBundle(bundle);
  assert.deepEqual(parsed(text), plain(bundle));
  assert.equal(formatTrustBundle(parsed(text)), text);
});

test("X509-SVID §6.1: every authority is a key of its own, with one certificate, a kind and a use, and no key ID", () => {
  const { keys } = JSON.parse(formatTrustBundle(fromPem(one + two)));
  assert.equal(keys.length, 2);
  for (const key of keys) {
    assert.equal(key.use, "x509-svid");
    assert.equal(key.kty, "EC");
    assert.equal(key.crv, "P-256");
    assert.equal(key.x5c.length, 1);
    assert.ok(!("kid" in key));
    assert.ok(!("d" in key), "of a public key, the public part");
  }
});

test("X509-SVID §6.2: of a key's certificates all but the first are ignored, and a key without one is", () => {
  const [first, second] = fromPem(one + two).x509Authorities.map((der) => Buffer.from(der).toString("base64"));
  const keys = [
    { kty: "EC", use: "x509-svid", x5c: [first, second, "no base64!"] },
    { kty: "EC", use: "x509-svid", x5c: [] },
    { kty: "EC", use: "x509-svid" },
  ];
  assert.deepEqual(parsed(JSON.stringify({ keys })).x509Authorities, plain(fromPem(one)).x509Authorities);
});

test("SPIFFE-TDB §4.2.2: keys of an unknown use, or without a kind, are ignored; uses are compared with regard to case", () => {
  const x5c = [Buffer.from(fromPem(one).x509Authorities[0]!).toString("base64")];
  const keys = [
    { kty: "EC", use: "sig", x5c },
    { kty: "EC", use: "X509-SVID", x5c },
    { use: "x509-svid", x5c },
    "key",
    null,
  ];
  const bundle = parsed(JSON.stringify({ keys }));
  assert.deepEqual([bundle.x509Authorities, bundle.jwtAuthorities], [[], []]);
});

test("SPIFFE-TDB §4.1: members that the standard does not have are ignored; the sequence and the hint may be missing", () => {
  const bundle = parsed('{"keys":[],"more":{"a":1}}');
  assert.deepEqual([bundle.sequenceNumber, bundle.refreshHintSeconds], [0, 0]);
});

test("SPIFFE-TDB §4.1.1: a sequence number of 64 bits is read", () => {
  assert.equal(parsed('{"keys":[],"spiffe_sequence":18446744073709550000}').sequenceNumber, 18446744073709550000);
});

test("what is no bundle is refused, with the place", () => {
  for (const [text, why] of [
    ["", /no JSON/],
    ["[]", /no object/],
    ["{}", /keys: is no list/],
    ['{"keys":{}}', /keys: is no list/],
    ['{"keys":[],"spiffe_sequence":"1"}', /spiffe_sequence/],
    ['{"keys":[],"spiffe_sequence":-1}', /spiffe_sequence/],
    ['{"keys":[],"spiffe_refresh_hint":1.5}', /spiffe_refresh_hint/],
    ['{"keys":[{},{"kty":"EC","use":"x509-svid","x5c":["AAAA"]}]}', /keys\[1\]\.x5c\[0\]/],
    ['{"keys":[{"kty":"EC","use":"x509-svid","x5c":"AAAA"}]}', /keys\[0\]\.x5c\[0\]/],
    [JSON.stringify({ keys: Array.from({ length: 257 }, () => ({})) }), /more than 256/],
    [`{"keys":[]}${" ".repeat(1024 * 1024)}`, /more than 1048576 bytes/],
  ] as const) {
    const read = parseTrustBundle("example.org", text);
    assert.ok(!read.ok, text.slice(0, 80));
    assert.match(read.error, why);
  }
  assert.equal(parseTrustBundle("Example.org", '{"keys":[]}').ok, false, "the name of a trust domain is in lower case");
});

test("a bundle is made of a PEM file, each authority once, and written as one", () => {
  const bundle = fromPem(`# ours\n${one}${two}${one}`);
  assert.equal(bundle.x509Authorities.length, 2);
  assert.equal(trustBundlePem(bundle), one + two);
});

test("a PEM file without a certificate, or with one that is none, is no bundle", () => {
  for (const [text, why] of [
    ["", /no certificate/],
    ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", /cannot be read/],
  ] as const) {
    const read = trustBundleFromPem("example.org", text);
    assert.ok(!read.ok);
    assert.match(read.error, why);
  }
});

test("bundles are found by trust domain, and of two of one domain the later counts", () => {
  const bundles = new TrustBundles([fromPem(one), { ...fromPem(one), trustDomain: "b.example" }, fromPem(two)]);
  assert.deepEqual(
    bundles.all.map(({ trustDomain }) => trustDomain),
    ["example.org", "b.example"],
  );
  assert.deepEqual(
    bundles.authoritiesOf("example.org").map(({ commonName }) => commonName),
    ["Two"],
  );
  assert.deepEqual(bundles.authoritiesOf("c.example"), []);
});

test("any text is read or refused, and throws nothing", () => {
  const key = fc.record(
    {
      kty: fc.constantFrom("EC", 1),
      use: fc.constantFrom("x509-svid", "jwt-svid", 2),
      x5c: fc.jsonValue({ maxDepth: 2 }),
    },
    { requiredKeys: [] },
  );
  const document = fc.oneof(fc.jsonValue(), fc.record({ keys: fc.array(key), spiffe_sequence: fc.jsonValue() }));
  fc.assert(fc.property(document, (value) => void parseTrustBundle("example.org", JSON.stringify(value))));
  fc.assert(fc.property(fc.string(), (text) => void trustBundleFromPem("example.org", text)));
});

function fromPem(text: string) {
  const read = trustBundleFromPem("example.org", text);
  assert.ok(read.ok, String(!read.ok && read.error));
  return read.value;
}

function parsed(text: string) {
  const read = parseTrustBundle("example.org", text);
  assert.ok(read.ok, String(!read.ok && read.error));
  return plain(read.value);
}

/** Without the difference between a Buffer and another array of bytes. */
function plain<B extends { readonly x509Authorities: readonly Uint8Array[] }>(bundle: B): B {
  return { ...bundle, x509Authorities: bundle.x509Authorities.map((der) => Buffer.from(der)) };
}
