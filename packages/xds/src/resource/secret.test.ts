import assert from "node:assert/strict";
import { test } from "node:test";
import { err, ok } from "@heddle/base";
import { encryptedKey, TestAuthority } from "@heddle/net/testing";
import type { DataReader } from "./data-source.ts";
import { makeSecretType } from "./secret.ts";
import { accept, errorsOf, reportsOf } from "./testing.ts";

const authority = new TestAuthority();
const leaf = authority.issue({ dns: ["a.example"] });
const other = authority.issue({ dns: ["b.example"] });

const FILES: Readonly<Record<string, string>> = {
  "cert.pem": leaf.chain,
  "cert.key": leaf.key,
  "other.key": other.key,
  "ca.pem": authority.certificate,
};
const reader: DataReader = {
  file: (path) => (FILES[path] === undefined ? err("cannot be read (ENOENT)") : ok(Buffer.from(FILES[path]))),
  variable: () => undefined,
};
const secretType = makeSecretType(reader);

const inline = (inline_string: string): object => ({ inline_string });
const file = (filename: string): object => ({ filename });

test("a certificate and its key, inline and from files, with the folder that tells of their change", () => {
  const tls_certificate = { certificate_chain: inline(leaf.chain), private_key: inline(leaf.key) };
  const secret = accept(secretType, { name: "web", tls_certificate });
  assert.ok(secret.type === "certificate");
  assert.equal(secret.certificate.privateKey.content, leaf.key);
  assert.equal(secretType.nameOf(secret), "web");

  const watched_directory = { path: "/run/certs" };
  const files = { certificate_chain: file("cert.pem"), private_key: file("cert.key"), watched_directory };
  const read = accept(secretType, { name: "web", tls_certificate: files });
  assert.ok(read.type === "certificate");
  assert.equal(read.certificate.privateKey.content, leaf.key);
  assert.equal(read.certificate.watchedDirectory, "/run/certs");
});

test("who is trusted, without a need to say by whom names are attested: the context that uses it may", () => {
  const ca = accept(secretType, { name: "ca", validation_context: { trusted_ca: inline(authority.certificate) } });
  assert.ok(ca.type === "validation");
  assert.equal(ca.validation.trustedCa?.content, authority.certificate);
  const match_typed_subject_alt_names = [{ san_type: "DNS", matcher: { exact: "a.example" } }];
  accept(secretType, { name: "names", validation_context: { match_typed_subject_alt_names } });
});

test("keys of session tickets, and secrets that filters will read", () => {
  const keys = [{ inline_bytes: Buffer.alloc(80, 7).toString("base64") }];
  assert.equal(accept(secretType, { name: "keys", session_ticket_keys: { keys } }).type, "ticket-keys");
  const generic = accept(secretType, { name: "token", generic_secret: { secret: inline("abc") } });
  assert.ok(generic.type === "generic");
  assert.equal(generic.secret?.content, "abc");
});

test("every fault of a secret is told by its path, and nothing of what it holds is", () => {
  const hidden = [leaf.key, other.key, "open sesame", Buffer.from("a password of mine").toString()];
  const of = (secret: object): string => {
    const errors = errorsOf(secretType, { name: "s", ...secret }).join("\n");
    for (const text of hidden.flatMap((secretText) => secretText.split("\n").filter((line) => line.length > 10))) {
      assert.ok(!errors.includes(text), errors);
    }
    return errors;
  };
  const mismatch = { certificate_chain: inline(leaf.chain), private_key: inline(other.key) };
  assert.equal(of({ tls_certificate: mismatch }), "tls_certificate.private_key: does not belong to the certificate");
  assert.equal(
    of({ tls_certificate: { certificate_chain: inline(leaf.key), private_key: inline(leaf.key) } }),
    "tls_certificate.certificate_chain: holds no certificate in PEM",
  );
  assert.match(
    of({
      tls_certificate: {
        certificate_chain: file("cert.pem"),
        private_key: inline(encryptedKey(leaf, "open sesame")),
        password: inline("a password of mine"),
      },
    }),
    /^tls_certificate\.private_key: holds no private key in PEM that the password opens$/,
  );
  assert.match(of({ tls_certificate: { certificate_chain: file("none") } }), /private_key: must be set/);
  assert.match(of({ tls_certificate: { certificate_chain: file("none") } }), /filename: "none" cannot be read/);
  assert.match(of({ validation_context: { trusted_ca: inline("no PEM") } }), /trusted_ca: holds no certificate/);
  assert.match(
    of({ session_ticket_keys: { keys: [inline("short one of 22 bytes.")] } }),
    /has 22 bytes, allowed are 80/,
  );
  assert.match(of({}), /the secret holds nothing/);
  assert.match(
    of({ tls_certificate: { ...mismatch, private_key_provider: { provider_name: "x" } } }),
    /private_key_provider/,
  );
});

test("a validation context that verifies nobody is reported, since it lets everybody in", () => {
  assert.deepEqual(reportsOf(secretType, { name: "s", validation_context: {} }), ["validation_context"]);
  const trusted_ca = inline(authority.certificate);
  assert.deepEqual(reportsOf(secretType, { name: "s", validation_context: { trusted_ca } }), []);
});

test("a control plane that keeps secrets for others leaves their files alone", () => {
  const others = makeSecretType();
  const tls_certificate = { certificate_chain: file("elsewhere.pem"), private_key: file("elsewhere.key") };
  accept(others, { name: "s", tls_certificate });
  assert.deepEqual(
    reportsOf(others, {
      name: "s",
      tls_certificate: { ...tls_certificate, signed_certificate_timestamp: [file("x")] },
    }),
    ["tls_certificate.signed_certificate_timestamp"],
  );
});

test("who names a secret without a source means one of the process's own before one of the bootstrap's", () => {
  const type = makeSecretType(reader);
  type.setOwn([{ name: "default", type: "certificate" }]);
  type.setStatic([
    { type: "generic", name: "default", secret: undefined },
    { type: "generic", name: "other", secret: undefined },
  ]);
  assert.equal(type.static("default")?.type, "certificate");
  assert.equal(type.static("other")?.type, "generic");
  assert.equal(type.static("none"), undefined);
});
