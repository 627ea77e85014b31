import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { systemClock } from "@heddle/base";
import fc from "fast-check";
import { type CertificateWish, TestAuthority, type TestCertificate } from "./testing-certificates.ts";
import { type TrustBundle, TrustBundles } from "./trust-bundle.ts";
import { type VerifiedSvid, verifySvid } from "./verify-svid.ts";
import { derOf } from "./x509/der-writer.ts";

const WEB = "spiffe://example.org/ns/shop/sa/web";
const NOW = systemClock.wallNow();
const DAY_MS = 86_400_000;
const root = new TestAuthority("Root");
const bundles = new TrustBundles([bundle("example.org", root)]);

test("a leaf that the authority of its trust domain has signed is verified", () => {
  const { spiffeId, issuers, validToMs } = verified(root.issue({ uris: [WEB], validTo: new Date(NOW + DAY_MS) }));
  assert.deepEqual(spiffeId, { trustDomain: "example.org", path: "/ns/shop/sa/web" });
  assert.equal(issuers.length, 1);
  assert.equal(validToMs, Math.floor((NOW + DAY_MS) / 1000) * 1000);
});

test("intermediates lead to the authority, in whatever order they are shown", () => {
  const upper = new TestAuthority("Upper", root);
  const lower = new TestAuthority("Lower", upper);
  const leaf = lower.issue({ uris: [WEB] });
  assert.deepEqual(
    verified(leaf).issuers.map(({ commonName }) => commonName),
    ["Lower", "Upper", "Root"],
  );
  const [own, ...others] = ders(leaf.chain);
  assert.equal(verifySvid([own!, ...others.reverse()], bundles, NOW).ok, true);
  refused(leaf.certificate, /leads to no authority/);
});

test("what ends first on the way ends the identity", () => {
  const short = new TestAuthority("Short", root, { validTo: new Date(NOW + 5000) });
  const { validToMs } = verified(short.issue({ uris: [WEB] }));
  assert.equal(validToMs, Math.floor((NOW + 5000) / 1000) * 1000);
});

test("X509-SVID §5.2: an authority speaks for its own trust domain alone", () => {
  const other = new TestAuthority("Other");
  const both = new TrustBundles([bundle("example.org", root), bundle("other.example", other)]);
  assert.match(faultOf(other.issue({ uris: [WEB] }).chain, both), /no authority of its trust domain/);
  assert.match(faultOf(root.issue({ uris: ["spiffe://other.example/a"] }).chain, both), /no authority/);
  assert.equal(verifySvid(ders(other.issue({ uris: ["spiffe://other.example/a"] }).chain), both, NOW).ok, true);
});

test("a trust domain without a bundle is trusted by nobody", () => {
  refused(root.issue({ uris: ["spiffe://unknown.example/a"] }).chain, /not trusted here/);
});

test("an authority with the same name and another key is another authority", () => {
  refused(new TestAuthority("Root").issue({ uris: [WEB] }).chain, /signature does not fit/);
});

test("a leaf that has signed another certificate vouches for nobody", () => {
  const ways: [CertificateWish, RegExp][] = [
    [{ isAuthority: false, keyUsageBits: 0x80 }, /leads to no authority/],
    [{ isAuthority: false, keyUsageBits: 0x04 }, /none that signs others/],
    [{ isAuthority: false, keyUsageBits: "none" }, /none that signs others/],
    [{ isAuthority: true, keyUsageBits: 0x80 }, /leads to no authority/],
  ];
  for (const [wish, why] of ways) refused(new TestAuthority("Leaf", root, wish).issue({ uris: [WEB] }).chain, why);
});

test("X509-SVID §3.2: a CA that is named after a workload, or after another trust domain, vouches for nobody", () => {
  refused(new TestAuthority("W", root, { uris: [WEB] }).issue({ uris: [WEB] }).chain, /named after a workload/);
  const other = new TestAuthority("O", root, { uris: ["spiffe://other.example"] });
  refused(other.issue({ uris: [WEB] }).chain, /another trust domain/);
  const own = new TestAuthority("Own", root, { uris: ["spiffe://example.org"] });
  verified(own.issue({ uris: [WEB] }));
});

test("X509-SVID §3.2: the authority itself stands for nobody", () => {
  refused(new TestAuthority("CA", root, { uris: [WEB] }).certificate, /signs others/);
  refused(root.certificate, /signs others/);
});

test("RFC 5280 §6.1: every certificate on the way is within its time", () => {
  refused(root.issue({ uris: [WEB], validTo: new Date(NOW - 1000) }).chain, /has expired/);
  refused(root.issue({ uris: [WEB], validFrom: new Date(NOW + 60_000) }).chain, /not valid yet/);
  const expired = new TestAuthority("Expired", root, { validTo: new Date(NOW - 1000) });
  refused(expired.issue({ uris: [WEB] }).chain, /leads to the authority has expired/);
  const early = new TestAuthority("Early", undefined, { validFrom: new Date(NOW + 60_000) });
  const those = new TrustBundles([bundle("example.org", early)]);
  assert.match(faultOf(early.issue({ uris: [WEB] }).chain, those), /leads to the authority is not valid yet/);
});

test("RFC 5280 §6.1.4: a limit of the path's length holds", () => {
  const upper = new TestAuthority("Upper", root, { pathLength: 0 });
  verified(upper.issue({ uris: [WEB] }));
  refused(new TestAuthority("Lower", upper).issue({ uris: [WEB] }).chain, /fewer certificates below/);
});

test("RFC 5280 §4.2: a critical extension on the way that nobody understands ends it", () => {
  const extensions = [{ oid: "1.3.6.1.4.1.99999.1", critical: true, value: Buffer.from([5, 0]) }];
  refused(new TestAuthority("Odd", root, { extensions }).issue({ uris: [WEB] }).chain, /not understood/);
});

test("a CA whose usages are not those of TLS leads nowhere", () => {
  const codeSigning = derOf(0x30, derOf(0x06, Buffer.from([0x2b, 6, 1, 5, 5, 7, 3, 3])));
  const extensions = [{ oid: "2.5.29.37", critical: false, value: codeSigning }];
  refused(new TestAuthority("Code", root, { extensions }).issue({ uris: [WEB] }).chain, /not for TLS/);
});

test("X509-SVID §4.2: constraints on URIs hold for every SPIFFE ID below", () => {
  const permitted = new TestAuthority("P", root, { extensions: [uriConstraint(0xa0, "other.example")] });
  refused(permitted.issue({ uris: [WEB] }).chain, /does not allow the names/);
  verified(new TestAuthority("P", root, { extensions: [uriConstraint(0xa0, "example.org")] }).issue({ uris: [WEB] }));
  const excluded = new TestAuthority("E", root, { extensions: [uriConstraint(0xa1, "example.org")] });
  refused(excluded.issue({ uris: [WEB] }).chain, /does not allow the names/);
  const below = new TestAuthority("B", root, { extensions: [uriConstraint(0xa0, ".example.org")] });
  refused(below.issue({ uris: [WEB] }).chain, /does not allow the names/);
});

test("RFC 5280 §4.2.1.10: constraints on names of other kinds are met by those who have none", () => {
  const dns = {
    oid: "2.5.29.30",
    critical: true,
    value: derOf(0x30, derOf(0xa0, derOf(0x30, derOf(0x82, Buffer.from("a"))))),
  };
  const authority = new TestAuthority("D", root, { extensions: [dns] });
  verified(authority.issue({ uris: [WEB] }));
  refused(authority.issue({ uris: [WEB], dns: ["a"] }).chain, /constrains names/);
});

test("signatures that can be forged, and keys that can be found, prove nothing", () => {
  refused(root.issue({ uris: [WEB], weakSignature: true }).chain, /algorithm that is not taken/);
  refused(
    new TestAuthority("S", root, { weakSignature: true }).issue({ uris: [WEB] }).chain,
    /algorithm that is not taken/,
  );
  refused(root.issue({ uris: [WEB], keyType: "rsa-1024" }).chain, /RSA key with fewer/);
  verified(root.issue({ uris: [WEB], keyType: "rsa" }));
});

test("CVE-2018-16875: intermediates that all have each other's name do not buy a search without end", () => {
  // Eight that could have signed one another, and an authority of their name whose key is another one.
  const same = Array.from({ length: 8 }, () => new TestAuthority("Root"));
  const chain =
    same[0]!.issue({ uris: [WEB] }).certificate +
    same
      .slice(1)
      .map(({ certificate }) => certificate)
      .join("");
  assert.match(faultOf(chain, bundles), /too many ways|signature does not fit/);
  assert.match(faultOf(chain.repeat(2), bundles), /more than 10 certificates/);
});

test("nothing shown is nobody", () => {
  assert.deepEqual(verifySvid([], bundles, NOW), { ok: false, error: "no certificate was shown" });
});

test("bytes of whatever kind are refused and throw nothing", () => {
  const leaf = ders(root.issue({ uris: [WEB] }).certificate)[0]!;
  const mutated = fc.tuple(fc.nat(leaf.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, change]) => {
    const bytes = Buffer.from(leaf);
    bytes[at]! ^= change;
    return bytes;
  });
  const cut = fc.nat(leaf.length - 1).map((length) => leaf.subarray(0, length));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated, cut), (bytes) => {
      assert.equal(verifySvid([bytes], bundles, NOW).ok, false);
      verifySvid([leaf, bytes], bundles, NOW);
    }),
  );
});

function bundle(trustDomain: string, ...authorities: readonly TestAuthority[]): TrustBundle {
  const x509Authorities = authorities.flatMap(({ certificate }) => ders(certificate));
  return { trustDomain, x509Authorities, jwtAuthorities: [], sequenceNumber: 1, refreshHintSeconds: 0 };
}

function ders(pem: string): Uint8Array[] {
  return (pem.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []).map((one) => new X509Certificate(one).raw);
}

function verified({ chain }: TestCertificate): VerifiedSvid {
  const found = verifySvid(ders(chain), bundles, NOW);
  assert.ok(found.ok, String(!found.ok && found.error));
  return found.value;
}

function refused(chain: string, why: RegExp): void {
  assert.match(faultOf(chain, bundles), why);
}

function faultOf(chain: string, those: TrustBundles): string {
  const found = verifySvid(ders(chain), those, NOW);
  assert.ok(!found.ok, "it is verified");
  return found.error;
}

function uriConstraint(list: number, host: string) {
  const value = derOf(0x30, derOf(list, derOf(0x30, derOf(0x86, Buffer.from(host)))));
  return { oid: "2.5.29.30", critical: true, value };
}
