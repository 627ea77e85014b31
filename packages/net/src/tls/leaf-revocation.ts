import { verify, X509Certificate } from "node:crypto";
import {
  type Certificate,
  type DerElement,
  DerError,
  DerTag,
  derElement,
  derElements,
  oidText,
} from "@heddle/identity";

/*
 * Lists of revoked certificates (RFC 5280 §5) for the peer's own certificate alone (`only_verify_leaf_cert_crl`). OpenSSL as Node has
 * it asks for the list of every authority of a chain.
 */

interface RevocationList {
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** Of the signature; undefined: the kind of key has one of its own (Ed25519). */
  readonly digest: string | undefined;
  /** Wall time: when it was made. */
  readonly thisUpdateMs: number;
  /** Wall time; undefined: it does not end. */
  readonly nextUpdateMs: number | undefined;
  /** Hexadecimal, without leading zeros. */
  readonly serialNumbers: ReadonlySet<string>;
}

/** Who has been revoked by the authority right above. */
export class LeafRevocation {
  readonly #lists: readonly RevocationList[];
  readonly #authorities: readonly X509Certificate[];
  /** Lists of an issuer, by its fingerprint. */
  readonly #signedBy = new Map<string, readonly RevocationList[]>();

  /** PEM of both. Throws a `TypeError` on a list that cannot be read or not be believed. */
  constructor(lists: string, authorities: readonly string[]) {
    this.#lists = (lists.match(REVOCATIONS) ?? []).map((pem) =>
      readList(Buffer.from(pem.replace(/-----[^-]+-----/g, ""), "base64")),
    );
    const blocks = authorities.flatMap((text) => text.match(CERTIFICATE) ?? []);
    this.#authorities = blocks.map((pem) => new X509Certificate(pem));
  }

  /**
   * OpenSSL's word for why a certificate is not believed, or undefined. `issuers`: what was shown beside it. As OpenSSL does
   * (`get_crl_sk`), of several lists the newest of those that hold now says it, since who is in none but older ones may have been
   * let in again.
   */
  fault(certificate: Certificate, issuers: readonly Certificate[], nowMs: number): string | undefined {
    const leaf = new X509Certificate(certificate.der);
    const all = [...this.#authorities, ...issuers.map(({ der }) => new X509Certificate(der))];
    const issuer = all.find((one) => leaf.checkIssued(one) && leaf.verify(one.publicKey));
    const lists = issuer === undefined ? [] : this.#of(issuer);
    if (lists.length === 0) return "UNABLE_TO_GET_CRL";
    const names = ({ serialNumbers }: RevocationList): boolean => serialNumbers.has(certificate.serialNumber);
    const begun = lists.filter(({ thisUpdateMs }) => thisUpdateMs <= nowMs);
    const good = begun.filter(({ nextUpdateMs }) => nextUpdateMs === undefined || nowMs <= nextUpdateMs);
    const newestMs = Math.max(...good.map(({ thisUpdateMs }) => thisUpdateMs));
    const newest = good.filter(({ thisUpdateMs }) => thisUpdateMs === newestMs);
    // Where none holds nobody is believed; one that was revoked is told so all the same.
    if ((newest.length > 0 ? newest : lists).some(names)) return "CERT_REVOKED";
    if (newest.length > 0) return undefined;
    return begun.length > 0 ? "CRL_HAS_EXPIRED" : "CRL_NOT_YET_VALID";
  }

  #of(issuer: X509Certificate): readonly RevocationList[] {
    const known = this.#signedBy.get(issuer.fingerprint256);
    if (known !== undefined) return known;
    const found = this.#lists.filter((list) => isSignedBy(list, issuer));
    // What strangers show is not remembered: they may show as many as they like.
    if (found.length > 0) this.#signedBy.set(issuer.fingerprint256, found);
    return found;
  }
}

function isSignedBy({ digest, signed, signature }: RevocationList, issuer: X509Certificate): boolean {
  try {
    return verify(digest ?? null, signed, issuer.publicKey, signature);
  } catch {
    return false; // a key of another kind than the signature's: OpenSSL takes no SHA-256 with Ed25519
  }
}

const REVOCATIONS = /-----BEGIN X509 CRL-----[\s\S]*?-----END X509 CRL-----/g;
const CERTIFICATE =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

const DIGESTS: Readonly<Record<string, string | undefined>> = {
  "1.2.840.10045.4.3.2": "sha256",
  "1.2.840.10045.4.3.3": "sha384",
  "1.2.840.10045.4.3.4": "sha512",
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
  "1.3.101.112": undefined,
};

function readList(der: Uint8Array): RevocationList {
  try {
    return readCertificateList(der);
  } catch (error) {
    if (error instanceof DerError)
      throw new TypeError(`holds a list of revoked certificates that is none (${error.message})`);
    throw error;
  }
}

/** CertificateList: what is signed, the algorithm, the signature. */
function readCertificateList(der: Uint8Array): RevocationList {
  const [tbs, algorithm, signature] = derElements(derElement(der, DerTag.Sequence).content);
  if (tbs === undefined || algorithm === undefined || signature?.tag !== DerTag.BitString)
    throw new DerError("no list");
  const oid = derElements(algorithm.content)[0];
  const name = oid === undefined ? "" : oidText(oid.content);
  if (!Object.hasOwn(DIGESTS, name)) throw new TypeError(`holds a list signed with ${name}, which is not supported`);
  // TBSCertList: version?, algorithm, issuer, this update, next update?, entries?, [0] extensions?
  const parts = derElements(tbs.content);
  const extensions = parts.find(({ tag }) => tag === 0xa0);
  if (extensions !== undefined && hasCritical(derElement(extensions.content, DerTag.Sequence))) {
    throw new TypeError("holds a list with critical extensions (of a part, or of changes), which are not supported");
  }
  const times = parts.filter(({ tag }) => tag === DerTag.UtcTime || tag === DerTag.GeneralizedTime);
  if (times[0] === undefined) throw new DerError("a list without the time when it was made");
  const after = parts.slice(parts.indexOf(times[0]) + 1);
  const entries = after.find(({ tag }) => tag === DerTag.Sequence);
  return {
    signed: tbs.whole,
    signature: signature.content.subarray(1),
    digest: DIGESTS[name],
    thisUpdateMs: timeMs(times[0]),
    nextUpdateMs: times[1] && timeMs(times[1]),
    serialNumbers: new Set((entries === undefined ? [] : derElements(entries.content)).map(serialOf)),
  };
}

function serialOf(entry: DerElement): string {
  const [serial] = derElements(entry.content);
  if (serial?.tag !== DerTag.Integer) throw new DerError("an entry without a number");
  return Buffer.from(serial.content)
    .toString("hex")
    .replace(/^(?:00)+(?=..)/, "");
}

function hasCritical(extensions: DerElement): boolean {
  return derElements(extensions.content).some(({ content }) => derElements(content)[1]?.tag === DerTag.Boolean);
}

/** UTCTime of the years 1950 to 2049, GeneralizedTime beyond (RFC 5280 §5.1.2.4). */
function timeMs({ tag, content }: DerElement): number {
  const text = Buffer.from(content).toString("latin1");
  const full = tag === DerTag.UtcTime ? `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}` : text;
  const time = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full);
  if (time === null) throw new DerError("a time that is none");
  const [, year, month, day, hour, minute, second] = time;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}
