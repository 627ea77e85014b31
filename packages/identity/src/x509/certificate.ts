import { createHash } from "node:crypto";
import { type DerElement, DerError, DerTag, derElement, derElements, oidText } from "./der.ts";
import { nameText } from "./distinguished-name.ts";

/**
 * A certificate (RFC 5280 §4.1), read from its DER form. Node's own `subjectAltName` is one line of text in which a name may
 * look like two, so names are read here.
 *
 * Nothing is read before it is asked for. What a certificate does not have, or has in a form that cannot be read, is empty:
 * a rule that asks for it is then not met. `malformed` tells.
 */
export class Certificate {
  readonly der: Uint8Array;
  #fields: Fields | undefined;
  #hash256: string | undefined;

  constructor(der: Uint8Array) {
    this.der = der;
  }

  get malformed(): boolean {
    return this.#read().malformed;
  }

  get subject(): string {
    return this.#read().subject;
  }

  get issuer(): string {
    return this.#read().issuer;
  }

  get serialNumber(): string {
    return this.#read().serialNumber;
  }

  get uriSans(): readonly string[] {
    return this.#read().uriSans;
  }

  get dnsSans(): readonly string[] {
    return this.#read().dnsSans;
  }

  get emailSans(): readonly string[] {
    return this.#read().emailSans;
  }

  get ipSans(): readonly string[] {
    return this.#read().ipSans;
  }

  get otherNames(): readonly OtherName[] {
    return this.#read().otherNames;
  }

  /** The last common name of the subject, the most specific one; "" for none. */
  get commonName(): string {
    return this.#read().commonName;
  }

  get validFromMs(): number {
    return this.#read().validFromMs;
  }

  get validToMs(): number {
    return this.#read().validToMs;
  }

  /** The algorithm of the issuer's signature, as an object identifier; "" where its two mentions differ (RFC 5280 §4.1.1.2). */
  get signatureAlgorithm(): string {
    return this.#read().signatureAlgorithm;
  }

  /** In their order; no two are of one kind. */
  get extensions(): readonly CertificateExtension[] {
    return this.#read().extensions;
  }

  /** Of the SubjectPublicKeyInfo. */
  get spkiSha256(): string {
    return createHash("sha256").update(this.#read().spki).digest("base64");
  }

  get fingerprintSha256(): string {
    this.#hash256 ??= createHash("sha256").update(this.der).digest("hex");
    return this.#hash256;
  }

  get fingerprintSha1(): string {
    return createHash("sha1").update(this.der).digest("hex");
  }

  get pem(): string {
    return pemOf("CERTIFICATE", this.der);
  }

  #read(): Fields {
    this.#fields ??= readFields(this.der);
    return this.#fields;
  }
}

/** RFC 7468. */
export function pemOf(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

export interface CertificateExtension {
  /** "2.5.29.17" */
  readonly oid: string;
  readonly critical: boolean;
  /** DER, as it lies in the octet string. */
  readonly value: Uint8Array;
}

export interface OtherName {
  readonly oid: string;
  /** "" where it is no string. */
  readonly value: string;
}

interface Fields {
  malformed: boolean;
  subject: string;
  issuer: string;
  commonName: string;
  serialNumber: string;
  uriSans: string[];
  dnsSans: string[];
  emailSans: string[];
  ipSans: string[];
  otherNames: OtherName[];
  validFromMs: number;
  validToMs: number;
  spki: Uint8Array;
  signatureAlgorithm: string;
  extensions: CertificateExtension[];
}

function readFields(der: Uint8Array): Fields {
  const fields: Fields = {
    malformed: false,
    subject: "",
    issuer: "",
    commonName: "",
    serialNumber: "",
    uriSans: [],
    dnsSans: [],
    emailSans: [],
    ipSans: [],
    otherNames: [],
    validFromMs: Number.NaN, // before and after nothing: never valid
    validToMs: Number.NaN,
    spki: new Uint8Array(),
    signatureAlgorithm: "",
    extensions: [],
  };
  try {
    readCertificate(der, fields);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    fields.malformed = true;
    // A list of names that ends in the middle is no list.
    const { uriSans, dnsSans, emailSans, ipSans, otherNames, extensions } = fields;
    for (const list of [uriSans, dnsSans, emailSans, ipSans, otherNames, extensions]) list.length = 0;
  }
  return fields;
}

/** TBSCertificate: version?, serial, algorithm, issuer, validity, subject, key, ids?, extensions?. */
function readCertificate(der: Uint8Array, fields: Fields): void {
  const [tbs, signedWith] = derElements(derElement(der, DerTag.Sequence).content);
  if (tbs === undefined || tbs.tag !== DerTag.Sequence) throw new DerError("no certificate");
  const parts = derElements(tbs.content);
  if (parts[0]?.tag === VERSION) parts.shift();
  const [serial, algorithm, issuer, validity, subject, key, ...rest] = parts;
  if (
    serial === undefined ||
    algorithm === undefined ||
    issuer === undefined ||
    validity === undefined ||
    subject === undefined ||
    key === undefined
  ) {
    throw new DerError("a certificate without all its fields");
  }
  fields.serialNumber = serialText(serial.content);
  fields.issuer = nameText(issuer.content).text;
  const { text, commonName } = nameText(subject.content);
  fields.subject = text;
  fields.commonName = commonName;
  fields.spki = key.whole;
  if (signedWith !== undefined && Buffer.compare(signedWith.whole, algorithm.whole) === 0)
    fields.signatureAlgorithm = firstOid(algorithm.content);
  const [from, to] = derElements(validity.content);
  fields.validFromMs = timeMs(from);
  fields.validToMs = timeMs(to);
  const extensions = rest.find(({ tag }) => tag === EXTENSIONS);
  if (extensions !== undefined) readExtensions(derElement(extensions.content, DerTag.Sequence).content, fields);
}

const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const SUBJECT_ALT_NAME = "2.5.29.17";

/** Extension (RFC 5280 §4.2): kind, whether it is critical (left out for no), value. */
function readExtensions(bytes: Uint8Array, fields: Fields): void {
  const seen = new Set<string>();
  for (const { content } of derElements(bytes)) {
    const [id, second, third] = derElements(content);
    const value = third ?? second;
    if (id === undefined || value === undefined) throw new DerError("half an extension");
    const oid = oidText(id.content);
    // RFC 5280 §4.2: not more than one of a kind; which of two counted would be chance.
    if (seen.has(oid) || value.tag !== DerTag.OctetString)
      throw new DerError("an extension twice, or of no known form");
    seen.add(oid);
    const critical = third !== undefined && second?.tag === DerTag.Boolean && second.content[0] !== 0;
    fields.extensions.push({ oid, critical, value: value.content });
    if (oid === SUBJECT_ALT_NAME)
      for (const name of derElements(derElement(value.content, DerTag.Sequence).content)) readName(name, fields);
  }
}

function firstOid(sequence: Uint8Array): string {
  const [first] = derElements(sequence);
  if (first === undefined || first.tag !== DerTag.ObjectIdentifier) throw new DerError("an algorithm without a name");
  return oidText(first.content);
}

/** GeneralName (RFC 5280 §4.2.1.6). */
function readName({ tag, content }: DerElement, fields: Fields): void {
  switch (tag) {
    case 0xa0:
      fields.otherNames.push(otherName(content));
      break;
    case 0x81:
      fields.emailSans.push(ia5(content));
      break;
    case 0x82:
      fields.dnsSans.push(ia5(content));
      break;
    case 0x86:
      fields.uriSans.push(ia5(content));
      break;
    case 0x87:
      fields.ipSans.push(ipText(content));
      break;
    default: // directory names and the like, which no rule asks for
  }
}

function otherName(content: Uint8Array): OtherName {
  const [oid, value] = derElements(content);
  if (oid === undefined || value === undefined) throw new DerError("half a name");
  const [inner] = derElements(value.content);
  const isText = inner !== undefined && TEXT.has(inner.tag);
  return { oid: oidText(oid.content), value: isText ? Buffer.from(inner.content).toString("utf8") : "" };
}

const TEXT: ReadonlySet<number> = new Set([DerTag.Utf8String, DerTag.PrintableString, DerTag.Ia5String]);

/** A NUL has ended names before their end in too many programs (CVE-2009-2408): a certificate that has one is refused whole. */
function ia5(content: Uint8Array): string {
  for (const byte of content) if (byte === 0 || byte > 0x7f) throw new DerError("a name with bytes that no name has");
  return Buffer.from(content).toString("latin1");
}

function ipText(content: Uint8Array): string {
  if (content.length === 4) return content.join(".");
  if (content.length !== 16) throw new DerError("an address that is neither IPv4 nor IPv6");
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((content[i]! << 8) | content[i + 1]!).toString(16)); // 16 bytes
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1); // RFC 5952
}

/** As OpenSSL prints it: without leading zero bytes. */
function serialText(content: Uint8Array): string {
  return Buffer.from(content)
    .toString("hex")
    .replace(/^(?:00)+(?=..)/, "");
}

/** UTCTime of the years 1950 to 2049, GeneralizedTime beyond (RFC 5280 §4.1.2.5). */
function timeMs(element: DerElement | undefined): number {
  if (element === undefined) throw new DerError("half a validity");
  const text = Buffer.from(element.content).toString("latin1");
  const digits = element.tag === DerTag.UtcTime ? /^\d{12}Z$/ : /^\d{14}Z$/;
  if (!digits.test(text)) throw new DerError("a time that is none");
  const year = element.tag === DerTag.UtcTime ? (Number(text.slice(0, 2)) < 50 ? "20" : "19") : "";
  const full = year + text;
  const iso = `${full.slice(0, 4)}-${full.slice(4, 6)}-${full.slice(6, 8)}T${full.slice(8, 10)}:${full.slice(10, 12)}:${full.slice(12, 14)}Z`;
  return Date.parse(iso);
}
