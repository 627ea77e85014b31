import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { systemClock } from "@heddle/base";

/*
 * For tests: authorities and certificates, made when they are asked for. (A test that needs a certificate of last year or one
 * with two names in a name gets it here; the openssl of a system has no words for some of these.)
 */

export interface CertificateWish {
  readonly commonName?: string;
  readonly organization?: string;
  readonly dns?: readonly string[];
  readonly uris?: readonly string[];
  readonly emails?: readonly string[];
  /** IPv4. */
  readonly ips?: readonly string[];
  readonly validFrom?: Date;
  readonly validTo?: Date;
  readonly isAuthority?: boolean;
  /** What its key may be used for; left out: both, unsaid. */
  readonly usage?: "server" | "client" | "both";
  /** Bits of the key usage, the first the highest: 0x80 digitalSignature, 0x04 keyCertSign, 0x02 cRLSign. "none": left out. */
  readonly keyUsageBits?: number | "none";
  /** How many that sign may stand below it. */
  readonly pathLength?: number;
  /** Extensions besides, by object identifier, as they come. */
  readonly extensions?: readonly { readonly oid: string; readonly critical: boolean; readonly value: Buffer }[];
  /** Signed with SHA-1. */
  readonly weakSignature?: boolean;
  readonly keyType?: "ec" | "ed25519" | "rsa" | "rsa-1024";
  /** PEM, in place of a new one. */
  readonly key?: string;
}

/** A certificate and its key, as PEM. */
export interface TestCertificate {
  readonly certificate: string;
  /** With those that lead to its authority, except that one. */
  readonly chain: string;
  readonly key: string;
  readonly serialNumber: string;
}

/** Gives certificates in its own name. */
export class TestAuthority {
  readonly certificate: string;
  readonly #name: Buffer;
  readonly #key: KeyObject;
  readonly #above: string;

  /** By itself where `issuer` is left out. */
  constructor(commonName = "Test Authority", issuer?: TestAuthority, more: CertificateWish = {}) {
    const wish = { isAuthority: true, ...more, commonName };
    const pair = keyPair(wish);
    this.#name = nameOf(wish);
    this.#key = pair.privateKey;
    const signer = issuer ?? this;
    const der = certificateDer(wish, pair.publicKey, signer.#name, signer.#key, serial());
    this.certificate = pem("CERTIFICATE", der);
    this.#above = issuer === undefined ? "" : this.certificate + issuer.#above;
  }

  issue(wish: CertificateWish): TestCertificate {
    const pair = keyPair(wish);
    const serialNumber = serial();
    const certificate = pem("CERTIFICATE", certificateDer(wish, pair.publicKey, this.#name, this.#key, serialNumber));
    return {
      certificate,
      chain: certificate + this.#above,
      key: pair.privateKey.export({ type: "pkcs8", format: "pem" }) as string,
      serialNumber: serialNumber.toString("hex"),
    };
  }

  /** A list of those that it has revoked (RFC 5280 §5), made a day before `nowMs`, and good for a month from then. */
  revoke(certificates: readonly TestCertificate[], nowMs: number = systemClock.wallNow()): string {
    const now = new Date(nowMs);
    const entries = certificates.map(({ serialNumber }) =>
      sequence(integer(Buffer.from(serialNumber, "hex")), time(now)),
    );
    const list = sequence(
      integer(Buffer.from([1])),
      ECDSA_SHA256,
      this.#name,
      time(new Date(now.getTime() - DAY_MS)),
      time(new Date(now.getTime() + 30 * DAY_MS)),
      ...(entries.length > 0 ? [sequence(...entries)] : []),
    );
    return pem("X509 CRL", sequence(list, ECDSA_SHA256, bits(sign("sha256", list, this.#key))));
  }
}

function keyPair({ keyType = "ec", key }: CertificateWish): { publicKey: KeyObject; privateKey: KeyObject } {
  if (key !== undefined) return { publicKey: createPublicKey(key), privateKey: createPrivateKey(key) };
  if (keyType === "ec") return generateKeyPairSync("ec", { namedCurve: "P-256" });
  if (keyType === "ed25519") return generateKeyPairSync("ed25519");
  return generateKeyPairSync("rsa", { modulusLength: keyType === "rsa" ? 2048 : 1024 });
}

/** The key of a certificate under a password. */
export function encryptedKey({ key }: TestCertificate, passphrase: string): string {
  return createPrivateKey(key).export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase,
  }) as string;
}

const DAY_MS = 86_400_000;

function certificateDer(
  wish: CertificateWish,
  key: KeyObject,
  issuer: Buffer,
  signer: KeyObject,
  number: Buffer,
): Buffer {
  const now = systemClock.wallNow();
  const from = wish.validFrom ?? new Date(now - DAY_MS);
  const to = wish.validTo ?? new Date(now + 365 * DAY_MS);
  const isEd25519 = signer.asymmetricKeyType === "ed25519";
  const ecdsa = wish.weakSignature === true ? ECDSA_SHA1 : ECDSA_SHA256;
  const algorithm = isEd25519 ? ED25519 : ecdsa;
  const digest = wish.weakSignature === true ? "sha1" : "sha256";
  const tbs = sequence(
    element(0xa0, integer(Buffer.from([2]))),
    integer(number),
    algorithm,
    issuer,
    sequence(time(from), time(to)),
    nameOf(wish),
    key.export({ type: "spki", format: "der" }),
    element(0xa3, sequence(...extensions(wish))),
  );
  return sequence(tbs, algorithm, bits(sign(isEd25519 ? null : digest, tbs, signer)));
}

function extensions(wish: CertificateWish): Buffer[] {
  const { isAuthority = false, usage, dns = [], uris = [], emails = [], ips = [], pathLength } = wish;
  const names = [
    ...emails.map((name) => element(0x81, Buffer.from(name, "latin1"))),
    ...dns.map((name) => element(0x82, Buffer.from(name, "latin1"))),
    ...uris.map((name) => element(0x86, Buffer.from(name, "latin1"))),
    ...ips.map((ip) => element(0x87, addressBytes(ip))),
  ];
  const limit = pathLength === undefined ? [] : [integer(Buffer.from([pathLength]))];
  const { keyUsageBits = isAuthority ? 0x06 : 0x80 } = wish;
  const found = [
    extension("2.5.29.19", sequence(...(isAuthority ? [element(0x01, Buffer.from([0xff]))] : []), ...limit), true),
  ];
  if (keyUsageBits !== "none")
    found.push(
      extension(
        "2.5.29.15",
        element(0x03, Buffer.from([31 - Math.clz32(keyUsageBits & -keyUsageBits), keyUsageBits])),
        true,
      ),
    );
  if (names.length > 0) found.push(extension("2.5.29.17", sequence(...names), false));
  if (usage !== undefined) {
    const server = usage === "client" ? [] : [oid("1.3.6.1.5.5.7.3.1")];
    const client = usage === "server" ? [] : [oid("1.3.6.1.5.5.7.3.2")];
    found.push(extension("2.5.29.37", sequence(...server, ...client), false));
  }
  for (const { oid: id, critical, value } of wish.extensions ?? []) found.push(extension(id, value, critical));
  return found;
}

/** Of an IPv6 address at most one run of groups is left out. */
function addressBytes(ip: string): Buffer {
  if (!ip.includes(":")) return Buffer.from(ip.split(".").map(Number));
  const [before = [], behind = []] = ip.split("::").map((part) => part.split(":").filter((group) => group !== ""));
  const groups = [...before, ...Array<string>(8 - before.length - behind.length).fill("0"), ...behind];
  return Buffer.from(groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]));
}

function extension(id: string, value: Buffer, critical: boolean): Buffer {
  return sequence(oid(id), ...(critical ? [element(0x01, Buffer.from([0xff]))] : []), element(0x04, value));
}

function nameOf({ commonName, organization }: CertificateWish): Buffer {
  const part = (id: string, text: string | undefined): Buffer[] =>
    text === undefined ? [] : [element(0x31, sequence(oid(id), element(0x0c, Buffer.from(text))))];
  return sequence(...part("2.5.4.10", organization), ...part("2.5.4.3", commonName));
}

function element(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return element(0x30, Buffer.concat(parts));
}

function integer(bytes: Buffer): Buffer {
  return element(0x02, bytes[0]! >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes); // never empty
}

function bits(content: Buffer): Buffer {
  return element(0x03, Buffer.concat([Buffer.alloc(1), content]));
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return element(0x06, Buffer.from(bytes));
}

function time(date: Date): Buffer {
  const text = date.toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  const year = date.getUTCFullYear();
  return year >= 1950 && year < 2050 ? element(0x17, Buffer.from(text.slice(2))) : element(0x18, Buffer.from(text));
}

function serial(): Buffer {
  const bytes = randomBytes(12);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40; // positive, and of this length
  return bytes;
}

function pem(label: string, der: Buffer): string {
  return `-----BEGIN ${label}-----\n${(der.toString("base64").match(/.{1,64}/g) ?? []).join("\n")}\n-----END ${label}-----\n`;
}

const ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));
const ED25519 = sequence(oid("1.3.101.112"));
const ECDSA_SHA1 = sequence(oid("1.2.840.10045.4.1"));
