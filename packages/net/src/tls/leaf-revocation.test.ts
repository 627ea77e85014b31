import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { systemClock } from "@heddle/base";
import { Certificate } from "@heddle/identity";
import { TestAuthority, type TestCertificate } from "@heddle/identity/testing";
import { LeafRevocation } from "./leaf-revocation.ts";

const DAY_MS = 86_400_000;
const now = systemClock.wallNow();
const root = new TestAuthority("Root");
const between = new TestAuthority("Between", root);
const stranger = new TestAuthority("Between"); // of the same name
const [good, bad, direct] = [between.issue({}), between.issue({}), root.issue({})];

function certificates({ chain }: TestCertificate): readonly Certificate[] {
  const blocks = chain.match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((pem) => new Certificate(new X509Certificate(pem).raw));
}

function fault(lists: string, shown: TestCertificate, nowMs = now): string | undefined {
  const [leaf, ...issuers] = certificates(shown);
  assert.ok(leaf !== undefined);
  return new LeafRevocation(lists, [root.certificate]).fault(leaf, issuers, nowMs);
}

test("the list of the authority right above says who is revoked, and those above it need none", () => {
  const list = between.revoke([bad]);
  assert.equal(fault(list, good), undefined);
  assert.equal(fault(list, bad), "CERT_REVOKED");
  assert.equal(fault(between.revoke([]), bad), undefined);
  assert.equal(fault(`${root.revoke([])}${list}`, bad), "CERT_REVOKED");
});

test("a list that another authority of that name has signed says nothing", () => {
  assert.equal(fault(stranger.revoke([]), good), "UNABLE_TO_GET_CRL");
  assert.equal(fault(`${stranger.revoke([good])}${between.revoke([])}`, good), undefined);
});

test("a list signed with another kind of key than the authority's says nothing, and breaks nothing", () => {
  const other = new TestAuthority("Other", undefined, { keyType: "ed25519" });
  const leaf = other.issue({});
  const [certificate] = certificates(leaf);
  assert.ok(certificate !== undefined);
  const lists = `${between.revoke([])}${root.revoke([])}`;
  const revocation = new LeafRevocation(lists, [other.certificate, root.certificate]);
  assert.equal(revocation.fault(certificate, [], now), "UNABLE_TO_GET_CRL");
});

test("without a list of its authority, or once that has expired, nobody is believed", () => {
  assert.equal(fault(between.revoke([]), direct), "UNABLE_TO_GET_CRL");
  assert.equal(fault(between.revoke([]), good, now + 29 * DAY_MS), undefined);
  assert.equal(fault(between.revoke([]), good, now + 31 * DAY_MS), "CRL_HAS_EXPIRED");
  assert.equal(fault(between.revoke([bad]), bad, now + 31 * DAY_MS), "CERT_REVOKED");
});

test("a list of the future holds not yet, and of those that hold the newest says who is revoked", () => {
  const [before, later] = [now - 10 * DAY_MS, now + 3 * DAY_MS];
  assert.equal(fault(between.revoke([], later), good), "CRL_NOT_YET_VALID");
  assert.equal(fault(between.revoke([], later), good, later), undefined);
  assert.equal(fault(`${between.revoke([], later)}${between.revoke([])}`, good), undefined);
  assert.equal(fault(`${between.revoke([], later)}${between.revoke([], now - 40 * DAY_MS)}`, good), "CRL_HAS_EXPIRED");
  // Revoked since then, or let in again.
  for (const lists of [
    [between.revoke([], before), between.revoke([bad])],
    [between.revoke([bad]), between.revoke([], before)],
  ])
    assert.equal(fault(lists.join(""), bad), "CERT_REVOKED");
  assert.equal(fault(`${between.revoke([bad], before)}${between.revoke([])}`, bad), undefined);
  assert.equal(fault(`${between.revoke([bad])}${between.revoke([], later)}`, bad), "CERT_REVOKED");
});

test("a list that is none is an error", () => {
  const pem = (text: string): string => `-----BEGIN X509 CRL-----\n${text}\n-----END X509 CRL-----\n`;
  assert.throws(() => new LeafRevocation(pem("AAAA"), []), /list of revoked certificates that is none/);
  const der = Buffer.from(between.revoke([bad]).replace(/-----[^-]+-----/g, ""), "base64");
  for (let length = 0; length < der.length; length++) {
    assert.throws(() => new LeafRevocation(pem(der.subarray(0, length).toString("base64")), []), TypeError);
  }
});
