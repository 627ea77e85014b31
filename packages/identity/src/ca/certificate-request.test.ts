import "reflect-metadata"; // of @peculiar/x509
import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { test } from "node:test";
import { ExtensionsAttribute, Pkcs10CertificateRequest, SubjectAlternativeNameExtension } from "@peculiar/x509";
import fc from "fast-check";
import { certificateRequest, newWorkloadKey } from "../csr.ts";
import { derOf, derOid } from "../x509/der-writer.ts";
import { MAX_REQUEST_BYTES, readCertificateRequest } from "./certificate-request.ts";

const WEB = "spiffe://mesh.example/ns/shop/sa/web";
const ID = { trustDomain: "mesh.example", path: "/ns/shop/sa/web" };

test("a request says which key it is for, and for whom", () => {
  const key = newWorkloadKey();
  const read = readCertificateRequest(certificateRequest(key, ID));
  assert.ok(read.ok);
  assert.ok(read.value.publicKey.equals(key.publicKey));
  assert.deepEqual(read.value.uris, [WEB]);
  const unnamed = readCertificateRequest(certificateRequest(key, undefined));
  assert.deepEqual(unnamed.ok && unnamed.value.uris, []);
});

test("a library that others use reads and verifies our requests as we do", async () => {
  const key = newWorkloadKey();
  const theirs = new Pkcs10CertificateRequest(Uint8Array.from(certificateRequest(key, ID)));
  assert.equal(await theirs.verify(), true);
  assert.equal(theirs.subject, "");
  const spki = Buffer.from(theirs.publicKey.rawData);
  assert.ok(createPublicKey({ key: spki, format: "der", type: "spki" }).equals(key.publicKey));
  const [attribute] = theirs.attributes;
  assert.ok(attribute instanceof ExtensionsAttribute);
  const [names] = attribute.items;
  assert.ok(names instanceof SubjectAlternativeNameExtension);
  assert.deepEqual(names.names.toJSON(), [{ type: "url", value: WEB }]);
});

test("keys of P-256, P-384, RSA from 2048 bits and Ed25519 are taken", () => {
  const pairs = [
    [generateKeyPairSync("ec", { namedCurve: "P-384" }), ECDSA_SHA384, "sha384"],
    [generateKeyPairSync("rsa", { modulusLength: 2048 }), RSA_SHA256, "sha256"],
    [generateKeyPairSync("ed25519"), ED25519, null],
  ] as const;
  for (const [pair, algorithm, digest] of pairs) {
    const read = readCertificateRequest(request({ ...pair, algorithm, digest }));
    assert.ok(read.ok, String(!read.ok && read.error));
  }
});

test("keys that can be found, and kinds that nobody needs, are refused", () => {
  refused(
    request({ ...generateKeyPairSync("rsa", { modulusLength: 1024 }), algorithm: RSA_SHA256 }),
    /RSA key with fewer/,
  );
  refused(request({ ...generateKeyPairSync("ec", { namedCurve: "secp256k1" }) }), /curve that is not taken/);
  refused(
    request({ ...generateKeyPairSync("ed448"), algorithm: derOid("1.3.101.113"), digest: null }),
    /kind that is not/,
  );
});

test("a request that somebody else has signed is refused", () => {
  const other = newWorkloadKey();
  refused(request({ publicKey: other.publicKey }), /not signed with the key that it is for/);
  const bytes = Buffer.from(certificateRequest(newWorkloadKey(), ID));
  const at = bytes.indexOf("web");
  bytes.write("adm", at);
  refused(bytes, /not signed with the key that it is for/);
});

test("a signature by SHA-1, or by an algorithm of another kind of key, is refused", () => {
  refused(request({ algorithm: derOid("1.2.840.10045.4.1"), digest: "sha1" }), /algorithm that is not taken/);
  refused(request({ algorithm: RSA_SHA256 }), /not of its key/);
});

test("extensions or names that are asked for twice are refused, since either could count", () => {
  const names = (uri: string) =>
    derOf(0x30, derOid("2.5.29.17"), derOf(0x04, derOf(0x30, derOf(0x86, Buffer.from(uri)))));
  const asked = (...extensions: Buffer[]) =>
    derOf(0x30, derOid("1.2.840.113549.1.9.14"), derOf(0x31, derOf(0x30, ...extensions)));
  refused(request({ attributes: [asked(names(WEB)), asked(names("spiffe://mesh.example/a"))] }), /twice/);
  refused(request({ attributes: [asked(names(WEB), names("spiffe://mesh.example/a"))] }), /twice/);
  refused(request({ attributes: [asked(names(`${WEB}\0`))] }), /no name has/);
});

test("more bytes than a request ever has, bytes behind it, and another version are refused", () => {
  refused(Buffer.alloc(MAX_REQUEST_BYTES + 1, 0x30), /more than 16384 bytes/);
  refused(Buffer.concat([certificateRequest(newWorkloadKey(), ID), Buffer.alloc(1)]), /no PKCS #10/);
  refused(request({ version: 1 }), /another version/);
  refused(Buffer.alloc(0), /no PKCS #10/);
});

test("any bytes are read or refused, and throw nothing", () => {
  const good = Buffer.from(certificateRequest(newWorkloadKey(), ID));
  const mutated = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, change]) => {
    const bytes = Buffer.from(good);
    bytes[at]! ^= change;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (bytes) => {
      assert.equal(readCertificateRequest(bytes).ok, false);
    }),
  );
});

const ECDSA_SHA256 = derOid("1.2.840.10045.4.3.2");
const ECDSA_SHA384 = derOid("1.2.840.10045.4.3.3");
const RSA_SHA256 = Buffer.concat([derOid("1.2.840.113549.1.1.11"), Buffer.from([5, 0])]);
const ED25519 = derOid("1.3.101.112");

interface RequestWish {
  readonly publicKey?: KeyObject;
  readonly privateKey?: KeyObject;
  readonly algorithm?: Buffer;
  readonly digest?: string | null;
  readonly version?: number;
  readonly attributes?: readonly Buffer[];
}

function request(wish: RequestWish): Uint8Array {
  const own = newWorkloadKey();
  const { publicKey = own.publicKey, privateKey = own.privateKey, algorithm = ECDSA_SHA256, digest = "sha256" } = wish;
  const info = derOf(
    0x30,
    derOf(0x02, Buffer.from([wish.version ?? 0])),
    derOf(0x30),
    publicKey.export({ type: "spki", format: "der" }),
    derOf(0xa0, ...(wish.attributes ?? [])),
  );
  return derOf(0x30, info, derOf(0x30, algorithm), derOf(0x03, Buffer.alloc(1), sign(digest, info, privateKey)));
}

function refused(bytes: Uint8Array, why: RegExp): void {
  const read = readCertificateRequest(bytes);
  assert.ok(!read.ok, "it is taken");
  assert.match(read.error, why);
}
