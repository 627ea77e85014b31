import "reflect-metadata"; // of @peculiar/x509
import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { systemClock } from "@heddle/base";
import { X509Certificate as PeculiarCertificate, X509Crl } from "@peculiar/x509";
import { certificateRequest, newWorkloadKey, privateKeyPem } from "../csr.ts";
import type { SpiffeId } from "../spiffe-id.ts";
import { TestAuthority } from "../testing-certificates.ts";
import { type TrustBundle, TrustBundles } from "../trust-bundle.ts";
import { verifySvid } from "../verify-svid.ts";
import { Certificate } from "../x509/certificate.ts";
import { certificateUses } from "../x509/certificate-uses.ts";
import { signingCertificateFault } from "../x509-svid.ts";
import { Authority, type AuthorityFiles, DAY_MS, type IssuedSvid, type IssueOptions } from "./authority.ts";

const NOW = Date.UTC(2026, 0, 1);
const WEB: SpiffeId = { trustDomain: "mesh.example", path: "/ns/shop/sa/web" };

test("what an authority issues is an X.509-SVID that its bundle verifies", async () => {
  const authority = await Authority.createRoot("mesh.example", { nowMs: NOW });
  const key = newWorkloadKey();
  const issued = await authority.issue(certificateRequest(key, WEB), WEB, { nowMs: NOW });
  assert.ok(issued.ok, String(!issued.ok && issued.error));
  const verified = verifySvid(issued.value.certificates, new TrustBundles([bundleOf(authority)]), NOW);
  assert.ok(verified.ok, String(!verified.ok && verified.error));
  assert.deepEqual(verified.value.spiffeId, WEB);
  assert.equal(verified.value.validToMs, NOW + DAY_MS);
  assert.equal(issued.value.validFromMs, NOW - 60_000);
  const leaf = new X509Certificate(issued.value.certificates[0]!);
  assert.ok(leaf.checkPrivateKey(createPrivateKey(privateKeyPem(key))));
  assert.equal(verified.value.leaf.serialNumber, issued.value.serialNumber);
  assert.equal(issued.value.serialNumber.length, 32);
});

test("X509-SVID §4.3: the key usage of what is issued is critical, that of a leaf digitalSignature alone", async () => {
  const authority = await Authority.createRoot("mesh.example", { nowMs: NOW });
  const issued = await authority.issue(certificateRequest(newWorkloadKey(), undefined), WEB, { nowMs: NOW });
  assert.ok(issued.ok);
  const leaf = certificateUses(new Certificate(issued.value.certificates[0]!));
  assert.deepEqual(leaf.ok && leaf.value.keyUsage, {
    critical: true,
    digitalSignature: true,
    keyCertSign: false,
    crlSign: false,
  });
  const root = certificateUses(authority.certificate);
  assert.deepEqual(root.ok && root.value.keyUsage, {
    critical: true,
    digitalSignature: false,
    keyCertSign: true,
    crlSign: true,
  });
});

test("a root is what the standard asks of one: it signs, and is named after the trust domain", async () => {
  for (const curve of ["P-256", "P-384"] as const) {
    const { certificate, intermediates, roots } = await Authority.createRoot("mesh.example", { nowMs: NOW, curve });
    assert.equal(signingCertificateFault(certificate, "mesh.example"), undefined);
    assert.deepEqual(certificate.uriSans, ["spiffe://mesh.example"]);
    assert.equal(certificate.validToMs, NOW + 3650 * DAY_MS);
    assert.deepEqual([intermediates, roots], [[], [certificate]]);
    const x509 = new X509Certificate(certificate.der);
    assert.equal(x509.publicKey.asymmetricKeyDetails?.namedCurve, curve === "P-256" ? "prime256v1" : "secp384r1");
    assert.ok(x509.checkIssued(x509) && x509.verify(x509.publicKey));
  }
});

test("two roots of one trust domain differ by name, number and key", async () => {
  const [one, two] = [await root(), await root()];
  assert.notEqual(one.certificate.subject, two.certificate.subject);
  assert.notEqual(one.certificate.serialNumber, two.certificate.serialNumber);
  assert.notEqual(one.certificate.spkiSha256, two.certificate.spkiSha256);
});

test("RFC 5280 §4.2.1.6: the names of a certificate without subject are critical", async () => {
  const leaf = leafOf(await issued(await root()));
  assert.equal(leaf.subject, "");
  assert.equal(leaf.extensions.find(({ oid }) => oid === "2.5.29.17")?.critical, true);
  assert.deepEqual([leaf.uriSans, leaf.dnsSans, leaf.ipSans], [["spiffe://mesh.example/ns/shop/sa/web"], [], []]);
});

test("X509-SVID §4.4: what is issued is for both sides of TLS", async () => {
  const uses = certificateUses(leafOf(await issued(await root())));
  assert.deepEqual(uses.ok && uses.value.extendedKeyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
});

test("further names stand in a certificate only where the authority's owner gives them", async () => {
  const options = { dnsNames: ["localhost", "cp.example"], ipAddresses: ["127.0.0.1", "::1"] };
  const leaf = leafOf(await issued(await root(), options));
  assert.deepEqual([leaf.dnsSans, leaf.ipSans], [options.dnsNames, options.ipAddresses]);
  assert.equal(leaf.uriSans.length, 1);
});

test("a request for another identity than the caller's own is refused, and nothing of it is repeated", async () => {
  const authority = await root();
  for (const path of ["/ns/shop/sa/admin", ""]) {
    const wanted = { trustDomain: "mesh.example", path };
    const answer = await authority.issue(certificateRequest(newWorkloadKey(), wanted), WEB, { nowMs: NOW });
    assert.match(answer.ok ? "" : answer.error, /another identity than the caller's own/);
  }
  const elsewhere = { trustDomain: "other.example", path: WEB.path };
  const answer = await authority.issue(certificateRequest(newWorkloadKey(), elsewhere), WEB, { nowMs: NOW });
  assert.match(answer.ok ? "" : answer.error, /another identity/);
  assert.match((await authority.issue(Buffer.from("x"), WEB, { nowMs: NOW })).ok ? "" : "refused", /refused/);
});

test("an authority signs for no other trust domain, and for no trust domain itself: whoever asks it to is wrong", async () => {
  const authority = await root();
  const request = certificateRequest(newWorkloadKey(), undefined);
  await assert.rejects(authority.issue(request, { trustDomain: "other.example", path: "/a" }, { nowMs: NOW }));
  await assert.rejects(authority.issue(request, { trustDomain: "mesh.example", path: "" }, { nowMs: NOW }));
});

test("a certificate is valid for a day, and never longer or earlier than its issuer", async () => {
  const authority = await root();
  assert.equal((await issued(authority)).validToMs, NOW + DAY_MS);
  assert.equal((await issued(authority, { validityMs: 60_000 })).validToMs, NOW + 60_000);
  assert.equal((await issued(authority, { backdateMs: 5_000 })).validFromMs, NOW - 5_000);
  assert.equal((await issued(authority, { backdateMs: 3_600_000 })).validFromMs, authority.certificate.validFromMs);
  const short = await Authority.createRoot("mesh.example", { nowMs: NOW, validityMs: 3_600_000 });
  assert.equal((await issued(short)).validToMs, short.certificate.validToMs);
  const late = { nowMs: NOW + 3_600_000 };
  const answer = await short.issue(certificateRequest(newWorkloadKey(), WEB), WEB, late);
  assert.match(answer.ok ? "" : answer.error, /authority's own certificate ends too soon/);
});

test("an authority that is written to files and read back signs on", async () => {
  const authority = await root();
  const again = fromFiles({ certificates: authority.certificatesPem(), privateKey: authority.exportKey() });
  assert.equal(again.certificate.fingerprintSha256, authority.certificate.fingerprintSha256);
  const verified = verifySvid((await issued(again)).certificates, new TrustBundles([bundleOf(authority)]), NOW);
  assert.ok(verified.ok);
});

test("an intermediate from files is shown with what it signs, its root is not", async () => {
  const files = intermediateFiles();
  for (const given of [files, { ...files, roots: files.root, certificates: files.intermediates }]) {
    const nowMs = systemClock.wallNow();
    const authority = fromFiles({ ...given, nowMs });
    const { certificates } = await issued(authority, { nowMs });
    assert.deepEqual(
      certificates.map((der) => new Certificate(der).commonName),
      ["", "Lower", "Upper"],
    );
    assert.deepEqual(
      authority.roots.map(({ commonName }) => commonName),
      ["Root"],
    );
    assert.ok(verifySvid(certificates, new TrustBundles([bundleOf(authority)]), nowMs).ok);
  }
});

test("RSA, P-384 and Ed25519 keys from files sign as well", async () => {
  const pairs = [
    generateKeyPairSync("rsa", { modulusLength: 2048 }),
    generateKeyPairSync("ec", { namedCurve: "P-384" }),
    generateKeyPairSync("ed25519"),
  ];
  const nowMs = systemClock.wallNow();
  for (const { privateKey } of pairs) {
    const above = new TestAuthority("Root");
    const key = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
    const { certificate } = above.issue({ commonName: "Files", isAuthority: true, key });
    const files = { certificates: certificate, privateKey: key, roots: above.certificate, nowMs };
    const authority = fromFiles(files);
    const verified = verifySvid(
      (await issued(authority, { nowMs })).certificates,
      new TrustBundles([bundleOf(authority)]),
      nowMs,
    );
    assert.ok(verified.ok, String(!verified.ok && verified.error));
  }
});

test("files that make no authority are refused with what is wrong, and no word of the key", async () => {
  const authority = await root();
  const certificates = authority.certificatesPem();
  const privateKey = authority.exportKey();
  const other = await root();
  const leaf = new TestAuthority().issue({ uris: ["spiffe://mesh.example/a"] });
  const { intermediates, ...withKey } = intermediateFiles();
  for (const [files, why] of [
    [{ certificates, privateKey: other.exportKey() }, /private key is not that of the certificate/],
    [{ certificates, privateKey: "" }, /no private key in PEM/],
    [{ certificates: "", privateKey }, /there are none/],
    [{ certificates: leaf.certificate, privateKey: leaf.key }, /do not say CA/],
    [{ certificates, privateKey, trustDomain: "other.example" }, /named after another trust domain/],
    [{ certificates, privateKey, nowMs: NOW + 4000 * DAY_MS }, /has expired/],
    [{ ...withKey, certificates: intermediates, nowMs: systemClock.wallNow() }, /lead to no root/],
    [{ certificates, privateKey, roots: other.rootsPem() }, /lead to no root/],
  ] as const) {
    const read = Authority.fromFiles({ trustDomain: "mesh.example", nowMs: NOW, ...files });
    assert.ok(!read.ok);
    assert.match(read.error, why);
    assert.doesNotMatch(read.error, /BEGIN|[A-Za-z0-9+/]{40}/);
  }
});

test("a list of revoked certificates is signed by their issuer", async () => {
  const authority = await root();
  const { serialNumber } = await issued(authority);
  const times = { nowMs: NOW, nextUpdateMs: NOW + DAY_MS, number: 300 };
  const pem = await authority.issueCrl([{ serialNumber, revokedAtMs: NOW - 1000 }], times);
  assert.match(pem, /^-----BEGIN X509 CRL-----\n[^-]+-----END X509 CRL-----\n$/);
  const crl = new X509Crl(pem);
  const issuer = new PeculiarCertificate(Uint8Array.from(authority.certificate.der));
  assert.equal(await crl.verify({ publicKey: issuer.publicKey }), true);
  assert.equal(crl.issuer, issuer.subject);
  assert.equal(crl.findRevoked(serialNumber)?.serialNumber, serialNumber);
  assert.equal(crl.nextUpdate?.getTime(), NOW + DAY_MS);
  assert.equal(Buffer.from(crl.extensions.find(({ type }) => type === "2.5.29.20")!.value).toString("hex"), "0202012c");
});

async function root(): Promise<Authority> {
  return Authority.createRoot("mesh.example", { nowMs: NOW });
}

async function issued(authority: Authority, options: Partial<IssueOptions> = {}): Promise<IssuedSvid> {
  const answer = await authority.issue(certificateRequest(newWorkloadKey(), WEB), WEB, { nowMs: NOW, ...options });
  assert.ok(answer.ok, String(!answer.ok && answer.error));
  return answer.value;
}

function leafOf({ certificates }: IssuedSvid): Certificate {
  return new Certificate(certificates[0]!);
}

function fromFiles(files: Omit<AuthorityFiles, "trustDomain" | "nowMs"> & { readonly nowMs?: number }): Authority {
  const read = Authority.fromFiles({ trustDomain: "mesh.example", nowMs: NOW, ...files });
  assert.ok(read.ok, String(!read.ok && read.error));
  return read.value;
}

/** Of three steps: the one that signs, one above it, and their root. */
function intermediateFiles() {
  const top = new TestAuthority("Root");
  const upper = new TestAuthority("Upper", top);
  const { chain, key } = upper.issue({ commonName: "Lower", isAuthority: true });
  return { certificates: chain + top.certificate, privateKey: key, root: top.certificate, intermediates: chain };
}

function bundleOf(authority: Authority): TrustBundle {
  return {
    trustDomain: authority.trustDomain,
    x509Authorities: authority.roots.map(({ der }) => der),
    jwtAuthorities: [],
    sequenceNumber: 1,
    refreshHintSeconds: 0,
  };
}
