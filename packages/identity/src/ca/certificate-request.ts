import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { err, ok, type Result } from "@heddle/base";
import { DerError, DerTag, derElement, derElements, oidText } from "../x509/der.ts";
import { weakKeyFault } from "../x509/strength.ts";

/** What an authority heeds of a request for a certificate. Subject and extensions are not among it. */
export interface CertificateRequest {
  /** Whoever asks has the private one: the request is signed with it. */
  readonly publicKey: KeyObject;
  /** The URIs that it asks to be named. */
  readonly uris: readonly string[];
}

/** One with an RSA-8192 key and many names has 3 KiB. */
export const MAX_REQUEST_BYTES = 16 * 1024;

/**
 * Reads a request for a certificate (PKCS #10, RFC 2986 §4) in DER, strictly, and checks its signature. The error says what
 * is wrong, and repeats nothing from the request.
 */
export function readCertificateRequest(der: Uint8Array): Result<CertificateRequest, string> {
  if (der.length > MAX_REQUEST_BYTES) return err(`has more than ${MAX_REQUEST_BYTES} bytes`);
  try {
    return readRequest(der);
  } catch (error) {
    if (error instanceof DerError) return err(`is no PKCS #10 in DER: ${error.message}`);
    throw error;
  }
}

function readRequest(der: Uint8Array): Result<CertificateRequest, string> {
  const [info, algorithm, signature, ...behind] = derElements(derElement(der, DerTag.Sequence).content);
  if (info?.tag !== DerTag.Sequence || algorithm?.tag !== DerTag.Sequence || signature?.tag !== DerTag.BitString)
    throw new DerError("a request without all its fields");
  const [version, subject, key, attributes, ...more] = derElements(info.content);
  if (version?.tag !== DerTag.Integer || version.content.length !== 1 || version.content[0] !== 0)
    throw new DerError("another version than 1");
  if (subject?.tag !== DerTag.Sequence || key?.tag !== DerTag.Sequence || attributes?.tag !== ATTRIBUTES)
    throw new DerError("a request without all its fields");
  if (more.length + behind.length > 0) throw new DerError("more than the fields of a request");
  if (signature.content[0] !== 0) throw new DerError("a signature of no whole number of bytes");

  const publicKey = publicKeyOf(key.whole);
  if (publicKey === undefined) return err("has a key that cannot be read");
  const weak = weakKeyFault(publicKey);
  if (weak !== undefined) return err(weak);
  const [name] = derElements(algorithm.content);
  const digest = DIGESTS.get(name?.tag === DerTag.ObjectIdentifier ? oidText(name.content) : "");
  if (digest === undefined || !digest.keyTypes.includes(publicKey.asymmetricKeyType ?? ""))
    return err("is signed with an algorithm that is not taken, or that is not of its key");
  if (!verify(digest.name, info.whole, publicKey, signature.content.subarray(1)))
    return err("is not signed with the key that it is for");
  return ok({ publicKey, uris: requestedUris(attributes.content) });
}

const ATTRIBUTES = 0xa0;
const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";
const SUBJECT_ALT_NAME = "2.5.29.17";
const URI = 0x86;

/** Those of the strong ones that Node checks without further parameters. */
const DIGESTS: ReadonlyMap<string, { readonly name: string | null; readonly keyTypes: readonly string[] }> = new Map([
  ["1.2.840.10045.4.3.2", { name: "sha256", keyTypes: ["ec"] }],
  ["1.2.840.10045.4.3.3", { name: "sha384", keyTypes: ["ec"] }],
  ["1.2.840.10045.4.3.4", { name: "sha512", keyTypes: ["ec"] }],
  ["1.2.840.113549.1.1.11", { name: "sha256", keyTypes: ["rsa"] }],
  ["1.2.840.113549.1.1.12", { name: "sha384", keyTypes: ["rsa"] }],
  ["1.2.840.113549.1.1.13", { name: "sha512", keyTypes: ["rsa"] }],
  ["1.3.101.112", { name: null, keyTypes: ["ed25519"] }],
]);

function publicKeyOf(spki: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}

/** Of the extensions that it asks for (RFC 2985 §5.4.2). Twice the same attribute or the same extension: which counted? Neither. */
function requestedUris(attributes: Uint8Array): string[] {
  const lists = valuesOf(derElements(attributes), EXTENSION_REQUEST);
  if (lists.length === 0) return [];
  const extensions = derElements(derElement(lists[0]!, DerTag.Set).content); // looked at
  if (lists.length > 1 || extensions.length !== 1) throw new DerError("extensions asked for twice");
  const names = valuesOf(derElements(extensions[0]!.content), SUBJECT_ALT_NAME); // looked at
  if (names.length > 1) throw new DerError("alternative names asked for twice");
  if (names.length === 0) return [];
  const value = derElement(names[0]!, DerTag.OctetString).content; // looked at
  return derElements(derElement(value, DerTag.Sequence).content)
    .filter(({ tag }) => tag === URI)
    .map(({ content }) => {
      for (const byte of content)
        if (byte === 0 || byte > 0x7f) throw new DerError("a name with bytes that no name has");
      return Buffer.from(content).toString("latin1");
    });
}

/** The last elements of those sequences that begin with that object identifier. */
function valuesOf(sequences: readonly { readonly content: Uint8Array }[], oid: string): Uint8Array[] {
  return sequences.flatMap(({ content }) => {
    const parts = derElements(content);
    const [id] = parts;
    const value = parts.at(-1);
    if (id?.tag !== DerTag.ObjectIdentifier || value === undefined) throw new DerError("half an attribute");
    return oidText(id.content) === oid ? [value.whole] : [];
  });
}
