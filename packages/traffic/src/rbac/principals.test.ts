import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json } from "@heddle/base";
import type { CertificateFacts } from "@heddle/net";
import { readPrincipal } from "./read-principal.ts";
import { RuleReader } from "./rule-reader.ts";
import { testSubject } from "./testing-subject.ts";

function isPrincipal(principalName: Json, peer: Partial<CertificateFacts>): boolean {
  const reader = new RuleReader("http");
  const principal = readPrincipal({ authenticated: { principalName } }, "", true, reader);
  assert.deepEqual(reader.issues, []);
  return principal(testSubject({ peer }));
}

describe("principals", () => {
  test("X509-SVID §3: a SPIFFE ID among the DNS names of a federated domain's certificate is nobody's", () => {
    const peer = { uriSans: ["spiffe://other.test/a"], dnsSans: ["spiffe://mesh.test/ns/shop/sa/web"], subject: "" };
    const names: readonly Json[] = [
      { exact: "spiffe://mesh.test/ns/shop/sa/web" },
      { prefix: "spiffe://mesh.test/" },
      { safeRegex: { regex: "spiffe://mesh\\.test/.*" } },
    ];
    for (const name of names) assert.equal(isPrincipal(name, peer), false, JSON.stringify(name));
    assert.equal(isPrincipal({ exact: "spiffe://other.test/a" }, peer), true);
  });

  test("a DNS name still is one", () => {
    assert.equal(
      isPrincipal({ exact: "web.shop" }, { uriSans: ["spiffe://mesh.test/a"], dnsSans: ["web.shop"] }),
      true,
    );
  });
});
