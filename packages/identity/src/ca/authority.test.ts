import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { certificateRequest, newWorkloadKey, privateKeyPem } from "../csr.ts";
import type { SpiffeId } from "../spiffe-id.ts";
import { type TrustBundle, TrustBundles } from "../trust-bundle.ts";
import { verifySvid } from "../verify-svid.ts";
import { Certificate } from "../x509/certificate.ts";
import { certificateUses } from "../x509/certificate-uses.ts";
import { Authority, DAY_MS } from "./authority.ts";

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

function bundleOf(authority: Authority): TrustBundle {
  return {
    trustDomain: authority.trustDomain,
    x509Authorities: authority.roots.map(({ der }) => der),
    jwtAuthorities: [],
    sequenceNumber: 1,
    refreshHintSeconds: 0,
  };
}
