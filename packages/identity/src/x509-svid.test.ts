import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { type CertificateWish, TestAuthority } from "./testing-certificates.ts";
import { Certificate } from "./x509/certificate.ts";
import { readSvid, signingCertificateFault } from "./x509-svid.ts";

const WEB = "spiffe://example.org/ns/shop/sa/web";
const authority = new TestAuthority();

test("X509-SVID §2: a certificate with one URI, a SPIFFE ID, names that workload", () => {
  assert.deepEqual(readSvid(leaf({ uris: [WEB] })), {
    ok: true,
    value: { trustDomain: "example.org", path: "/ns/shop/sa/web" },
  });
});

test("X509-SVID §2: other kinds of names may stand beside it, in any number", () => {
  const wish = { uris: [WEB], dns: ["web.example.org", "web"], ips: ["10.0.0.1"], emails: ["web@example.org"] };
  assert.equal(readSvid(leaf(wish)).ok, true);
});

test("X509-SVID §2: a certificate with more than one URI is refused, whatever the others are", () => {
  for (const other of [WEB, "spiffe://example.org/ns/shop/sa/admin", "https://example.org/"])
    refused({ uris: [WEB, other] }, /more than one URI/);
});

test("X509-SVID §2: a certificate without a URI is refused", () => {
  refused({ dns: ["web.example.org"] }, /no URI/);
  refused({}, /no URI/);
});

test("X509-SVID §5.2: the scheme of the URI is spiffe", () => {
  refused({ uris: ["https://example.org/ns/shop/sa/web"] }, /no SPIFFE ID/);
});

test("X509-SVID §3.1: the ID of a leaf has a path", () => {
  refused({ uris: ["spiffe://example.org"] }, /no workload/);
});

test("X509-SVID §4.1: a certificate that signs others is no leaf", () => {
  refused({ uris: [WEB], isAuthority: true }, /CA/);
  refused({ uris: [WEB], isAuthority: true, keyUsageBits: 0x80 }, /CA/);
});

test("X509-SVID §4.1: a flag of an authority that is no boolean of DER makes no leaf", () => {
  const oddly = (wish: CertificateWish): Buffer => {
    const bytes = Buffer.from(leaf({ ...wish, isAuthority: true }).der);
    const flag = bytes.indexOf(Buffer.from("30030101ff", "hex"));
    assert.notEqual(flag, -1);
    bytes[flag + 4] = 0x01;
    return bytes;
  };
  assert.equal(new X509Certificate(oddly({})).ca, true, "OpenSSL takes it for one");
  const read = readSvid(new Certificate(oddly({ uris: [WEB], keyUsageBits: 0x80 })));
  assert.match(read.ok ? "" : read.error, /2\.5\.29\.19 that is no boolean/);
});

test("X509-SVID §4.3: the key of a leaf signs neither certificates nor revocation lists", () => {
  for (const keyUsageBits of [0x84, 0x82, 0x86]) refused({ uris: [WEB], keyUsageBits }, /signs certificates or rev/);
});

test("X509-SVID §4.3: a leaf says what its key is for, and digital signatures are among it", () => {
  refused({ uris: [WEB], keyUsageBits: "none" }, /says nothing/);
  refused({ uris: [WEB], keyUsageBits: 0x20 }, /not for digital signatures/);
  assert.equal(readSvid(leaf({ uris: [WEB], keyUsageBits: 0xa8 })).ok, true);
});

test("X509-SVID §4.4: a leaf that lists extended key usages has both serverAuth and clientAuth", () => {
  refused({ uris: [WEB], usage: "server" }, /both/);
  refused({ uris: [WEB], usage: "client" }, /both/);
  assert.equal(readSvid(leaf({ uris: [WEB], usage: "both" })).ok, true);
});

test("CVE-2025-66220: a name with a NUL in it makes a certificate nobody's", () => {
  refused({ uris: [`${WEB}\0.evil.example`] }, /cannot be read|no certificate/);
  refused({ uris: [WEB], dns: ["web.example.org\0.evil.example"] }, /cannot be read|no certificate/);
  refused({ uris: ["spiffe://example.org/ns/shöp/sa/web"] }, /cannot be read|no certificate/);
});

test("RFC 5280 §4.2: a critical extension that nobody here understands is a reason to refuse", () => {
  const extension = { oid: "1.3.6.1.4.1.99999.1", value: Buffer.from([0x05, 0x00]) };
  refused(
    { uris: [WEB], extensions: [{ ...extension, critical: true }] },
    /not understood: 1\.3\.6\.1\.4\.1\.99999\.1/,
  );
  assert.equal(readSvid(leaf({ uris: [WEB], extensions: [{ ...extension, critical: false }] })).ok, true);
});

test("RFC 5280 §4.2: an extension that comes twice is a reason to refuse", () => {
  const notCa = { oid: "2.5.29.19", critical: true, value: Buffer.from([0x30, 0x00]) };
  refused({ uris: [WEB], extensions: [notCa] }, /cannot be read|no certificate/);
});

test("X509-SVID §3.2: what signs is a CA whose key signs certificates", () => {
  assert.equal(fault({ isAuthority: true, uris: ["spiffe://example.org"] }), undefined);
  assert.equal(fault({ isAuthority: true }), undefined);
  assert.match(fault({ isAuthority: false }) ?? "", /do not say CA/);
  assert.match(fault({ isAuthority: true, keyUsageBits: 0x82 }) ?? "", /not for signing certificates/);
  assert.match(fault({ isAuthority: true, keyUsageBits: "none" }) ?? "", /says nothing/);
});

test("X509-SVID §3.2: the ID of what signs has no path, and is of the trust domain in which it signs", () => {
  assert.match(fault({ isAuthority: true, uris: [WEB] }) ?? "", /after a workload/);
  assert.match(fault({ isAuthority: true, uris: ["spiffe://other.example"] }) ?? "", /another trust domain/);
});

function leaf(wish: CertificateWish): Certificate {
  return new Certificate(new X509Certificate(authority.issue(wish).certificate).raw);
}

function refused(wish: CertificateWish, why: RegExp): void {
  const id = readSvid(leaf(wish));
  assert.ok(!id.ok);
  assert.match(id.error, why);
  assert.doesNotMatch(id.error, /shop|evil/, "it repeats nothing from the certificate");
}

function fault(wish: CertificateWish): string | undefined {
  return signingCertificateFault(leaf(wish), "example.org");
}
