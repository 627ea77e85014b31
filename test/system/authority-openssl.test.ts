import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { systemClock } from "@heddle/base";
import { Certificate, certificateRequest, newWorkloadKey } from "@heddle/identity";
import { Authority, readCertificateRequest } from "@heddle/identity/ca";

const skip = !existsSync("/usr/bin/openssl") && "not installed: openssl";
const run = promisify(execFile);
const WEB = { trustDomain: "mesh.example", path: "/ns/shop/sa/web" };

test("openssl reads our requests, and finds what our authority issues and revokes as it should be", {
  skip,
}, async (t) => {
  const { write, openssl } = scratch(t);
  const nowMs = systemClock.wallNow();
  const authority = await Authority.createRoot("mesh.example", { nowMs });
  const request = certificateRequest(newWorkloadKey(), WEB);
  const csr = write("request.der", request);
  assert.match(
    await openssl("req", "-inform", "DER", "-in", csr, "-noout", "-verify", "-text"),
    /URI:spiffe:\/\/mesh\.example\/ns\/shop\/sa\/web/,
  );

  const issued = await authority.issue(request, WEB, { nowMs });
  assert.ok(issued.ok);
  const leaf = write("leaf.pem", new Certificate(issued.value.certificates[0]!).pem);
  const root = write("root.pem", authority.rootsPem());
  for (const purpose of ["sslserver", "sslclient"])
    assert.match(await openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", root, leaf), /: OK/);

  const times = { nowMs: nowMs - 1000, nextUpdateMs: nowMs + 86_400_000, number: 1 };
  const revoked = [{ serialNumber: issued.value.serialNumber, revokedAtMs: nowMs - 1000 }];
  for (const [list, verdict] of [
    [[], /: OK/],
    [revoked, /certificate revoked/],
  ] as const) {
    const crl = write("list.pem", await authority.issueCrl(list, times));
    assert.match(await openssl("verify", "-crl_check", "-CRLfile", crl, "-CAfile", root, leaf), verdict);
  }
});

test("requests that openssl makes are read, of every kind of key that is taken", { skip }, async (t) => {
  const { folder, openssl } = scratch(t);
  for (const key of [
    ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    ["rsa:2048"],
    ["ed25519"],
  ]) {
    const out = join(folder, "openssl.der");
    const names = [
      "-subj",
      "/CN=anybody",
      "-addext",
      "subjectAltName=URI:spiffe://mesh.example/ns/shop/sa/web,DNS:web",
    ];
    const files = ["-keyout", join(folder, "openssl.key"), "-outform", "DER", "-out", out];
    await openssl("req", "-new", "-nodes", "-newkey", ...key, ...files, ...names);
    const read = readCertificateRequest(readFileSync(out));
    assert.ok(read.ok, `${key.join(" ")}: ${String(!read.ok && read.error)}`);
    assert.deepEqual(read.value.uris, ["spiffe://mesh.example/ns/shop/sa/web"]);
  }
});

function scratch(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "heddle-openssl-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const write = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  /** All that it says, whether it likes what it sees or not. */
  const openssl = async (...words: readonly string[]): Promise<string> => {
    const said = await run("openssl", words, { timeout: 30_000 }).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    return said.stdout + said.stderr;
  };
  return { folder, write, openssl };
}
