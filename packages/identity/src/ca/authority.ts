import "reflect-metadata"; // @peculiar/x509 is built on it, and it has to come first
import { KeyObject, randomBytes, X509Certificate } from "node:crypto";
import { err, ok, type Result } from "@heddle/base";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate as PeculiarCertificate,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  X509CrlGenerator,
  X509CrlReason,
} from "@peculiar/x509";
import { formatSpiffeId, parseSpiffeId, type SpiffeId, trustDomainFault } from "../spiffe-id.ts";
import { Certificate, pemOf } from "../x509/certificate.ts";
import { certificatesInPem } from "../x509/certificates-in-pem.ts";
import { DerTag } from "../x509/der.ts";
import { derOf } from "../x509/der-writer.ts";
import { signingCertificateFault } from "../x509-svid.ts";
import { readCertificateRequest } from "./certificate-request.ts";
import { newSigningKey, type SigningKey, signingKeyFromPem } from "./signing-key.ts";

export const DAY_MS = 86_400_000;
export const DEFAULT_ROOT_VALIDITY_MS = 10 * 365 * DAY_MS;
export const DEFAULT_SVID_VALIDITY_MS = DAY_MS;
const DEFAULT_BACKDATE_MS = 60_000;
/** A root is there for years: clocks that run behind shall not keep a new mesh from its first connection. */
const ROOT_BACKDATE_MS = 3_600_000;

/** Times in a certificate are whole seconds; less than this is over before anybody has it. */
const MIN_VALIDITY_MS = 1000;

export interface RootOptions {
  readonly nowMs: number;
  readonly validityMs?: number;
  readonly curve?: "P-256" | "P-384";
}

/** What is in the files of an operator who has an authority already. */
export interface AuthorityFiles {
  readonly trustDomain: string;
  /** PEM: the certificate that signs, and behind it those that lead to a root, in any order. */
  readonly certificates: string;
  /** PEM, without password. */
  readonly privateKey: string;
  /** PEM: the roots that others are to trust. Left out: the last of `certificates`, which then has to be a root. */
  readonly roots?: string;
  readonly nowMs: number;
}

export interface IssueOptions {
  readonly nowMs: number;
  /** 24 h. It is cut where the issuer ends sooner. */
  readonly validityMs?: number;
  /** How far the beginning lies back, for clocks that run behind. One minute. */
  readonly backdateMs?: number;
  /** Further names, which are those of no workload: of the control plane itself. */
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

export interface IssuedSvid {
  /** DER: the leaf first, then those that lead to an authority of the bundle, which itself is not among them. */
  readonly certificates: readonly Uint8Array[];
  /** Hexadecimal. */
  readonly serialNumber: string;
  /** Wall time. */
  readonly validFromMs: number;
  readonly validToMs: number;
}

export interface Revocation {
  /** Hexadecimal, as `IssuedSvid` has it. */
  readonly serialNumber: string;
  readonly revokedAtMs: number;
}

export interface CrlOptions {
  readonly nowMs: number;
  /** When the next list is to be there at the latest. */
  readonly nextUpdateMs: number;
  /** Grows with every list (RFC 5280 §5.2.3). */
  readonly number: number;
}

/** Signs X.509-SVIDs of one trust domain. Its key leaves it by `exportKey` alone. */
export class Authority {
  readonly trustDomain: string;
  /** That whose key signs. */
  readonly certificate: Certificate;
  /** From the one that has signed `certificate` on, up to and without a root; none where it is a root itself. */
  readonly intermediates: readonly Certificate[];
  /** What goes into the trust bundle. */
  readonly roots: readonly Certificate[];
  readonly #key: SigningKey;
  readonly #issuer: PeculiarCertificate;

  private constructor(
    trustDomain: string,
    key: SigningKey,
    certificate: Certificate,
    intermediates: readonly Certificate[],
    roots: readonly Certificate[],
  ) {
    this.trustDomain = trustDomain;
    this.certificate = certificate;
    this.intermediates = intermediates;
    this.roots = roots;
    this.#key = key;
    this.#issuer = new PeculiarCertificate(Uint8Array.from(certificate.der));
  }

  /** A new root that signs itself, named after the trust domain (X509-SVID §3.2). */
  static async createRoot(trustDomain: string, options: RootOptions): Promise<Authority> {
    const { nowMs, validityMs = DEFAULT_ROOT_VALIDITY_MS, curve = "P-256" } = options;
    const fault = trustDomainFault(trustDomain);
    if (fault !== undefined) throw new Error(`the trust domain ${fault}`);
    const key = newSigningKey(curve);
    const serialNumber = newSerial();
    const root = await X509CertificateGenerator.createSelfSigned({
      serialNumber,
      // The number tells roots of one domain apart, by whose names paths are found.
      name: [{ O: ["Heddle"] }, { CN: [`Heddle root ${serialNumber.slice(0, 8)}`] }],
      notBefore: new Date(nowMs - ROOT_BACKDATE_MS),
      notAfter: new Date(nowMs + validityMs),
      signingAlgorithm: key.algorithm,
      keys: { privateKey: key.privateKey, publicKey: key.publicKey },
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        new SubjectAlternativeNameExtension([url({ trustDomain, path: "" })], false),
        await SubjectKeyIdentifierExtension.create(key.publicKey),
      ],
    });
    const certificate = new Certificate(new Uint8Array(root.rawData));
    return new Authority(trustDomain, key, certificate, [], [certificate]);
  }

  /** A root or an intermediate from files. The error says which file is wrong, and what is. */
  static fromFiles(files: AuthorityFiles): Result<Authority, string> {
    const { trustDomain, nowMs } = files;
    const domainFault = trustDomainFault(trustDomain);
    if (domainFault !== undefined) return err(`the trust domain ${domainFault}`);
    const key = signingKeyFromPem(files.privateKey);
    if (!key.ok) return err(`the private key ${key.error}`);
    const shown = readCertificates(files.certificates);
    const [certificate, ...others] = shown ?? [];
    if (certificate === undefined) return err("the certificates cannot be read, or there are none");
    const fault = signingCertificateFault(certificate, trustDomain);
    if (fault !== undefined) return err(`the certificate ${fault}`);
    if (!(nowMs >= certificate.validFromMs && nowMs <= certificate.validToMs))
      return err("the certificate has expired, or is not valid yet");
    if (!fits(certificate, key.value)) return err("the private key is not that of the certificate");
    const roots = files.roots === undefined ? [certificate, ...others].filter(isRoot) : readCertificates(files.roots);
    if (roots === undefined) return err("the roots cannot be read");
    const path = pathToRoot(certificate, others, roots);
    if (path === undefined)
      return err("the certificates lead to no root: give the roots, or the whole chain with its root");
    return ok(new Authority(trustDomain, key.value, certificate, path, roots));
  }

  /** PKCS #8 in PEM. A secret, to be sealed (seal.ts) before it is written anywhere. */
  exportKey(): string {
    return this.#key.exportPem();
  }

  /** What `fromFiles` takes back, without the key. */
  certificatesPem(): string {
    return [this.certificate, ...this.intermediates].map(({ pem }) => pem).join("");
  }

  rootsPem(): string {
    return this.roots.map(({ pem }) => pem).join("");
  }

  /**
   * Signs the key of a request (PKCS #10, DER) for `id`, which the caller *is*: nothing of the request but its key is
   * copied, and one that names another URI is refused. The error says what is wrong with the request.
   */
  async issue(request: Uint8Array, id: SpiffeId, options: IssueOptions): Promise<Result<IssuedSvid, string>> {
    const read = readCertificateRequest(request);
    if (!read.ok) return err(`the certificate request ${read.error}`);
    const { publicKey, uris } = read.value;
    if (uris.length > 1) return err("the certificate request names more than one URI");
    for (const uri of uris) {
      const wanted = parseSpiffeId(uri);
      if (!wanted.ok) return err(`the certificate request names a URI that ${wanted.error}`);
      if (formatSpiffeId(wanted.value) !== formatSpiffeId(id))
        return err("the certificate request names another identity than the caller's own");
    }
    return this.#sign(publicKey, id, options);
  }

  async #sign(publicKey: KeyObject, id: SpiffeId, options: IssueOptions): Promise<Result<IssuedSvid, string>> {
    const { nowMs, validityMs = DEFAULT_SVID_VALIDITY_MS, backdateMs = DEFAULT_BACKDATE_MS } = options;
    if (id.trustDomain !== this.trustDomain) throw new Error("an identity of another trust domain");
    if (id.path === "") throw new Error("an identity that is no workload's");
    const issuers = [this.certificate, ...this.intermediates];
    const validFromMs = wholeSecond(
      Math.max(nowMs - backdateMs, ...issuers.map((certificate) => certificate.validFromMs)),
    );
    const validToMs = wholeSecond(
      Math.min(nowMs + validityMs, ...[...issuers, ...this.roots].map((certificate) => certificate.validToMs)),
    );
    if (validToMs - nowMs < MIN_VALIDITY_MS) return err("the authority's own certificate ends too soon");
    const { dnsNames = [], ipAddresses = [] } = options;
    const names: JsonGeneralName[] = [
      url(id),
      ...dnsNames.map((value) => ({ type: "dns", value }) as const),
      ...ipAddresses.map((value) => ({ type: "ip", value }) as const),
    ];
    const serialNumber = newSerial();
    const spki = Uint8Array.from(publicKey.export({ type: "spki", format: "der" }));
    const leaf = await X509CertificateGenerator.create({
      serialNumber,
      subject: "",
      issuer: this.#issuer.subjectName,
      notBefore: new Date(validFromMs),
      notAfter: new Date(validToMs),
      signingAlgorithm: this.#key.algorithm,
      publicKey: spki,
      signingKey: this.#key.privateKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true), // X509-SVID §4.3
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]), // §4.4
        new SubjectAlternativeNameExtension(names, true), // RFC 5280 §4.2.1.6: critical, since there is no subject
        await AuthorityKeyIdentifierExtension.create(this.#issuer.publicKey),
        await SubjectKeyIdentifierExtension.create(spki),
      ],
    });
    const certificates = [new Uint8Array(leaf.rawData), ...this.#shownIssuers().map(({ der }) => der)];
    return ok({ certificates, serialNumber, validFromMs, validToMs });
  }

  /** A list of what it has revoked (RFC 5280 §5), in PEM. Only lists of the same issuer cover its certificates. */
  async issueCrl(revoked: readonly Revocation[], { nowMs, nextUpdateMs, number }: CrlOptions): Promise<string> {
    const crl = await X509CrlGenerator.create({
      issuer: this.#issuer.subjectName,
      thisUpdate: new Date(nowMs),
      nextUpdate: new Date(nextUpdateMs),
      signingAlgorithm: this.#key.algorithm,
      signingKey: this.#key.privateKey,
      entries: revoked.map(({ serialNumber, revokedAtMs }) => ({
        serialNumber,
        revocationDate: new Date(revokedAtMs),
        reason: X509CrlReason.unspecified,
      })),
      extensions: [await AuthorityKeyIdentifierExtension.create(this.#issuer.publicKey), crlNumber(number)],
    });
    // The library's own label, "CRL", is known to no other one.
    return pemOf("X509 CRL", new Uint8Array(crl.rawData));
  }

  /** Between the leaf and the bundle. A root that signs is in the bundle itself. */
  #shownIssuers(): readonly Certificate[] {
    const isInBundle = this.roots.some((root) => root.fingerprintSha256 === this.certificate.fingerprintSha256);
    return isInBundle ? [] : [this.certificate, ...this.intermediates];
  }
}

cryptoProvider.set(crypto);

function url(id: SpiffeId): JsonGeneralName {
  return { type: "url", value: formatSpiffeId(id) };
}

/** 128 random bits, positive (RFC 5280 §4.1.2.2). Hexadecimal. */
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40; // positive, and of this length; 126 bits are left to chance
  return bytes.toString("hex");
}

function wholeSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

const CRL_NUMBER = "2.5.29.20";

function crlNumber(number: number): Extension {
  const hex = number.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  const positive = bytes[0]! > 0x7f ? Buffer.concat([Buffer.from([0]), bytes]) : bytes; // a number has digits
  return new Extension(CRL_NUMBER, false, Uint8Array.from(derOf(DerTag.Integer, positive)));
}

function readCertificates(pem: string): readonly Certificate[] | undefined {
  try {
    const certificates = certificatesInPem(pem);
    return certificates.some(({ malformed }) => malformed) ? undefined : certificates;
  } catch {
    return undefined;
  }
}

function isRoot(certificate: Certificate): boolean {
  const x509 = new X509Certificate(certificate.der);
  return x509.checkIssued(x509) && x509.verify(x509.publicKey);
}

function fits(certificate: Certificate, key: SigningKey): boolean {
  return new X509Certificate(certificate.der).publicKey.equals(KeyObject.from(key.publicKey));
}

/** Those between a certificate and a root, neither among them; undefined where there is no way. */
function pathToRoot(
  certificate: Certificate,
  others: readonly Certificate[],
  roots: readonly Certificate[],
): Certificate[] | undefined {
  const path: Certificate[] = [];
  for (let last = certificate; ; ) {
    const isTrusted = roots.some((root) => root.fingerprintSha256 === last.fingerprintSha256);
    if (isTrusted || roots.some((root) => hasSigned(root, last))) return path.filter((link) => !roots.includes(link));
    const next = others.find((other) => other !== last && !path.includes(other) && hasSigned(other, last));
    if (next === undefined) return undefined;
    path.push(next);
    last = next;
  }
}

function hasSigned(issuer: Certificate, certificate: Certificate): boolean {
  const [above, below] = [new X509Certificate(issuer.der), new X509Certificate(certificate.der)];
  return below.checkIssued(above) && below.verify(above.publicKey);
}
