import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { formatSpiffeId, type SpiffeId } from "./spiffe-id.ts";
import { DerTag } from "./x509/der.ts";
import { derOf, derOid } from "./x509/der-writer.ts";

/** A key pair of a workload: ECDSA on P-256. */
export interface WorkloadKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** Takes a third of a millisecond. */
export function newWorkloadKey(): WorkloadKey {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** PKCS #8. It is a secret: into a file of mode 0600 or a TLS context, and nowhere else. */
export function privateKeyPem(key: WorkloadKey): string {
  return key.privateKey.export({ type: "pkcs8", format: "pem" }) as string; // a PEM is a string
}

/**
 * A request for a certificate (PKCS #10, RFC 2986) in DER, signed with the key, that names one SPIFFE ID, or none where the
 * authority is to say who the caller is.
 */
export function certificateRequest(key: WorkloadKey, id: SpiffeId | undefined): Uint8Array {
  const info = derOf(
    DerTag.Sequence,
    derOf(DerTag.Integer, Buffer.from([0])), // version
    derOf(DerTag.Sequence), // an empty subject
    key.publicKey.export({ type: "spki", format: "der" }),
    derOf(0xa0, ...(id === undefined ? [] : [extensionRequest(id)])), // attributes
  );
  const signature = sign("sha256", info, { key: key.privateKey, dsaEncoding: "der" });
  return derOf(
    DerTag.Sequence,
    info,
    derOf(DerTag.Sequence, derOid(ECDSA_WITH_SHA256)),
    derOf(DerTag.BitString, Buffer.from([0]), signature),
  );
}

const ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2";
const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";
const SUBJECT_ALT_NAME = "2.5.29.17";
const URI = 0x86;

/** RFC 2985 §5.4.2; the names are critical, since there is no subject (RFC 5280 §4.2.1.6). */
function extensionRequest(id: SpiffeId): Buffer {
  const names = derOf(DerTag.Sequence, derOf(URI, Buffer.from(formatSpiffeId(id), "latin1")));
  const extension = derOf(
    DerTag.Sequence,
    derOid(SUBJECT_ALT_NAME),
    derOf(DerTag.Boolean, Buffer.from([0xff])),
    derOf(DerTag.OctetString, names),
  );
  return derOf(
    DerTag.Sequence,
    derOid(EXTENSION_REQUEST),
    derOf(DerTag.Set, derOf(DerTag.Sequence, extension)), //
  );
}
